"""The rows that a save writes: new, renewed or changed."""

from __future__ import annotations

from msgspec.structs import replace

from myapp.sessions.core.kind import Kind
from myapp.sessions.core.lifetime import expiry
from myapp.sessions.core.state import Client, Intent
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.token import digest, new_handle


def new_row(
    kind: Kind,
    token: str,
    intent: Intent,
    data: bytes,
    client: Client,
    *,
    signed_in_at: int | None,
) -> StoredSession:
    """The row of a session that begins, be it by signing in."""
    now, settings, sign_in = kind.clock(), kind.settings, intent.sign_in
    lifetime = settings.lifetime if sign_in else settings.anonymous_lifetime
    deadline = intent.deadline or now + lifetime
    return StoredSession(
        manager=kind.name,
        handle=intent.handle or new_handle(now),
        version=1,
        data=data,
        created_at=now,
        seen_at=now,
        deadline=deadline,
        expires_at=expiry(now, deadline, settings.idle_timeout),
        digest=digest(kind.name, token),
        user_id=sign_in.user_id if sign_in else None,
        generation=sign_in.generation if sign_in else None,
        signed_in_at=signed_in_at,
        address=client.address,
        user_agent=client.user_agent,
    )


def changed_row(kind: Kind, before: StoredSession, intent: Intent, data: bytes) -> StoredSession:
    """A row with other contents or another deadline."""
    seen_at = max(before.seen_at, kind.clock())
    deadline = intent.deadline or before.deadline
    return replace(
        before,
        version=before.version + 1,
        data=data,
        seen_at=seen_at,
        deadline=deadline,
        expires_at=expiry(seen_at, deadline, kind.settings.idle_timeout),
    )


def renewed_row(
    kind: Kind, before: StoredSession, token: str, intent: Intent, data: bytes, client: Client
) -> StoredSession:
    """The same session under a new token; its user may have proved who they are again (R9)."""
    sign_in = intent.sign_in
    return replace(
        changed_row(kind, before, intent, data),
        digest=digest(kind.name, token),
        version=1,
        generation=sign_in.generation if sign_in else before.generation,
        address=client.address,
        user_agent=client.user_agent,
    )
