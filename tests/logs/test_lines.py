"""Which lines an application writes about sessions and requests."""

import json
import logging
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request

from myapp.environment import SettingError
from myapp.sessions import StoreUnavailable
from tests.logs.conftest import Written
from tests.sessions.app import App, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.conftest import make_app as make_app
from tests.sessions.conftest import sqlite_url as sqlite_url
from tests.sessions.moving import SIGNED, holding, old_cookies, send
from tests.sessions.views import VIEWS

log = logging.getLogger(__name__)


def tells_all(request: Request) -> None:
    """Log whatever one could think of."""
    log.info("%s", request)
    log.info("%r %r", request.cookies, request.environ, extra={"token": request.session.token})
    request.session.get_csrf_token()


def breaks(request: Request) -> None:
    raise StoreUnavailable("gone", 1)


@pytest.fixture
def make(make_app: MakeApp, written: Written) -> Any:
    """A maker of applications whose log is JSON, with pages that log too much."""

    def make(**settings: str) -> App:
        def configure(config: Configurator) -> None:
            config.add_settings({"logs.format": "json", **settings})
            config.include("myapp.logs")
            if "moving.from" in settings:
                config.include("myapp.sessions.moving")
            config.add_route("link", "/password-reset/{token}")
            config.add_view(lambda request: request.response, route_name="link")

        return make_app(VIEWS | {"all": tells_all, "breaks": breaks}, configure=configure)

    return make


def told(written: Written, logger: str) -> list[dict[str, Any]]:
    """The lines of a module of `myapp.logs`."""
    lines = map(json.loads, written.lines)
    return [line for line in lines if line["logger"] == f"myapp.logs.{logger}"]


def test_the_life_of_a_session_is_lines(make: Any, written: Written) -> None:
    """O5: who, which session, from where, and why it ended."""
    app = make()
    token = token_of(app.get("/sign_in", REMOTE_ADDR="192.0.2.7"))
    app.get("/sign_out", token)
    began, ended = told(written, "sessions")
    assert (began["message"], ended["message"]) == ("session started", "session ended")
    assert (began["user"], began["manager"]) == ("ann", "session")
    assert began["address"] == "192.0.2.7"
    assert ended["reason"] == "signed_out"
    assert ended["session"] == began["session"]


def test_an_old_session_that_moves_in_is_a_line(make: Any, written: Written) -> None:
    """O5, O7: which session of ours it is now, whose, and where it came from."""
    app = make(**SIGNED)
    send(app, "/show", old_cookies(holding({"user": "ann"})), REMOTE_ADDR="192.0.2.7")
    began, came = told(written, "sessions")
    assert came["message"] == "old session moved in"
    assert (came["kind"], came["user"], came["address"]) == ("signed_cookie", "ann", "192.0.2.7")
    assert came["session"] == began["session"]
    assert "kind" not in began


def test_they_can_be_switched_off(make: Any, written: Written) -> None:
    """O5: by `logs.sessions`."""
    app = make(**{"logs.sessions": "false"})
    app.get("/sign_in")
    assert told(written, "sessions") == []


def test_a_request_is_a_line(make: Any, written: Written) -> None:
    """A5: with links masked, and nothing of the query or of the client's making but escaped."""
    app = make(**{"logs.access": "true"})
    agent = "evil\r\nline \x1b[2J"
    app.get("/password-reset/abc?secret=1", HTTP_USER_AGENT=agent, REMOTE_ADDR="192.0.2.7")
    app.get("/nowhere/%C3%A4%0A%1B")
    app.get("/breaks")
    link, nowhere, broken = told(written, "access")
    assert (link["method"], link["path"], link["status"]) == (
        "GET",
        "/password-reset/[masked]",
        200,
    )
    assert link["milliseconds"] >= 0
    assert link["address"] == "192.0.2.7"
    assert (nowhere["path"], nowhere["status"]) == ("/nowhere/ä\n\x1b", 404)
    assert broken["status"] == 503
    assert "secret" not in written.text


def test_a_view_may_log_its_request(make: Any, written: Written) -> None:
    """R6: the Cookie header and the environ hold tokens, and the log does not."""
    app = make(**{"logs.access": "true"})
    token = token_of(app.get("/sign_in"))
    app.get("/all", token)
    assert token not in written.text
    assert written.text.count("[masked]") >= 4


def test_an_unknown_token_is_a_line_with_its_digest_cut(make: Any, written: Written) -> None:
    """O5: from the module that looked it up."""
    make().get("/show", "x" * 20 + "Y" * 23)
    (line,) = [json.loads(each) for each in written.lines if "unknown" in each]
    assert len(line["digest"]) == 8


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("logs.format", "xml", "text, keyvalue or json"),
        ("logs.acess", "true", "the nearest is logs.access"),
    ],
)
def test_a_wrong_setting_is_one_line(make: Any, name: str, value: str, expected: str) -> None:
    """C2: what, where from and what is expected."""
    with pytest.raises(SettingError, match=expected):
        make(**{name: value})


def test_pyramid_tells_no_events_for_us(make: Any) -> None:
    """P1: four at each request would cost more than sessions do."""
    app = make()
    assert not app.router.registry.has_listeners
