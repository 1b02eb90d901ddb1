"""E-mail addresses, normalised to the one spelling that accounts use."""

from __future__ import annotations

import unicodedata
from typing import Final

from email_validator import EmailNotValidError, validate_email

MAX_LENGTH: Final = 254
"""The most characters of an address, as mail servers allow."""


_TOO_LONG: Final = "The address is too long."


class NotAnAddress(ValueError):
    """A text that is not an e-mail address; the message is a sentence for its author."""


def normalised(text: str) -> str:
    """The address in lower case, without surrounding blanks, with its domain in Unicode.

    Nothing else changes: `ß` and `ss`, or two similar letters, may belong to different people.

    This does not check whether the domain receives mail: sending the mail will tell. Domains that
    exist only for tests are accepted. Raises NotAnAddress.
    """
    bare = text.strip()
    # Parsing a long one takes seconds.
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
