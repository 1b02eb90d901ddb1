"""Requests per second through real servers, by wrk: `make bench/http`.

The bare application, sessions and Django's sessions, each in every server, on SQLite and
PostgreSQL. The result is kept as docs/performance/http.json.
"""

from bench.http.report import draw, tables

__all__ = ["draw", "tables"]
