"""A session among Python's tools: copies, JSON, isinstance and type checkers."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from pyramid.renderers import render
from pyramid.request import Request

from myapp.sessions import Session
from tests.sessions.app import cookies_of
from tests.sessions.conftest import MakeApp
from tests.sessions.meanwhile import contents_of, stored

ROOT = Path(__file__).parents[2]


class TestCopies:
    """A copy is somebody's own."""

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
    def test_a_copy_is_a_dict_apart_from_the_session(
        self, make_app: MakeApp, duplicate: Callable[[Any], Any]
    ) -> None:
        """I15: of a session just loaded, whose keys stay as they are; of a new one as well."""

        def view(request: Request) -> None:
            made = duplicate(request.session)
            assert type(made) is dict
            assert made == {"key": 1, "cart": [1]}
            made["key"] = made["more"] = 2
            request.session["mine"] = 3
            assert "mine" not in made
            assert duplicate(app.manager.load(token)) == {"key": 1, "cart": [1]}

        app = make_app({"view": view, "new": lambda request: str(duplicate(request.session))})
        token = stored(app, key=1, cart=[1])
        assert app.get("/view", token).headers["Vary"] == "Cookie"
        assert contents_of(app, token) == {"key": 1, "cart": [1], "mine": 3}
        response = app.get("/new")
        assert (response.text, cookies_of(response)) == ("{}", [])

    def test_a_deep_copy_is_apart_in_depth(self, make_app: MakeApp) -> None:
        """I15: and on the way through something else; a shallow one shares lists, as a dict's."""

        def view(request: Request) -> None:
            session = request.session
            held = copy.deepcopy({"held": [session, session]})
            assert held == {"held": [{"cart": [[1]]}] * 2}
            assert held["held"][0] is held["held"][1]
            held["held"][0]["cart"][0].append("copy")
            assert copy.copy(session)["cart"] is session["cart"]
            session["cart"][0].append("session")

        app = make_app({"view": view})
        token = stored(app, cart=[[1]])
        app.get("/view", token)
        assert contents_of(app, token) == {"cart": [[1, "session"]]}

    def test_a_nested_change_by_a_shallow_copy_is_saved(self, make_app: MakeApp) -> None:
        """I15, S1: as by `session.copy()`, since the list is the session's."""

        def view(request: Request) -> None:
            copy.copy(request.session)["cart"].append(2)

        app = make_app({"view": view})
        token = stored(app, cart=[1])
        app.get("/view", token)
        assert contents_of(app, token) == {"cart": [1, 2]}


class TestJson:
    """Pyramid's json renderer."""

    def test_it_shows_the_contents(self, make_app: MakeApp) -> None:
        """I15: itself, and nested in what else a view returns; the rest stays private."""

        def whole(request: Request) -> Any:
            request.session.get_csrf_token()
            request.session.flash("Hello.")
            return render("json", request.session, request=request)

        def nested(request: Request) -> Any:
            value = {"all": [{"session": request.session}], "n": 1}
            return render("json", value, request=request)

        app = make_app({"whole": whole, "nested": nested})
        token = stored(app, key="ä", cart=[{"a": None}])
        shown = {"key": "ä", "cart": [{"a": None}]}
        response = app.get("/whole", token)
        assert json.loads(response.text) == shown
        assert response.headers["Vary"] == "Cookie"
        assert json.loads(app.get("/nested", token).text) == {"all": [{"session": shown}], "n": 1}
        assert json.loads(app.get("/whole").text) == {}

    def test_json_dumps_takes_it_as_a_dict(self, make_app: MakeApp) -> None:
        """I15: `dict(session)`, as documented."""
        app = make_app({"view": lambda request: json.dumps(dict(request.session))})
        assert app.get("/view", stored(app, key=[1])).text == '{"key": [1]}'


def test_it_is_a_mutable_mapping(make_app: MakeApp) -> None:
    """I15: for isinstance, issubclass and match."""
    app = make_app({})
    with app.manager.session() as session:
        session["key"] = 1
        anything: Any = session
        assert isinstance(anything, MutableMapping)
        assert isinstance(anything, Mapping)
        match anything:
            case {"key": found}:
                assert found == 1
            case _:
                raise AssertionError("it was no mapping")
    assert issubclass(Session, MutableMapping)


TYPED = """
from collections.abc import Mapping, MutableMapping
from typing import Any, assert_type

from myapp.sessions import Session


def fill(into: MutableMapping[str, Any]) -> None:
    into["key"] = 1


def show(what: Mapping[str, object]) -> None: ...


def use(session: Session) -> None:
    fill(session)
    show(session)
    held: MutableMapping[str, Any] = session
    session |= {"key": 1}
    session |= [("key", 1)]
    assert_type(session, Session)
    assert_type(session.get_as("a", int), int | None)
    assert_type(session.get_as("a", int, 0), int)
    assert_type(session.get_as("a", list[int]), list[int] | None)
    session.get_as("a", int | str)
    session.get_as("a", int | None, None)
    session.get_as("a", list[int] | str, default="")
    assert_type(session | {"more": 1}, dict[str, Any])
    print(held, {**session}, dict(session), sorted(session))
    session.get_as("a", int) + 1  # type: ignore[operator]
    session[1] = 2  # type: ignore[index]
"""


def test_a_type_checker_takes_it_for_one(tmp_path: Path) -> None:
    """I15, I2: strictly, without a cast, and with the types that `get_as` promises."""
    snippet = tmp_path / "snippet.py"
    snippet.write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "setup.cfg")]
    # Of a package that is installed mypy says nothing; older libraries have fewer types.
    command += ["--follow-imports", "silent"]
    checked = subprocess.run(
        [*command, str(snippet)],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert checked.stdout.startswith("Success"), checked.stdout + checked.stderr
