"""PostgreSQL behind a pooler in transaction mode, where a connection uses any backend that is free.

Each of our transactions may run on another backend, and each backend runs the transactions of many
clients, so nothing may stay there after a transaction. A prepared statement has a name; if another
client's statement has the same name on that backend, that one runs instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from myapp.setting_table import Expected, Setting

if TYPE_CHECKING:
    from sqlalchemy import URL

AUTO, NONE, TRANSACTION = "auto", "none", "transaction"


def _pooler(text: str) -> str:
    if text.lower() not in (AUTO, NONE, TRANSACTION):
        raise ValueError("not one of the words")
    return text.lower()


POOLER_SETTING: Final = Setting(
    "pooler",
    AUTO,
    _pooler,
    "auto, none or transaction",
    "Whether a pooler such as PgBouncer in transaction mode is in front of PostgreSQL. If so, no"
    " statements are prepared and no `options` are sent. auto: each new connection finds out. Also"
    " applies to the application's own connections.",
    "Choose none if there is no pooler and new connections must not cost another round trip,"
    " transaction if auto does not recognise your pooler.",
)
"""The row of the sessions' table of settings; `create_database_engine` takes the value."""

_PREPARE: Final = "prepare_threshold"

# A prepared statement that is no longer what it was: 0A000 after a table was altered, 26000 where
# the backend has none of that name, 42P05 where it has another one.
_NOT_SUPPORTED: Final = "0A000"
_NO_SUCH_STATEMENT: Final = frozenset({"26000", "42P05"})


def is_stale(error: BaseException) -> bool:
    """Whether a statement failed only because it was prepared: nothing was done."""
    state = getattr(error, "sqlstate", None)
    # 0A000 is any feature that is not supported. The server's language may be another one, but
    # the name of its function stays.
    return state in _NO_SUCH_STATEMENT or (
        state == "0A000"
        and getattr(getattr(error, "diag", None), "source_function", None)
        == "RevalidateCachedQuery"
    )


def read_threshold(url: URL) -> dict[str, int | None]:
    """What a URL says of `prepare_threshold`, as psycopg takes it. Raises Expected."""
    text = url.query.get(_PREPARE) if url.get_driver_name() == "psycopg" else None
    if text is None:
        return {}
    if text == "none":
        return {_PREPARE: None}
    if not isinstance(text, str) or not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise Expected(f"?{_PREPARE}= with a number of runs, or none to prepare nothing")
    return {_PREPARE: int(text)}
