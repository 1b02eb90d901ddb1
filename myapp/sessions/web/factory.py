"""Pyramid's session factory: `request.session`, which is not read until it is used."""

from __future__ import annotations

from pyramid.request import Request
from pyramid.response import Response

from myapp.sessions.core.kind import Kind
from myapp.sessions.core.session import Session
from myapp.sessions.core.state import State
from myapp.sessions.web.finish import finish
from myapp.sessions.web.scope import SCOPE, Scope


class SessionFactory:
    """Pyramid's ISessionFactory of one kind of session."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def __call__(self, request: Request) -> Session:
        """The session of a request, the same each time."""
        scope: Scope = request.__dict__.get(SCOPE) or _scope_without_tween(request)
        name = self.kind.name
        session = scope.sessions.get(name)
        if session is None:
            scope.request = request
            state = State(kind=self.kind, source=scope, closed=scope.closed)
            session = Session(state)
            scope.states[name], scope.sessions[name] = state, session
        return session


def _scope_without_tween(request: Request) -> Scope:
    """The scope of a subrequest without tweens, or of somebody who looks before our tween."""
    scope = request.__dict__[SCOPE] = Scope()
    if hasattr(request, "add_response_callback"):
        request.add_response_callback(_finish_without_tween)
    return scope


def _finish_without_tween(request: Request, response: Response) -> None:
    scope: Scope = request.__dict__[SCOPE]
    if not scope.in_tween and not scope.closed:
        finish(request, response, scope)
