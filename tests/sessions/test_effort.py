"""A guard against slipping: what each kind of request costs in calls of functions.

Times are too noisy for a test; calls are the same each time. Only SQLite is asked, within this
process; round trips on each database are held by `test_statements.py`.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from tests.sessions.app import App, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.effort import Effort, effort_of

pytestmark = pytest.mark.usefixtures("cheap_collections")

# What a request may call more than the same request does without sessions, on Python 3.11, and the
# statements in it. Who makes it cheaper, or has a reason to make it dearer, sets them anew. This
# prints them, and the calls behind them, to be laid beside those of an earlier commit:
#
#     SHOW_EFFORT=1 .venv/bin/python -m pytest -s tests/sessions/test_effort.py
BUDGETS = {
    # work: (calls, statements)
    "untouched": (7, 0),
    "anonymous": (33, 0),
    "read": (70, 1),
    "save": (119, 2),
    "nested": (152, 2),
    "first": (148, 1),
    "sign-in": (256, 7),
    "sign-out": (141, 2),
}

TOLERANCE = 2
"""Calls that another version of Python may add; it may also make fewer, and that is no fault."""

WARM_UP = 3

View = Callable[[Request], Any]


def looks(request: Request) -> None:
    request.session.get("visits")


def changes(request: Request) -> None:
    request.session["visits"] = request.session.get("visits", 0) + 1


def fills(request: Request) -> None:
    values = {f"key {number}": "x" * 40 for number in range(10)}
    request.session.update(values, visits=0, cart={"lines": [{"amount": 1}]})


def changes_within(request: Request) -> None:
    request.session["cart"]["lines"][0]["amount"] += 1


def signs_in(request: Request) -> None:
    request.session.sign_in("ann")


def signs_out(request: Request) -> None:
    request.session.sign_out()


VIEWS: dict[str, View] = {
    "untouched": lambda request: None,
    "anonymous": looks,
    "read": looks,
    "save": changes,
    "nested": changes_within,
    "first": changes,
    "sign-in": signs_in,
    "sign-out": signs_out,
}


def configure(views: dict[str, View]) -> Callable[[Configurator], None]:
    """Adds views that answer alike, whatever they did, and a property of the request.

    Nearly every application has one, a `dbsession` for example. For the first of them Pyramid makes
    a class at each request, which is then nothing that sessions would add.
    """

    def answering(view: View) -> View:
        def answer(request: Request) -> Response:
            view(request)
            return Response("hello")

        return answer

    def add(config: Configurator) -> None:
        config.add_request_method(lambda request: None, "dbsession", reify=True)
        for name, view in views.items():
            config.add_route(name, f"/{name}")
            config.add_view(answering(view), route_name=name)

    return add


@pytest.fixture
def app(make_app: MakeApp) -> App:
    """Two kinds of session, with all that costs something per request, but no sweeper's thread."""

    def add(config: Configurator) -> None:
        config.add_settings(
            {"admin_session.cookie_name": "admin", "admin_session.sweep_interval": "off"}
        )
        config.add_session("admin_session")
        configure(VIEWS | {"fill": fills})(config)

    return make_app({}, configure=add, idle_timeout="1h", sweep_interval="off", max_per_user="10")


@pytest.fixture
def bare() -> Any:
    """The same pages without sessions: nobody looks at one there."""
    with Configurator() as config:
        configure(dict.fromkeys(VIEWS, lambda request: None))(config)
    return config.make_wsgi_app()


@pytest.mark.parametrize("work", BUDGETS)
def test_a_request_does_no_more_than_its_budget(app: App, bare: Any, work: str) -> None:
    """L2: over the same request without sessions, once all is warm."""
    for _ in range(WARM_UP):
        cookie = "" if work in ("anonymous", "first") else cookie_of(app)
        effort, least = (effort_of(each, f"/{work}", cookie) for each in (app.router, bare))
    told = _told(work, effort, effort.calls - least.calls)
    if "SHOW_EFFORT" in os.environ:
        print(told)
    calls, statements = BUDGETS[work]
    assert effort.calls - least.calls <= calls + TOLERANCE, told
    assert effort.statements == statements, told


def cookie_of(app: App) -> str:
    """The Cookie header of a session of its own: some of the works end it."""
    return f"{app.manager.settings.cookie_name}={token_of(app.get('/fill'))}"


def _told(work: str, effort: Effort, more: int) -> str:
    calls, statements = BUDGETS[work]
    return "\n".join(
        [
            f"{work}: {more} calls more than without sessions, the budget is {calls};"
            f" {effort.statements} statements, the budget is {statements}.",
            "These are the package's calls. To see what was added, run this test with SHOW_EFFORT=1"
            " and -s here and on an earlier commit, and compare.",
            *effort.ours,
        ]
    )
