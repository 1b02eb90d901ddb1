"""A cache that all visitors share, as a company's proxy is, before a site with accounts.

The caches are nginx's own, from one that keeps what it is told to keep to one that is careless.
"""

from __future__ import annotations

import http.client
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import pytest

from harness.processes import ROOT, Pserve
from harness.servers.nginx import running_nginx
from harness.servers.ports import LOOPBACK, free_port
from harness.servers.programs import ServerMissing, skip_or_fail
from tests.accounts.people import PASSWORD

STRICT: Final = ""
"""Keeps what names a time for which it may be kept, as the static files do."""

GUESSING: Final = "proxy_cache_valid any 1m;"
"""Keeps also what names none, redirects and errors included."""

CARELESS: Final = "proxy_cache_valid 200 1m; proxy_ignore_headers Vary Set-Cookie;"
"""Keeps that for everybody, whatever cookie a page depends on or brings."""

# The page's address is the key, and no cookie is.
CACHE: Final = """
proxy_cache_path {folder}/cache keys_zone=pages:1m;
server {{
    listen {address}:{front};
    location / {{
        proxy_pass http://{address}:{back};
        proxy_set_header Host $http_host;
        proxy_cache pages;
        {keeping}
        add_header X-Cache $upstream_cache_status always;
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """Their browser and its cookies; `marks` are the words that only they may see."""

    browser: str
    cookies: str = ""
    marks: tuple[str, ...] = ()


VISITOR: Final = Somebody(browser="Mozilla/5.0 (Macintosh; Intel Mac OS X 14_1) Safari/605.1.15")

PAGES: Final = ("/", "/account", "/account/devices", "/restricted", "/login")


def ask(port: int, path: str, who: Somebody, **fields: str) -> tuple[http.client.HTTPMessage, str]:
    """What they are answered: by GET, or by POST if there are fields."""
    headers = {"User-Agent": who.browser, "Origin": f"http://localhost:{port}"}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    if who.cookies:
        headers["Cookie"] = who.cookies
    with closing(http.client.HTTPConnection(LOOPBACK, port, timeout=60)) as connection:
        body = urlencode(fields) if fields else None
        headers["Host"] = f"localhost:{port}"
        connection.request("POST" if fields else "GET", path, body, headers)
        answer = connection.getresponse()
        return answer.headers, answer.read().decode()


def signed_up(server: Pserve, name: str, system: str, words: str) -> Somebody:
    """Somebody with an account, who is signed in at a browser that the site knows by `words`."""
    browser, email = (
        f"Mozilla/5.0 ({system}; rv:140.0) Gecko/20100101 Firefox/140.0",
        f"{name}@example.com",
    )
    stranger = Somebody(browser=browser)
    headers, _ = ask(server.port, "/signup", stranger, email=email, password=PASSWORD)
    cookies = [each.partition(";")[0] for each in headers.get_all("Set-Cookie", [])]
    return Somebody(browser=browser, cookies="; ".join(cookies), marks=(email, words))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pserve]:
    """The application as a newcomer starts it, without the debug toolbar."""
    folder = tmp_path_factory.mktemp("site")
    with Pserve(
        ROOT / "development.ini",
        folder,
        "pyramid.includes=",
        environment={"ACCOUNTS_CONFIRM_EMAIL": "false"},
    ) as pserve:
        yield pserve


@pytest.fixture(scope="module")
def people(server: Pserve) -> tuple[Somebody, ...]:
    """Two who are signed in, and one who is not."""
    ann = signed_up(server, "ann", "X11; Linux x86_64", "Firefox on Linux")
    bob = signed_up(server, "bob", "Windows NT 10.0; Win64; x64", "Firefox on Windows")
    return ann, bob, VISITOR


@pytest.fixture
def cache(request: pytest.FixtureRequest, server: Pserve) -> Iterator[int]:
    """The port of an empty cache before the application, of the kind that the test names."""
    with tempfile.TemporaryDirectory() as name:
        # nginx drops root's rights, and has to come in all the same.
        folder, front = Path(name), free_port()
        folder.chmod(0o755)
        keeping = {"folder": folder, "address": LOOPBACK, "keeping": request.param}
        lines = CACHE.format(front=front, back=server.port, **keeping)
        try:
            with running_nginx(folder, front, lines):
                yield front
        except ServerMissing as missing:
            skip_or_fail(missing)


each_cache = pytest.mark.parametrize(
    "cache", [STRICT, GUESSING, CARELESS], ids=["strict", "guessing", "careless"], indirect=True
)


@each_cache
def test_a_shared_cache_serves_nobody_the_page_of_another(
    cache: int, people: tuple[Somebody, ...]
) -> None:
    """S8, ASVS 14.3.2: no address and no device, in whatever order they ask, nor a cookie."""
    marks = {mark for each in people for mark in each.marks}
    for page in PAGES:
        for number, order in enumerate(permutations(people)):
            # An address of its own for each order, which therefore begins with nothing kept.
            for who in order * 2:
                headers, text = ask(cache, f"{page}?order={number}", who)
                assert {mark for mark in marks if mark in text} <= set(who.marks), page
                assert headers["X-Cache"] != "HIT" or "Set-Cookie" not in headers, page


@pytest.mark.parametrize("cache", [STRICT, GUESSING], ids=["strict", "guessing"], indirect=True)
def test_behind_a_shared_cache_everybody_sees_their_own_pages(
    cache: int, people: tuple[Somebody, ...]
) -> None:
    """S8: their address and their devices; a visitor is asked to sign in."""
    for page in ("/", "/account/devices", "/restricted"):
        for number, order in enumerate(permutations(people)):
            for who in order * 2:
                headers, text = ask(cache, f"{page}?order={number}", who)
                own = who.marks if "devices" in page else who.marks[:1]
                seen = text + headers.get("Location", "")
                assert all(mark in seen for mark in own or ("/login",)), page


@each_cache
def test_a_shared_cache_does_keep_what_it_may(cache: int) -> None:
    """S8: or else it would prove nothing; here it's the style sheet."""
    kept = [ask(cache, "/static/app.css", VISITOR)[0]["X-Cache"] for _ in range(2)]
    assert kept == ["MISS", "HIT"]


@pytest.mark.parametrize("cache", [GUESSING, CARELESS], ids=["guessing", "careless"], indirect=True)
def test_a_shared_cache_keeps_the_pages_of_visitors(cache: int) -> None:
    """S8, A13: they hold nothing of anybody's, and a form on them needs no cookie."""
    for page in ("/", "/login"):
        kept = [ask(cache, page, VISITOR)[0]["X-Cache"] for _ in range(2)]
        assert kept == ["MISS", "HIT"], page
