"""What a read of a session costs with and without prepared statements: `python -m bench.pooler`.

Needs PostgreSQL and PgBouncer, which it starts and ends itself.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from typing import Final

from sqlalchemy import make_url

from harness.servers.pgbouncer import PgBouncer
from harness.servers.postgresql import PostgreSQL
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import a_session
from tests.sessions.app import create_table

READS: Final = 1000
ROUNDS: Final = 15


def main() -> None:
    """Measure the ways in turn, and print the best round of each."""
    with ExitStack() as stack:
        server = stack.enter_context(PostgreSQL())
        pooler = stack.enter_context(PgBouncer(server))
        url = stack.enter_context(server.database())
        create_table(url)
        ways = {
            "prepared": url,
            "not prepared": f"{url}?prepare_threshold=none",
            "by way of PgBouncer": pooler.url(make_url(url).database or ""),
        }
        stores = {name: stack.enter_context(closing(SqlStore(way))) for name, way in ways.items()}
        row = a_session(data=b"x" * 500)
        stores["prepared"].insert(row)
        rounds = [
            {name: _time(store, row.digest) for name, store in stores.items()}
            for _ in range(ROUNDS)
        ]
        for name in ways:
            print(f"{name}: {min(each[name] for each in rounds):.0f} µs a read")


def _time(store: SqlStore, digest: bytes) -> float:
    """Microseconds of one read."""
    began = time.perf_counter()
    for _ in range(READS):
        store.load([digest])
    return (time.perf_counter() - began) / READS * 1e6


if __name__ == "__main__":
    main()
