"""The links of mails, as a browser opens them.

Mail scanners open links too: a GET puts the link's digest into the visitor's session, and leads to
a page without the token in its address. What that page sends uses the link up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from pyramid.httpexceptions import HTTPGone, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy.orm import Session

from myapp.accounts import links
from myapp.accounts.models import Link
from myapp.accounts.parts import parts_of

_KEY: Final = "_accounts.link"

GONE: Final = (
    "This link can't be used any more: it was used already, it is too old, or the password was"
    " changed since. Please ask for another one."
)


def keep(request: Request, kinds: tuple[str, ...], route: str) -> Response:
    """Keep the link whose token is in the path, and go on to the page that uses it.

    Raises HTTPGone for a link that opens nothing.
    """
    digest = links.digest_of(request.matchdict["token"])
    _good(request, links.find, digest, kinds)
    # Somebody else may have planted the session's token, and would have the link too.
    request.session.renew()
    request.session[_KEY] = digest
    return HTTPSeeOther(request.route_path(route))


def kept(request: Request, kinds: tuple[str, ...]) -> Link:
    """The link that this browser has opened, which is still good. Raises HTTPGone."""
    link = _good(request, links.find, request.session.get(_KEY), kinds)
    # The page names the owner, who need not be signed in.
    request.response.cache_control = "no-store"
    return link


def use_up(request: Request, kinds: tuple[str, ...]) -> Link:
    """Use up the link that this browser has opened. Raises HTTPGone if somebody else has."""
    return _good(request, links.use_up, request.session.pop(_KEY, None), kinds)


def _good(
    request: Request,
    look: Callable[[Session, bytes, Collection[str], int], Link | None],
    digest: Any,
    kinds: Collection[str],
) -> Link:
    """What a look at the database finds. Raises HTTPGone for nothing, and for what is no digest."""
    link = None
    if isinstance(digest, bytes):
        link = look(request.dbsession, digest, kinds, parts_of(request).clock())
    if link is None:
        raise HTTPGone(GONE)
    return link
