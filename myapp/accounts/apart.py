"""An engine for what is committed apart from the requests' transactions."""

from __future__ import annotations

from sqlalchemy import Engine


def committed(engine: Engine) -> Engine:
    """The same engine, but each statement sees what was committed last: with an older snapshot, a
    statement would lose races that it can win by waiting.
    """
    # SQLite has one writer at a time anyway, and does not have this isolation level.
    is_sqlite = engine.dialect.name == "sqlite"
    return engine if is_sqlite else engine.execution_options(isolation_level="READ COMMITTED")
