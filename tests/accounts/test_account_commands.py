"""The commands for accounts: what they change, tell and say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import Result
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

import myapp
from myapp.accounts import links
from myapp.accounts.commands import cli
from myapp.accounts.models import Browser, Event, Link, Message, User
from myapp.accounts.parts import REGISTRY_KEY
from myapp.sessions import SessionManager, get_manager
from tests.command_line import called

ANN: Final = "ann@example.com"
ADMINISTRATOR: Final = ("--role", "administrator")


class Console:
    """Somebody who looks after an application, and the application itself."""

    def __init__(self, ini: Path, url: str) -> None:
        self.ini = ini
        given = {"sqlalchemy.url": url, "database.migrate_on_start": "true"}
        self.app = myapp.main(
            {}, **given, **{"accounts.mail": "print", "accounts.show_mail": "true"}
        )

    def run(self, *words: str, options: tuple[str, ...] = ()) -> Result:
        """What the command did."""
        given = [word for option in options for word in ("--set", option)]
        return called(cli, *given, str(self.ini), *words)

    def does(self, *words: str) -> str:
        """What the command says, which must do what it was told."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    @property
    def engine(self) -> Engine:
        engine: Engine = self.app.registry["dbengine"]
        return engine

    @property
    def manager(self) -> SessionManager:
        return get_manager(self.app.registry)

    def user(self) -> User:
        with Session(self.engine) as dbsession:
            return dbsession.scalars(select(User).where(User.email == ANN)).one()

    def all(self, kind: type[Any]) -> list[Any]:
        with Session(self.engine) as dbsession:
            return list(dbsession.scalars(select(kind)))


@pytest.fixture
def console(database_url: str, tmp_path: Path) -> Iterator[Console]:
    ini = tmp_path / "some.ini"
    ini.write_text(
        "[DEFAULT]\nhttp_port = 8099\n[app:main]\nuse = egg:myapp\naccounts.mail = print\n"
        "accounts.show_mail = true\n"
        f"sqlalchemy.url = {database_url.replace('%', '%%')}\n"
    )
    console = Console(ini, database_url)
    yield console
    console.app.registry[REGISTRY_KEY].engine.dispose()
    console.engine.dispose()
    console.manager.store.close()


def token_in(output: str) -> str:
    found = re.search(r"^http://localhost:8099/password-reset/(\S+)$", output, re.MULTILINE)
    assert found, output
    return str(found[1])


def test_the_first_administrator_chooses_a_password(console: Console) -> None:
    """A15: by the link of a mail, which can be sent without the application."""
    output = console.does("create", " Ann@Example.com ", *ADMINISTRATOR, "--send")
    user = console.user()
    assert (user.role, user.password_hash, user.may_sign_in) == ("administrator", None, True)
    assert [event.kind for event in console.all(Event)] == ["created"]
    assert console.all(Message) == []
    digest = links.digest_of(token_in(output))
    assert [link.digest for link in console.all(Link)] == [digest]


def test_the_application_sends_the_mail(console: Console) -> None:
    """A15: without --send it is queued, with the site for its link."""
    console.does("create", ANN)
    assert console.user().role == "user"
    sender = console.app.registry[REGISTRY_KEY].mailer.sender
    assert sender.send_due() == 1
    assert token_in(sender.transport.printed[0].get_content())


def test_a_disabled_user_is_out_at_once(console: Console) -> None:
    """A15: sessions, links and known browsers are gone with it."""
    console.does("create", ANN, "--send")
    before = console.user()
    with console.manager.session() as session:
        session.sign_in(before.id)
        token = session.token
    with Session(console.engine) as dbsession, dbsession.begin():
        dbsession.add(Browser(user_id=before.id, digest=b"x" * 32, seen_at=0))
    assert "sessions ended: 1" in console.does("disable", ANN)
    assert console.manager.load(token) is None
    after = console.user()
    assert not after.may_sign_in
    assert after.generation != before.generation
    assert console.all(Link) == []
    assert console.all(Browser) == []
    assert [(m.kind, m.email) for m in console.all(Message)] == [("disabled", ANN)]
    assert [event.kind for event in console.all(Event)] == ["created", "disabled"]


def test_nobody_is_told_twice(console: Console) -> None:
    """A15: what is so already is no news; sessions that are left are ended again."""
    console.does("create", ANN, "--send")
    for words in (("disable", ANN), ("enable", ANN), ("role", ANN, "administrator")):
        console.does(*words)
        console.does(*words)
    kinds = ["disabled", "enabled", "role-changed"]
    assert [message.kind for message in console.all(Message)] == kinds
    assert [event.kind for event in console.all(Event)] == ["created", *kinds]
    assert console.user().may_sign_in
    assert console.user().role == "administrator"


def test_a_change_is_made_and_told_or_neither(console: Console) -> None:
    """A6: the mail can't be queued, so nothing has happened; the error is one line."""
    console.does("create", ANN, "--send")
    with console.engine.begin() as connection:
        connection.execute(text("DROP TABLE account_messages"))
    for words in (("disable", ANN), ("role", ANN, "administrator"), ("create", "bob@example.com")):
        result = console.run(*words)
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1, result.stderr
    assert console.user().may_sign_in
    assert console.user().role == "user"
    assert [user.email for user in console.all(User)] == [ANN]
    assert [event.kind for event in console.all(Event)] == ["created"]


def test_a_reset_link_is_sent(console: Console) -> None:
    """A15: by command too, unless the account is disabled."""
    console.does("create", ANN, "--send")
    assert links.digest_of(token_in(console.does("send-reset", ANN, "--send")))
    console.does("disable", ANN)
    result = console.run("send-reset", ANN)
    assert (result.exit_code, console.all(Link)) == (1, [])
    assert result.stderr == "Error: ann@example.com is disabled: enable the account first\n"


def test_all_links_are_voided_after_a_restore(console: Console) -> None:
    """O8: those that a backup has brought back open nothing, and queued ones are not sent."""
    console.does("create", ANN, "--send")
    console.does("create", "bob@example.com")
    console.does("disable", ANN)
    console.does("enable", ANN)
    console.does("send-reset", ANN, "--send")
    assert len(console.all(Link)) == 2
    refused = console.run("void-links")
    assert refused.stderr.endswith("pass --yes\n")
    assert console.does("void-links", "--yes") == "2 links voided\n"
    assert console.all(Link) == []
    assert [message.kind for message in console.all(Message)] == []


def test_a_wrong_command_is_answered_with_the_nearest(console: Console) -> None:
    """O1: for accounts as for sessions."""
    assert "The nearest is send-reset." in console.run("send-rest", ANN).stderr


def test_an_account_is_shown(console: Console) -> None:
    """O1: for people, and as JSON for programs."""
    console.does("create", ANN)
    with console.manager.session() as session:
        session.sign_in(console.user().id)
    shown = json.loads(console.does("show", ANN, "--json"))
    assert shown["email"] == ANN
    assert (shown["role"], shown["has_password"], shown["disabled"]) == ("user", False, None)
    assert shown["mails_waiting"] == 1
    assert [each["browser"] for each in shown["sessions"]] == ["Unknown browser"]
    words = console.does("show", ANN)
    assert re.search(r"^has password +no$", words, re.MULTILINE)
    assert re.search(r"^sessions +1$", words, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "options", "status", "error"),
    [
        (("create", "ann"), (), 1, "'ann' is not an e-mail address"),
        (("disable", "bob@example.com"), (), 1, "bob@example.com has no account"),
        (("show", "bob@example.com"), (), 1, "bob@example.com has no account"),
        (("create", ANN, "--role", "king"), (), 2, "is not one of"),
        (("role", ANN, "king"), (), 2, "is not one of"),
        (
            ("create", ANN),
            ("accounts.mail=off", "accounts.show_mail=false"),
            1,
            "accounts.mail is off",
        ),
        (("create", ANN), ("accounts.mail=maybe",), 1, "accounts.mail = maybe"),
        (("create", ANN), ("nonsense",), 2, "expected NAME=VALUE"),
    ],
)
def test_what_can_be_mended_is_said_in_a_line(
    tmp_path: Path, words: tuple[str, ...], options: tuple[str, ...], status: int, error: str
) -> None:
    """O1: 1 for what can't be done, 2 for what can't be understood."""
    ini = tmp_path / "some.ini"
    ini.write_text(
        "[app:main]\nuse = egg:myapp\naccounts.mail = print\n"
        "accounts.show_mail = true\ndatabase.migrate_on_start = true\n"
        "sqlalchemy.url = sqlite:///%(here)s/some.sqlite\n"
    )
    given = [word for option in options for word in ("--set", option)]
    result = called(cli, *given, ini, *words)
    assert result.exit_code == status, result.output
    assert error in result.output.splitlines()[-1]


def test_an_account_is_made_once(console: Console) -> None:
    """A15: the second time is an error, whatever the spelling."""
    console.does("create", ANN)
    result = console.run("create", "ANN@EXAMPLE.COM")
    assert result.exit_code == 1
    assert result.stderr == "Error: ann@example.com has an account already\n"


def test_the_help_has_an_example() -> None:
    """O1: that of the first administrator."""
    result = called(cli, "--help")
    assert "create ann@example.com --role administrator" in result.output
