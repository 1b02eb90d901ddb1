"""pyramid_session_redis and pyramid_redis_sessions: a signed id, and a dictionary in Redis."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyramid.request import Request
from webob.cookies import SignedSerializer

from myapp.sessions.core.settings import MAX_LIFETIME
from myapp.sessions.moving.old import Old, cookie_value, deleted
from myapp.sessions.moving.pickles import loads, open_shell
from myapp.sessions.moving.reading import moment, unreadable
from myapp.sessions.moving.redis_store import RedisStore
from myapp.sessions.moving.signed_cookie import Verbatim

_MAX_ID: Final = 512
_SIGNATURE: Final = 40  # hexadecimal digits of SHA-1


class _RedisReader(ABC):
    """What the two have in common; the younger one grew out of the older one."""

    name: str
    lasts = MAX_LIFETIME

    def __init__(self, options: Mapping[str, Any], pickle: str, store: RedisStore) -> None:
        self._store, self._pickle, self._deserialize = store, pickle, options["deserialize"]
        self.cookie_name: str = options["cookie_name"]
        self._place = options["cookie_path"], options["cookie_domain"]

    def key(self, request: Request) -> str | None:
        """The session's id, which is its key in Redis, if the cookie's signature is good."""
        value = cookie_value(request, self.cookie_name)
        try:
            found = None if value is None else self._id(value)
        except Exception:
            return None
        return found if found and len(found) <= _MAX_ID and found.isprintable() else None

    def read(self, request: Request, key: str) -> Old | None:
        """What Redis has under the key; it drops what has expired."""
        data = self._store.get(key)
        if data is None:
            return None
        try:
            structure = self._deserialize or (lambda stored: loads(stored, self._pickle))
            return self._old(structure(data))
        except Exception as error:
            raise unreadable(self.name, error) from error

    def forget(self, key: str) -> None:
        """Delete the key."""
        self._store.delete(key)

    def deletion(self, request: Request) -> Sequence[str]:
        """One cookie."""
        return (deleted(request, self.cookie_name, *self._place),)

    @abstractmethod
    def _id(self, value: str) -> str:
        """The id in a cookie's value. Raises ValueError, among others, for a forged one."""

    @abstractmethod
    def _old(self, structure: Any) -> Old | None:
        """The session in what was stored. Raises for what is none."""


class SessionRedisReader(_RedisReader):
    """pyramid_session_redis."""

    name = "session_redis"

    def __init__(self, options: Mapping[str, Any], pickle: str) -> None:
        super().__init__(options, pickle, RedisStore(self.name, options, "redis_"))
        salt = "pyramid_session_redis."
        self._signed = SignedSerializer(options["secret"], salt, "sha512", serializer=Verbatim())

    def _id(self, value: str) -> str:
        signed: bytes = self._signed.loads(value.encode("ascii"))
        return signed.decode("ascii")

    def _old(self, structure: Any) -> Old | None:
        expires = structure.get("x")
        if expires and time.time() > moment(expires):
            return None
        return Old(values=dict(structure["m"]), created=moment(structure["c"]))


class RedisSessionsReader(_RedisReader):
    """pyramid_redis_sessions, whose cookie is what Pyramid 1's `signed_serialize` made."""

    name = "redis_sessions"

    def __init__(self, options: Mapping[str, Any], pickle: str) -> None:
        super().__init__(options, pickle, RedisStore(self.name, options))
        self._secret: bytes = options["secret"].encode("utf-8")

    def _id(self, value: str) -> str:
        pickled = base64.b64decode(value[_SIGNATURE:], validate=True)
        signature = hmac.new(self._secret, pickled, hashlib.sha1).hexdigest()
        if not hmac.compare_digest(signature, value[:_SIGNATURE]):
            raise binascii.Error("another signature")
        return str(open_shell(pickled))

    def _old(self, structure: Any) -> Old | None:
        return Old(values=dict(structure["managed_dict"]), created=moment(structure["created"]))
