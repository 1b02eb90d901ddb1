"""Bad input is answered, and leaves nothing half done."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyramid.request import Request
from sqlalchemy import func, select

from myapp.accounts.models import User
from myapp.sessions import get_manager
from tests.accounts.conftest import MakeSite
from tests.accounts.people import PASSWORD, Person, Site, form_to

FORMS: Final = (
    "/login",
    "/signup",
    "/forgotten-password",
    "/password-reset",
    "/confirm",
    "/account/password",
    "/account/devices/end-others",
    "/account/devices/{handle}/name",
    "/account/devices/{handle}/end",
    "/logout",
)
FIELDS: Final = ("email", "password", "new_password", "next", "remember", "name", "csrf_token")
AWKWARD: Final = (
    "",
    "\0",
    "\ud800",
    "\r\nBcc: eve@evil.example",
    "ann@example.com",
    PASSWORD,
    # WebOb leaves a body of more than 10 KiB in a file for the garbage collector to close.
    "e" * 1100,
    "<script>",
    "a@b",
    "%00%ff",
    "../../etc",
)

CHECKS: Final = [HealthCheck.function_scoped_fixture]

texts = st.one_of(st.sampled_from(AWKWARD), st.text(max_size=40))
as_bytes = texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
sent = st.dictionaries(st.sampled_from(FIELDS), st.one_of(texts, st.just(None)), max_size=4)


@pytest.fixture
def ann(make_site: MakeSite) -> Person:
    """Somebody with an account, on a site that slows nobody down."""
    return Person(make_site(accounts__throttle="false")).has_an_account()


def encoded(fields: dict[str, str | None]) -> list[tuple[str, Any]]:
    """Fields as WebTest sends them; None stands for a file."""
    return [
        (name, value if value is not None else ("x.txt", b"\xff\0"))
        for name, value in fields.items()
    ]


def users(site: Site) -> int:
    with site.parts.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(User)).scalar_one()


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(path=st.sampled_from(FORMS), fields=sent, signed_in=st.booleans(), token=st.booleans())
def test_no_form_is_a_fault_of_ours(
    ann: Person, path: str, fields: dict[str, str | None], signed_in: bool, token: bool
) -> None:
    """Bad input: whatever is typed, left out, or sent as a file, it is the client's mistake."""
    if not ann.is_in():
        ann.signs_in()
    page = ann.get("/account/devices")
    handle = page.html.select_one(".cards a")["href"].split("/")[3]
    if token and signed_in:
        fields = fields | {"csrf_token": form_to(page, "/logout")["csrf_token"].value}
    person = ann if signed_in else Person(ann.site)
    content = encoded({k: _sendable(v) for k, v in fields.items()})
    files = [(name, *value) for name, value in content if isinstance(value, tuple)]
    plain = [(name, value) for name, value in content if not isinstance(value, tuple)]
    answer = person.browser.post(
        path.format(handle=handle), plain, upload_files=files or None, status="*"
    )
    assert answer.status_int < 500, answer.text
    assert users(ann.site) == 1


def _sendable(value: str | None) -> str | None:
    """What WebTest can encode: a lone surrogate is sent by the test below."""
    return value if value is None else value.encode("utf-8", "replace").decode()


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(["/login", "/signup", "/forgotten-password"]),
    body=st.one_of(st.binary(max_size=80), st.lists(st.tuples(st.sampled_from(FIELDS), as_bytes))),
    kind=st.sampled_from(
        ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]
    ),
)
def test_no_body_is_a_fault_of_ours(ann: Person, path: str, body: Any, kind: str) -> None:
    """Bad input: bytes that are no form at all."""
    raw = body if isinstance(body, bytes) else b"&".join(n.encode() + b"=" + v for n, v in body)
    answer = ann.browser.request(path, method="POST", body=raw, content_type=kind, status="*")
    assert answer.status_int < 500, answer.text


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(
        [
            "/confirm/{}",
            "/password-reset/{}",
            "/account/devices/{}/name",
            "/account/devices/{}/end",
            "/login?next={}",
            "/login?{}",
            "/restricted?{}",
        ]
    ),
    text=st.one_of(as_bytes, st.binary(max_size=20)),
)
def test_no_address_is_a_fault_of_ours(ann: Person, path: str, text: bytes) -> None:
    """Bad input: whatever stands in the path or the query."""
    place, _, query = path.partition("?")
    answer = asked(ann, place, query, text)
    assert answer.status_int < 500, answer.text


def asked(person: Person, path: str, query: str, part: bytes) -> Any:
    """What is answered to bytes in an address; WebTest would stumble over them itself."""
    request = Request.blank("/", environ=dict(person.browser.extra_environ))
    name = get_manager(person.site.app.registry).settings.cookie_name
    request.environ |= {
        "PATH_INFO": path.format(part.decode("latin-1")),
        "QUERY_STRING": query.format("".join(f"%{byte:02x}" for byte in part)),
        "HTTP_COOKIE": f"{name}={person.browser.cookies[name]}",
    }
    return request.get_response(person.site.app)


VALUES: Final = ("", "\xff\xfe", "a" * 1_000_000, "<b>'\"", "\x1b[31m", "x\tBcc: y")


@pytest.mark.parametrize("header", ["HTTP_USER_AGENT", "HTTP_COOKIE", "HTTP_ORIGIN", "HTTP_HOST"])
def test_no_header_is_a_fault_of_ours(ann: Person, header: str) -> None:
    """Bad input: also of one megabyte, in what is recorded of a client, or judged by."""
    for value in VALUES:
        person = Person(ann.site)
        form = form_to(person.get("/login"), "/login")
        form["email"], form["password"] = ann.email, PASSWORD
        answer = form.submit(extra_environ={header: value}, status="*")
        assert answer.status_int < 500, value[:10]
        assert "<b>" not in answer.text
    # What was recorded is shown to its owner.
    assert "<b>" not in ann.get("/account/devices").text
