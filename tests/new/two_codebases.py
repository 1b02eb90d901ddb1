"""Two codebases on one host, and on one database server, never meet.

`make test/codebases` runs this; the file's name keeps it out of `make test`.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlencode

import pytest

from harness.processes import Pserve
from harness.servers.ports import LOOPBACK
from harness.servers.postgresql import PostgreSQL
from tests.new.codebases import Codebase, Workshop


class Browser:
    """One that takes its cookies to every port of the host, as browsers do."""

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}

    def ask(self, server: Pserve, path: str, **form: str) -> str:
        """The text of a page, or of what a form leads to."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookie, "Origin": server.url, "Host": f"localhost:{server.port}"}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        with closing(http.client.HTTPConnection(LOOPBACK, server.port, timeout=60)) as connection:
            connection.request("POST" if form else "GET", path, urlencode(form), headers)
            answer = connection.getresponse()
            for line in answer.headers.get_all("Set-Cookie") or ():
                name, _, value = line.partition(";")[0].partition("=")
                self.cookies[name] = value
            return answer.read().decode()


@pytest.fixture(scope="module")
def both(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> list[Codebase]:
    """Two of them."""
    folder = tmp_path_factory.mktemp("two")
    return [workshop.makes(folder / name, "--without", "accounts") for name in ("blog", "shop")]


@pytest.fixture(params=["files", "one server", "one database"])
def servers(
    request: pytest.FixtureRequest, both: list[Codebase], tmp_path: Path
) -> Iterator[list[Pserve]]:
    """Both are served: with a file each, a database each, or tables of their own in one."""
    with ExitStack() as stack:
        settings = [dict[str, str](), {}]
        if request.param != "files":
            postgresql: PostgreSQL = request.getfixturevalue("postgresql")
            urls = [stack.enter_context(postgresql.database()) for _ in both]
            if request.param == "one database":
                urls = urls[:1] * 2
                settings = [
                    {
                        "SESSION_TABLE": f"{name}_sessions",
                        "DATABASE_VERSION_TABLE": f"{name}_version",
                    }
                    for name in ("blog", "shop")
                ]
            for given, url in zip(settings, urls, strict=True):
                given["DATABASE_URL"] = url
        yield [
            stack.enter_context(codebase.server(tmp_path / str(number), **given))
            for number, (codebase, given) in enumerate(zip(both, settings, strict=True))
        ]


def test_neither_sees_nor_ends_the_other_s_session(servers: list[Pserve]) -> None:
    """G6: in one browser; and the one's token is nothing under the other's name."""
    blog, shop = servers
    browser = Browser()
    browser.ask(blog, "/try", key="fruit", value="quince")
    browser.ask(shop, "/try", key="tool", value="hammer")
    assert len(browser.cookies) == 2
    assert "quince" in browser.ask(blog, "/")
    assert "hammer" not in browser.ask(blog, "/")
    assert "hammer" in browser.ask(shop, "/")
    assert "quince" not in browser.ask(shop, "/")
    thief = Browser()
    (first, token), (second, _) = browser.cookies.items()
    thief.cookies = {second: token}
    assert "quince" not in thief.ask(shop, "/")
    assert first != second
