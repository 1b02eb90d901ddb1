"""deform with colander: a form whose token is the session's, or empty for a visitor."""

from __future__ import annotations

from typing import Any

import colander
import deform
from pyramid.config import Configurator
from pyramid.csrf import get_csrf_token
from pyramid.security import remember
from shared import add_page, site

from myapp.sessions import SessionSecurityPolicy


@colander.deferred
def token(node: Any, kw: Any) -> Any:
    return get_csrf_token(kw["request"])


class Schema(colander.Schema):
    csrf_token = colander.SchemaNode(
        colander.String(), default=token, missing="", widget=deform.widget.HiddenWidget()
    )
    name = colander.SchemaNode(colander.String(), validator=colander.Length(min=3))


def form(request: Any) -> str:
    made = deform.Form(Schema().bind(request=request), buttons=("save",))
    if request.method != "POST":
        return f"<html>{made.render()}</html>"
    try:
        request.session["name"] = made.validate(request.POST.items())["name"]
    except deform.ValidationFailure as failure:
        return f"<html>{failure.render()}</html>"
    return f"kept {request.session['name']}"


def configure(config: Configurator) -> None:
    config.set_default_csrf_options(require_csrf=True, check_origin=False)
    config.set_security_policy(SessionSecurityPolicy())
    config.add_view(lambda request: remember(request, "ann") or request.response, name="enter")
    add_page(config, "/form", form)


OURS = {"Origin": "https://localhost"}

with site(configure) as it:
    for signed_in in (False, True):
        if signed_in:
            it.get("/enter")
        page = it.get("/form")
        assert bool(page.form["csrf_token"].value) is signed_in
        page.form["name"] = "x"
        again = page.form.submit(headers=OURS)
        assert "Shorter than minimum length" in again.text
        again.form["name"] = "long enough"
        assert again.form.submit(headers=OURS).text == "kept long enough"
    again.form["csrf_token"] = "wrong"
    assert again.form.submit(headers=OURS, expect_errors=True).status_int == 400
