"""Further kinds of session, as attributes of the request that cost nothing to who ignores them.

Pyramid gives a request its additional properties by making a class for it, at each request: that
takes as long as all the rest of a small view. A router that serves requests gets one class with
ours; whoever makes requests in another way, a script or a test, still gets them from Pyramid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyramid.interfaces import IRequestExtensions
from pyramid.router import Router


class _Extensions:
    """What Pyramid adds to each request of a router, without what its class has already."""

    def __init__(self, extensions: Any, without: Sequence[str]) -> None:
        self.methods = extensions.methods
        self.descriptors = {
            name: made for name, made in extensions.descriptors.items() if name not in without
        }


def move_into_one_class(router: Router, names: Sequence[str]) -> None:
    """Let a router's requests have these properties by their class.

    Where requests are made by a function and not by a class, nothing changes.
    """
    if not names or not isinstance(router.request_factory, type):
        return
    extensions = router.registry.getUtility(IRequestExtensions)
    properties = {name: extensions.descriptors[name] for name in names}

    classes: dict[type, type] = {}

    def with_properties(base: type) -> type:
        # The same for the same base: zope.interface may keep each new class for ever.
        if base not in classes:
            words = {"__module__": base.__module__, **properties}
            classes[base] = type(base.__name__, (base,), words)
        return classes[base]

    invoke = router.invoke_subrequest

    def invoke_subrequest(request: Any, use_tweens: bool = False) -> Any:
        # A subrequest may be of any class: `Request.blank("/")`.
        if not isinstance(request, router.request_factory):
            request.__class__ = with_properties(type(request))
        return invoke(request, use_tweens=use_tweens)

    others = _Extensions(extensions, without=names)
    router.request_extensions = others if others.methods or others.descriptors else None
    router.request_factory = with_properties(router.request_factory)
    router.invoke_subrequest = invoke_subrequest
