"""Starts the sender of mails with the first request of each process.

A server may load the application and then fork: threads that began before are in no worker.
"""

from __future__ import annotations

from collections.abc import Callable

from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from myapp.accounts.parts import REGISTRY_KEY
from myapp.sessions.core.fork import process_id

Handler = Callable[[Request], Response]


def mailer_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """The tween; it does nothing once the thread of the process runs."""
    mailer = registry[REGISTRY_KEY].mailer

    def mailer_tween(request: Request) -> Response:
        if mailer.process != process_id():
            mailer.ensure_running()
        return handler(request)

    return mailer_tween
