"""How sessions grow: reads, bytes, updates in place and sweeping with up to ten million rows.

`make bench/growth` measures on SQLite and PostgreSQL and keeps docs/performance/growth.json. All
goes through the package's own table and store; only the filling is done in bulk.
"""

from bench.growth.report import draw, tables

__all__ = ["draw", "tables"]
