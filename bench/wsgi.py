"""A contender that is a WSGI application, called in its own process without any server.

All have the same paths. What is measured is a call with an environ made by hand; each work is
checked once, by a second application that sees nothing but the cookie and the database.
"""

from __future__ import annotations

import io
import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from typing import Any, ClassVar, Final

from bench.program import own_output, serve
from bench.works import COUNTER, KEY, RARE, VALUE

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

PATHS: Final = {
    "read": "/read",
    "write": "/write",
    "nested": "/nested",
    "untouched": "/plain",
    "anonymous": "/read",
    "two": "/two",
    "touches": "/read",
    "conflicts": "/write",
    "sign-in": "/sign-in",
    "first": "/first",
    "sign-out": "/sign-out",
}

CONFLICT: Final = "bench.conflict"
"""In the environ of a request during which somebody else changes the session."""

PLAIN: Final = "plain"
USER: Final = "user-1"


class WsgiProgram(ABC):
    """A program of the protocol around an application."""

    works: Collection[str] = (
        *("read", "write", "nested", "untouched", "anonymous"),
        *("sign-in", "first", "sign-out"),
    )
    voids: ClassVar[Collection[str]] = ("sign-in", "sign-out")
    """The works after which the cookie of before opens nothing."""

    def __init__(self, url: str, variant: str = "") -> None:
        """Make the application for a database; the variant is the contender's own matter."""
        self.url, self.variant = url, variant
        self.hidden = 0
        """Nanoseconds of the present batch that are the measurement's own, not the work's."""
        self.app = self.make_app()
        self._cookies: dict[str, str] = {}
        self._due: list[str] = []

    @classmethod
    def main(cls) -> None:
        """Run as a program: URL ROWS [VARIANT]; with ROWS so many other sessions are added."""
        answers = own_output()
        url, rows, *variant = sys.argv[1:]
        program = cls(url, *variant)
        if int(rows):
            program.fill(int(rows))
        serve(program, answers)

    @abstractmethod
    def make_app(self) -> Application:
        """The application, and its tables where there are none.

        Called twice: a second one checks what the first did.
        """

    @abstractmethod
    def fill(self, rows: int) -> None:
        """Add so many sessions of other visitors."""

    def new_session(self, path: str = "/first") -> str:
        """Store a new session; the Cookie header that opens it."""
        visitor = Visitor(self.app)
        visitor.get(path)
        return visitor.cookie

    def make_due(self, cookies: list[str]) -> None:
        """See to it that the next read of each of these sessions writes down its use."""
        raise NotImplementedError

    # Measuring.

    def run(self, work: str, count: int) -> int:
        return self.call(self.environs(work, count))

    def environs(self, work: str, count: int) -> list[Environ]:
        """What is to be called, made ready."""
        path = PATHS[work]
        if work in ("anonymous", "first"):
            return [environ_of(path) for _ in range(count)]
        if work in ("sign-in", "sign-out"):
            return [environ_of(path, self.new_session()) for _ in range(count)]
        environs = [environ_of(path, self._cookie(work)) for _ in range(count)]
        if work == "touches":
            self._let_some_be_due(environs[RARE - 1 :: RARE])
        if work == "conflicts":
            for environ in environs[RARE - 1 :: RARE]:
                environ[CONFLICT] = self
        return environs

    def _cookie(self, work: str) -> str:
        """The cookie of the one session that a work uses."""
        if work not in self._cookies:
            self._cookies[work] = self.new_session("/first-two" if work == "two" else "/first")
        return self._cookies[work]

    def _let_some_be_due(self, environs: list[Environ]) -> None:
        self._due += [self.new_session() for _ in environs[len(self._due) :]]
        for environ, cookie in zip(environs, self._due, strict=False):
            environ["HTTP_COOKIE"] = cookie
        self.make_due(self._due[: len(environs)])

    def call(self, environs: list[Environ]) -> int:
        """Nanoseconds for these calls."""
        app, statuses = self.app, set()

        def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
            statuses.add(status)

        self.hidden = 0
        began = time.perf_counter_ns()
        for environ in environs:
            answer = app(environ, start_response)
            for _ in answer:
                pass
            if hasattr(answer, "close"):
                answer.close()
        took = time.perf_counter_ns() - began
        if statuses != {"200 OK"}:
            raise AssertionError(f"the answers were {statuses}")
        return took - self.hidden

    # Checking.

    def check(self, work: str) -> None:
        """Once for each work, before it is measured."""
        checks: dict[str, Callable[[], None]] = {
            "read": lambda: self.expect(Visitor(self.app, self.new_session()), "/read", VALUE),
            "write": self._check_write,
            "nested": self._check_nested,
            "untouched": lambda: self.expect(Visitor(self.app), "/plain", PLAIN),
            "anonymous": lambda: self.expect(Visitor(self.app), "/read", ""),
            "two": self._check_two,
            "touches": self.check_touches,
            "conflicts": self.check_conflicts,
            "sign-in": self._check_sign_in,
            "first": lambda: self._check_stored(Visitor(self.app, self.new_session()), {}),
            "sign-out": self._check_sign_out,
        }
        checks[work]()

    def expect(self, visitor: Visitor, path: str, body: str) -> None:
        """Raise AssertionError unless the page has this body."""
        answer = visitor.get(path)
        if answer != body:
            raise AssertionError(f"{path} answered {answer!r}, and ought to answer {body!r}")

    def _check_write(self) -> None:
        visitor = Visitor(self.app, self.new_session())
        self.expect(visitor, "/write", "1")
        self.expect(visitor, "/write", "2")
        self._check_stored(visitor, {COUNTER: 2})

    def _check_nested(self) -> None:
        visitor = Visitor(self.app, self.new_session())
        visitor.get("/nested")
        visitor.get("/nested")
        amount = self._stored(visitor)["cart"]["lines"][0]["amount"]
        if amount != 3:
            raise AssertionError(f"the amount is {amount}, and ought to be 3")

    def _check_two(self) -> None:
        visitor = Visitor(self.app, self.new_session("/first-two"))
        self.expect(visitor, "/two", VALUE + VALUE)

    def check_touches(self) -> None:
        """A read that was due wrote that the session is in use."""
        raise NotImplementedError

    def check_conflicts(self) -> None:
        """Both changes survived."""
        raise NotImplementedError

    def _check_sign_in(self) -> None:
        visitor = Visitor(self.app, self.new_session())
        old = visitor.cookie
        visitor.get("/sign-in")
        if visitor.cookie == old:
            raise AssertionError("a sign-in left the cookie as it was")
        self._check_stored(visitor, {})
        self._check_gone("sign-in", old)

    def _check_sign_out(self) -> None:
        visitor = Visitor(self.app, self.new_session())
        old = visitor.cookie
        visitor.get("/sign-out")
        self._check_gone("sign-out", old)

    def _check_gone(self, work: str, cookie: str) -> None:
        if work in self.voids and KEY in self._stored(Visitor(self.app, cookie)):
            raise AssertionError("the old cookie still opens the session")

    def _check_stored(self, visitor: Visitor, values: dict[str, Any]) -> None:
        stored = self._stored(visitor)
        for key, value in ({KEY: VALUE} | values).items():
            if stored.get(key) != value:
                raise AssertionError(f"{key} is {stored.get(key)!r}, and ought to be {value!r}")

    def _stored(self, visitor: Visitor) -> dict[str, Any]:
        """What another process would see."""
        stored: dict[str, Any] = json.loads(Visitor(self.second_app(), visitor.cookie).get("/show"))
        return stored

    def second_app(self) -> Application:
        """An application that shares nothing with the first but the database."""
        if not hasattr(self, "_second"):
            self._second = self.make_app()
        return self._second


class Visitor:
    """A browser, as far as cookies go."""

    def __init__(self, app: Application, cookie: str = "") -> None:
        self._app = app
        pairs = (pair.partition("=") for pair in cookie.split("; ") if pair)
        self._jar = {name: value for name, _, value in pairs}

    @property
    def cookie(self) -> str:
        """The Cookie header of the next request."""
        return "; ".join(f"{name}={value}" for name, value in self._jar.items())

    def get(self, path: str) -> str:
        """The page at this path."""
        statuses: list[str] = []
        answer = self._app(environ_of(path, self.cookie), self._start(statuses))
        body = b"".join(answer).decode()
        if hasattr(answer, "close"):
            answer.close()
        if statuses != ["200 OK"]:
            raise AssertionError(f"{path} answered {statuses[0]}: {body[:200]}")
        return body

    def _start(self, statuses: list[str]) -> Callable[..., None]:
        def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
            statuses.append(status)
            for name, value in headers:
                if name.lower() == "set-cookie":
                    self._take(value)

        return start_response

    def _take(self, header: str) -> None:
        pair, *attributes = header.split("; ")
        name, _, value = pair.partition("=")
        if "max-age=0" in [attribute.lower() for attribute in attributes] or not value.strip('"'):
            self._jar.pop(name, None)
        else:
            self._jar[name] = value


_ENVIRON: Final[Environ] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "example.com",
    "SERVER_PORT": "443",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "192.0.2.7",
    "HTTP_HOST": "example.com",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "HTTP_ACCEPT_LANGUAGE": "en-GB,en;q=0.5",
    "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "https",
    "wsgi.input": io.BytesIO(),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


def environ_of(path: str, cookie: str = "") -> Environ:
    """The environ of a GET, as a server would make it."""
    cookies = {"HTTP_COOKIE": cookie} if cookie else {}
    return _ENVIRON | {"PATH_INFO": path} | cookies
