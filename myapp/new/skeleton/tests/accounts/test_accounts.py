"""What people do with their accounts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser import visitor

PASSWORD, ANOTHER = "a quiet violet umbrella", "seven slow green lanterns"
EMAIL = "ann@example.com"


class Ann:
    """Somebody with a browser and a mailbox."""

    def __init__(self, app: Any) -> None:
        self.mailer = app.registry["accounts"].mailer
        # Mails are sent when the test wants them.
        self.mailer.stop()
        self.browser = visitor(app)

    def send(self, path: str, page: str = "", **fields: str) -> Any:
        """Fill in the form on a page that leads to `path`, and send it."""
        shown = self.browser.get(page or path)
        (form,) = (f for f in shown.forms.values() if f.action.partition("?")[0] == path)
        for name, value in fields.items():
            form[name] = value
        return form.submit(status="*")

    def opens_link(self) -> str:
        """Open the link of the newest mail; the path that it leads to."""
        while self.mailer.sender.send_due():
            pass
        text = self.mailer.sender.transport.printed[-1].get_content()
        link = re.findall(r"https://localhost(/\S+)", text)[0]
        return str(self.browser.get(link, status=303).location).removeprefix("https://localhost")

    def is_in(self) -> bool:
        """Whether a page for members is shown."""
        return bool(self.browser.get("/restricted", status="*").status_int == 200)


@pytest.fixture
def ann(app: Any) -> Ann:
    """She has signed up, and confirmed her address."""
    ann = Ann(app)
    assert ann.send("/signup", email=EMAIL, password=PASSWORD).status_int == 303
    assert not ann.is_in()
    assert ann.send("/confirm", page=ann.opens_link(), password=PASSWORD).status_int == 303
    return ann


def test_signing_out_and_in(ann: Ann) -> None:
    """By the button on each page, and by address and password."""
    assert ann.is_in()
    ann.send("/logout", page="/")
    assert not ann.is_in()
    assert ann.send("/login", email=EMAIL, password=ANOTHER).status_int == 422
    assert not ann.is_in()
    assert ann.send("/login", email=EMAIL, password=PASSWORD).status_int == 303
    assert ann.is_in()


def test_a_forgotten_password(app: Any, ann: Ann) -> None:
    """A link by mail leads to a new one, and ends the other sessions."""
    elsewhere = Ann(app)
    elsewhere.send("/forgotten-password", email=EMAIL)
    page = elsewhere.opens_link()
    assert elsewhere.send("/password-reset", page=page, new_password=ANOTHER).status_int == 303
    assert elsewhere.is_in()
    assert not ann.is_in()
