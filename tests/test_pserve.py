"""The whole application in a real pserve, as an administrator runs it and a browser sees it."""

import http.client
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlencode

import pymysql
import pytest
from sqlalchemy import make_url

from harness import warm
from harness.processes import ROOT, Pserve, clean_environment
from harness.servers.mariadb import MariaDB
from harness.servers.ports import LOOPBACK
from harness.waiting import wait_until
from myapp.scripts.sessions import cli
from tests.command_line import called

SOURCES = ("ini", "command line", "environment")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the server's ini file and its SQLite database lie."""
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """A copy of development.ini, to be changed, with a page that keeps something."""
    ini = tmp_path / "development.ini"
    ini.write_text((ROOT / "development.ini").read_text("utf-8"), "utf-8")
    change(ini, "pyramid.includes", "tests.keeping")
    return ini


def change(ini: Path, name: str, value: str) -> None:
    """Give a setting another value, as an administrator does: in its own line."""
    line = re.compile(rf"^#?{re.escape(name)} =.*$", re.MULTILINE)
    text, count = line.subn(lambda _: f"{name} = {value}", ini.read_text("utf-8"))
    assert count == 1
    ini.write_text(text, "utf-8")


Answer = tuple[int, http.client.HTTPMessage, str]


class Browser:
    """Keeps one cookie, whatever its attributes: it is trusted with Secure on localhost."""

    def __init__(self, pserve: Pserve) -> None:
        self._port = pserve.port
        self.cookie = ""

    def ask(
        self, method: str, path: str, **fields: str
    ) -> tuple[int, http.client.HTTPMessage, str]:
        """The answer's status, headers and text; a redirect is not followed."""
        connection = http.client.HTTPConnection("localhost", self._port, timeout=30)
        with closing(connection):
            headers = {
                "Content-Type": "application/x-www-form-urlencoded",
                "Cookie": self.cookie,
                "Origin": f"http://localhost:{self._port}",
            }
            connection.request(method, path, urlencode(fields) if fields else None, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        set_cookie = answer.headers["Set-Cookie"]
        if set_cookie is not None:
            self.cookie = set_cookie.partition(";")[0]
        return answer.status, answer.headers, text

    def store(self, key: str, value: str) -> bool:
        """Store a value by the page of `tests.keeping`; whether that was taken."""
        return self.ask("POST", "/kept", key=key, value=value)[0] == 303

    def sees(self, text: str) -> bool:
        """Whether the page shows a text."""
        status, _, page = self.ask("GET", "/kept")
        assert status == 200
        # What the cookie holds is no part of the page.
        return text in page


def first_visit(pserve: Pserve) -> http.client.HTTPMessage:
    """The headers of the answer to somebody who stores something for the first time."""
    return Browser(pserve).ask("POST", "/kept", key="fruit", value="a quince")[1]


def cookie_names(pserve: Pserve) -> list[str]:
    """The names of the cookies that it sets."""
    headers = first_visit(pserve).get_all("Set-Cookie", [])
    return [header.partition("=")[0] for header in headers]


# Settings, from each place.


def test_the_ini_names_the_cookie(ini: Path, folder: Path) -> None:
    """C: `session.cookie_name = sid` in [app:main]; and http_port moves the port."""
    change(ini, "session.cookie_name", "sid")
    with Pserve(ini, folder) as pserve:
        assert cookie_names(pserve) == ["sid"]
        assert re.search(rf"Serving on http://\S+:{pserve.port}$", pserve.output(), re.MULTILINE)


def test_the_command_line_names_the_cookie(ini: Path, folder: Path) -> None:
    """C: over the ini, which has the same setting."""
    with Pserve(ini, folder, "session.cookie_name=sid") as pserve:
        assert cookie_names(pserve) == ["sid"]


def test_the_environment_names_the_cookie(ini: Path, folder: Path) -> None:
    """C: over both, and whoever typed the other is told (C2)."""
    environment = {"SESSION_COOKIE_NAME": "sid", "SESSION_LIFETIME": ""}
    words = ("session.cookie_name=typed", "session.lifetime=1h")
    with Pserve(ini, folder, *words, environment=environment) as pserve:
        headers = first_visit(pserve)
        assert re.match(r"sid=[\w-]{43}; Path=/; Max-Age=(3600|3599);", headers["Set-Cookie"])
        output = pserve.output()
    told = "session.cookie_name=typed on the command line is ignored: SESSION_COOKIE_NAME is set"
    assert output.count(told) == 1
    assert "session.lifetime=1h on the command line" not in output


def test_production_starts_as_it_is(tmp_path: Path, folder: Path) -> None:
    """C: once it has its tables, and knows of mails; no script can set its cookie."""
    url = f"sqlite:///{folder / 'myapp.sqlite'}"
    run_alembic("upgrade", "head", environment={"DATABASE_URL": url})
    mails = {"ACCOUNTS_MAIL": "off"}
    page = "pyramid.includes=tests.keeping"
    with Pserve(ROOT / "production.ini", folder, page, environment=mails) as pserve:
        headers = first_visit(pserve)
        assert re.match(
            r"__Host-Http-session_[a-z0-9]{8}=[\w-]{43}; Path=/; Max-Age=\d+; Secure; HttpOnly;",
            headers["Set-Cookie"],
        )
        assert "max-age=31536000" in headers["Strict-Transport-Security"]


@pytest.mark.parametrize("source", SOURCES)
def test_a_bad_setting_ends_the_process_with_one_line(ini: Path, folder: Path, source: str) -> None:
    """C2: without a traceback, and with an exit status that a service manager understands."""
    words, environment = list[str](), {}
    if source == "ini":
        change(ini, "session.lifetime", "soon")
        where = "[app:main] of development.ini"
    elif source == "command line":
        words = ["session.lifetime=soon"]
        where = "the command line or [DEFAULT]"
    else:
        environment = {"SESSION_LIFETIME": "soon"}
        where = "environment variable SESSION_LIFETIME"
    status, output = Pserve(ini, folder, *words, environment=environment).run_until_exit()
    assert status == 1
    assert output == (
        f"myapp: session.lifetime = soon (from {where}): expected a duration such as 1w, 7d,"
        " 3h, 20m, 90s or 1h30m, at most 400 days\n"
    )


def test_a_bad_setting_is_refused_under_optimization_too(ini: Path, folder: Path) -> None:
    """C3: `python -O`, with a combination that is impossible."""
    words = ("session.cookie_name=__Host-x", "session.cookie_secure=no")
    pserve = Pserve(ini, folder, *words, interpreter_options=["-O"])
    status, output = pserve.run_until_exit()
    assert status == 1
    assert output == (
        "myapp: session.cookie_name = __Host-x (from the command line or [DEFAULT]):"
        " expected session.cookie_secure = true, or browsers ignore such a cookie\n"
    )


def test_a_database_without_tables_ends_the_process_with_one_line(ini: Path, folder: Path) -> None:
    """I14, C6: which says what to run, and that a misspelt name has made a file."""
    change(ini, "database.migrate_on_start", "false")
    status, output = Pserve(ini, folder).run_until_exit()
    assert status == 1
    assert output == (
        "myapp: there is no table 'sessions': run `alembic upgrade head`, with DATABASE_URL if the"
        " sessions have a database of their own; if alembic does not know the table,"
        " `myapp-sessions INI schema` prints its SQL; the database did not exist and was created:"
        f" sqlite:///{folder / 'myapp.sqlite'}\n"
    )


# A password that needs a percent sign.


@pytest.fixture
def guarded(mariadb: MariaDB) -> Iterator[str]:
    """The URL of a database that only a user with an awkward password may see, quoted once."""
    password = "p@ss%/w:rd"
    with mariadb.database() as url:
        given = make_url(url)
        user = f"user_{(given.database or '')[-12:]}"
        connection = pymysql.connect(host=LOOPBACK, port=mariadb.port, user="root")
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE USER {user} IDENTIFIED BY '{password}'")
            cursor.execute(f"GRANT ALL ON {given.database}.* TO {user}")
            with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
                pymysql.connect(host=LOOPBACK, port=mariadb.port, user=user, password="p@ss")
            yield (
                f"mysql://{user}:{quote(password, safe='')}@{LOOPBACK}:{mariadb.port}"
                f"/{given.database}?ssl_disabled=true"
            )
            cursor.execute(f"DROP USER {user}")


def run_alembic(*words: str, environment: dict[str, str]) -> None:
    """Run the real command in the project's root."""
    done = warm.run("alembic", *words, folder=ROOT, environment=clean_environment(environment))
    assert done.returncode == 0, done.stderr


def run(*words: str, environment: dict[str, str]) -> str:
    """The output of `myapp-sessions`."""
    done = called(cli, *words, environment=environment)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("source", SOURCES)
def test_a_password_with_a_percent_sign_works_everywhere(
    ini: Path, folder: Path, guarded: str, source: str
) -> None:
    """C2: doubled in the ini and on the command line, as it is in the environment."""
    assert "%40" in guarded
    assert "%25" in guarded
    doubled = guarded.replace("%", "%%")
    word = [f"sqlalchemy.url={doubled}"] if source == "command line" else []
    environment = {"DATABASE_URL": guarded} if source == "environment" else {}
    if source == "ini":
        change(ini, "sqlalchemy.url", doubled)
    change(ini, "database.migrate_on_start", "false")

    options = ["-x", f"ini={ini}", *(part for each in word for part in ("-x", each))]
    run_alembic(*options, "upgrade", "head", environment=environment)
    options = [part for each in word for part in ("--set", each)]
    swept = run(*options, str(ini), "sweep", environment=environment)
    assert swept == "0 of 0 rows deleted\n"
    with Pserve(ini, folder, *word, environment=environment) as pserve:
        browser = Browser(pserve)
        assert browser.store("fruit", "a quince")
        assert browser.sees("a quince")
    swept = run(*options, str(ini), "sweep", environment=environment)
    assert swept == "0 of 1 rows deleted\n"
    shown = run(*options, str(ini), "config", environment=environment)
    assert re.search(r"^sqlalchemy\.url +mysql://user_\w+:\*\*\*@", shown, re.MULTILINE)


# A life with a database.


@pytest.mark.parametrize(
    "includes",
    [
        "",
        "myapp.toolbar",
    ],
)
def test_a_server_starts_without_its_database(ini: Path, folder: Path, includes: str) -> None:
    """L8: it says that it is not healthy, and serves what needs no session."""
    change(ini, "database.migrate_on_start", "false")
    change(ini, "pyramid.includes", includes)
    url = "postgresql://user:secret@127.0.0.1:1/myapp"
    with Pserve(ini, folder, environment={"DATABASE_URL": url}) as pserve:
        browser = Browser(pserve)
        status, _, text = browser.ask("GET", "/health")
        assert (status, "unavailable" in text) == (503, True)
        # Somebody without a cookie has an empty session, about which nobody needs to be asked.
        assert browser.ask("GET", "/")[0] == 200
        assert browser.ask("GET", "/static/app.css")[0] == 200
        output = pserve.output()
        browser.cookie = f"{session_cookie(ini)}={'a' * 43}"
        status, headers, text = browser.ask("GET", "/")
        assert status == 503
        assert int(headers["Retry-After"]) >= 1
        assert headers["Set-Cookie"] is None
        assert "secret" not in text + pserve.output()
    assert "the sessions table could not be checked" in output


def session_cookie(ini: Path) -> str:
    """The cookie's name in an ini file."""
    found = re.search(r"^session\.cookie_name = (\S+)$", ini.read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def test_what_was_stored_survives_a_restart(ini: Path, folder: Path) -> None:
    """S7: it is in the database, not in the process; a crash takes nothing away either."""
    with Pserve(ini, folder) as pserve:
        browser = Browser(pserve)
        assert browser.store("fruit", "a quince")
        assert browser.sees("a quince")
        pserve.stop()
        pserve.start()
        assert browser.sees("a quince")
        assert browser.store("tree", "a medlar")
        pserve.kill()
        pserve.start()
        assert browser.sees("a quince")
        assert browser.sees("a medlar")


def test_what_was_stored_is_gone_when_the_session_expires(ini: Path, folder: Path) -> None:
    """L4: after its lifetime, which no request extends, and not before."""
    change(ini, "session.lifetime", "2s")
    with Pserve(ini, folder) as pserve:
        browser = Browser(pserve)
        # On a very slow day the session expires before its form comes back.
        wait_until(lambda: browser.store("fruit", "a quince"), "a value that is stored")
        cookie = browser.cookie
        query = "SELECT created_at, deadline, data FROM sessions ORDER BY created_at DESC LIMIT 1"
        with closing(sqlite3.connect(folder / "myapp.sqlite")) as database:
            ((created_at, deadline, data),) = database.execute(query)
        assert b"a quince" in data
        assert deadline - created_at == 2000

        def gone() -> bool:
            browser.cookie = cookie
            return not browser.sees("a quince")

        wait_until(gone, "the end of the session")
        assert time.time_ns() // 1_000_000 >= deadline
