"""The links of mails, as a browser opens them.

Mail scanners open links too: a GET puts the link's digest into the visitor's session, and leads to
a page without the token in its address. What that page sends uses the link up.
"""

from __future__ import annotations

from typing import Final

from pyramid.httpexceptions import HTTPGone, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response

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
    now = parts_of(request).clock()
    if digest is None or links.find(request.dbsession, digest, kinds, now) is None:
        raise HTTPGone(GONE)
    # Somebody else may have planted the session's token, and would have the link too.
    request.session.renew()
    request.session[_KEY] = digest
    return HTTPSeeOther(request.route_path(route))


def kept(request: Request, kinds: tuple[str, ...]) -> Link:
    """The link that this browser has opened, which is still good. Raises HTTPGone."""
    digest = request.session.get(_KEY)
    link = None
    if isinstance(digest, bytes):
        link = links.find(request.dbsession, digest, kinds, parts_of(request).clock())
    if link is None:
        raise HTTPGone(GONE)
    # The page names the owner, who need not be signed in.
    request.response.cache_control = "no-store"
    return link


def use_up(request: Request, kinds: tuple[str, ...]) -> Link:
    """Use up the link that this browser has opened. Raises HTTPGone if somebody else has."""
    digest = request.session.pop(_KEY, None)
    link = None
    if isinstance(digest, bytes):
        link = links.use_up(request.dbsession, digest, kinds, parts_of(request).clock())
    if link is None:
        raise HTTPGone(GONE)
    return link
