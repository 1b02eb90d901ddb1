"""Sessions of pyramid_beaker: a signed id in the cookie, the contents in one of three stores."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from pyramid.request import Request
from sqlalchemy import NullPool, Select, bindparam, column, delete, select, table
from sqlalchemy.exc import SQLAlchemyError

from myapp.database import create_database_engine
from myapp.sessions.core.settings import MAX_LIFETIME
from myapp.sessions.moving.old import Old, cookie_value, deleted
from myapp.sessions.moving.pickles import loads, open_shell
from myapp.sessions.moving.reading import BadUrl, moment, reaching, unreadable
from myapp.sessions.moving.redis_store import RedisStore

# What Beaker names its sessions; as a part of a path or a key, nothing else is let through.
_IS_ID: Final = re.compile(r"[A-Za-z0-9-]{16,64}").fullmatch
_SIGNATURE: Final = 40  # hexadecimal digits of SHA-1
_MAX_JSON: Final = 1024 * 1024
_OWN_KEYS: Final = ("_accessed_time", "_creation_time", "_domain", "_path", "_id")


class BeakerStore(Protocol):
    """Where Beaker keeps sessions."""

    def get(self, key: str) -> bytes | None:
        """What is stored, a pickle around bytes or a dictionary; None if there is nothing."""

    def delete(self, key: str) -> None:
        """Delete it if it exists."""


class BeakerReader:
    """Reads what Beaker has written, without Beaker."""

    name = "beaker"
    lasts = MAX_LIFETIME

    def __init__(self, options: Mapping[str, Any], pickle: str) -> None:
        self._store: BeakerStore = _STORES[options["type"]](options)
        self._secret: bytes = (options["secret"] or "").encode("utf-8")
        self.cookie_name: str = options["key"]
        self._timeout: int | None = options["timeout"]
        self._place = options["cookie_path"], options["cookie_domain"]
        self._is_json, self._pickle = options["data_serializer"] == "json", pickle

    def key(self, request: Request) -> str | None:
        """The session's id, if its signature is good."""
        value = cookie_value(request, self.cookie_name)
        if value is not None and self._secret:
            signature, value = value[:_SIGNATURE], value[_SIGNATURE:]
            signed = hmac.new(self._secret, value.encode("ascii"), hashlib.sha1).hexdigest()
            if not hmac.compare_digest(signed, signature):
                return None
        return value if value and _IS_ID(value) else None

    def read(self, request: Request, key: str) -> Old | None:
        """What is stored under the id, unless it timed out."""
        data = self._store.get(key)
        if data is None:
            return None
        try:
            values = self._values(data)
            accessed = moment(values.get("_accessed_time") or 0)
            created = values.get("_creation_time")
            kept = {name: value for name, value in values.items() if name not in _OWN_KEYS}
            old = Old(values=kept, created=moment(created) if created else None)
        except Exception as error:
            raise unreadable(self.name, error) from error
        is_over = self._timeout is not None and time.time() - accessed > self._timeout
        return None if is_over or not values else old

    def forget(self, key: str) -> None:
        """Delete it from Beaker's store."""
        self._store.delete(key)

    def deletion(self, request: Request) -> Sequence[str]:
        """One cookie."""
        return (deleted(request, self.cookie_name, *self._place),)

    def _values(self, data: bytes) -> dict[Any, Any]:
        stored = open_shell(data)
        # A file or a row holds a dictionary of one key, a key of Redis its value.
        stored = stored["session"] if isinstance(stored, dict) else stored
        content = base64.b64decode(stored)
        return dict(_inflated(content) if self._is_json else loads(content, self._pickle))


def _inflated(content: bytes) -> Any:
    inflating = zlib.decompressobj()
    plain = inflating.decompress(content, _MAX_JSON)
    if inflating.unconsumed_tail:
        raise ValueError("too large")
    return json.loads(plain)


class _Files:
    """beaker.type = file: a file for each session, replaced as a whole."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._folder = Path(options["data_dir"], "container_file")

    def get(self, key: str) -> bytes | None:
        with reaching("beaker", OSError):
            try:
                return self._path(key).read_bytes()
            except FileNotFoundError:
                return None

    def delete(self, key: str) -> None:
        with reaching("beaker", OSError):
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / key[:1] / key[:2] / f"{key}.cache"


class _Database:
    """beaker.type = ext:database: a row for each session."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        try:
            # Each old session is read once, and fewer and fewer arrive: no connection is kept.
            self._engine = create_database_engine(options["url"], poolclass=NullPool)
        except ValueError:
            raise BadUrl("url") from None
        rows = table(options["table_name"])
        is_meant = column("namespace") == bindparam("key")
        found: Any = select(column("data"), column("namespace"))
        self._select: Select[Any] = found.select_from(rows).where(is_meant)
        self._delete = delete(rows).where(is_meant)

    def get(self, key: str) -> bytes | None:
        with reaching("beaker", SQLAlchemyError), self._engine.connect() as connection:
            row = connection.execute(self._select, {"key": key}).first()
            # MySQL finds it in either case, and an id that is not signed could be rewritten.
            if row is None or row.namespace != key:
                return None
            # Whatever else a damaged row may hold is told by whoever reads it.
            return b"" if row.data is None else row.data

    def delete(self, key: str) -> None:
        with reaching("beaker", SQLAlchemyError), self._engine.begin() as connection:
            connection.execute(self._delete, {"key": key})


class _Redis(RedisStore):
    """beaker.type = ext:redis: a key for each session."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__("beaker", options)

    def get(self, key: str) -> bytes | None:
        return super().get(_redis_key(key))

    def delete(self, key: str) -> None:
        super().delete(_redis_key(key))


def _redis_key(key: str) -> str:
    return f"beaker_cache:{key}:session"


_STORES: Final[Mapping[str, Callable[[Mapping[str, Any]], BeakerStore]]] = {
    "file": _Files,
    "ext:database": _Database,
    "ext:redis": _Redis,
}
