"""The configurations of nginx and Caddy in deploy/, before a real pserve on production.ini."""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Final

import pytest

from harness.processes import ROOT, Pserve
from harness.servers.caddy import AUTHORITY, running_caddy
from harness.servers.certificates import Authority
from harness.servers.nginx import running_nginx
from harness.servers.ports import LOOPBACK, free_port
from harness.servers.programs import ServerMissing, skip_or_fail
from harness.waiting import wait_until

SITE: Final = "shop.example"
DEPLOY: Final = ROOT / "deploy"
ENVIRONMENT: Final = {
    "ACCOUNTS_MAIL": "off",
    "ACCOUNTS_URL": f"https://{SITE}",
    "DATABASE_MIGRATE_ON_START": "true",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A running proxy: its ports, whom a client trusts, and where it logs."""

    http: int
    https: int
    authority: Path
    log: Path

    def get(self, path: str, *, tls: bool = True) -> HTTPResponse:
        """A page, as a browser asks for it that has looked the site's name up."""
        connection = HTTPConnection(SITE)
        plain = socket.create_connection((LOOPBACK, self.https if tls else self.http), 30)
        context = ssl.create_default_context(cafile=self.authority)
        connection.sock = context.wrap_socket(plain, server_hostname=SITE) if tls else plain
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer


@contextmanager
def nginx(folder: Path, server: int) -> Iterator[Proxy]:
    """nginx with its file; no second server is there."""
    authority = Authority(folder, "authority")
    certificate, key = authority.issue(SITE)
    http, https, dead = free_port(), free_port(), free_port()
    lines = (DEPLOY / "nginx" / "myapp.conf").read_text("utf-8")
    for known, here in {
        "listen 80;": f"listen {LOOPBACK}:{http};",
        "listen 443 ssl;": f"listen {LOOPBACK}:{https} ssl;",
        "127.0.0.1:6543": f"{LOOPBACK}:{dead}",
        "127.0.0.1:6544": f"{LOOPBACK}:{server}",
        f"/etc/ssl/certs/{SITE}.pem": str(certificate),
        f"/etc/ssl/private/{SITE}.key": str(key),
        "/var/log/nginx/myapp.log": f"{folder}/access.log",
    }.items():
        assert known in lines
        lines = lines.replace(known, here)
    with running_nginx(folder, https, lines):
        yield Proxy(http=http, https=https, authority=authority.path, log=folder / "access.log")


@contextmanager
def caddy(folder: Path, server: int) -> Iterator[Proxy]:
    """Caddy with its file; no second server is there."""
    http, https = free_port(), free_port()
    file, servers = DEPLOY / "caddy" / "Caddyfile", (free_port(), server)
    with running_caddy(folder, file, SITE, servers, http=http, https=https) as child:
        yield Proxy(http=http, https=https, authority=folder / AUTHORITY, log=child.log)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pserve]:
    """pserve on production.ini, with the lines about its proxy in force."""
    folder = tmp_path_factory.mktemp("server")
    ini = folder / "given" / "production.ini"
    ini.parent.mkdir()
    text = (ROOT / "production.ini").read_text("utf-8")
    for name in ("trusted_proxy", "clear_untrusted"):
        assert f"\n#{name}" in text
        text = text.replace(f"\n#{name}", f"\n{name}")
    ini.write_text(text)
    with Pserve(ini, folder, environment=ENVIRONMENT) as pserve:
        yield pserve


Runs = Callable[[Path, int], AbstractContextManager[Proxy]]


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def proxy(request: pytest.FixtureRequest, server: Pserve) -> Iterator[Proxy]:
    """Each proxy in turn, in a folder that lets its account in."""
    runs: Runs = request.param
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        try:
            with runs(Path(name), server.port) as proxy:
                yield proxy
        except ServerMissing as missing:
            skip_or_fail(missing)


def test_plain_http_is_sent_to_https(proxy: Proxy) -> None:
    """C5: nobody stays where Secure cookies get lost."""
    answer = proxy.get("/?page=1", tls=False)
    assert answer.status in (301, 308)
    location = answer.headers["Location"].replace(f":{proxy.https}", "")
    assert location == f"https://{SITE}/?page=1"


def test_the_application_knows_that_it_is_behind_https(proxy: Proxy) -> None:
    """C5: it believes the proxy about the scheme, and the browser's Host arrives."""
    pytest.importorskip("myapp.accounts", reason="no other page redirects")
    assert proxy.get("/restricted").headers["Location"].startswith(f"https://{SITE}/login")


def test_a_server_that_restarts_is_passed_over(proxy: Proxy) -> None:
    """O4: one of the two is not there, and every request is answered by the other."""
    assert {proxy.get("/health").status for _ in range(8)} == {200}


@pytest.mark.parametrize("page", ["/confirm", "/password-reset"])
def test_the_log_holds_no_link_of_a_mail(proxy: Proxy, page: str) -> None:
    """A5: the page is in the log, and its secret is not, with or without a query; nor is it in the
    log of errors, though one of the servers is not there.
    """
    for _ in range(2):
        proxy.get(f"{page}/secret-of-a-mail?from=secret-query")
    # It is written when the answer has been sent.
    wait_until(lambda: proxy.log.read_text("utf-8").count(f"{page}/-") == 2, "the line")
    for log in proxy.log.parent.glob("*.log"):
        assert "secret" not in log.read_text("utf-8"), log
