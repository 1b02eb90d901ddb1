"""The tween that saves what a request did to its sessions.

It lies over pyramid_tm and the exception views, so that it knows what became of the transaction
and can still answer a failing save with an error page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from myapp.sessions.core.errors import StoreUnavailable
from myapp.sessions.web.finish import end_only, finish, rendered
from myapp.sessions.web.scope import SCOPE, Scope, SessionUnavailable

Handler = Callable[[Request], Response]

TWEEN: Final = "myapp.sessions.web.tween.session_tween_factory"


def session_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """The outer one of our tweens."""

    def session_tween(request: Request) -> Response:
        known = request.__dict__
        scope = known.get(SCOPE)
        if scope is None:
            scope = known[SCOPE] = Scope()
        scope.in_tween = True
        # A transaction of somebody further out, whose end we shall not see.
        scope.within_another = "tm.active" in request.environ
        try:
            response = handler(request)
        except (SessionUnavailable, StoreUnavailable) as error:
            # Raised where no exception view reaches, in a tween below for example.
            end_only(request, scope)
            return rendered(request, error)
        except Exception:
            end_only(request, scope)
            raise
        if not scope.states and not scope.revoked:
            scope.closed = True
            return response
        return response if scope.closed else finish(request, response, scope)

    return session_tween
