"""The statements on the sessions table, built from the model: its definition stays in one place.

Nothing here is an upsert: a row is inserted once, and updated only where its version says that it
is still the one that was read (S3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Update,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from myapp.sessions.core.store import StoredSession
from myapp.sessions.sql.exactly import Exactly
from myapp.sessions.sql.model import table

BATCH: Final = 500
"""Rows that `iterate` reads at once."""

_c: Final = table.c
_FIELDS: Final = [_c[name] for name in StoredSession.__struct_fields__]
_LOADED: Final = _FIELDS[1:-2]  # a request knows the digest, and needs no address or user agent


def _lesser(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    """The lesser of two, in words that each database has."""
    return case((one < other, one), else_=other)


class Change(NamedTuple):
    """A change of one row, whatever it takes, and the same where it can leave the indexes alone.

    SQLite writes an index anew for each column that is named, though its value stays: there the
    second goes first, and takes half the time.
    """

    anyhow: Update
    in_place: Update


def _given(prefix: str = "") -> dict[str, ColumnElement[Any]]:
    """The values of a new row, in the order of the columns."""
    return {c.name: bindparam(prefix + c.name, type_=c.type) for c in [*_FIELDS, _c.sweep_at]}


load_one = select(*_LOADED).where(_c.digest == bindparam("digest"))
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
update_one = Change(
    # Indexed, so moved only when it would come too late.
    anyhow=_update.values(sweep_at=_lesser(_c.sweep_at, bindparam("expires_at"))),
    in_place=_update.where(_c.sweep_at <= bindparam("expires_at")),
)
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
    .values(lock_owner=null(), locked_until=null())
)
_becomes_marker: dict[str, Any] = {
    "ended": bindparam("ended"),
    "data": bindparam("data"),
    "version": _c.version + literal_column("1"),
    "deadline": bindparam("expires_at"),
    "expires_at": bindparam("expires_at"),
    "user_id": null(),
    "signed_in_at": null(),
    "generation": null(),
    "address": null(),
    "user_agent": null(),
}


def _marking(*conditions: ColumnElement[bool]) -> Change:
    """A live row becomes a marker, which in place may be swept a while later than it expires."""
    marked = update(table).where(*conditions).values(_becomes_marker)
    return Change(
        anyhow=marked.values(sweep_at=bindparam("expires_at")),
        in_place=marked.where(_c.sweep_at <= bindparam("swept_by")),
    )


mark = _marking(_is_live)
mark_at_version = _marking(_is_at_version)
_giving_way = _marking(_is_at_version, _c.expires_at > bindparam("now"))
# The new session may have the handle of the old one.
give_way = Change(
    anyhow=_giving_way.anyhow.values(handle=null()),
    in_place=_giving_way.in_place.where(_c.handle != bindparam("b_handle")),
)
# The same and `insert_one` as one statement, for a database that can do that. The new row comes
# from the old one, so that there is none without the other.
_marked = give_way.anyhow.returning(_c.digest).cte("marked")
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
remove_at_version = delete(table).where(_is_at_version)
# These change nothing: they lock a row until the transaction ends, and tell whether it is as was
# read.
_hold = update(table).values(version=_c.version)
hold_live = _hold.where(_is_live)
hold_at_version = _hold.where(_is_at_version)
find = select(*_FIELDS).where(
    Exactly(_c.handle, bindparam("handle")),
    _c.manager == bindparam("manager"),
    _c.ended.is_(None),
)
_live_of_user = and_(
    Exactly(_c.user_id, bindparam("user_id")),
    _c.manager == bindparam("manager"),
    _c.expires_at > bindparam("now"),
    _c.ended.is_(None),
)
of_user = (
    select(*_FIELDS)
    .where(_live_of_user)
    .order_by(_c.seen_at.desc(), _c.created_at.desc(), _c.digest)
)
last_sign_in = select(func.max(_c.signed_in_at)).where(_live_of_user)
# All but the sessions that a limit lets a user keep.
beyond_limit = (
    select(_c.digest)
    .where(_live_of_user)
    .order_by(func.coalesce(_c.signed_in_at, literal_column("0")).desc(), _c.digest)
    .offset(bindparam("keep"))
)
iterate = (
    select(*_FIELDS)
    .where(_c.digest > bindparam("after"), _c.manager == bindparam("manager"), _c.ended.is_(None))
    .order_by(_c.digest)
    .limit(BATCH)
)
# In the order of the index: a plan that reads the table passes over all that was deleted before.
due = (
    select(_c.digest, _c.expires_at)
    .where(_c.sweep_at <= bindparam("now"))
    .order_by(_c.sweep_at)
    .limit(bindparam("limit"))
)
due_and_free = due.with_for_update(skip_locked=True)
columns: Final[Select[Any]] = (
    select(literal_column("*")).select_from(table).limit(literal_column("0"))
)
# Which table PostgreSQL means by our name, on a connection of ours.
table_oid = select(cast(cast(bindparam("name"), postgresql.REGCLASS), BigInteger))
# By the clock of the database's machine. Neither depends on the connection's time zone.
_POSTGRESQL_NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
now_on: Final[Mapping[str, Select[Any]]] = {
    "postgresql": select(literal_column(_POSTGRESQL_NOW)),
    **dict.fromkeys(("mysql", "mariadb"), select(literal_column("unix_timestamp() * 1000"))),
}
# What PostgreSQL keeps to on a connection of ours; "0" is no limit.
statement_limit = select(func.current_setting(literal_column("'statement_timeout'")))
count = select(func.count()).select_from(table)
count_due = count.where(_c.sweep_at <= bindparam("now"))
_some_due = select(_c.digest).where(_c.sweep_at <= bindparam("now")).limit(bindparam("most"))
count_some_due = select(func.count()).select_from(_some_due.subquery())
_these = _c.digest.in_(bindparam("digests", expanding=True))
sweep = delete(table).where(_these, _c.expires_at <= bindparam("now"))
# What was due but lives on, since it was touched: look again when it can have expired.
postpone = (
    update(table)
    # A range of sweep_at would let the database lock in that order, and meet another sweeper.
    .where(_these, _c.expires_at > bindparam("now"), _c.sweep_at < _c.expires_at)
    .values(sweep_at=_c.expires_at)
)
