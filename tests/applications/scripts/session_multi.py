"""pyramid_session_multi: several sessions of a request, by name."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid_session_multi import register_session_factory
from shared import add_page, site


def count(request: Any) -> str:
    session = request.session_multi["admin"]
    session["count"] = session.get("count", 0) + 1
    return f"{session['count']} {request.session.get('count')}"


def configure(config: Configurator) -> None:
    config.add_session("admin_session")
    config.include("pyramid_session_multi")
    register_session_factory(
        config, "admin", lambda request: request.admin_session, cookie_name="admin"
    )
    add_page(config, "/count", count)
    add_page(config, "/end", lambda request: str(request.session_multi.invalidate()))


with site(configure, **{"admin_session.cookie_name": "admin"}) as it:
    assert [it.get("/count").text for _ in range(2)] == ["1 None", "2 None"]
    assert it.browser.cookies.keys() == {"admin"}
    it.get("/end")
    assert it.get("/count").text == "1 None"
