"""What is said at the start of a pooler before the sessions' PostgreSQL."""

from __future__ import annotations

import logging

import myapp.sessions.sql.statements as sql
from myapp.sessions.core.errors import SchemaError, StoreUnavailable
from myapp.sessions.sql.connection import Connection

log = logging.getLogger(__name__)


def refuse_statement_mode(error: StoreUnavailable) -> None:
    """Raise SchemaError where each statement may go to another backend: nothing can work there."""
    # The words are PgBouncer's, which has no code for it.
    if "statement pooling mode" in error.reason:
        raise SchemaError(
            "the pooler in front of PostgreSQL is in statement mode, which allows no transactions:"
            " set its pool_mode to transaction or session"
        ) from error


def warn_of_no_limit(connection: Connection) -> None:
    """Behind a pooler no limit of ours reaches the server: say so if its own is missing."""
    if not getattr(connection.driver, "is_unlimited", False):
        return
    ((limit,),) = connection.fetch_all(sql.statement_limit, {})
    if limit == "0":
        log.warning(
            "behind the pooler, PostgreSQL does not limit the sessions' statements: set a limit"
            " with ALTER ROLE ... SET statement_timeout"
        )
