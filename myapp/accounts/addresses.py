"""E-mail addresses in the one spelling that accounts are known by."""

from __future__ import annotations

import unicodedata
from typing import Final

from email_validator import EmailNotValidError, validate_email

MAX_LENGTH: Final = 254
"""Characters of an address, as mail servers have it."""


class NotAnAddress(ValueError):
    """A text that is no e-mail address; the message is a sentence for its writer."""


def normalised(text: str) -> str:
    """The address without the blanks around it, case-folded, its domain in Unicode.

    Whether the domain receives mail is not asked: the mail itself will tell. Domains that exist
    for tests alone are as good as any. Raises NotAnAddress.
    """
    try:
        valid = validate_email(text.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise NotAnAddress(str(error)) from None
    folded = unicodedata.normalize("NFKC", valid.local_part).casefold()
    address = f"{folded}@{valid.domain.casefold()}"
    if len(address) > MAX_LENGTH:
        raise NotAnAddress("The address is too long.")
    return address
