"""A browser during a move: it adds to its cart, and knows what it must find there afterwards."""

from __future__ import annotations

import http.client
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

PATIENCE = 30.0
"""Seconds for which a server may be away while another one starts in its place."""


class Visitor:
    """One user with a cookie jar of their own."""

    def __init__(self, port: int, user: str) -> None:
        self.port, self.user = port, user
        self.cookies: dict[str, str] = {}
        self.added: list[str] = []
        self.trouble: list[str] = []
        self.token: str | None = None

    def sign_in(self) -> None:
        """Sign in to the old application, and remember its CSRF token."""
        self._send(f"/sign_in?user={self.user}")
        self.token = self.get("/who")["token"]

    def go_on(self, until: Event) -> None:
        """Add to the cart, and look at it, until the event."""
        while not until.is_set():
            what = f"{self.user}-{len(self.added)}"
            self._look(self.get(f"/add?what={what}"), [*self.added, what])
            self.added.append(what)
            self._look_at_once()
            time.sleep(0.02)

    def _look_at_once(self) -> None:
        """As a page does that asks for three things at a time, which all bear the same cookies."""
        with ThreadPoolExecutor(3) as pool:
            for found in pool.map(lambda _: self.get("/who"), range(3)):
                self._look(found, self.added)

    def _look(self, found: Any, cart: list[str]) -> None:
        if found != {"user": self.user, "cart": cart, "token": self.token}:
            self.trouble.append(f"{self.user} found {found}")

    def get(self, path: str) -> Any:
        """What a page says, as JSON; None if it failed."""
        body = self._send(path)
        return None if body is None else json.loads(body)

    def _send(self, path: str) -> bytes | None:
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                return self._try(path)
            except (OSError, http.client.HTTPException):
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.05)

    def _try(self, path: str) -> bytes | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = "; ".join(f"{name}={value}" for name, value in self.cookies.copy().items())
        connection.request("GET", path, headers={"Cookie": sent} if sent else {})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        if "Content-Length" not in response.headers:
            raise http.client.HTTPException("the server was ended within the headers")
        if response.status >= 400:
            self.trouble.append(f"{self.user} got {response.status} for {path}")
            return None
        for header in response.headers.get_all("Set-Cookie") or []:
            self._set(header)
        return body

    def _set(self, header: str) -> None:
        name, _, value = header.partition(";")[0].partition("=")
        if re.search(r"max-age=0|expires=[^;]*19[67]0", header, re.IGNORECASE):
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value
