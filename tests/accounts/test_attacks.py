"""Attacks on people's accounts, each named after what somebody would call it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import pytest
from pyramid_retry import RetryableException
from sqlalchemy import Engine, event

from harness.servers.postgresql import PostgreSQL
from harness.wire import Proxy
from myapp.sessions import get_manager
from myapp.sessions.testing import stored_session
from tests.accounts.conftest import MakeSite
from tests.accounts.people import ANOTHER, PASSWORD, Person, Site, form_to
from tests.functional.visitors import visitor

EVIL = "https://evil.example"


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements of everybody in this process."""
    seen: list[str] = []

    def see(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", see)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", see)


def cookie_of(person: Person) -> str:
    """The token of a browser's session."""
    name = get_manager(person.site.app.registry).settings.cookie_name
    token: str = person.browser.cookies[name]
    return token.strip('"')


def test_session_fixation_at_sign_in(site: Site) -> None:
    """R4, ASVS 7.2.4: a token that an attacker planted opens nothing once its victim signs in."""
    Person(site).has_an_account()
    attacker = Person(site)
    with stored_session(attacker.browser) as stored:
        stored["planted"] = True
    planted = cookie_of(attacker)
    victim = Person(site)
    plant(attacker, victim)
    assert victim.signs_in().status_int == 303
    assert cookie_of(victim) != planted
    assert victim.is_in()
    assert not attacker.is_in()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.localhost"},
        {"Origin": EVIL},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_login_csrf(site: Site, headers: dict[str, str]) -> None:
    """A13: another site signs nobody in, as itself for example, nor sends mails in their name."""
    attacker = Person(site, "eve@example.com").has_an_account()
    before = len(site.mails(attacker.email))
    victim = visitor(site.app)
    fields = {"email": attacker.email, "password": PASSWORD}
    for page in ("/login", "/signup", "/forgotten-password"):
        answer = victim.post(page, fields, headers=headers, status=400)
        assert "Set-Cookie" not in answer.headers
    assert len(site.mails(attacker.email)) == before


def test_a_client_that_says_nothing_gets_the_form_again(site: Site) -> None:
    """A13: filled in but for the password, as 400, with a token that then counts."""
    Person(site).has_an_account()
    silent = Person(site)
    del silent.browser.extra_environ["HTTP_ORIGIN"]
    answer = silent.signs_in()
    assert answer.status_int == 400
    form = form_to(answer, "/login")
    assert form["email"].value == "ann@example.com"
    assert form["password"].value == ""
    form["password"] = PASSWORD
    assert form.submit().status_int == 303
    assert silent.is_in()


def test_a_reset_link_poisoned_by_host(make_site: MakeSite) -> None:
    """A5: links begin with the site's own address, whatever the request claims."""
    site = make_site(accounts__url="https://shop.example/members")
    Person(site, HTTP_HOST="evil.example", HTTP_ORIGIN=EVIL).signs_up()
    poisoned = Person(site, HTTP_X_FORWARDED_HOST="evil.example")
    poisoned.browser.extra_environ["HTTP_X_FORWARDED_PROTO"] = "https"
    poisoned.signs_up()
    texts = [mail.get_content() for mail in site.mails("ann@example.com")]
    assert len(texts) == 2
    for text in texts:
        assert "https://shop.example/members/confirm/" in text
        assert "evil" not in text


def test_a_link_opened_by_a_mail_scanner(site: Site) -> None:
    """A5: a GET changes nothing, however often; the token leaves the address at once."""
    ann = Person(site)
    ann.signs_up()
    link = site.link(ann.email)
    for _ in range(3):
        scanner = Person(site)
        answer = scanner.get(link)
        assert answer.location == "https://localhost/confirm"
        assert answer.headers["Cache-Control"] == "no-store"
        scanner.browser.head(link)
    assert ann.confirms().status_int == 303


def test_a_link_alive_after_a_change_of_password(site: Site) -> None:
    """A5: whoever has an old link, opened already or not, has nothing."""
    ann = Person(site).has_an_account()
    thief, another = Person(site), Person(site)
    thief.send("/forgotten-password", email=ann.email)
    thief.opens_link()
    link = site.link(ann.email)
    ann.send("/account/password", password=PASSWORD, new_password=ANOTHER)
    assert thief.get("/password-reset", status="*").status_int == 410
    assert another.get(link, status="*").status_int == 410


def test_an_account_prepared_by_an_attacker(site: Site) -> None:
    """A3: the owner of an address who confirms it by mistake makes no account of the attacker's,
    and the attacker's password opens nothing that the owner makes later.
    """
    attacker, owner = Person(site), Person(site)
    attacker.signs_up("the attacker knows this")
    assert owner.confirms("anything the owner thinks of").status_int == 422
    assert attacker.signs_in("the attacker knows this").status_int == 422
    owner.signs_up()
    assert owner.confirms().status_int == 303
    assert attacker.signs_in("the attacker knows this").status_int == 422
    assert owner.is_in()


def test_a_disabled_users_sessions_living_on(site: Site) -> None:
    """A15: each is out at its next request, and neither a password nor a link lets them in."""
    ann = Person(site).has_an_account()
    phone, thief = Person(site), Person(site)
    phone.signs_in()
    thief.send("/forgotten-password", email=ann.email)
    link = site.link(ann.email)
    with site.parts.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET disabled_at = 1")
    assert not ann.is_in()
    assert not phone.is_in()
    assert ann.signs_in().status_int == 422
    assert thief.get(link, status="*").status_int == 410


def seen(site: Site, page: str, **fields: str) -> tuple[Any, ...]:
    """What somebody learns by sending a form, who also counts and measures."""
    person = Person(site)
    site.hasher.runs = 0
    form = form_to(person.get(page), page)
    for name, value in fields.items():
        form[name] = value
    with statements() as said:
        answer = form.submit(status="*")
    words = answer.text.replace(fields["email"], "…")
    kept = sorted(answer.headers.items())
    return answer.status_int, words, kept, said, site.hasher.runs


@pytest.mark.parametrize(
    ("page", "runs"), [("/login", 1), ("/signup", 1), ("/forgotten-password", 0)]
)
def test_enumeration(site: Site, page: str, runs: int) -> None:
    """A3: nobody learns who has an account: not by words, statements, or runs of argon2."""
    Person(site).has_an_account()
    fields = {} if page == "/forgotten-password" else {"password": "is it this one then"}
    warm_up = seen(site, page, email="zoe@example.com", **fields)
    unknown = seen(site, page, email="bob@example.com", **fields)
    known = seen(site, page, email="ann@example.com", **fields)
    assert known == unknown
    assert known[-1] == runs
    assert warm_up[0] == known[0]


def test_another_users_handle(site: Site) -> None:
    """A10, ASVS 7.5.2: is not found, whatever is to be done with it."""
    ann = Person(site).has_an_account()
    eve = Person(site, "eve@example.com").has_an_account()
    (session,) = get_manager(site.app.registry).of_user(1)
    for path in ("name", "end"):
        assert eve.get(f"/account/devices/{session.handle}/{path}", status="*").status_int == 404
    token = form_to(eve.get("/account"), "/logout")["csrf_token"].value
    for path, fields in ("name", {"name": "mine"}), ("end", {"password": PASSWORD}):
        sent = fields | {"csrf_token": token}
        answer = eve.browser.post(f"/account/devices/{session.handle}/{path}", sent, status="*")
        assert answer.status_int == 404
    assert ann.is_in()


ELSEWHERE = (
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "http:evil.example",
    "http:///evil.example",
    "https:/evil.example",
    "HTTPS://evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "@evil.example",
    ".evil.example",
    "/\x00/evil.example",
    "/é//evil.example",
    "/\u2028/evil.example",
    "?next=//evil.example",
    "/" + "a" * 3000,
    "",
)


def test_open_redirect_by_next(make_site: MakeSite, subtests: pytest.Subtests) -> None:
    """A1: after signing in one stays on the site, however the address is spelt."""
    site = make_site(accounts__throttle="false")
    ann = Person(site).has_an_account()
    for elsewhere in ELSEWHERE:
        with subtests.test(elsewhere[:80]):
            shown = ann.browser.get("/login", {"next": elsewhere}, status="*")
            assert shown.location == "https://localhost/restricted"
            ann.signs_out()
            form = form_to(ann.get("/login"), "/login")
            form["email"], form["password"] = ann.email, PASSWORD
            form["next"].force_value(elsewhere)
            assert form.submit().location == "https://localhost/restricted"


def test_the_password_is_in_no_answer(site: Site) -> None:
    """A2: no form is filled in with what was typed into a password's field."""
    ann = Person(site)
    for page in ("/signup", "/login"):
        answer = ann.send(page, email="nobody", password="a secret of fifteen")
        assert answer.status_int == 422
        assert "a secret of fifteen" not in answer.text


def test_a_page_of_one_person_is_kept_by_no_cache(site: Site) -> None:
    """S8, ASVS 14.3.2: signed-in pages are not stored; a visitor's page says what it depends on."""
    ann = Person(site).has_an_account()
    for path in ("/", "/account", "/account/devices", "/restricted", "/account/password"):
        assert ann.get(path).headers["Cache-Control"] == "no-store", path
        assert "Cookie" in ann.get(path).headers["Vary"], path
    assert "Cookie" in Person(site).get("/login").headers["Vary"]


def test_x_forwarded_for_believed_for_throttling(site: Site) -> None:
    """A4, ASVS 4.1.3: who claims to be everywhere is still in one place."""
    person = Person(site)
    form = form_to(person.get("/forgotten-password"), "/forgotten-password")
    answers = []
    for number in range(12):
        form["email"] = f"nobody{number}@example.com"
        claimed = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
        answers.append(form.submit(headers=claimed, status="*"))
    assert [answer.status_int for answer in answers] == [303] * 10 + [429] * 2
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 360


def test_an_owner_locked_out_by_others(site: Site) -> None:
    """A4: a stranger uses up what the account is allowed elsewhere; its owner's browser passes."""
    ann = Person(site).has_an_account()
    ann.signs_out()
    stranger = Person(site, REMOTE_ADDR="192.0.2.1")
    refused = [stranger.signs_in("a wrong password 1").status_int for _ in range(11)]
    assert refused == [422] * 10 + [429]
    assert Person(site, REMOTE_ADDR="192.0.2.2").signs_in().status_int == 429
    assert ann.signs_in().status_int == 303
    # And where no browser is known, a link leads past it.
    elsewhere = Person(site, REMOTE_ADDR="192.0.2.3")
    elsewhere.send("/forgotten-password", email=ann.email)
    reset = elsewhere.send("/password-reset", page=elsewhere.opens_link(), new_password=ANOTHER)
    assert reset.status_int == 303


def test_a_throttle_passed_in_an_outage(postgresql: PostgreSQL) -> None:
    """A4, L8: where attempts can't be counted no password is looked at, and nobody is let in."""
    with postgresql.database() as url, Proxy(url) as proxy:
        site = Site(proxy.url)
        person = Person(site).has_an_account()
        person.signs_out()
        form = form_to(person.get("/login"), "/login")
        form["email"], form["password"] = person.email, PASSWORD
        proxy.refuse()
        proxy.drop()
        site.hasher.runs = 0
        answer = form.submit(status="*")
        assert answer.status_int == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert site.hasher.runs == 0
        site.close()


def test_a_throttle_that_a_repeated_request_passes(site: Site) -> None:
    """A4, S11: a request that is repeated after a lost race is counted once, and at least once."""
    Person(site).has_an_account()
    person = Person(site)
    form = form_to(person.get("/login"), "/login")
    form["email"], form["password"] = person.email, "a wrong password 1"
    answers = []
    for number in range(12):
        with lost_races(site, number % 3):
            answers.append(form.submit(status="*").status_int)
    assert answers == [422] * 10 + [429] * 2


@contextmanager
def lost_races(site: Site, count: int) -> Iterator[None]:
    """Let the first look-ups of a user lose a race that is worth another attempt."""
    left = count

    def lose(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        nonlocal left
        if left and "FROM users" in statement:
            left -= 1
            raise RetryableException

    engine = site.app.registry["dbengine"]
    event.listen(engine, "before_cursor_execute", lose)
    yield
    event.remove(engine, "before_cursor_execute", lose)


def test_a_link_read_in_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A5, R6: not even where it meets a fault of ours."""
    ann = Person(site)
    ann.signs_up()
    link = site.link(ann.email)
    caplog.clear()
    with site.parts.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE account_links")
    assert ann.get(link, status="*").status_int == 500
    assert "GET /confirm/{token} failed" in caplog.text
    assert link.rpartition("/")[2] not in caplog.text


def test_a_throttle_that_a_repeated_refusal_passes(site: Site) -> None:
    """A4, S11: who is to wait still is when the refusal is repeated after a lost race."""
    Person(site).has_an_account()
    eve = Person(site, "eve@example.com").has_an_account()
    stranger = Person(site)
    for _ in range(10):
        stranger.signs_in("a wrong password 1")
    # Whoever is signed in is looked up for the page that refuses.
    fields = {"email": "ann@example.com", "password": PASSWORD}
    with lost_races(site, 1):
        assert eve.browser.post("/login", fields, status="*").status_int == 429


def plant(attacker: Person, victim: Person) -> None:
    """Have a victim's browser send the cookies of the attacker's."""
    for name, value in attacker.browser.cookies.items():
        victim.browser.set_cookie(name, value.strip('"'))


@pytest.mark.parametrize("path", ["/password-reset", "/confirm"])
def test_session_fixation_at_a_link(site: Site, path: str) -> None:
    """A5, R1: what a victim's link opens is not open in the session that an attacker planted."""
    attacker, victim = Person(site), Person(site)
    if path == "/confirm":
        victim.signs_up()
    else:
        Person(site).has_an_account()
        victim.send("/forgotten-password", email=victim.email)
    with stored_session(attacker.browser) as stored:
        stored["planted"] = True
    plant(attacker, victim)
    assert victim.opens_link() == path
    assert attacker.get(path, status="*").status_int == 410
    assert victim.get(path).status_int == 200


def test_a_link_opened_while_forms_are_open(site: Site) -> None:
    """A5, R1: those of somebody who is signed in go on."""
    ann = Person(site).has_an_account()
    tab = form_to(ann.get("/account/password"), "/account/password")
    ann.send("/forgotten-password", email=ann.email)
    ann.opens_link()
    tab["password"], tab["new_password"] = PASSWORD, ANOTHER
    assert tab.submit().status_int == 303


def browser_cookie_of(person: Person) -> tuple[str, str]:
    """Name and value of the cookie that its browser is known by."""
    ((name, value),) = [
        each for each in person.browser.cookies.items() if each[0].endswith("_browser")
    ]
    return name, value


def test_a_known_browser_that_an_attacker_planted(site: Site) -> None:
    """A4, A15: a browser is known by a cookie of ours, never by one that it brought along."""
    Person(site).has_an_account()
    eve = Person(site, "eve@example.com").has_an_account()
    name, of_eve = browser_cookie_of(eve)
    for planted in (of_eve, "A" * 43):
        victim = Person(site)
        victim.browser.set_cookie(name, planted)
        victim.signs_in()
        assert browser_cookie_of(victim)[1] != planted


def test_a_browser_that_two_people_share(site: Site) -> None:
    """A4, A15: both stay known in it, whoever signs in."""
    Person(site, "bob@example.com").has_an_account()
    shared = Person(site).has_an_account()
    for email in ("bob@example.com", "ann@example.com", "bob@example.com"):
        shared.signs_out()
        shared.email = email
        shared.signs_in()
    assert len(site.mails("ann@example.com")) == 1, "more than the link to confirm by"
    assert len(site.mails("bob@example.com")) == 2, "more than that and the first sign-in here"


def test_a_known_browser_alive_after_a_change_of_password(site: Site) -> None:
    """A4, A6: the copy of its cookie that a thief has makes no browser known any more."""
    ann = Person(site).has_an_account()
    for change in ("/account/password", "/account/devices/end-others"):
        name, stolen = browser_cookie_of(ann)
        fields = {"new_password": PASSWORD} if change == "/account/password" else {}
        ann.send(change, password=PASSWORD, **fields)
        assert browser_cookie_of(ann)[1] != stolen
        thief = Person(site)
        thief.browser.set_cookie(name, stolen)
        before = len(site.mails(ann.email))
        thief.signs_in()
        assert "new browser" in site.mails(ann.email)[-1]["Subject"]
        assert len(site.mails(ann.email)) == before + 1


@pytest.mark.parametrize("path", ["/confirm", "/password-reset"])
def test_a_client_that_says_nothing_and_has_no_link(site: Site, path: str) -> None:
    """A5, A13: is told that the link no longer works."""
    silent = Person(site)
    del silent.browser.extra_environ["HTTP_ORIGIN"]
    answer = silent.browser.post(path, {"password": PASSWORD}, status="*")
    assert answer.status_int == 410
    assert "no longer works" in answer.text
    assert "Set-Cookie" not in answer.headers


def test_a_session_of_another_policys_user(site: Site) -> None:
    """R7: is nobody's here, whatever number that user had."""
    for number in ("1", "0001", "9" * 19, "9" * 255, "²"):
        person = Person(site)
        with stored_session(person.browser) as stored:
            stored.sign_in(number)
        assert person.get("/restricted").status_int == 303, number


def test_forms_in_other_tabs_that_a_silent_client_spoils(site: Site) -> None:
    """A13: whoever is signed in, and asked to send a form again, keeps the session's token."""
    ann = Person(site).has_an_account()
    tab = form_to(ann.get("/account/password"), "/account/password")
    origin = ann.browser.extra_environ.pop("HTTP_ORIGIN")
    asked_again = ann.browser.post("/login", {"email": ann.email}, status=400)
    assert form_to(asked_again, "/login")["csrf_token"].value
    ann.browser.extra_environ["HTTP_ORIGIN"] = origin
    tab["password"], tab["new_password"] = PASSWORD, ANOTHER
    assert tab.submit(status="*").status_int == 303


def test_an_address_on_the_page_of_a_link_is_kept_by_no_cache(site: Site) -> None:
    """A5, ASVS 14.3.2: these pages name somebody who is not signed in."""
    ann = Person(site)
    ann.signs_up()
    assert ann.get(ann.opens_link()).headers.get("Cache-Control") == "no-store"
    ann.confirms()
    ann.signs_out()
    ann.send("/forgotten-password", email=ann.email)
    assert ann.get(ann.opens_link()).headers.get("Cache-Control") == "no-store"
    refused = ann.send("/password-reset", new_password="short")
    assert refused.status_int == 422
    assert refused.headers.get("Cache-Control") == "no-store"


def test_one_address_confirmed_twice_at_once(each_site: Site) -> None:
    """A3, A5, S11: one gets the account, and the other is told so, whoever deadlocks with whom."""
    for number in range(5):
        rivals = [Person(each_site, f"ann{number}@example.com") for _ in range(2)]
        for rival in rivals:
            rival.signs_up()
            rival.opens_link()
        forms = [form_to(rival.get("/confirm"), "/confirm") for rival in rivals]
        start = Barrier(2)

        def confirm(form: Any, start: Barrier = start) -> int:
            form["password"] = PASSWORD
            start.wait()
            status: int = form.submit(status="*").status_int
            return status

        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(confirm, forms)) == [303, 410]
        assert sorted(rival.is_in() for rival in rivals) == [False, True]
