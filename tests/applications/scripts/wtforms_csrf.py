"""WTForms with its SessionCSRF: the token's seed lies in the session."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pyramid.config import Configurator
from shared import add_page, site
from wtforms import Form, StringField
from wtforms.csrf.session import SessionCSRF


class Note(Form):
    """As WTForms' documentation has it."""

    class Meta:
        csrf = True
        csrf_class = SessionCSRF
        csrf_secret = b"secret"
        csrf_time_limit = timedelta(minutes=20)

    text = StringField()


def note(request: Any) -> str:
    form = Note(request.POST, meta={"csrf_context": request.session})
    if request.method == "POST":
        return "saved" if form.validate() else str(form.errors)
    return f"<form method='post'>{form.csrf_token}{form.text}</form>"


def configure(config: Configurator) -> None:
    add_page(config, "/note", note)


with site(configure) as it:
    form = it.get("/note").form
    form["text"] = "hello"
    assert form.submit().text == "saved"
    form["csrf_token"] = "wrong"
    assert "CSRF" in form.submit().text
    it.browser.reset()
    form["csrf_token"] = form["csrf_token"].value
    assert "CSRF" in form.submit().text
