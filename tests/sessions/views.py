"""The views that most tests of sessions need."""

from pyramid.config import Configurator

from myapp.sessions.core.events import (
    SessionEvent,
)

READING = {
    "in": lambda request: "key" in request.session,
    "len": lambda request: len(request.session),
    "iter": lambda request: list(request.session),
    "get": lambda request: request.session.get("key"),
    "bool": lambda request: bool(request.session),
    "equal": lambda request: request.session == {},
    "user": lambda request: request.session.user_id,
    "peek": lambda request: request.session.peek_flash(),
    "pop": lambda request: request.session.pop_flash(),
    "csrf": lambda request: request.session.csrf_token,
    "new": lambda request: request.session.new,
    "created": lambda request: request.session.created,
    "deadline": lambda request: request.session.deadline,
    "status": lambda request: request.session.status,
    "get_as": lambda request: request.session.get_as("key", int),
    "copy": lambda request: request.session.copy(),
}

VIEWS = READING | {
    "set": lambda request: request.session.update(key="value", cart=[1]),
    "show": lambda request: request.session.copy(),
    "sign_in": lambda request: request.session.sign_in("ann"),
    "sign_out": lambda request: request.session.sign_out(),
    "renew": lambda request: request.session.renew(),
    "end": lambda request: request.session.invalidate(),
    "forget": lambda request: request.session.remember_me(False),
    "who": lambda request: request.session.user_id or "nobody",
}


class Heard:
    """Collects the events of an application."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []

    def __call__(self, config: Configurator) -> None:
        config.add_subscriber(self.events.append, SessionEvent)

    def kinds(self) -> list[type]:
        return [type(event) for event in self.events]
