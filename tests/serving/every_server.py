"""Every server that docs/how-to/servers.md names, on every database, and behind PgBouncer.

Its name keeps it out of `make test`; `make test/servers` runs it, where the servers are installed.
"""

import os
import pwd
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import pytest

from harness.processes import ROOT
from harness.servers.ports import LOOPBACK
from harness.servers.programs import APACHE, ServerMissing, skip_or_fail
from harness.servers.server import Server
from harness.waiting import wait_until
from harness.web_servers import KINDS, Command, Kind, Serving, gunicorn
from myapp.sessions.core.lifetime import SteadyClock
from myapp.sessions.sql.store import SqlStore
from myapp.sessions.testing.contract import a_session
from tests.serving.test_servers import Visitor

VISITORS: Final = 20
TURNS: Final = 17
"""Of three requests each, so that all visitors together make a thousand."""

DATABASES: Final = ("sqlite", "postgresql", "pgbouncer", "mariadb")

# uWSGI loads this once and then forks without telling Python; the store was used by then.
USED: Final = """
import os, sys
sys.path[:0] = {path!r}
os.environ.update({environment!r})
from pyramid.paster import get_app, setup_logging
setup_logging({ini!r})
application = get_app({ini!r})
from myapp.sessions import get_manager
get_manager(application.registry).store.count()
"""

APACHE_CONF: Final = """
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog /dev/stderr
Listen {address}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
WSGISocketPrefix {folder}/wsgi
WSGIDaemonProcess myapp processes=2 threads=4
WSGIProcessGroup myapp
WSGIApplicationGroup %{{GLOBAL}}
WSGIScriptAlias / {folder}/used.py
{account}
<Directory {folder}>
    Require all granted
</Directory>
"""


def _uwsgi(*options: str) -> Command:
    program = Path(sys.executable).with_name("pyuwsgi")
    return lambda ini, port: [
        *(str(program), "--http-socket", f"{LOOPBACK}:{port}", "--master", "--die-on-term"),
        *("--processes", "4", "--wsgi-file", str(ini.with_name("used.py")), *options),
    ]


def _apache(ini: Path, port: int) -> list[str]:
    folder, conf = ini.parent, ini.with_name("apache.conf")
    account = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
    text = APACHE_CONF.format(folder=folder, address=f"{LOOPBACK}:{port}", account=account)
    conf.write_text(text)
    return [str(APACHE.find()), "-DFOREGROUND", "-f", str(conf)]


EVERY: Final = {
    "waitress": KINDS["waitress"],
    "gunicorn sync": Kind(package="gunicorn", command=gunicorn(), reloads_at=signal.SIGHUP),
    "gunicorn sync preload": KINDS["gunicorn-preload"],
    "gunicorn threads": KINDS["gunicorn"],
    "gunicorn gevent": Kind(
        package="gevent", command=gunicorn("-k", "gevent"), reloads_at=signal.SIGHUP
    ),
    "gunicorn gevent preload": Kind(
        package="gevent", command=gunicorn("-k", "gevent", "--preload")
    ),
    "granian": KINDS["granian"],
    "uWSGI": Kind(package="pyuwsgi", command=_uwsgi()),
    "uWSGI threads": Kind(package="pyuwsgi", command=_uwsgi("--threads", "4", "--enable-threads")),
    "mod_wsgi": Kind(package="sqlalchemy", command=_apache),
}
CANNOT_SWEEP: Final = ("uWSGI",)
"""Threads of Python never run there."""


class NamedVisitor(Visitor):
    """Keeps a name in the session, and sees it in every answer; nobody else's."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(port)
        self._name = name

    def visit(self, times: int) -> list[int]:
        """Store the name, then count up so often; that was once."""
        super().ask("POST", "/kept", f"key=name&value={self._name}")
        return [count - 1 for count in self.counts(times)]

    def ask(self, method: str, path: str, body: str = "") -> str:
        """The answer's text, which names this visitor alone."""
        text = super().ask(method, path, body)
        if method == "GET":
            assert set(re.findall(r"visitor-\d+-", text)) == {self._name}
        return text


def prepare(folder: Path, url: str) -> dict[str, str]:
    """Make a folder for a server whose processes may have another account; its environment."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        account = pwd.getpwnam("www-data")
        os.chown(folder, account.pw_uid, account.pw_gid)
        folder.chmod(0o755)
    environment = {"DATABASE_URL": url, "SESSION_SWEEP_INTERVAL": "1s"}
    path = [entry for entry in sys.path if "site-packages" in entry]
    ini = str(folder / "development.ini")
    used = USED.format(path=[str(ROOT), *path], environment=environment, ini=ini)
    (folder / "used.py").write_text(used)
    return environment


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder outside of those that only one account may enter."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The URL of an empty database, one kind after the other."""
    if request.param == "sqlite":
        yield f"sqlite:///{folder / 'test.sqlite'}"
        return
    server: Server = request.getfixturevalue(request.param)
    with server.database() as url:
        yield url


@pytest.mark.parametrize("name", EVERY)
def test_visitors_see_their_own_and_nobody_is_refused(name: str, url: str, folder: Path) -> None:
    """V5, L9, L11, L12: a thousand requests of twenty visitors; expired rows are swept."""
    environment = prepare(folder, url)
    with ExitStack() as stack:
        try:
            serving = stack.enter_context(Serving(EVERY[name], folder, **environment))
        except ServerMissing as missing:
            skip_or_fail(missing)
        store = stack.enter_context(closing(SqlStore(url)))
        expired = a_session(expires_at=SteadyClock()() - 1)
        store.insert(expired)
        visitors = [NamedVisitor(serving.port, f"visitor-{n}-") for n in range(VISITORS)]
        with ThreadPoolExecutor(VISITORS) as pool:
            counted = list(pool.map(lambda visitor: visitor.visit(TURNS), visitors))
        assert counted == [list(range(1, TURNS + 1))] * VISITORS
        if name not in CANNOT_SWEEP:
            wait_until(lambda: not store.load([expired.digest]), "the sweeper", 60)
        serving.end()
    assert "Traceback" not in serving.output()
