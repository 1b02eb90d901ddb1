"""Redis, as the old libraries reached it; the client is the one that they needed as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from myapp.sessions.moving.reading import BadUrl, reaching

_SECONDS: Final = 3.0
"""How long to wait for Redis; each waiting request holds a thread."""


class RedisStore:
    """Reads and deletes keys. Raises StoreUnavailable where Redis does not answer."""

    def __init__(self, name: str, options: Mapping[str, Any], prefix: str = "") -> None:
        """`options` by the old library's names, which begin with `prefix`.

        Raises ImportError where the client is not installed, and BadUrl.
        """
        import redis

        self._name, self._error = name, redis.RedisError
        waits = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
        if url := options[f"{prefix}url"]:
            try:
                self._client = redis.Redis.from_url(url, **waits)
            except ValueError as error:
                raise BadUrl(f"{prefix}url") from error
        else:
            names = ("host", "port", "db", "password", "unix_socket_path")
            parts = {each: options[prefix + each] for each in names}
            self._client = redis.Redis(**parts, **waits)

    def get(self, key: str) -> bytes | None:
        """The value of a key."""
        with reaching(self._name, self._error):
            value: bytes | None = self._client.get(key)
            return value

    def delete(self, key: str) -> None:
        """Delete a key if it exists."""
        with reaching(self._name, self._error):
            self._client.delete(key)
