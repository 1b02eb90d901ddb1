"""An application of somebody else, which only includes `myapp.sessions` (I, I14)."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text
from webtest import TestApp

from harness.processes import ROOT, Pserve, clean_environment
from myapp.database import create_database_engine
from myapp.sessions import SchemaError
from myapp.sessions.core.token import digest
from tests import foreign_app
from tests.sessions.app import HTTPS, create_table, stop_sweepers, token_of

Start = Callable[..., Any]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the application with its settings, and closes what that opened."""
    made = []

    def start(settings: dict[str, str]) -> TestApp:
        app = foreign_app.main({}, **settings)
        made.append(app)
        return TestApp(app, extra_environ=HTTPS)

    yield start
    for app in made:
        stop_sweepers(app)
        for store in app.registry["myapp.sessions"].stores.values():
            store.close()


@pytest.fixture
def visitor(start: Start, database_url: str) -> TestApp:
    """Somebody who visits an application that names nothing but its database."""
    create_table(database_url)
    visitor: TestApp = start({"sqlalchemy.url": database_url})
    return visitor


def digests(url: str) -> list[bytes]:
    """The live sessions of a database."""
    engine = create_database_engine(url)
    with engine.connect() as connection:
        query = text("SELECT digest FROM sessions WHERE ended IS NULL")
        found = [bytes(each) for each in connection.scalars(query)]
    engine.dispose()
    return found


def table_names(url: str) -> list[str]:
    """The tables of a database."""
    engine = create_database_engine(url)
    found = inspect(engine).get_table_names()
    engine.dispose()
    return found


def test_values_are_kept(visitor: TestApp, database_url: str) -> None:
    """I: the one include is all that it needs; nested changes are noticed as well."""
    first = visitor.get("/put?word=one")
    visitor.get("/put?word=two")
    assert visitor.get("/show").json == {"words": ["one", "two"]}
    assert digests(database_url) == [digest("session", token_of(first))]


def test_the_cookie_has_the_safe_attributes(visitor: TestApp) -> None:
    """C: by default, Secure, HttpOnly, Lax, for this host alone, for a week."""
    answer = visitor.get("/put?word=one")
    (cookie,) = answer.headers.getall("Set-Cookie")
    assert re.fullmatch(
        r"session=[\w-]{43}; Path=/; Max-Age=60(4800|4799); Secure; HttpOnly; SameSite=Lax", cookie
    )
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Cookie" in answer.headers["Vary"]


def test_a_page_without_a_session_sends_nothing(visitor: TestApp, database_url: str) -> None:
    """L1: neither a cookie nor a header, and no row."""
    answer = visitor.get("/plain")
    assert not {"Set-Cookie", "Vary", "Cache-Control"} & set(answer.headers)
    assert digests(database_url) == []


def test_a_message_is_heard_once(visitor: TestApp) -> None:
    """I: flash messages of ISession."""
    visitor.get("/say?word=hello")
    visitor.get("/say?word=again")
    assert visitor.get("/hear").json == ["hello", "again"]
    assert visitor.get("/hear").json == []


def test_a_visitors_form_needs_a_proven_origin(visitor: TestApp, database_url: str) -> None:
    """A13: by `require_csrf` alone; the form that was shown has made no row."""
    assert visitor.get("/token").json == ""
    assert digests(database_url) == []
    assert visitor.post("/guarded", {}, {"Origin": "https://example.com"}).json == "done"
    visitor.post("/guarded", {}, {"Origin": "https://evil.example"}, status=400)


def test_a_form_needs_the_token_of_its_session(start: Start, database_url: str) -> None:
    """I: CSRF tokens of ISession, checked by Pyramid, for everybody."""
    create_table(database_url)
    visitor = start({"sqlalchemy.url": database_url, "session.csrf": "token"})
    origin = {"Origin": "https://example.com"}
    token = visitor.get("/token").json
    assert visitor.get("/token").json == token
    assert visitor.post("/guarded", {"csrf_token": token}, origin).json == "done"
    visitor.post("/guarded", {}, origin, status=400)
    stranger = TestApp(visitor.app, extra_environ=HTTPS)
    other = stranger.get("/token").json
    assert other != token
    stranger.post("/guarded", {"csrf_token": token}, origin, status=400)


def test_an_ended_session_is_gone(visitor: TestApp, database_url: str) -> None:
    """R2: the row ends, and so does the cookie."""
    token = token_of(visitor.get("/put?word=one"))
    (cookie,) = visitor.get("/leave").headers.getall("Set-Cookie")
    assert cookie.startswith("session=; Path=/; Max-Age=0;")
    assert cookie.endswith("; Secure; HttpOnly; SameSite=Lax")
    assert digests(database_url) == []
    visitor.reset()
    visitor.set_cookie("session", token)
    assert visitor.get("/show").json == {}


def test_a_missing_table_stops_the_start(start: Start, tmp_path: Path) -> None:
    """I14: before any visitor meets it."""
    with pytest.raises(SchemaError, match="there is no table 'sessions'") as caught:
        start({"sqlalchemy.url": f"sqlite:///{tmp_path / 'empty.sqlite'}"})
    assert "myapp-sessions INI schema" in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        (
            "session.lifetime = soon",
            r"session\.lifetime = soon \(from .*\): expected a duration such as .*",
        ),
        ("session.type = file", r"session\.type = file \(from .*\): expected a known setting; .*"),
        (
            "pyramid.tweens = pyramid.tweens.excview_tween_factory",
            r"pyramid\.tweens = .* \(from .*\): expected these tweens, in this order: .*",
        ),
        ("", r"there is no table 'sessions': .*`myapp-sessions INI schema` prints its SQL"),
    ],
)
def test_an_error_of_the_start_is_one_line_under_pserve(
    tmp_path: Path, setting: str, line: str
) -> None:
    """C2: as it is in ours; whatever else goes wrong keeps its traceback."""
    ini = tmp_path / "foreign.ini"
    ini.write_text(
        "[app:main]\nuse = call:tests.foreign_app:main\n"
        f"sqlalchemy.url = sqlite:///%(here)s/foreign.sqlite\n{setting}\n"
        "[server:main]\nuse = egg:waitress\nport = %(http_port)s\n"
    )
    status, output = Pserve(ini, make(tmp_path / "run")).run_until_exit()
    assert (status, output.count("\n")) == (1, 1), output
    assert re.fullmatch(f"myapp\\.sessions: {line}\n", output)


def make(folder: Path) -> Path:
    """A folder that is there."""
    folder.mkdir()
    return folder


def test_sessions_can_have_a_database_of_their_own(
    start: Start, database_url: str, tmp_path: Path
) -> None:
    """C: `session.url`; the application's own database then needs no such table."""
    apart = f"sqlite:///{tmp_path / 'apart.sqlite'}"
    create_table(apart)
    visitor = start({"sqlalchemy.url": database_url, "session.url": apart})
    visitor.get("/put?word=one")
    assert visitor.get("/show").json == {"words": ["one"]}
    assert len(digests(apart)) == 1
    assert table_names(database_url) == []


def test_a_table_in_the_applications_database_does_not_count_then(
    start: Start, tmp_path: Path
) -> None:
    """I14: the table is looked for where sessions are kept."""
    own, apart = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("own", "apart"))
    create_table(own)
    with pytest.raises(SchemaError):
        start({"sqlalchemy.url": own, "session.url": apart})


def test_no_database_of_the_applications_own_is_needed(start: Start, database_url: str) -> None:
    """I: `session.url` alone will do."""
    create_table(database_url)
    visitor = start({"session.url": database_url, "session.cookie_name": "theirs"})
    (cookie,) = visitor.get("/put?word=one").headers.getall("Set-Cookie")
    assert cookie.startswith("theirs=")
    assert visitor.get("/show").json == {"words": ["one"]}


def test_the_rest_of_myapp_is_not_loaded(tmp_path: Path) -> None:
    """I: its models, pages and headers are no part of a foreign application."""
    url = f"sqlite:///{tmp_path / 'sessions.sqlite'}"
    create_table(url)
    script = (
        "import sys; from tests import foreign_app;"
        "foreign_app.main({}, **{'session.url': sys.argv[1]});"
        "print(*sorted(name for name in sys.modules if name.startswith('myapp.')"
        " and not name.startswith('myapp.sessions')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, url],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=clean_environment(),
    )
    assert set(done.stdout.split()) <= {
        "myapp.bounded_psycopg",
        "myapp.database",
        "myapp.database_url",
        "myapp.environment",
        "myapp.mysql_connector",
        "myapp.pooler",
        "myapp.private_file",
        "myapp.setting_table",
        "myapp.url_parameters",
    }
