"""Sessions of Pyramid's own SignedCookieSessionFactory: all that they hold is in the cookie."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pyramid.request import Request
from webob.cookies import SignedSerializer

from myapp.sessions.core.lifetime import SECOND
from myapp.sessions.core.settings import MAX_LIFETIME
from myapp.sessions.moving.old import Old, cookie_value, deleted
from myapp.sessions.moving.pickles import loads
from myapp.sessions.moving.reading import moment, unreadable


class Verbatim:
    """Leaves bytes as they are, so that a signature is checked before anything is read."""

    def dumps(self, appstruct: bytes) -> bytes:
        """The same."""
        return appstruct

    def loads(self, bstruct: bytes) -> bytes:
        """The same."""
        return bstruct


class SignedCookieReader:
    """Knows each session by what was signed, since it has no other name.

    Never by the cookie's text: base64 can be written in several ways, all with a good signature.
    """

    name = "signed_cookie"

    def __init__(self, options: Mapping[str, Any], pickle: str) -> None:
        secret, salt, hashalg = options["secret"], options["salt"], options["hashalg"]
        self._signed = SignedSerializer(secret, salt, hashalg, serializer=Verbatim())
        self.cookie_name: str = options["cookie_name"]
        self._timeout: int | None = options["timeout"]
        self._place = options["path"], options["domain"]
        self._is_json, self._pickle = options["serializer"] == "json", pickle
        self.lasts = self._timeout * SECOND if self._timeout else MAX_LIFETIME

    def key(self, request: Request) -> str | None:
        """The bytes that were signed, if the signature is good, each as one character."""
        value = cookie_value(request, self.cookie_name)
        payload = None if value is None else self._payload(value)
        return None if payload is None else payload.decode("latin-1")

    def read(self, request: Request, key: str) -> Old | None:
        """What the cookie holds."""
        payload = key.encode("latin-1")
        try:
            read = json.loads(payload) if self._is_json else loads(payload, self._pickle)
            renewed, created, values = read
            age = time.time() - moment(renewed)
            old = Old(values=dict(values), created=moment(created))
        except Exception as error:
            raise unreadable(self.name, error) from error
        return None if self._timeout is not None and age > self._timeout else old

    def forget(self, key: str) -> None:
        """Nothing: there is no store."""

    def deletion(self, request: Request) -> Sequence[str]:
        """One cookie."""
        return (deleted(request, self.cookie_name, *self._place),)

    def _payload(self, value: str) -> bytes | None:
        try:
            payload: bytes = self._signed.loads(value.encode("ascii"))
        except ValueError:
            return None
        return payload
