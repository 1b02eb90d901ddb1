"""A6: a change of an account's security is one commit, wherever sessions are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine, event, select

from myapp.accounts.models import Browser, Event, Link, Message, User
from myapp.accounts.passwords import Passwords
from myapp.database import create_database_engine
from myapp.sessions import model
from tests.accounts.people import ANOTHER, PASSWORD, Person, Site, form_to

TABLES: Final = (User, Link, Message, Event, Browser)
Change = Callable[[Person], Any]


@pytest.fixture
def site(place: str, database_url: str, tmp_path: Path) -> Iterator[Site]:
    """A site that saves sessions within its transaction, or beside it, or in another database."""
    settings = {"joined": {}, "apart": {"session__join": "false"}}.get(place)
    if settings is None:
        settings = {"session__url": f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"}
        engine = create_database_engine(settings["session__url"])
        model.metadata.create_all(engine)
        engine.dispose()
    site = Site(database_url, accounts__throttle="false", **settings)
    yield site
    site.close()


@contextmanager
def broken(engine: Engine, step: int) -> Iterator[None]:
    """Let the application's transactions fail at their nth statement, counted from 0, or at their
    commit if it is -1.
    """
    seen = 0

    def execute(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == step + 1:
            raise RuntimeError("broken on purpose")

    def commit(connection: Any) -> None:
        if step == -1:
            # As a database does that can't commit.
            connection.connection.dbapi_connection.rollback()
            raise RuntimeError("broken on purpose")

    listeners = (("before_cursor_execute", execute), ("commit", commit))
    for name, listener in listeners:
        event.listen(engine, name, listener)
    yield
    for name, listener in listeners:
        event.remove(engine, name, listener)


def contents(site: Site) -> list[Any]:
    """All that is stored of accounts."""
    with site.parts.engine.connect() as connection:
        return [connection.execute(select(table)).all() for table in TABLES]


def change_password(ann: Person) -> Any:
    """Change it from the account's page."""
    form = form_to(ann.get("/account/password"), "/account/password")
    form["password"], form["new_password"] = PASSWORD, ANOTHER
    return lambda: form.submit(status="*")


def reset_password(ann: Person) -> Any:
    """Change it by a link."""
    forgetful = Person(ann.site)
    forgetful.send("/forgotten-password", email=ann.email)
    form = form_to(forgetful.get(forgetful.opens_link()), "/password-reset")
    form["new_password"] = ANOTHER
    return lambda: form.submit(status="*")


def end_others(ann: Person) -> Any:
    """Sign all others out."""
    form = form_to(ann.get("/account/devices/end-others"), "/account/devices/end-others")
    form["password"] = PASSWORD
    return lambda: form.submit(status="*")


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("joined", change_password),
        ("joined", reset_password),
        ("joined", end_others),
        ("apart", change_password),
        ("elsewhere", change_password),
    ],
)
def test_a_change_that_fails_at_any_step_has_not_happened(site: Site, change: Change) -> None:
    """A6: rolled back, nothing of it happened; committed, all of it has."""
    ann = Person(site).has_an_account()
    phone = Person(site)
    phone.signs_in()
    site.mails(ann.email)
    send = change(ann)
    engine = site.app.registry["dbengine"]
    before = contents(site)
    step = -1
    while True:
        with broken(engine, step):
            answer = send()
        if answer.status_int == 303:
            break
        assert answer.status_int == 500, step
        assert contents(site) == before, step
        assert phone.is_in(), step
        assert ann.is_in(), step
        step += 1
    assert step > 5, "it took fewer statements than a change has"
    assert not phone.is_in()
    after = contents(site)
    assert all(a != b for a, b in zip(before[:1] + before[3:], after[:1] + after[3:], strict=True))


class SlowHasher(PasswordHasher):
    """One during whose first look at a password something else happens."""

    def __init__(self, meanwhile: Callable[[], Any]) -> None:
        super().__init__(time_cost=2, memory_cost=8, parallelism=1)
        self._waiting = [meanwhile]

    def verify(self, *args: Any, **options: Any) -> Literal[True]:
        """Verify."""
        if self._waiting:
            assert self._waiting.pop()().status_int == 303
        return super().verify(*args, **options)


def while_hashing(site: Site, meanwhile: Callable[[], Any]) -> None:
    """Let something happen while the next password is looked at, by a hash that is outdated."""
    site.have(passwords=Passwords(15, ("myapp",), SlowHasher(meanwhile)))


def test_a_password_changed_by_a_thief_while_its_owner_resets_it(each_site: Site) -> None:
    """A6: the one who proved the old password is too late, also by a moment."""
    site = each_site
    Person(site).has_an_account()
    thief, ann = Person(site), Person(site)
    thief.signs_in()
    reset = reset_password(ann)
    form = form_to(thief.get("/account/password"), "/account/password")
    form["password"], form["new_password"] = PASSWORD, "what the thief would like"
    while_hashing(site, reset)
    answer = form.submit(status="*")
    assert answer.location.startswith("https://localhost/login")
    assert not thief.is_in()
    assert Person(site).signs_in("what the thief would like").status_int == 422
    assert Person(site).signs_in(ANOTHER).status_int == 303


def test_an_old_hash_renewed_while_the_password_is_changed(each_site: Site) -> None:
    """A2, A6: a sign-in that was under way does not bring the old password back."""
    site = each_site
    ann = Person(site).has_an_account()
    change = change_password(ann)
    late = Person(site)
    form = form_to(late.get("/login"), "/login")
    form["email"], form["password"] = ann.email, PASSWORD
    while_hashing(site, change)
    assert form.submit(status="*").status_int == 422
    assert not late.is_in()
    assert Person(site).signs_in(ANOTHER).status_int == 303
    assert ann.is_in()
