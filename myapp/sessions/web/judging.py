"""The view option `csrf_by_origin`, and the right error for a form that was refused.

It is for forms that anybody can fill in, such as sign-in: their views are judged by origin even if
a user is signed in. The check itself stays Pyramid's, so `require_csrf` keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.exceptions import BadCSRFToken, ConfigurationError
from pyramid.interfaces import ICSRFStoragePolicy, IDefaultCSRFOptions
from pyramid.request import Request

from myapp.sessions.web.csrf import BY_ORIGIN, SessionCSRFPolicy

View = Callable[[Any, Request], Any]


def judged_view(view: View, info: Any) -> View:
    """A view deriver that wraps Pyramid's CSRF check."""
    by_origin = bool(info.options.get("csrf_by_origin"))
    if not _is_checked(info):
        if by_origin and not info.exception_only:
            raise ConfigurationError("csrf_by_origin=True does nothing without require_csrf=True")
        return view

    def judged(context: Any, request: Request) -> Any:
        # A view may render another one, which has its own rule.
        outer = request.__dict__.get(BY_ORIGIN, False)
        request.__dict__[BY_ORIGIN] = by_origin
        try:
            return view(context, request)
        except BadCSRFToken as error:
            if type(error) is BadCSRFToken:
                _explain(request)
            raise
        finally:
            request.__dict__[BY_ORIGIN] = outer

    return judged


judged_view.options = ("csrf_by_origin",)  # type: ignore[attr-defined]  # as Pyramid wants it


def _is_checked(info: Any) -> bool:
    """Whether Pyramid checks this view at a POST, by its own rule."""
    explicit = info.options.get("require_csrf")
    if explicit is not None:
        return explicit is True
    defaults = info.registry.queryUtility(IDefaultCSRFOptions)
    return bool(defaults and defaults.require_csrf and not info.exception_only)


def _explain(request: Request) -> None:
    """Raise a better error, if our policy has one; the application may have set another policy."""
    policy = request.registry.queryUtility(ICSRFStoragePolicy)
    if isinstance(policy, SessionCSRFPolicy):
        policy.explain(request)


def add_judging(config: Configurator) -> None:
    """Give the views of an application the option."""
    config.add_view_deriver(judged_view, "csrf_by_origin", under="secured_view", over="csrf_view")
