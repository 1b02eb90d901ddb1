"""Every setting of accounts: `TABLE` is the single source, as for the application's own (C4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from email_validator import validate_email

from myapp.environment import variable_for
from myapp.sessions.core.settings import parse_duration
from myapp.setting_table import Expected, Reading, Setting, bool_setting, read_table

PRINT: Final = "print"
OFF: Final = "off"
_SMTP: Final = ("smtp", "smtps")


def _site(text: str) -> str:
    parts = urlsplit(text)
    is_line = text.isprintable() and " " not in text
    plain = is_line and not (parts.query or parts.fragment or "@" in parts.netloc)
    # `port` raises ValueError for an invalid port.
    usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    if not usable or not plain:
        raise ValueError("not the address of a site")
    return text.rstrip("/")


def _mail(text: str) -> str:
    if text.lower() in (PRINT, OFF):
        return text.lower()
    parts = urlsplit(text)
    # `port` raises ValueError for an invalid port.
    if parts.scheme not in _SMTP or not parts.hostname or parts.path.strip("/") or parts.port == 0:
        raise ValueError("not a mail server")
    if parts.query or parts.fragment or text.count("@") > 1:
        raise Expected("a mail server whose user and password are percent-encoded")
    return text


def _sender(text: str) -> str:
    # EmailNotValidError is a ValueError. The address may be one within an organisation's network.
    validate_email(
        text, check_deliverability=False, globally_deliverable=False, test_environment=True
    )
    return text


def _length(text: str) -> int:
    if not re.fullmatch(r"[0-9]{2}", text) or not 15 <= int(text) <= 64:
        raise ValueError("not a length")
    return int(text)


_ROWS: Final = (
    Setting(
        "accounts.url",
        "",
        _site,
        "the address of the site, such as https://example.com",
        "The address of this site, with which the links in mails begin. It may be empty if"
        " accounts.mail is off, or with accounts.show_mail, which uses the address of the request.",
        "Always set it in production: anybody can forge the Host header of a request.",
    ),
    Setting(
        "accounts.mail",
        "",
        _mail,
        "smtp://user:password@host:587, smtps://user:password@host:465, print or off",
        "How mails are sent: smtp://user:password@host:587 (with STARTTLS if the server offers"
        " it), smtps://user:password@host:465, print (to the log) or off.",
        "Always set it in production. off disables all that needs a mail: users can't reset a"
        " forgotten password, or sign up unless accounts.confirm_email is false.",
    ),
    Setting(
        "accounts.mail_from",
        "",
        _sender,
        "an e-mail address",
        "The sender's address in mails. It may be empty only if mails are printed or off.",
        "Set it whenever mails are sent.",
    ),
    bool_setting(
        "accounts.show_mail",
        "false",
        "Show printed mails at /dev/mail, to browsers on this machine only.",
        "Turn it on only during development: the mails contain links that open accounts.",
    ),
    bool_setting(
        "accounts.confirm_email",
        "true",
        "Whether an account is created only once its owner has opened a link in a mail.",
        "Set it to false if you trust everybody who can reach the site; signing up then reveals"
        " whether an address has an account.",
    ),
    Setting(
        "accounts.password_min",
        "15",
        _length,
        "a whole number from 15 to 64",
        "The least number of characters in a password.",
        "Raise it if only a password protects something valuable.",
    ),
    Setting(
        "accounts.history",
        "90d",
        parse_duration,
        "a duration such as 90d",
        "How long the security events of an account are kept.",
        "Set it to what the law or your privacy policy requires.",
    ),
    bool_setting(
        "accounts.throttle",
        "true",
        "Limit the rate at which a client can guess passwords or cause mails.",
        "Set it to false only for load tests.",
    ),
)

TABLE: Final[Mapping[str, Setting]] = {setting.name: setting for setting in _ROWS}
"""The settings by name, in the order of the ini files and the reference."""

OWNED: Final = ("accounts.",)
"""Names that begin like this are ours; one that is not in the table is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """The settings of accounts, parsed; `history` in milliseconds, None for what is empty."""

    url: str | None
    mail: str = field(repr=False)  # which may hold a password
    mail_from: str | None
    show_mail: bool
    confirm_email: bool
    password_min: int
    history: int
    throttle: bool
    reading: Reading = field(compare=False, repr=False)

    @property
    def sends(self) -> bool:
        """Whether mails are sent or printed at all."""
        return self.mail != OFF

    @property
    def prints(self) -> bool:
        """Whether mails go to the log."""
        return self.mail == PRINT

    @property
    def takes_sign_ups(self) -> bool:
        """Whether somebody new can sign up."""
        return self.sends or not self.confirm_email


def read_account_settings(
    settings: Mapping[str, Any], environ: Mapping[str, str]
) -> AccountSettings:
    """Raises SettingError for the first setting that can't be used, is missing or unknown (C2)."""
    reading = read_table(TABLE, settings, environ, owned=OWNED)
    values = {name.removeprefix("accounts."): value for name, value in reading.values().items()}
    if values["mail"] is None:
        _refuse_missing(reading, "mail")
    parsed = AccountSettings(**values, reading=reading)
    # Printed mails are shown only during development; the address of the request is enough then.
    needed = {"url": parsed.sends and not parsed.show_mail}
    needed["mail_from"] = parsed.sends and not parsed.prints
    for name in needed:
        if needed[name] and values[name] is None:
            _refuse_missing(reading, name)
    if parsed.show_mail and not parsed.prints:
        reading.refuse("accounts.show_mail", "false, unless accounts.mail is print")
    return parsed


def _refuse_missing(reading: Reading, name: str) -> NoReturn:
    setting = TABLE[f"accounts.{name}"]
    reading.refuse(
        setting.name, f"{setting.expected} (its variable is {variable_for(setting.name)})"
    )
