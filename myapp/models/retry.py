"""Which database errors mean that the same request may well succeed when it is run again.

They are marked where the driver raises them. pyramid_tm marks too, but misses those that appear
at commit once an exception view has answered, and some that zope.sqlalchemy does not know.
"""

from __future__ import annotations

from typing import Final

from pyramid_retry import mark_error_retryable
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

# 1205 is a lock that was waited for in vain, 1213 a deadlock or a lost race between nodes.
_MYSQL_CODES: Final = (1205, 1213)
_SQLITE_BUSY: Final = 5


def is_retryable(error: BaseException) -> bool:
    """Whether a driver's error is a lost race: a conflict, a deadlock or a lock not obtained."""
    sqlstate = getattr(error, "sqlstate", None) or ""
    # SQLite keeps the primary code in the low byte and the details above it.
    sqlite_code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    mysql_code = error.args[0] if error.args else None
    return sqlstate.startswith("40") or sqlite_code == _SQLITE_BUSY or mysql_code in _MYSQL_CODES


def mark_retryable_errors(engine: Engine) -> None:
    """Let pyramid_retry see, on this engine, which errors are worth another attempt."""
    event.listen(engine, "handle_error", _mark)


def _mark(context: ExceptionContext) -> None:
    """Mark the error that SQLAlchemy is about to raise."""
    if context.sqlalchemy_exception and is_retryable(context.original_exception):
        mark_error_retryable(context.sqlalchemy_exception)
