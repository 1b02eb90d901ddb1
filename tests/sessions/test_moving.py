"""Old sessions of Pyramid's own kinds become ours, once, and nobody is signed out by that."""

import logging
import pickle
import string
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from pyramid.authentication import AuthTktCookieHelper
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPInternalServerError
from pyramid.request import Request
from sqlalchemy import create_engine
from webob.cookies import SignedSerializer

from myapp.sessions import SessionEvent, SessionMoved, SessionStarted, SettingError
from myapp.sessions.moving import get_counts
from tests.sessions.app import App, Clock, create_table
from tests.sessions.conftest import MakeApp
from tests.sessions.moving import (
    OLD,
    SECRET,
    SIGNED,
    TICKETS,
    deletes_old,
    holding,
    moved,
    old_cookies,
    ours,
    send,
    ticket,
)


def sign_in(request: Request) -> None:
    """What an old application did: the user is a key, beside a cart, a message and a token."""
    request.session.update(user="ann", cart=[1, 2])
    request.session.flash("Welcome", "news")
    request.session["_csrft_"] = "of a form in another tab"


def shown(request: Request) -> dict[str, Any]:
    session = request.session
    return {
        "user": request.authenticated_userid,
        "values": dict(session),
        "flash": session.peek_flash("news"),
        "csrf": session.csrf_token,
        "method": session.method,
    }


def fail(request: Request) -> Any:
    len(request.session)
    return HTTPInternalServerError()


VIEWS: dict[str, Any] = {
    "show": shown,
    "fail": fail,
    "user": lambda request: request.authenticated_userid or "nobody",
    "add": lambda request: request.session["cart"].append(request.params["what"]),
    "pop": lambda request: request.session.pop_flash("news"),
    "out": lambda request: request.session.sign_out(),
    "other": lambda request: request.session.sign_in("bob", generation=b"of bob"),
    "held": lambda request: len(request.session),
    "untouched": lambda request: "nothing",
    "deadline": lambda request: setattr(
        request.session, "deadline", request.session.deadline.replace(microsecond=0)
    ),
}


@pytest.fixture
def events() -> list[SessionEvent]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(make_app: MakeApp, events: list[SessionEvent], clock: Clock) -> App:
    def configure(config: Configurator) -> None:
        config.add_subscriber(events.append, SessionEvent)

    return moved(make_app, VIEWS, SIGNED, configure=configure, clock=clock)


def test_an_old_session_becomes_ours(app: App, events: list[SessionEvent]) -> None:
    """O7: contents, user, messages and token; stored as a sign-in's, under a fresh token, once."""
    response = send(app, "/show", old_cookies(sign_in))
    assert response.json == {
        "user": "ann",
        "values": {"user": "ann", "cart": [1, 2]},
        "flash": ["Welcome"],
        "csrf": "of a form in another tab",
        "method": "moved",
    }
    assert ours(response)
    assert deletes_old(response)
    (row,) = app.rows()
    assert (row.user_id, row.generation) == ("ann", b"of ann")
    assert [type(event) for event in events] == [SessionStarted, SessionMoved]
    again = send(app, "/show", ours(response))
    assert again.json == response.json
    assert not again.headers.getall("Set-Cookie")
    assert get_counts(app.router.registry).moved == {"signed_cookie": 1}


def test_nobody_proved_just_now_who_they_are(app: App) -> None:
    """O7, A8: what asks for a fresh proof asks for it after a move."""
    send(app, "/show", old_cookies(sign_in))
    ((info, _),) = app.manager.iterate()
    assert info.method == "moved"
    assert info.confirmed_at is not None
    assert info.confirmed_at < info.created


def test_requests_on_their_way_get_the_same_session(app: App, clock: Clock) -> None:
    """O7: they bear the old cookie still, change the one session, and get no cookie of their own;
    after a minute nothing comes of it, once the new cookie is in use.
    """
    old = old_cookies(sign_in)
    first = ours(send(app, "/add?what=tea", old))
    late = send(app, "/add?what=jam", old)
    assert late.status_int == 200
    assert not ours(late)
    assert not ours(send(app, "/deadline", old))
    assert send(app, "/show", first).json["values"]["cart"] == [1, 2, "tea", "jam"]
    clock.forward(121)
    send(app, "/add?what=oil", first)
    stolen = send(app, "/user", old)
    assert stolen.text == "nobody"
    assert deletes_old(stolen)
    assert len(app.rows()) == 1
    assert get_counts(app.router.registry).late["signed_cookie"] == 3


def test_a_lost_response_signs_nobody_out(app: App, clock: Clock) -> None:
    """O7: the browser that never got the new cookie gets one, though a minute has passed."""
    old = old_cookies(sign_in)
    send(app, "/show", old)
    clock.forward(600)
    healed = send(app, "/user", old)
    assert healed.text == "ann"
    assert send(app, "/user", ours(healed)).text == "ann"
    assert len(app.rows()) == 1


def test_an_old_cookie_opens_nothing_after_signing_out(app: App, clock: Clock) -> None:
    """O7: be it at once, in the request that adopts it, or long afterwards."""
    for path in ("/out", "/show"):
        old = old_cookies(holding({"path": path}, and_then=sign_in))
        response = send(app, path, old)
        assert deletes_old(response)
        if path == "/show":
            send(app, "/out", ours(response))
        clock.forward(120)
        app.manager.store.sweep(clock(), 100)
        assert send(app, "/user", old).text == "nobody"
        assert not app.rows()


def padded(cookie: str) -> str:
    """What base64 is not bothered by: padding, and characters that are not its own."""
    return f"{cookie}===="


def with_junk(cookie: str) -> str:
    return f"{cookie[:20]}....{cookie[20:]}"


def with_a_spare_bit(cookie: str) -> str:
    """The last character of base64 has bits that say nothing, unless its length is a multiple."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    return cookie[:-1] + alphabet[alphabet.index(cookie[-1]) ^ 1]


def in_upper_case(cookie: str) -> str:
    """The digits of a ticket's moment, which follow those of SHA-512."""
    begin = cookie.index("=") + 1 + 128
    return cookie[:begin] + cookie[begin : begin + 8].upper() + cookie[begin + 8 :]


def with_an_escape(cookie: str) -> str:
    """The first letter of a ticket's user as in a URL."""
    begin = cookie.index("=") + 1 + 128 + 8
    return f"{cookie[:begin]}%{ord(cookie[begin]):02X}{cookie[begin + 1 :]}"


@pytest.mark.parametrize("rewrite", [padded, with_junk, with_a_spare_bit])
def test_a_rewritten_cookie_opens_nothing_after_signing_out(
    app: App, rewrite: Callable[[str], str]
) -> None:
    """O7: a link is keyed on what was signed, however the cookie is written."""
    sizes = set()
    for cart in ("", "x", "xx", "xxx"):
        old = old_cookies(holding({"user": "ann", "cart": cart}))
        sizes.add((len(old) - len(f"{OLD}=")) % 4)
        send(app, "/out", ours(send(app, "/user", old)))
        if rewrite is not with_a_spare_bit or (len(old) - len(f"{OLD}=")) % 4:
            assert send(app, "/user", rewrite(old)).text == "nobody"
    assert len(sizes) > 1


@pytest.mark.parametrize("rewrite", [in_upper_case, with_an_escape])
def test_a_rewritten_ticket_opens_nothing_after_signing_out(
    make_app: MakeApp, rewrite: Callable[[str], str]
) -> None:
    """O7: AuthTkt's signature covers the moment as a number and the user without escapes."""
    app = moved(make_app, VIEWS, TICKETS)
    remembered = AuthTktCookieHelper(SECRET, hashalg="sha512")
    remembered.now = 0x6ABCDEF0
    (_, header), *_ = remembered.remember(Request.blank("/"), "ann")
    old = header.partition(";")[0]
    assert rewrite(old) != old
    send(app, "/out", ours(send(app, "/user", old)))
    assert send(app, "/user", rewrite(old)).text == "nobody"


def test_a_cookie_without_a_user_does_not_open_the_users_session(make_app: MakeApp) -> None:
    """O7: where two old cookies became one session, only the one that bore the user opens it."""
    given = SIGNED | TICKETS | {"moving.from": "signed_cookie auth_tkt"}
    app = moved(make_app, VIEWS, given)
    cart = old_cookies(holding({"cart": [3]}))
    bob = old_cookies(ticket("bob"))
    both = f"{cart}; {bob}"
    assert send(app, "/user", both).text == "bob"
    assert send(app, "/show", cart).json["values"] == {}
    assert send(app, "/user", bob).text == "bob"
    assert send(app, "/user", both).text == "bob"


def test_a_ticket_of_another_user_does_not_open_the_users_session(make_app: MakeApp) -> None:
    """O7: bob's ticket beside ann's session came along, and is not what signed her in."""
    given = SIGNED | TICKETS | {"moving.from": "signed_cookie auth_tkt"}
    app = moved(make_app, VIEWS, given)
    ann, bob = old_cookies(sign_in), old_cookies(ticket("bob"))
    assert send(app, "/user", f"{ann}; {bob}").text == "ann"
    assert send(app, "/user", bob).text == "nobody"
    assert send(app, "/user", ann).text == "ann"


def test_an_old_cookie_does_not_take_over_a_visitors_session(app: App, clock: Clock) -> None:
    """O7: nothing says whether such a session is in use, so after a minute only the new cookie
    opens it.
    """
    old = old_cookies(holding({"cart": [3]}))
    new = ours(send(app, "/show", old))
    assert send(app, "/show", old).json["values"] == {"cart": [3]}
    clock.forward(500)
    send(app, "/show", new)
    clock.forward(500)
    assert send(app, "/show", old).json["values"] == {}
    clock.forward(120)
    assert send(app, "/show", new).json["values"] == {"cart": [3]}


@contextmanager
def no_links(app: App, *, but: int = 0) -> Iterator[None]:
    """Until the end of the block the database takes no link between an old session and ours, but
    so many in all.
    """
    engine = create_engine(app.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER no_links BEFORE INSERT ON sessions WHEN NEW.manager LIKE '%.moved'"
            f" AND (SELECT count(*) FROM sessions WHERE manager LIKE '%.moved') >= {but}"
            " BEGIN SELECT RAISE(ABORT, 'no links'); END"
        )
    yield
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER no_links")
    engine.dispose()


def test_signing_out_is_not_pretended(app: App) -> None:
    """O7, S6: where it can't be noted that the old session ended, the answer is 503, the old cookie
    stays, and trying again works.
    """
    old = old_cookies(sign_in)
    with no_links(app):
        response = send(app, "/out", old)
    assert response.status_int == 503
    assert "Retry-After" in response.headers
    assert not deletes_old(response)
    again = send(app, "/out", old)
    assert again.status_int == 200
    assert deletes_old(again)
    assert send(app, "/user", old).text == "nobody"


def test_another_user_who_signs_in_takes_the_old_ones_place(app: App) -> None:
    """O7, R4: the old cookie leads neither to the other's session nor back to its own."""
    old = old_cookies(sign_in)
    assert deletes_old(send(app, "/other", old))
    assert send(app, "/user", old).text == "nobody"
    assert [row.user_id for row in app.rows()] == ["bob"]
    assert not get_counts(app.router.registry).moved


@pytest.mark.parametrize("keep_old", ["false", "true"])
def test_nor_where_that_could_not_be_noted(make_app: MakeApp, keep_old: str) -> None:
    """O7, R4: the next request notes it; with keep_old, where none would, the cookie goes."""
    app = moved(make_app, VIEWS, SIGNED | {"moving.keep_old": keep_old})
    old = old_cookies(sign_in)
    with no_links(app):
        response = send(app, "/other", old)
    assert deletes_old(response) == (keep_old == "true")
    if keep_old == "false":
        again = send(app, "/user", f"{old}; {ours(response)}")
        assert again.text == "bob"
        assert deletes_old(again)
        assert send(app, "/user", old).text == "nobody"


@pytest.fixture
def with_tickets(make_app: MakeApp) -> App:
    """An application with old sessions whose user is in a cookie beside them."""
    return moved(make_app, VIEWS, SIGNED | TICKETS | {"moving.from": "signed_cookie auth_tkt"})


def test_a_ticket_that_came_later_signs_in(with_tickets: App) -> None:
    """O7: the cookie beside it was adopted without it, and its session has no user."""
    app = with_tickets
    cart, ticket_of_ann = old_cookies(holding({"cart": [3]})), old_cookies(ticket("ann"))
    assert send(app, "/user", cart).text == "nobody"
    both = f"{cart}; {ticket_of_ann}"
    response = send(app, "/user", both)
    assert response.text == "ann"
    assert deletes_old(response, "auth_tkt")
    assert send(app, "/user", both).text == "ann"
    send(app, "/out", ours(response))
    for cookies in (both, ticket_of_ann):
        assert send(app, "/user", cookies).text == "nobody"


def test_one_of_two_that_could_not_be_closed_is_closed_later(with_tickets: App) -> None:
    """O7, S6: its cookie stays until then, and afterwards no copy of it opens anything."""
    app = with_tickets
    cart, ticket_of_ann = old_cookies(holding({"cart": [3]})), old_cookies(ticket("ann"))
    with no_links(app, but=1):
        response = send(app, "/user", f"{cart}; {ticket_of_ann}")
    assert response.text == "ann"
    assert deletes_old(response)
    assert not deletes_old(response, "auth_tkt")
    again = send(app, "/user", f"{ours(response)}; {ticket_of_ann}")
    assert again.text == "ann"
    assert deletes_old(again, "auth_tkt")
    send(app, "/out", ours(response))
    assert send(app, "/user", ticket_of_ann).text == "nobody"


def test_signing_out_that_half_failed_is_finished_later(with_tickets: App) -> None:
    """O7, S6: the answer was 503, and whatever comes next opens nothing."""
    app = with_tickets
    cart, ticket_of_ann = old_cookies(holding({"cart": [3]})), old_cookies(ticket("ann"))
    with no_links(app, but=1):
        assert send(app, "/out", f"{cart}; {ticket_of_ann}").status_int == 503
    assert send(app, "/user", f"{cart}; {ticket_of_ann}").text == "nobody"
    assert send(app, "/user", ticket_of_ann).text == "nobody"


def test_a_failed_request_leaves_the_old_cookie(app: App) -> None:
    """O7, S6: nothing was stored, and the next request adopts it."""
    old = old_cookies(sign_in)
    failed = send(app, "/fail", old)
    assert failed.status_int == 500
    assert not failed.headers.getall("Set-Cookie")
    assert not app.rows()
    assert send(app, "/user", old).text == "ann"


def test_a_message_that_was_shown_is_not_shown_again(app: App) -> None:
    """O7: where it was all that the old session held, nothing is left to be stored."""
    old = old_cookies(lambda request: request.session.flash("Bye", "news"))
    response = send(app, "/pop", old)
    assert response.text == "['Bye']"
    assert deletes_old(response)
    assert not app.rows()


def test_a_page_without_a_session_adopts_nothing(app: App) -> None:
    """O7, L1: the old cookie is not even looked at."""
    response = send(app, "/untouched", old_cookies(sign_in))
    assert not response.headers.getall("Set-Cookie")
    assert "Vary" not in response.headers


@pytest.mark.parametrize("how", ["forged", "expired", "oversized", "malformed", "empty", "of eve"])
def test_what_is_not_good_makes_no_row(app: App, how: str) -> None:
    """O7: it is ignored; what was ours once and is of no use any more is deleted."""
    good = old_cookies(sign_in)
    cookies = {
        "forged": lambda: good[:-8] + "A" * 8,
        "expired": lambda: signed(-3600, {"user": "ann"}),
        "oversized": lambda: signed(0, {"user": "ann", "large": "x" * 8000}),
        "malformed": lambda: f"{OLD}=%%%",
        "empty": lambda: old_cookies(lambda request: request.session.changed()),
        "of eve": lambda: old_cookies(holding({"user": "eve"})),
    }[how]()
    response = send(app, "/held", cookies)
    assert response.text == "0"
    assert not ours(response)
    assert not app.rows()
    assert deletes_old(response) == (how in ("expired", "empty", "of eve"))


def signed(age: float, values: dict[str, Any]) -> str:
    """A genuine cookie with these values, last used so many seconds from now."""
    then = time.time() + age
    serializer = SignedSerializer(SECRET, "pyramid.session.", "sha512")
    return f"{OLD}={serializer.dumps((then, then, values)).decode()}"


def test_what_can_not_be_stored_is_left_out(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """O7: with one line that names the key; a session too large loses its largest values."""
    given = SIGNED | {
        "moving.signed_cookie.serializer": "pickle",
        "moving.pickle": "trusted",
    }
    app = moved(make_app, VIEWS, given, max_size="300")
    values = {"user": "ann", "price": Fraction(1, 3), "cart": [1], "large": "x" * 400, 5: "five"}
    old = old_cookies(holding(values), serializer=Pickles())
    with caplog.at_level(logging.WARNING):
        response = send(app, "/show", old)
    assert response.json["values"] == {"user": "ann", "cart": [1]}
    lines = [record.getMessage() for record in caplog.records]
    for key in ("'price'", "5", "'large'"):
        assert len([line for line in lines if line.startswith(f"not moved: session[{key}]")]) == 1


class Pickles:
    """Pyramid 1's serializer, as its applications may still name it."""

    def __init__(self, protocol: int = 4) -> None:
        self.protocol = protocol

    def dumps(self, value: Any) -> bytes:
        return pickle.dumps(value, self.protocol)

    def loads(self, data: bytes) -> Any:
        return pickle.loads(data)


class Evil:
    """What runs a program when it is unpickled."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("the pickle was executed",)


def test_a_pickle_is_read_as_far_as_it_is_plain(make_app: MakeApp) -> None:
    """O7, ASVS 1.5.2: what would run anything is refused before it does, and stays as it is."""
    given = SIGNED | {"moving.signed_cookie.serializer": "pickle", "moving.pickle": "plain"}
    app = moved(make_app, VIEWS, given)
    for protocol in (0, 2, 5):
        serializer = Pickles(protocol)
        plain = {"user": "ann", "bytes": b"\xff", "cart": [Decimal(1), {1}]}
        old = old_cookies(holding(plain), serializer=serializer)
        assert send(app, "/user", old).text == "ann"
        evil = {"user": "ann", "evil": Evil()}
        old = old_cookies(holding(evil), serializer=serializer)
        response = send(app, "/user", old)
        assert response.text == "nobody"
        assert not response.headers.getall("Set-Cookie")
    with pytest.raises(pytest.fail.Exception):
        pickle.loads(pickle.dumps(Evil()))


@pytest.mark.parametrize("user_id", ["ann", 7])
def test_the_user_of_a_ticket_stays_signed_in(make_app: MakeApp, user_id: object) -> None:
    """O7: alone, or beside the cookie of a session; each of its cookies is deleted."""
    given = SIGNED | TICKETS | {"moving.from": "signed_cookie, auth_tkt", "moving.user_key": ""}
    app = moved(make_app, VIEWS, given)
    alone = send(app, "/show", old_cookies(ticket(user_id)))
    assert alone.json["user"] == str(user_id)
    assert deletes_old(alone, "auth_tkt")
    both = old_cookies(holding({"cart": [3]}, and_then=ticket("bob")))
    response = send(app, "/show", both)
    assert response.json["user"] == "bob"
    assert response.json["values"] == {"cart": [3]}
    assert deletes_old(response)
    assert deletes_old(response, "auth_tkt")


def test_an_unreadable_session_keeps_no_ticket_out(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """O7, L7, O5: the ticket signs in, the other cookie stays, and the log says so once."""
    given = SIGNED | TICKETS | {"moving.from": "signed_cookie auth_tkt"}
    app = moved(make_app, VIEWS, given)
    broken = old_cookies(holding({"cart": [1]}), serializer=Pickles())
    for user in ("ann", "bob"):
        response = send(app, "/user", f"{broken}; {old_cookies(ticket(user))}")
        assert response.text == user
        assert deletes_old(response, "auth_tkt")
        assert not deletes_old(response)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len([line for line in lines if "can't be read" in line]) == 1


def test_signing_out_reaches_a_session_that_can_not_be_read(make_app: MakeApp) -> None:
    """O7: once the setting is right that hid it, it is not adopted after all."""
    given = SIGNED | TICKETS | {"moving.from": "signed_cookie auth_tkt"}
    pickled = {"moving.signed_cookie.serializer": "pickle", "moving.pickle": "plain"}
    old = old_cookies(holding({"user": "ann"}), serializer=Pickles())
    response = send(moved(make_app, VIEWS, given), "/out", f"{old}; {old_cookies(ticket('ann'))}")
    assert deletes_old(response)
    assert deletes_old(response, "auth_tkt")
    assert send(moved(make_app, VIEWS, given | pickled), "/user", old).text == "nobody"


def at(seconds: float) -> str:
    """A moment so many seconds from now, as a setting has it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize("kind", ["signed_cookie", "auth_tkt"])
def test_old_sessions_from_before_a_moment_are_refused(make_app: MakeApp, kind: str) -> None:
    """O7, O3, R7: so whoever is to be signed out is, though their session has not moved yet."""
    given = SIGNED | TICKETS | {"moving.from": kind}
    old = old_cookies(sign_in if kind == "signed_cookie" else ticket("ann"))
    refusing = moved(make_app, VIEWS, given | {"moving.began_after": at(60)})
    response = send(refusing, "/user", old)
    assert response.text == "nobody"
    assert deletes_old(response, OLD if kind == "signed_cookie" else "auth_tkt")
    assert not refusing.rows()
    letting = moved(make_app, VIEWS, given | {"moving.began_after": at(-60)})
    assert send(letting, "/user", old).text == "ann"


def test_old_and_new_servers_side_by_side(make_app: MakeApp) -> None:
    """O7: with keep_old a user stays signed in on both until they sign out, which ends both; once
    it is false again the old cookie is deleted where it arrives.
    """
    keeping = moved(make_app, VIEWS, SIGNED | {"moving.keep_old": "true"})
    old = old_cookies(sign_in)
    first = send(keeping, "/user", old)
    assert first.text == "ann"
    assert not deletes_old(first)
    both = f"{old}; {ours(first)}"
    assert not send(keeping, "/user", both).headers.getall("Set-Cookie")
    after = moved(make_app, VIEWS, SIGNED)
    assert deletes_old(send(after, "/user", both))
    assert deletes_old(send(keeping, "/out", both))
    assert send(after, "/user", old).text == "nobody"


def test_a_sign_in_that_was_moved_counts_like_any(make_app: MakeApp) -> None:
    """O7, R8: the limit of a user's sessions holds."""
    app = moved(make_app, VIEWS, SIGNED, max_per_user="1")
    for n in range(2):
        old = old_cookies(holding({"user": "ann", "n": n}))
        assert send(app, "/user", old).text == "ann"
    assert [row.user_id for row in app.rows()] == ["ann"]


@pytest.mark.parametrize("browser_keeps", [0, 1])
def test_parallel_requests_sign_nobody_out(
    database_url: str, make_app: MakeApp, clock: Clock, browser_keeps: int
) -> None:
    """O7: those that arrive in the same instant each work, and the cookie of each opens a session;
    whoever comes later joins the first that was stored.
    """
    create_table(database_url)
    barrier = threading.Barrier(2)

    def meet(request: Request) -> Any:
        len(request.session)
        barrier.wait(timeout=20)
        return request.authenticated_userid

    app = moved(make_app, VIEWS | {"meet": meet}, SIGNED, url=database_url, clock=clock)
    old = old_cookies(sign_in)
    with ThreadPoolExecutor(2) as pool:
        responses = list(pool.map(lambda _: send(app, "/meet", old), range(2)))
    assert [response.text for response in responses] == ["ann", "ann"]
    assert {send(app, "/user", ours(each)).text for each in responses} == {"ann"}
    assert send(app, "/user", old).text == "ann"
    assert len(app.rows()) == 2
    # Whichever the browser has kept: once it has signed out there, a copy does not open the other.
    send(app, "/out", ours(responses[browser_keeps]))
    clock.forward(120)
    assert send(app, "/user", old).text == "nobody"
    assert send(app, "/user", ours(responses[1 - browser_keeps])).text == "ann"


BAD = {
    "moving.from": ("cookies", "expected one or more of signed_cookie"),
    "moving.pickle": ("yes", "expected never, plain or trusted"),
    "moving.signed_cookie.secret": ("", "expected the secret of the old sessions"),
    "moving.signed_cookie.hashalg": ("sha3000", "expected an algorithm that hashlib knows"),
    "moving.signed_cookie.cookie_name": ("session", "expected a name that no new cookie has"),
    "moving.signed_cookie.serializer": ("pickle", "expected plain or trusted"),
    "moving.signed_cookie.timeout": ("soon", "expected whole seconds, or none"),
    "moving.began_after": ("2026-11-26T03:00", "expected a moment with its time zone"),
    "moving.signed_cookie.sald": ("x", "the nearest is moving.signed_cookie.salt"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_setting_stops_the_start(make_app: MakeApp, name: str) -> None:
    """O7, C2: in one line that names it, and says what was expected."""
    value, expected = BAD[name]
    with pytest.raises(SettingError) as caught:
        moved(make_app, VIEWS, SIGNED | {name: value})
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("moving.")


@pytest.mark.parametrize("name", ["shake_128", "shake_256"])
@pytest.mark.parametrize("kind", ["signed_cookie", "auth_tkt"])
def test_an_algorithm_that_signs_nothing_stops_the_start(
    make_app: MakeApp, kind: str, name: str
) -> None:
    """O7, C2: hashlib knows it, and its digests have no length of their own."""
    given = SIGNED | TICKETS | {"moving.from": kind, f"moving.{kind}.hashalg": name}
    with pytest.raises(SettingError, match="expected an algorithm"):
        moved(make_app, VIEWS, given)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("beaker", {}, "moving.beaker.data_dir"),
        ("beaker", {"type": "ext:redis"}, "moving.beaker.url"),
        ("beaker", {"type": "ext:database", "url": "no://such"}, "moving.beaker.url"),
        ("beaker", {"data_dir": "/nowhere"}, "an existing folder"),
        ("session_redis", {"secret": "s", "redis_port": "0"}, "expected a port"),
        ("redis_sessions", {"secret": "s", "deserialize": "no.such"}, "expected the dotted name"),
    ],
)
def test_a_bad_option_of_an_old_library_stops_the_start(
    make_app: MakeApp, kind: str, options: dict[str, str], expected: str
) -> None:
    """O7, C2: under the name that the library has for it."""
    given = {f"moving.{kind}.{name}": value for name, value in options.items()}
    with pytest.raises(SettingError, match=expected):
        moved(make_app, VIEWS, {"moving.from": kind, "moving.pickle": "plain"} | given)
