"""The security headers of every response, static files and error pages included.

The pages hold no inline script or style, so the policy allows none; a page that needs something
else sets its own header, which is left alone. The tween sits under the debug toolbar's: what that
adds to a page is a stylesheet of the same origin, and its own pages, full of inline script, never
come by here. So one policy serves development and production.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from pyramid.tweens import EXCVIEW, INGRESS

Handler = Callable[[Request], Response]

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'"
)

ALWAYS: Final = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    # Forms need the referrer within the site, where the CSRF check may look at it.
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
)

# A year, and the subdomains too: `myapp.hsts` promises https for all of them.
HSTS: Final = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")


def headers_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """A tween that adds each header which the response does not have yet."""
    headers = (*ALWAYS, HSTS) if registry["application_settings"].hsts else ALWAYS

    def headers_tween(request: Request) -> Response:
        response = handler(request)
        for name, value in headers:
            response.headers.setdefault(name, value)
        return response

    return headers_tween


def includeme(config: Configurator) -> None:
    """Put the tween over all that can answer a request, and under the debug toolbar."""
    config.add_tween(
        "myapp.security_headers.headers_tween_factory",
        under=("pyramid_debugtoolbar.toolbar_tween_factory", INGRESS),
        over=(
            "myapp.sessions.web.tween.session_tween_factory",
            "pyramid_tm.tm_tween_factory",
            EXCVIEW,
        ),
    )
