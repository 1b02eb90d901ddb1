"""People who use the pages of accounts, each with a browser of their own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final, Literal

from argon2 import PasswordHasher

import myapp
from myapp.accounts.parts import REGISTRY_KEY, Accounts
from myapp.accounts.passwords import Passwords
from tests.functional.visitors import visitor
from tests.needed import end

PASSWORD: Final = "a quiet violet umbrella"
ANOTHER: Final = "seven slow green lanterns"


class CountingHasher(PasswordHasher):
    """A cheap argon2 that counts its runs."""

    runs = 0

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)

    def hash(self, *args: Any, **options: Any) -> str:
        """Hash."""
        self.runs += 1
        return super().hash(*args, **options)

    def verify(self, *args: Any, **options: Any) -> Literal[True]:
        """Verify."""
        self.runs += 1
        return super().verify(*args, **options)


class Site:
    """The whole application, which prints its mails."""

    def __init__(self, url: str, **settings: str) -> None:
        given = {
            "sqlalchemy.url": url,
            "database.migrate_on_start": "true",
            "session.sweep_interval": "off",
            "retry.attempts": "3",
            "accounts.mail": "print",
            "accounts.url": "https://localhost",
        }
        own = {name.replace("__", "."): value for name, value in settings.items()}
        self.app = myapp.main({}, **(given | own))
        # Mails are sent when a test wants them.
        self.parts.mailer.stop()
        # Real parameters take a tenth of a second, and 64 MiB.
        self.hasher = CountingHasher()
        self.have(passwords=Passwords(15, ("myapp",), self.hasher))

    @property
    def parts(self) -> Accounts:
        """What the views work with."""
        parts: Accounts = self.app.registry[REGISTRY_KEY]
        return parts

    def have(self, **parts: Any) -> None:
        """Replace some of them: a clock, for example."""
        self.app.registry[REGISTRY_KEY] = replace(self.parts, **parts)

    def mails(self, address: str) -> list[Any]:
        """The mails to an address, those that are due included; the newest is the last."""
        sender = self.parts.mailer.sender
        while sender.send_due():
            pass
        return [mail for mail in sender.transport.printed if address in mail["To"]]

    def link(self, address: str) -> str:
        """The path of the link in the newest mail to an address."""
        text = self.mails(address)[-1].get_content()
        found = re.search(r"https?://[^/\s]+(/\S+)", text)
        assert found, text
        return found[1]

    def close(self) -> None:
        """Stop what runs, and leave no connection."""
        end(self.app)


class Person:
    """Somebody with a browser."""

    def __init__(self, site: Site, email: str = "ann@example.com", **environ: str) -> None:
        self.site, self.email = site, email
        self.browser = visitor(site.app)
        self.browser.extra_environ.update(environ)

    def get(self, path: str, **options: Any) -> Any:
        """A page."""
        return self.browser.get(path, **options)

    def send(self, path: str, /, page: str = "", status: Any = "*", **fields: str) -> Any:
        """Fill in the form on a page that leads to `path`, and send it."""
        form = form_to(self.get(page or path), path)
        for name, value in fields.items():
            form[name] = value
        return form.submit(status=status)

    def signs_up(self, password: str = PASSWORD) -> Any:
        """Sign up, without looking at the mail."""
        return self.send("/signup", email=self.email, password=password)

    def confirms(self, password: str = PASSWORD) -> Any:
        """Open the link of the newest mail, and confirm the address."""
        return self.send("/confirm", page=self.opens_link(), password=password)

    def opens_link(self) -> str:
        """Open the link of the newest mail. The path that it leads to."""
        answer = self.get(self.site.link(self.email))
        assert answer.status_int == 303, answer.text
        path: str = answer.location.removeprefix("https://localhost")
        return path

    def has_an_account(self, password: str = PASSWORD) -> Person:
        """Sign up and confirm, which signs in."""
        assert self.signs_up(password).status_int == 303
        assert self.confirms(password).status_int == 303
        return self

    def signs_in(self, password: str = PASSWORD, **fields: str) -> Any:
        """Sign in."""
        return self.send("/login", email=self.email, password=password, **fields)

    def signs_out(self) -> Any:
        """Sign out, by the button that every page has."""
        return form_to(self.get("/"), "/logout").submit()

    def is_in(self) -> bool:
        """Whether a page for members is shown."""
        return bool(self.get("/restricted", status="*").status_int == 200)


def form_to(page: Any, path: str) -> Any:
    """The form of a page that leads to a path."""
    found = [form for form in page.forms.values() if form.action.partition("?")[0] == path]
    assert len(found) == 1, f"{len(found)} forms lead to {path}:\n{page.text}"
    return found[0]
