"""The settings of accounts: what stops the start, and what is there by them."""

from __future__ import annotations

from pathlib import Path

import pytest

import myapp
from harness.processes import ROOT
from myapp import environment
from tests.accounts.conftest import MakeSite
from tests.accounts.people import PASSWORD, Person, Site
from tests.functional.visitors import visitor
from tests.needed import end

SMTP = {
    "accounts.mail": "smtp://u:hunter2@mail.example:587",
    "accounts.url": "https://shop.example",
    "accounts.mail_from": "shop@shop.example",
}
REFUSED = {
    "no mail": ({"accounts.mail": ""}, "accounts.mail = '' (from"),
    "no url": ({"accounts.url": ""}, "accounts.url = '' (from"),
    "printed without": (
        {"accounts.mail": "print", "accounts.url": ""},
        "accounts.url = '' (from",
    ),
    "no sender": ({"accounts.mail_from": ""}, "accounts.mail_from = '' (from"),
    "shown": ({"accounts.show_mail": "true"}, "accounts.show_mail = true (from"),
    "ftp": ({"accounts.mail": "ftp://u:hunter2@h"}, "accounts.mail = ftp://u:***@h (from"),
    "host": ({"accounts.mail": "smtp://"}, "accounts.mail = smtp:// (from"),
    "port": ({"accounts.mail": "smtp://h:99999"}, "accounts.mail = smtp://h:"),
    "two @": ({"accounts.mail": "smtp://u:hun@ter2@h"}, "accounts.mail = smtp://u:***@h (from"),
    "site": ({"accounts.url": "shop.example"}, "accounts.url = shop.example (from"),
    "query": ({"accounts.url": "https://a.b/?c=d"}, "accounts.url = https://a.b/?c=d (from"),
    "sender": ({"accounts.mail_from": "shop"}, "accounts.mail_from = shop (from"),
    "short": ({"accounts.password_min": "8"}, "accounts.password_min = 8 (from"),
    "long": ({"accounts.password_min": "65"}, "accounts.password_min = 65 (from"),
    "maybe": ({"accounts.throttle": "maybe"}, "accounts.throttle = maybe (from"),
    "misspelt": ({"accounts.confirm": "true"}, "accounts.confirm = true (from"),
}


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    return {
        "sqlalchemy.url": f"sqlite:///{tmp_path / 'settings.sqlite'}",
        "database.migrate_on_start": "true",
        "session.sweep_interval": "off",
    }


@pytest.mark.parametrize("name", REFUSED)
def test_a_setting_that_can_not_be_used_stops_the_start(base: dict[str, str], name: str) -> None:
    """C2: in one line, without a password; so does a missing one."""
    wrong, begins = REFUSED[name]
    with pytest.raises(SystemExit) as caught:
        myapp.main({"__file__": "some.ini"}, **(base | SMTP | wrong))
    line = str(caught.value.code)
    assert line.startswith(f"myapp: {begins}"), line
    assert ": expected " in line
    assert "\n" not in line
    assert "hunter2" not in line
    assert "ter2" not in line


def test_production_knows_how_mails_are_sent_or_does_not_start(tmp_path: Path) -> None:
    """A5: as shipped it names neither; and it shows no mails, by no address and to nobody."""
    shipped = environment.load(str(ROOT / "production.ini"))
    own = {"sqlalchemy.url": f"sqlite:///{tmp_path / 'production.sqlite'}"}
    own |= {"database.migrate_on_start": "true", "session.sweep_interval": "off"}
    with pytest.raises(SystemExit, match=r"accounts\.mail = .*: expected smtp://"):
        myapp.main({}, **(shipped | own))
    app = myapp.main({}, **(shipped | own | SMTP))
    assert visitor(app).get("/dev/mail", status="*").status_int == 404
    assert visitor(app).get("/login").status_int == 200
    end(app)


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "192.0.2.1"},
        {"HTTP_HOST": "shop.example"},
        {"HTTP_HOST": "localhost.shop.example"},
        {"REMOTE_ADDR": ""},
    ],
    ids=str,
)
def test_printed_mails_are_shown_to_this_machine_alone(
    make_site: MakeSite, environ: dict[str, str]
) -> None:
    """A5: they hold links that open accounts."""
    site = make_site(accounts__show_mail="true")
    here = Person(site)
    here.signs_up()
    site.mails(here.email)
    assert "Confirm your address" in here.get("/dev/mail").text
    assert here.get("/dev/mail").headers["Cache-Control"] == "no-store"
    assert Person(site, **environ).get("/dev/mail", status="*").status_int == 404


def test_without_mails_nothing_is_offered_that_needs_one(make_site: MakeSite) -> None:
    """A1: no sign-up and no forgotten passwords, neither as links nor as pages."""
    site = make_site(accounts__mail="off")
    person = Person(site)
    page = person.get("/login").text
    for path in ("/signup", "/forgotten-password"):
        assert path not in page
        assert person.get(path, status="*").status_int == 404


@pytest.mark.parametrize("mail", ["off", "print"])
def test_sign_up_without_confirmation(make_site: MakeSite, mail: str) -> None:
    """A3: signs in at once, and then tells whether an address has an account."""
    site = make_site(accounts__mail=mail, accounts__confirm_email="false")
    ann = Person(site)
    assert ann.signs_up().location == "https://localhost/restricted"
    assert ann.is_in()
    again = Person(site).signs_up("another fine password")
    assert again.status_int == 422
    assert "There is already an account with this address" in again.text
    assert not Person(site).is_in()


def test_tokens_for_everybody(make_site: MakeSite) -> None:
    """A13: with `session.csrf = token` each form of a visitor has one, and works by it."""
    site = make_site(session__csrf="token")
    ann = Person(site).has_an_account()
    ann.signs_out()
    answer = ann.browser.post("/login", {"email": ann.email, "password": PASSWORD}, status="*")
    assert answer.status_int == 400
    assert ann.signs_in().status_int == 303


def test_nothing_is_recorded_where_the_settings_say_so(make_site: MakeSite) -> None:
    """A10: of address and browser; the mails don't tell of them either."""
    site: Site = make_site(session__record_client="none")
    ann = Person(site, HTTP_USER_AGENT="Mozilla/5.0 Firefox/140.0").has_an_account()
    Person(site).signs_in()
    shown = ann.get("/account/devices").text
    told = site.mails(ann.email)[-1].get_content()
    for text in (shown, told):
        assert "127.0.0.1" not in text
        assert "Firefox" not in text
