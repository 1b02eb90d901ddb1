"""What is answered where a view wants somebody else, or anybody at all."""

from __future__ import annotations

from typing import Final

from pyramid.httpexceptions import (
    HTTPForbidden,
    HTTPGone,
    HTTPSeeOther,
    HTTPServiceUnavailable,
)
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import exception_view_config, forbidden_view_config
from wtforms import Form

from myapp.accounts.next_page import is_safe
from myapp.accounts.throttle import ThrottleUnavailable
from myapp.accounts.views.answers import Answer, ask_again
from myapp.accounts.views.links import GONE, kept
from myapp.views.errors import answer, http_error

_RETRY_AFTER: Final = "5"  # seconds
_SIGN_IN: Final = "Sign in first, then try again."


@forbidden_view_config()
def forbidden(error: HTTPForbidden, request: Request) -> Response:
    """Send a visitor to sign in, a program too by its status; who is signed in may not."""
    if request.identity is not None:
        return http_error(error, request)
    if not _is_page(request):
        return _unauthorized(request)
    # What was sent by a form is not sent again; the page that it stood on is a better start.
    asked_for = request.path_qs if request.method in ("GET", "HEAD") else ""
    query = {"next": asked_for} if is_safe(asked_for) else {}
    return HTTPSeeOther(request.route_path("login", _query=query))


def _is_page(request: Request) -> bool:
    """Whether a browser asks for a page, rather than a script or a program for data."""
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode is not None:
        return bool(mode == "navigate")
    offers = request.accept.acceptable_offers(["text/html", "application/json"])
    return bool(offers) and offers[0][0] == "text/html"


def _unauthorized(request: Request) -> Response:
    problem = {"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": _SIGN_IN}
    response = Response(json_body=problem, status=401, content_type="application/problem+json")
    response.headers["WWW-Authenticate"] = "Cookie"
    response.vary = ["Accept", "Sec-Fetch-Mode"]
    return response


@exception_view_config(ThrottleUnavailable)
def throttle_unavailable(error: ThrottleUnavailable, request: Request) -> Response:
    """Nobody passes while attempts can't be counted (A4)."""
    unavailable = HTTPServiceUnavailable()
    unavailable.headers["Retry-After"] = _RETRY_AFTER
    return http_error(unavailable, request)


@exception_view_config(HTTPGone)
def gone(error: HTTPGone, request: Request) -> Response:
    """A link that opens nothing any more."""
    return answer(request, 410, ("This link no longer works", error.detail or GONE))


def ask_again_for_link(request: Request, kinds: tuple[str, ...], form: Form) -> Answer:
    """The page of a link again, as `ask_again` has it, or what is said of a link that is gone.

    Called by exception views: nobody else answers for what one of those raises.
    """
    try:
        link = kept(request, kinds)
    except HTTPGone as lost:
        return gone(lost, request)
    return ask_again(request, form, email=link.email)
