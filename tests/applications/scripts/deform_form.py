"""deform with colander: a form whose token is the session's, and a file kept between two tries."""

from __future__ import annotations

from typing import Any

import colander
import deform
from pyramid.config import Configurator
from pyramid.csrf import get_csrf_token
from shared import add_page, site


@colander.deferred
def token(node: Any, kw: Any) -> Any:
    return get_csrf_token(kw["request"])


class Schema(colander.Schema):
    csrf_token = colander.SchemaNode(
        colander.String(), default=token, widget=deform.widget.HiddenWidget()
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
    config.set_default_csrf_options(require_csrf=True)
    add_page(config, "/form", form)


with site(configure) as it:
    page = it.get("/form")
    page.form["name"] = "x"
    again = page.form.submit(headers={"Origin": "https://localhost"})
    assert "Shorter than minimum length" in again.text
    again.form["name"] = "long enough"
    assert again.form.submit(headers={"Origin": "https://localhost"}).text == "kept long enough"
    again.form["csrf_token"] = "wrong"
    answer = again.form.submit(headers={"Origin": "https://localhost"}, expect_errors=True)
    assert answer.status_int == 400
