"""The texts of the mails: short, plain, and with advice in case it was not you."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from myapp.accounts.agents import UNKNOWN
from myapp.sessions.core.lifetime import to_datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a mail is about: the site's host, the moment, and what the message knows besides."""

    host: str
    moment: int
    details: Mapping[str, str]
    link: str = ""

    @property
    def when(self) -> str:
        """The moment, for people everywhere."""
        return f"{to_datetime(self.moment):%d %B %Y, %H:%M} UTC".lstrip("0")

    @property
    def where(self) -> str:
        """The browser and the network that it came from, as far as they were recorded."""
        browser, address = self.details.get("browser", UNKNOWN), self.details.get("address", "")
        if browser == UNKNOWN:
            browser = "an unknown browser" if address else ""
        return f"{browser} (address {address})" if address else browser

    @property
    def source(self) -> str:
        """A sentence on where it came from; none where nothing was recorded."""
        return f"\n\nIt came from {self.where}." if self.where else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """Subject and text of a mail."""

    subject: str
    text: str


def _reset(news: News) -> Letter:
    return Letter(
        subject="Choose a new password",
        text=f"""\
Somebody asked for a new password for your account at {news.host}. If that was you, choose it
here:

{news.link}

You can use the link once, within 20 minutes.

If it was not you, do nothing: your password stays as it is.{news.source}
""",
    )


def _confirm(news: News) -> Letter:
    return Letter(
        subject="Confirm your address",
        text=f"""\
Somebody signed up at {news.host} with this address. If that was you, open this page and enter
the password that you chose:

{news.link}

The link works for one day.

If it was not you, do nothing: no account is created without your confirmation.{news.source}
""",
    )


def _known_already(news: News) -> Letter:
    return Letter(
        subject="You already have an account",
        text=f"""\
Somebody signed up at {news.host} with this address, which already has an account. Nothing was
changed.

If that was you, sign in with your existing password. If you have forgotten it, go to the sign-in
page and choose "Forgotten your password?".

If it was not you, do nothing.{news.source}
""",
    )


def _invite(news: News) -> Letter:
    return Letter(
        subject="Your new account",
        text=f"""\
You have an account at {news.host}. Choose a password for it here:

{news.link}

You can use the link once, within a day. If it has expired, choose "Forgotten your password?" on
the sign-in page.

If you did not expect this, do nothing: nobody can sign in until you have chosen a password.
""",
    )


def _password_changed(news: News) -> Letter:
    return Letter(
        subject="Your password was changed",
        text=f"""\
The password for your account at {news.host} was changed on {news.when}.
All other devices were signed out.

If that was you, there is nothing to do.

If it was not you, somebody else has access to your account. To take it back, go to the sign-in
page, choose "Forgotten your password?" and set a new one.{news.source}
""",
    )


def _unknown_sign_in(news: News) -> Letter:
    way = 'on the sign-in page,\nchoose "Forgotten your password?" and set a new one.'
    if news.link:
        way = (
            f"end that session and choose a\nnew password here:\n\n{news.link}\n\n"
            "You can use the link once, within a day."
        )
    return Letter(
        subject="A sign-in from a new browser",
        text=f"""\
Somebody signed in to your account at {news.host} from a browser that was not used there before:

When: {news.when}
Where: {news.where or "not recorded"}

If that was you, there is nothing to do.

If it was not you, somebody knows your password: {way}
""",
    )


def _disabled(news: News) -> Letter:
    return Letter(
        subject="Your account was disabled",
        text=f"""\
Your account at {news.host} was disabled on {news.when}.
You have been signed out everywhere, and you can't sign in.

If you think this is a mistake, contact the people who run the site.
""",
    )


def _enabled(news: News) -> Letter:
    return Letter(
        subject="Your account was enabled",
        text=f"""\
Your account at {news.host} was enabled on {news.when}.
You can sign in again with the same password as before.
""",
    )


def _role_changed(news: News) -> Letter:
    return Letter(
        subject="Your role was changed",
        text=f"""\
Your role at {news.host} was changed on {news.when}. It is now: {news.details.get("role", "")}

If you did not expect this, contact the people who run the site.
""",
    )


LETTERS: Final[Mapping[str, Callable[[News], Letter]]] = {
    "reset": _reset,
    "confirm": _confirm,
    "known-already": _known_already,
    "invite": _invite,
    "password-changed": _password_changed,
    "unknown-sign-in": _unknown_sign_in,
    "disabled": _disabled,
    "enabled": _enabled,
    "role-changed": _role_changed,
}
"""By their names; a change of address will add its own."""
