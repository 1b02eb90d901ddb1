"""Listening to a database: which statements it gets, and in how many round trips.

``with counting(tap) as wire`` reads alike on SQLite, PostgreSQL and MariaDB.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, make_url

from harness.wire.proxy import Proxy
from harness.wire.record import Tap, Wire
from harness.wire.sqlite import SQLiteTap

__all__ = ["Proxy", "SQLiteTap", "Tap", "Wire", "counting", "sqlite_trace", "tapped"]


@contextmanager
def tapped(database_url: str) -> Iterator[Tap]:
    """Give a place to listen to the database: connect to the tap's URL, not to the given one."""
    if make_url(database_url).get_backend_name() == "sqlite":
        with SQLiteTap(database_url) as tap:
            yield tap
    else:
        with Proxy(database_url) as proxy:
            yield proxy


@contextmanager
def counting(tap: Tap) -> Iterator[Wire]:
    """Listen within the block; the record stays readable after it."""
    wire = Wire()
    with tap.listen(wire):
        yield wire


def sqlite_trace(engine: Engine) -> SQLiteTap:
    """Return a tap on one SQLite engine alone, to be used in a ``with`` statement."""
    return SQLiteTap(engine.url.render_as_string(hide_password=False), engine)
