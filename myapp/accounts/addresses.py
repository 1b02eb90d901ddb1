"""E-mail addresses in the one spelling that accounts are known by."""

from __future__ import annotations

import unicodedata
from typing import Final

from email_validator import EmailNotValidError, validate_email

MAX_LENGTH: Final = 254
"""Characters of an address, as mail servers have it."""


_TOO_LONG: Final = "The address is too long."


class NotAnAddress(ValueError):
    """A text that is not an e-mail address; the message is a sentence for its author."""


def normalised(text: str) -> str:
    """The address without the blanks around it, in small letters, its domain in Unicode.

    Nothing else of it changes: `ß` and `ss`, or a letter and its look-alike, may be two people's.

    Whether the domain receives mail is not asked: the mail itself will tell. Domains that exist
    for tests alone are as good as any. Raises NotAnAddress.
    """
    bare = text.strip()
    # A long one takes seconds to be read.
    if len(bare) > MAX_LENGTH:
        raise NotAnAddress(_TOO_LONG)
    try:
        valid = validate_email(bare, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise NotAnAddress(str(error)) from None
    # The domain is in small letters already.
    address = f"{unicodedata.normalize('NFC', valid.local_part.lower())}@{valid.domain}"
    if len(address) > MAX_LENGTH:
        raise NotAnAddress(_TOO_LONG)
    return address
