"""Further kinds of session, as attributes of the request that cost nothing to who ignores them.

Pyramid gives a request its additional properties by making a class for it, at each request: that
takes as long as all the rest of a small view. Once the application is made, the properties that
are ours move into one class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyramid.interfaces import IRequestExtensions, IRequestFactory
from pyramid.request import Request
from pyramid.router import Router


def move_into_one_class(router: Router, names: Sequence[str]) -> None:
    """Take these properties from the application's extensions into the class of its requests.

    Where requests are made by a function and not by a class, they stay where they are.
    """
    registry = router.registry
    base = registry.queryUtility(IRequestFactory, default=Request)
    if not names or not isinstance(base, type):
        return
    extensions = registry.getUtility(IRequestExtensions)
    properties = {name: extensions.descriptors.pop(name) for name in names}
    if not (extensions.descriptors or extensions.methods):
        router.request_extensions = None
    router.request_factory = _with(base, properties)
    registry.registerUtility(router.request_factory, IRequestFactory)
    router.invoke_subrequest = _also_of_others(router.invoke_subrequest, properties)


def _with(base: type, properties: Mapping[str, Any]) -> type:
    return type(base.__name__, (base,), {"__module__": base.__module__, **properties})


def _also_of_others(
    invoke: Callable[..., Any], properties: Mapping[str, Any]
) -> Callable[..., Any]:
    """A subrequest may be of any class: `Request.blank("/")`."""

    def invoke_subrequest(request: Any, use_tweens: bool = False) -> Any:
        if not all(hasattr(type(request), name) for name in properties):
            request.__class__ = _with(type(request), properties)
        return invoke(request, use_tweens=use_tweens)

    return invoke_subrequest
