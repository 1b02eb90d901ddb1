"""What people do with their accounts, on every database."""

from __future__ import annotations

from sqlalchemy import func, select

from myapp.accounts.models import Event, Link, Message, SignUp
from tests.accounts.people import ANOTHER, PASSWORD, Person, Site

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)


def test_signing_up_confirming_and_signing_in(each_site: Site) -> None:
    """A1, A3: from nobody to a page for members, and back to the page that was asked for."""
    ann = Person(each_site)
    assert not ann.is_in()
    answer = ann.signs_up()
    assert answer.location == "https://localhost/check-mail"
    assert "Set-Cookie" not in answer.headers
    assert not ann.is_in()
    answer = ann.confirms()
    assert answer.location == "https://localhost/restricted"
    assert "Your address is confirmed" in answer.follow().text
    assert ann.is_in()
    answer = ann.signs_out()
    assert answer.headers["Clear-Site-Data"] == (
        '"cache", "storage", "prefetchCache", "prerenderCache"'
    )
    assert not ann.is_in()
    asked_for = ann.get("/account/devices?a=1")
    assert asked_for.location == "https://localhost/login?next=%2Faccount%2Fdevices%3Fa%3D1"
    page = asked_for.location.removeprefix("https://localhost")
    answer = ann.send("/login", page=page, email="  ANN@example.com ", password=PASSWORD)
    assert answer.location == "https://localhost/account/devices?a=1"
    assert ann.is_in()


def test_a_new_password_signs_the_others_out(each_site: Site) -> None:
    """A6: in one commit, with a mail and an entry; forms in this browser's other tabs go on."""
    ann = Person(each_site).has_an_account()
    elsewhere = Person(each_site)
    elsewhere.signs_in()
    assert elsewhere.is_in()
    tab = ann.get("/account/devices")
    change = {"password": PASSWORD, "new_password": ANOTHER}
    assert ann.send("/account/password", **change).location == "https://localhost/account"
    assert not elsewhere.is_in()
    assert ann.is_in()
    assert tab.forms[0].submit().status_int == 303, "signed out by the old tab"
    assert not ann.is_in()
    assert elsewhere.signs_in(PASSWORD).status_int == 422
    assert elsewhere.signs_in(ANOTHER).status_int == 303
    subjects = [mail["Subject"] for mail in each_site.mails(ann.email)]
    assert any("password" in subject.lower() for subject in subjects), subjects


def test_a_forgotten_password(each_site: Site) -> None:
    """A5: a link by mail, used once; all that was signed in is out."""
    ann = Person(each_site).has_an_account()
    forgetful = Person(each_site)
    answer = forgetful.send("/forgotten-password", email=ann.email)
    assert answer.location == "https://localhost/check-mail"
    link = each_site.link(ann.email)
    assert forgetful.get(link).location == "https://localhost/password-reset"
    again = Person(each_site)
    assert again.get(link).location == "https://localhost/password-reset"
    answer = forgetful.send("/password-reset", new_password=ANOTHER)
    assert answer.location == "https://localhost/restricted"
    assert forgetful.is_in()
    assert not ann.is_in()
    assert again.get("/password-reset", status="*").status_int == 410
    assert again.get(link, status="*").status_int == 410


def test_devices(each_site: Site) -> None:
    """A10: one sees them, names one and ends one, which asks for the password."""
    ann = Person(each_site, HTTP_USER_AGENT=FIREFOX).has_an_account()
    phone = Person(each_site, HTTP_USER_AGENT=IPHONE, REMOTE_ADDR="192.0.2.7")
    phone.signs_in()
    page = ann.get("/account/devices")
    assert "Firefox on Linux" in page.text
    assert "192.0.2.7" in page.text
    end = page.click("Sign it out")
    named = page.click("Give it a name", index=1)
    form = named.forms[1]
    form["name"] = "My phone"
    assert "My phone" in form.submit().follow().text
    form = end.forms[1]
    form["password"] = "something else entirely"
    assert form.submit(status=422).status_int == 422
    assert phone.is_in()
    form["password"] = PASSWORD
    assert "The device is signed out" in form.submit().follow().text
    assert not phone.is_in()
    assert ann.is_in()


def test_a_disabled_user_is_out_at_once(each_site: Site) -> None:
    """A15, ASVS 7.4.2: and can't come back."""
    ann = Person(each_site).has_an_account()
    with each_site.parts.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET disabled_at = 1")
    assert not ann.is_in()
    assert ann.signs_in().status_int == 422


def rows(site: Site, model: type) -> int:
    """How many rows there are of a kind."""
    with site.parts.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(model)).scalar_one()


def test_nothing_is_left_behind(each_site: Site) -> None:
    """A5, A6: of a sign-up that was confirmed."""
    Person(each_site).has_an_account()
    assert [rows(each_site, model) for model in (SignUp, Link, Message, Event)] == [0, 0, 0, 1]


def test_who_may_what(site: Site) -> None:
    """A15, ASVS 8.3.2: a role counts at once; a program gets a status, and a person a page."""
    visitor = Person(site)
    for headers in (
        {"Accept": "application/json"},
        {"Accept": "*/*", "Sec-Fetch-Mode": "cors"},
    ):
        answer = visitor.get("/administration", headers=headers, status=401)
        assert answer.content_type == "application/problem+json"
        assert answer.json["title"] == "Unauthorized"
    ann = Person(site).has_an_account()
    page = ann.get("/administration", status=403)
    assert page.html.h1.get_text() == "Not for you"
    with site.parts.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET role = 'administrator'")
    assert "There is one account" in ann.get("/administration").text
    with site.parts.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET role = 'user'")
    assert ann.get("/administration", status="*").status_int == 403
