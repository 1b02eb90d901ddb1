"""Tells users what happened: queued mails, and entries in the account's history.

Both are written in the request's transaction, so that nobody is told about something that did not
happen.
"""

from __future__ import annotations

from typing import Any

from pyramid.request import Request

from myapp.accounts import outbox
from myapp.accounts.agents import in_words
from myapp.accounts.models import Event
from myapp.accounts.parts import parts_of
from myapp.sessions import get_client


def queue(
    request: Request,
    kind: str,
    email: str,
    *,
    user_id: int | None = None,
    signup_id: int | None = None,
) -> None:
    """Queue a mail, which is sent once the request's transaction is committed."""
    parts = parts_of(request)
    if not parts.settings.sends:
        return
    client = get_client(request)
    outbox.put(
        request.dbsession,
        kind,
        email=email,
        now=parts.clock(),
        user_id=user_id,
        signup_id=signup_id,
        site=request.application_url if parts.settings.url is None else "",
        browser=in_words(client.user_agent),
        address=client.address or "",
    )
    request.tm.get().addAfterCommitHook(_wake, args=(parts.mailer,))


def _wake(is_committed: bool, mailer: Any) -> None:
    if is_committed:
        mailer.wake()


def note(request: Request, kind: str, user_id: int) -> None:
    """Write down, for the account's owner, that something happened."""
    client = get_client(request)
    request.dbsession.add(
        Event(
            user_id=user_id,
            happened_at=parts_of(request).clock(),
            kind=kind,
            address=client.address,
            user_agent=client.user_agent,
        )
    )
