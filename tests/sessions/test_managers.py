"""Several kinds of session, and stores and serializers of one's own."""

import gc
import json
import secrets
import weakref
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.events import ApplicationCreated
from pyramid.request import Request
from pyramid.router import Router
from pyramid.scripting import prepare
from webtest import TestApp
from zope.interface import providedBy

from myapp.sessions import SettingError, get_manager
from tests.sessions.app import View, cookies_of, token_of
from tests.sessions.conftest import MakeApp
from tests.sessions.views import VIEWS


def test_a_token_opens_only_the_manager_that_issued_it(make_app: MakeApp) -> None:
    """L10, I9: two kinds of session in one table, each with a cookie and settings of its own."""

    def configure(config: Configurator) -> None:
        config.add_settings({"admin_session.cookie_name": "admin", "admin_session.lifetime": "15m"})
        config.add_session("admin_session")

    def both(request: Request) -> None:
        request.session["key"] = 1
        request.admin_session["key"] = 2

    def show(request: Request) -> str:
        return f"{request.session.get('key')} {request.admin_session.get('key')}"

    app = make_app({"both": both, "show": show}, configure=configure)
    one, other = cookies_of(app.get("/both"))
    assert one.startswith("session=")
    assert other.startswith("admin=")
    assert "Max-Age=900;" in other
    tokens = [header.partition(";")[0].partition("=")[2] for header in (one, other)]
    for header, shown in [
        (f"session={tokens[0]}; admin={tokens[1]}", "1 2"),
        (f"session={tokens[1]}; admin={tokens[0]}", "None None"),
    ]:
        assert app.get("/show", HTTP_COOKIE=header).text == shown
    for name in ("session", "admin_session"):
        assert len(list(get_manager(app.router.registry, name).iterate())) == 1


def _with_admin(config: Configurator) -> None:
    config.add_settings({"admin_session.cookie_name": "admin"})
    config.add_session("admin_session")


def test_a_request_of_any_origin_has_both(make_app: MakeApp) -> None:
    """I9, S12: a subrequest of Pyramid's own class, a script's request, and another router's."""

    def outer(request: Request) -> Any:
        return request.invoke_subrequest(Request.blank("/inner"))

    def inner(request: Request) -> str:
        assert providedBy(request)
        return f"{request.session.get('key')} {request.admin_session.get('key')}"

    app = make_app({"outer": outer, "inner": inner}, configure=_with_admin)
    assert app.get("/outer").text == "None None"
    with prepare(request=Request.blank("/"), registry=app.router.registry) as script:
        assert script["request"].admin_session.get("key") is None
    again = Router(app.router.registry)
    app.router.registry.notify(ApplicationCreated(again))
    assert TestApp(again).get("/outer").text == "None None"


def test_subrequests_leave_no_classes_behind(make_app: MakeApp) -> None:
    """I9: Pyramid makes one for each request that has properties, and it goes with the request."""
    classes: weakref.WeakSet[type] = weakref.WeakSet()

    def outer(request: Request) -> Any:
        return request.invoke_subrequest(Request.blank("/inner"))

    def inner(request: Request) -> str:
        classes.add(type(request))
        return "inner"

    app = make_app({"outer": outer, "inner": inner}, configure=_with_admin)
    for _ in range(5):
        app.get("/outer")
        app.get("/inner")
    gc.collect()
    assert len(classes) == 0


def test_two_managers_share_one_store(make_app: MakeApp) -> None:
    """I9: one engine and one sweeper for one database."""

    def configure(config: Configurator) -> None:
        config.add_settings({"admin_session.cookie_name": "admin"})
        config.add_session("admin_session")

    app = make_app({}, configure=configure)
    assert get_manager(app.router.registry, "admin_session").store is app.manager.store


def test_two_managers_with_one_cookie_name_are_refused(make_app: MakeApp) -> None:
    """C3: they would overwrite each other's cookie."""
    with pytest.raises(SettingError, match=r"admin_session.cookie_name = session .*already"):
        make_app({}, configure=lambda config: config.add_session("admin_session"))


class JsonSerializer:
    """A serializer of one's own, by a dotted name."""

    def dumps(self, appstruct: Any) -> bytes:
        return json.dumps(appstruct).encode()

    def loads(self, bstruct: bytes) -> Any:
        return json.loads(bstruct)


def test_a_serializer_of_ones_own(make_app: MakeApp) -> None:
    """I10: by dotted name, with Pyramid's loads and dumps."""
    app = make_app(VIEWS, serializer="tests.sessions.test_managers.JsonSerializer")
    token = token_of(app.get("/set"))
    assert json.loads(app.rows()[0].data) == [{"key": "value", "cart": [1]}]
    assert app.get("/show", token).json["cart"] == [1]


class NonceSerializer(JsonSerializer):
    """Writes other bytes each time, as one that encrypts does."""

    def dumps(self, appstruct: Any) -> bytes:
        return secrets.token_bytes(8) + super().dumps(appstruct)

    def loads(self, bstruct: bytes) -> Any:
        return super().loads(bstruct[8:])


def test_a_serializer_may_write_other_bytes_each_time(make_app: MakeApp) -> None:
    """S1: values are compared."""
    views: dict[str, View] = {
        "assign": lambda request: request.session.__setitem__("key", "value"),
        "read": lambda request: request.session["cart"],
    }
    app = make_app(VIEWS | views, serializer=f"{__name__}.NonceSerializer")
    token = token_of(app.get("/set"))
    (row,) = app.rows()
    app.get("/assign", token)
    app.get("/read", token)
    assert app.rows() == [row]


def test_a_store_of_ones_own(make_app: MakeApp) -> None:
    """I10: by dotted name, called with the settings."""
    app = make_app(VIEWS, store="myapp.sessions.testing.memory_store.MemoryStore")
    assert app.get("/show", token_of(app.get("/set"))).json["key"] == "value"
    assert type(app.manager.store).__name__ == "MemoryStore"


@pytest.mark.parametrize("setting", ["store", "serializer"])
def test_a_dotted_name_that_leads_nowhere_is_refused(make_app: MakeApp, setting: str) -> None:
    """C2: at start-up, in one line."""
    with pytest.raises(SettingError, match=rf"session.{setting} = no.such.thing .*imported"):
        make_app({}, **{setting: "no.such.thing"})
