"""What visitors see when something went wrong; no view here may touch the session or a database.

Either may be the very thing that is broken. Programs that prefer JSON get the same words as JSON.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from pyramid.exceptions import BadCSRFOrigin, BadCSRFToken, URLDecodeError
from pyramid.httpexceptions import HTTPError, HTTPException
from pyramid.renderers import render
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import exception_view_config

from myapp.sessions import SessionTooLarge

log = logging.getLogger(__name__)

PAGE: Final = "myapp:templates/error.jinja2"

# Titles and texts by status; of any other status the general words of HTTP are shown.
WORDS: Final = {
    400: ("Bad request", "We can't understand this request."),
    403: ("Not for you", "This page exists, but you are not allowed to see it."),
    404: (
        "Nothing here",
        "There is no page at this address. It may have moved, or it never existed.",
    ),
    405: (
        "Wrong kind of request",
        "This address exists, but it does not accept this kind of request.",
    ),
    413: (
        "Too much",
        "This is more than a session can hold, so nothing was changed. Remove something first.",
    ),
    500: ("Something went wrong", "The fault is ours, and it has been logged."),
    503: (
        "Back in a moment",
        "Something that we need is not answering. Your session is safe: please try again shortly.",
    ),
}

FORM_EXPIRED: Final = (
    "This form has expired",
    "Nothing was changed. The form belongs to a session that has ended, or it did not come from "
    "this site. Go back, reload the page and send it again.",
)

# The headers of an error that tell a program what to do about it.
KEPT: Final = ("Allow", "Retry-After", "WWW-Authenticate")


@exception_view_config(HTTPError)
def http_error(error: HTTPException, request: Request) -> Response:
    """Any error that was raised on purpose."""
    words = WORDS.get(error.status_int, (error.title, error.explanation))
    response = answer(request, error.status_int, words)
    response.headers.update({name: error.headers[name] for name in KEPT if name in error.headers})
    return response


@exception_view_config(BadCSRFOrigin)
@exception_view_config(BadCSRFToken)
def form_expired(error: HTTPException, request: Request) -> Response:
    """A form without the token of this session, or from another site."""
    return answer(request, 400, FORM_EXPIRED)


@exception_view_config(URLDecodeError)
def unreadable_address(error: URLDecodeError, request: Request) -> Response:
    """An address whose bytes are not text."""
    return answer(request, 400, WORDS[400])


@exception_view_config(SessionTooLarge)
def session_too_large(error: SessionTooLarge, request: Request) -> Response:
    """A session that grew over its limit, found only when it was saved."""
    return answer(request, 413, WORDS[413])


# An error that pyramid_retry will retry is not a failure yet, and passes.
@exception_view_config(Exception, retryable_error=False)
def server_error(error: Exception, request: Request) -> Response:
    """Anything nobody expected: logged with its traceback, and shown without any detail."""
    # The address as it was named, where it was: one of a link in a mail holds a secret.
    route = getattr(request, "matched_route", None)
    address = request.path if route is None else route.pattern
    log.exception("%s %s failed", request.method, address, exc_info=error)
    return answer(request, 500, WORDS[500])


def answer(request: Request, status: int, words: tuple[str, str]) -> Response:
    """The error in the form that the client prefers."""
    value = {"status": status, "title": words[0], "text": words[1]}
    offers = request.accept.acceptable_offers(["text/html", "application/json"])
    response = Response(status=status, vary="Accept")
    if offers and offers[0][0] == "application/json":
        response.content_type = "application/json"
        response.charset = None
        response.json_body = {"status": status, "error": words[0], "detail": words[1]}
    else:
        response.text = page(request, value) or f"<h1>{words[0]}</h1><p>{words[1]}</p>"
    return response


def page(request: Request, value: dict[str, Any]) -> str:
    """The error as a page of the site; empty where the page itself is what is broken."""
    try:
        html: str = render(PAGE, value, request)
    except Exception:
        log.exception("the error page can't be rendered")
        return ""
    return html
