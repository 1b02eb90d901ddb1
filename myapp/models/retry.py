"""Which database errors mean that the same request may well succeed when it is run again.

They are marked where the driver raises them. pyramid_tm marks too, but misses those that appear
at commit once an exception view has answered, and some that zope.sqlalchemy does not know.
"""

from __future__ import annotations

from pyramid_retry import IRetryableError, mark_error_retryable
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.orm.exc import StaleDataError
from zope.interface import classImplements

from myapp.database import is_lost_race

# A row was changed since it was read, which a model with a version finds out by itself.
classImplements(StaleDataError, IRetryableError)


def mark_retryable_errors(engine: Engine) -> None:
    """Let pyramid_retry see, on this engine, which errors are worth another attempt."""
    event.listen(engine, "handle_error", _mark)


def _mark(context: ExceptionContext) -> None:
    """Mark the error that SQLAlchemy is about to raise."""
    if context.sqlalchemy_exception and is_lost_race(context.original_exception):
        mark_error_retryable(context.sqlalchemy_exception)
