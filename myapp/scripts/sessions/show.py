"""`show`: all that is known of one session."""

from __future__ import annotations

from typing import Any

import click

from myapp.scripts.sessions.given import Given, pass_given
from myapp.scripts.sessions.listing import described, moment
from myapp.scripts.sessions.output import (
    json_option,
    one_line,
    print_facts,
    print_json,
    print_values,
)
from myapp.sessions.core.codec import Content
from myapp.sessions.core.errors import UnreadableData
from myapp.sessions.core.lifetime import is_expired
from myapp.sessions.core.manager import SessionManager
from myapp.sessions.core.store import StoredSession
from myapp.sessions.core.token import is_handle


# A handle may begin with a hyphen.
@click.command("show", context_settings={"ignore_unknown_options": True})
@click.argument("handle")
@click.option("--data", "with_data", is_flag=True, help="Show the values, not only their types.")
@json_option
@pass_given
def command(given: Given, handle: str, with_data: bool, as_json: bool) -> None:
    """Show one session. Its values stay hidden unless you ask for them.

    Its secrets, the token and the CSRF token, are never shown.

    \b
    Example:      myapp-sessions production.ini show 9Xq1rWc3nBzK7aTfUd0e2g --data
    Exit status:  0 shown, 1 there is no session with this handle.
    """
    with given.manager() as manager:
        row = manager.store.find(manager.name, handle) if is_handle(handle) else None
        if row is None:
            raise one_line(f"no session has the handle {handle}")
        facts = _facts(manager, row)
        content = _content(manager, row)
    values = None if content is None else _values(content, with_data=with_data)
    if as_json:
        print_json(facts | {"data": values})
        return
    print_facts(facts)
    click.echo("\ndata" if values else "\nno data" if values == {} else "\nthe data can't be read")
    print_values({f"  {name}": value for name, value in (values or {}).items()})


def _facts(manager: SessionManager, row: StoredSession) -> dict[str, Any]:
    expired = is_expired(manager.kind.clock(), row, manager.settings.idle_timeout)
    content = _content(manager, row)
    proof = None if content is None else content.proof
    signed_in = None if row.signed_in_at is None else moment(row.signed_in_at)
    return described(row) | {
        "state": "expired" if expired else "live",
        "signed_in_at": signed_in,
        "confirmed_at": None if proof is None else moment(proof.confirmed_at),
        "method": None if proof is None else proof.method,
        "deadline": moment(row.deadline),
        "version": row.version,
        "data_bytes": len(row.data),
    }


def _content(manager: SessionManager, row: StoredSession) -> Content | None:
    try:
        return manager.kind.codec.decode(row.data)
    except UnreadableData:
        return None


def _values(content: Content, *, with_data: bool) -> dict[str, Any]:
    if with_data:
        return dict(content.values)
    return {name: _masked(value) for name, value in content.values.items()}


def _masked(value: object) -> str:
    """What kind of value it is, and how large."""
    kind = type(value).__name__
    return (
        f"({kind}, {len(value)})" if isinstance(value, str | bytes | list | dict) else f"({kind})"
    )
