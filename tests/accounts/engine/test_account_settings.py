"""The settings of accounts, where a bad one would be noticed too late."""

from __future__ import annotations

import pytest

from myapp.accounts.settings import read_account_settings
from myapp.environment import SettingError


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com:abc",
        "https://example.com:99999",
        "https://example.com:0",
        "https://@example.com",
        "https://:secret@example.com",
        "https://exam ple.com",
        "https://example.com/a\nb",
        "https://example.com/\u2028",
        "https://example.com?a",
        "ftp://example.com",
        "example.com",
    ],
)
def test_links_begin_with_the_address_of_a_site(url: str) -> None:
    """A5, C2: or nothing starts."""
    with pytest.raises(SettingError, match=r"accounts\.url"):
        read_account_settings({"accounts.mail": "print", "accounts.url": url}, {})


@pytest.mark.parametrize(
    "url",
    [
        "smtp://ann:secret@host/path",
        "smtp://ann:sec@ret@host",
        "smtp://ann:sec#ret@host:587",
        "smtp://ann:secret@host:port",
        "smpt://ann:secret@host",
        "ann:secret@host",
    ],
)
def test_the_password_of_a_mail_server_is_in_no_error(url: str) -> None:
    """C2, ASVS 16.2.5: whatever else is wrong with its address."""
    with pytest.raises(SettingError) as caught:
        read_account_settings({"accounts.mail": url}, {})
    assert "accounts.mail" in str(caught.value)
    assert "sec" not in str(caught.value).partition("expected")[0]
