"""What the pages for newcomers and for a move show runs, as it stands there."""

import configparser
import re
import types
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import forget, remember
from webtest import TestApp

from harness.processes import ROOT
from myapp.sessions import SessionSecurityPolicy, get_manager
from myapp.sessions.core.settings import TABLE
from myapp.sessions.moving.settings import read_moving_settings
from myapp.sessions.testing import sign_in
from tests.sessions.app import HTTPS, create_table, stop_sweepers
from tests.sessions.moving import holding, old_cookies
from tests.test_docs import fences, prose

HOW_TO = ROOT / "docs" / "how-to"
MOVING = HOW_TO / "moving-in.md"
PAGES = sorted(HOW_TO.glob("from-*.md"))
# A call of ours in a row of a table, whichever column it stands in.
_OURS = re.compile(r"(?:with )?(?:session\b|manager\.|not session|remember\(|forget\().*")


def snippets(page: Path) -> list[str]:
    """What the second column of the tables shows as code that can be run."""
    cells = re.findall(r"^\|[^|]+\|([^|]+)\|", prose(page), re.MULTILINE)
    found = [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]
    calls = [code for code in found if _OURS.fullmatch(code)]
    # `session.lifetime` alone is a setting.
    return [code for code in calls if code.removeprefix("session.") not in TABLE]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_call_on_a_page_can_be_made(page: Path, tmp_path: Path) -> None:
    """I1 to I11: on the session of a request whose user is signed in."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    create_table(url)
    failed = []

    def view(request: Any) -> Any:
        code = request.params["code"]
        names = {
            "session": request.session,
            "manager": get_manager(request),
            "request": request,
            "token": "A" * 43,
            "value": "value",
            "user": types.SimpleNamespace(id=7),
            "userid": 7,
        } | {each.__name__: each for each in (remember, forget, datetime, timedelta)}
        try:
            exec(f"{code} pass" if code.endswith(":") else code, names | {"UTC": UTC})
        except Exception as error:
            failed.append((code, error))
        return request.response

    with Configurator(settings={"session.url": url}) as config:
        config.include("myapp.sessions")
        config.set_security_policy(SessionSecurityPolicy())
        config.add_route("run", "/run")
        config.add_view(view, route_name="run")
    app = config.make_wsgi_app()
    calls = snippets(page)
    assert len(calls) >= 5
    for code in calls:
        browser = TestApp(app, extra_environ=HTTPS)
        sign_in(browser, "ann", key="value")
        browser.get("/run", {"code": code})
    stop_sweepers(app)
    get_manager(app.registry).store.close()
    assert not failed


def inis(folder: Path) -> list[dict[str, str]]:
    """The settings of each ini on the page about moving in, below a folder."""
    found = []
    for language, text in fences(MOVING):
        if language == "ini":
            parser = configparser.ConfigParser(defaults={"here": str(folder)})
            parser.read_string(text)
            found.append({k: v for k, v in parser["app:main"].items() if k != "here"})
    return found


def test_the_settings_on_the_page_are_right(tmp_path: Path) -> None:
    """O7: each ini is one that a move can begin with."""
    (tmp_path / "data").mkdir()
    kinds = [read_moving_settings(each, {}).kinds for each in inis(tmp_path)]
    assert kinds == [("signed_cookie",), ("beaker",), ("signed_cookie", "auth_tkt")]


def test_the_application_on_the_page_moves_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """O7: with its first ini, its `main`, and its subscriber."""
    python = [text for language, text in fences(MOVING) if language == "python"]
    for name, text in zip(("moved_shop", "moved_count"), python, strict=True):
        (tmp_path / f"{name}.py").write_text(text)
    settings = inis(tmp_path)[0] | {"pyramid.includes": "moved_count tests.test_coming_from"}
    create_table(settings["sqlalchemy.url"])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        app = import_module("moved_shop").main({}, **settings)
    old = old_cookies(holding({"user_id": "ann"}), cookie_name="session")
    browser = TestApp(app, extra_environ=HTTPS)
    assert browser.get("/who", extra_environ={"HTTP_COOKIE": old}).text == "ann"
    stop_sweepers(app)
    get_manager(app.registry).store.close()
    kind, handle, counted = capsys.readouterr().out.split(maxsplit=2)
    assert (kind, len(handle), counted) == ("signed_cookie", 22, "Counter({'signed_cookie': 1})\n")


def includeme(config: Configurator) -> None:
    """A page that says who is signed in."""

    def who(request: Request) -> Response:
        return Response(request.authenticated_userid)

    config.add_route("who", "/who")
    config.add_view(who, route_name="who")
