"""Other visitors' sessions for the peers: copies of one that the peer itself has stored."""

from __future__ import annotations

import secrets
from collections.abc import Collection


def copy_row(
    url: str, name: str, rows: int, *, unique: str, left_out: Collection[str] = ()
) -> None:
    """Copy the first row of a table so many times, each under a random text of the same length.

    What is left out the database fills in by itself.
    """
    # Imported here, so that a contender without SQLAlchemy does not pay for it at its start.
    from sqlalchemy import MetaData, Table, create_engine

    engine = create_engine(url)
    table = Table(name, MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        first = connection.execute(table.select().limit(1)).mappings().one()
        kept = {key: value for key, value in first.items() if key not in left_out}
        length = len(kept[unique])
        copies = [kept | {unique: secrets.token_hex(length)[:length]} for _ in range(rows)]
        for start in range(0, rows, 1000):
            connection.execute(table.insert(), copies[start : start + 1000])
    engine.dispose()
