"""What is committed apart from the requests, whatever the application's transactions prefer."""

from __future__ import annotations

from sqlalchemy import Engine


def committed(engine: Engine) -> Engine:
    """The same engine, whose statements each see what was committed last: with a snapshot of its
    own a statement would lose races that it can well win by waiting.
    """
    # SQLite has one writer at a time anyway, and does not know the word.
    is_sqlite = engine.dialect.name == "sqlite"
    return engine if is_sqlite else engine.execution_options(isolation_level="READ COMMITTED")
