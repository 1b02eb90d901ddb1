"""The statements on the sessions table, built from the model: its definition stays in one place.

Nothing here is an upsert: a row is inserted once, and updated only where its version says that it
is still the one that was read (S3).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from myapp.sessions.core.store import StoredSession
from myapp.sessions.sql.model import table

BATCH: Final = 500
"""Rows that `iterate` reads at once."""

_c: Final = table.c
_FIELDS: Final = [_c[name] for name in StoredSession.__struct_fields__]
_LOADED: Final = _FIELDS[1:-2]  # a request knows the digest, and needs no address or user agent


def _lesser(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    """The lesser of two, in words that each database has."""
    return case((one < other, one), else_=other)


def _given(prefix: str = "") -> dict[str, ColumnElement[Any]]:
    """The values of a new row, in the order of the columns."""
    return {c.name: bindparam(prefix + c.name, type_=c.type) for c in [*_FIELDS, _c.sweep_at]}


load_one = select(*_LOADED).where(_c.digest == bindparam("digest"))
# The same as one value, for a driver that takes 10 µs to read the description of each column. Texts
# that may hold a comma are spelled in hexadecimal digits; none of them is ever empty. What is
# constant is no parameter, each of which takes the same driver 3 µs.
_COMMA: Final[ColumnElement[str]] = literal_column("','")
_NOTHING: Final[ColumnElement[str]] = literal_column("''")
_DASH: Final[ColumnElement[str]] = literal_column("'-'")
load_packed = select(
    func.concat_ws(
        _COMMA,
        *(_c.version, _c.created_at, _c.seen_at, _c.deadline, _c.expires_at),
        func.hex(_c.manager),
        func.coalesce(_c.handle, _NOTHING),
        func.coalesce(func.hex(_c.user_id), _NOTHING),
        func.coalesce(func.hex(_c.ended), _NOTHING),
        func.coalesce(func.hex(_c.generation), _DASH),
        _c.data,
    )
).where(_c.digest == bindparam("digest"))
load_some = select(_c.digest, *_LOADED).where(_c.digest.in_(bindparam("digests", expanding=True)))
insert_one = insert(table).values(_given())
_is_live = and_(_c.digest == bindparam("b_digest"), _c.ended.is_(None))
_is_at_version = and_(_is_live, _c.version == bindparam("b_version"))
_update = (
    update(table)
    # A session that expired has ended, like any other: no late save brings it back (S3). One that
    # was seen since, by a touch or another machine, would lose time: then the save looks again.
    .where(
        _is_at_version,
        _c.expires_at > bindparam("seen_at"),
        _c.seen_at <= bindparam("seen_at"),
    )
    .values(
        version=bindparam("version"),
        data=bindparam("data"),
        seen_at=bindparam("seen_at"),
        expires_at=bindparam("expires_at"),
        deadline=bindparam("deadline"),
    )
)
# Indexed, so moved only when it would come too late.
update_one = _update.values(sweep_at=_lesser(_c.sweep_at, bindparam("expires_at")))
# SQLite writes an index anew for each column that is named, though its value stays: twice the work.
update_unless_sooner = _update.where(_c.sweep_at <= bindparam("expires_at"))
touch = (
    update(table)
    .where(
        _is_live,
        _c.seen_at <= bindparam("not_since"),
        _c.expires_at > bindparam("seen_at"),
    )
    .values(
        seen_at=bindparam("seen_at"),
        expires_at=_lesser(_c.deadline, bindparam("expires_at")),
    )
)
lock = (
    update(table)
    .where(
        _is_live,
        or_(
            _c.locked_until.is_(None),
            _c.locked_until <= bindparam("now"),
            # By us already: the answer to an earlier attempt was lost.
            _c.lock_owner == bindparam("owner"),
        ),
    )
    .values(lock_owner=bindparam("owner"), locked_until=bindparam("until"))
)
unlock = (
    update(table)
    .where(_c.digest == bindparam("b_digest"), _c.lock_owner == bindparam("owner"))
    .values(lock_owner=None, locked_until=None)
)
_becomes_marker: dict[str, Any] = {
    "ended": bindparam("ended"),
    "data": bindparam("data"),
    "version": _c.version + 1,
    "deadline": bindparam("expires_at"),
    "expires_at": bindparam("expires_at"),
    "sweep_at": bindparam("expires_at"),
    "handle": None,
    "user_id": None,
    "generation": None,
    "address": None,
    "user_agent": None,
}
mark = update(table).where(_is_live).values(_becomes_marker)
_renewable = and_(_is_at_version, _c.expires_at > bindparam("now"))
mark_at_version = update(table).where(_renewable).values(_becomes_marker)
# The same and `insert_one` as one statement, for a database that can do that. The new row comes
# from the old one, so that there is none without the other.
_marked = mark_at_version.returning(_c.digest).cte("marked")
renew_at_once = (
    insert(table)
    .from_select(
        list(_given()),
        select(*(cast(value, value.type) for value in _given("new_").values())).select_from(
            _marked
        ),
    )
    # Of an INSERT SQLAlchemy would not say how many rows it made.
    .execution_options(preserve_rowcount=True)
)
remove = delete(table).where(_is_live)
find = select(*_FIELDS).where(
    _c.handle == bindparam("handle"), _c.manager == bindparam("manager"), _c.ended.is_(None)
)
_live_of_user = and_(
    _c.user_id == bindparam("user_id"),
    _c.manager == bindparam("manager"),
    _c.expires_at > bindparam("now"),
    _c.ended.is_(None),
)
of_user = (
    select(*_FIELDS)
    .where(_live_of_user)
    .order_by(_c.seen_at.desc(), _c.created_at.desc(), _c.digest)
)
# Twice nested, since MySQL deletes from no table that it selects from directly.
_newest = (
    select(_c.digest)
    .where(_live_of_user)
    .order_by(_c.created_at.desc(), _c.digest)
    .limit(bindparam("keep"))
    .subquery()
)
end_oldest = delete(table).where(_live_of_user, _c.digest.not_in(select(_newest.c.digest)))
iterate = (
    select(*_FIELDS)
    .where(_c.digest > bindparam("after"), _c.manager == bindparam("manager"), _c.ended.is_(None))
    .order_by(_c.digest)
    .limit(BATCH)
)
# In the order of the index: a plan that reads the table passes over all that was deleted before.
due = select(_c.digest, _c.expires_at).where(_c.sweep_at <= bindparam("now")).order_by(_c.sweep_at)
due_and_free = due.with_for_update(skip_locked=True)
count = select(func.count()).select_from(table)
count_due = count.where(_c.sweep_at <= bindparam("now"))
_these = _c.digest.in_(bindparam("digests", expanding=True))
sweep = delete(table).where(_these, _c.expires_at <= bindparam("now"))
# What was due but lives on, since it was touched: look again when it can have expired.
postpone = (
    update(table)
    # A range of sweep_at would let the database lock in that order, and meet another sweeper.
    .where(_these, _c.expires_at > bindparam("now"), _c.sweep_at < _c.expires_at)
    .values(sweep_at=_c.expires_at)
)


def unpacked(digest: bytes, packed: bytes) -> StoredSession:
    """The row that `load_packed` found."""
    *numbers, manager, handle, user_id, ended, generation, data = packed.split(b",", 10)
    version, created_at, seen_at, deadline, expires_at = map(int, numbers)
    return StoredSession(
        digest=digest,
        manager=_text(manager) or "",
        handle=handle.decode() or None,
        version=version,
        data=data,
        created_at=created_at,
        seen_at=seen_at,
        deadline=deadline,
        expires_at=expires_at,
        user_id=_text(user_id),
        generation=None if generation == b"-" else bytes.fromhex(generation.decode()),
        ended=_text(ended),
    )


def _text(digits: bytes) -> str | None:
    return bytes.fromhex(digits.decode()).decode() if digits else None
