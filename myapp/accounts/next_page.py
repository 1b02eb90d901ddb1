"""Where a user goes after signing in: back to the page they asked for, on this site only."""

from __future__ import annotations

import re
from typing import Final

from pyramid.request import Request

# A path of this site. Browsers take `//host` and `/\host` for other sites, and pass over tabs and
# line breaks within an address.
_PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)
_MAX_LENGTH: Final = 2000


def is_safe(text: str) -> bool:
    """Whether a text is a path of this site, with or without a query."""
    return len(text) <= _MAX_LENGTH and _PATH.fullmatch(text) is not None


def next_page(request: Request, asked_for: str | None) -> str:
    """The page that was asked for, if it is one of this site, else the one for members."""
    if asked_for and is_safe(asked_for):
        return asked_for
    path: str = request.route_path("restricted")
    return path
