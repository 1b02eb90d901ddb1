"""How often something may be tried: counted by the database, for all processes together.

An attempt is counted by one statement, committed at once on a connection of its own. So nothing
that happens to the request takes it back, and requests at the same time can't pass together (A4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from sqlalchemy import Engine, Insert, Select, Update, case, or_, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from myapp.accounts.apart import committed
from myapp.accounts.models import Throttle as Counted
from myapp.sessions.core.lifetime import MINUTE, SECOND

_COUNTED: Final = Counted.__table__.c
_DAY: Final = 24 * 60 * MINUTE


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` attempts at once, and one more each `interval_ms`."""

    name: str
    burst: int
    interval_ms: int


SIGN_IN_BY_NETWORK: Final = Limit("sign-in, network", 50, 30 * SECOND)
SIGN_IN_BY_ACCOUNT: Final = Limit("sign-in, account", 10, 6 * MINUTE)
"""From browsers in which nobody has used the account before."""
SIGN_IN_BY_BROWSER: Final = Limit("sign-in, browser", 10, MINUTE)
"""By account and known browser: others don't lock its owner out."""
SIGN_UP_BY_NETWORK: Final = Limit("sign-up, network", 10, 6 * MINUTE)
SIGN_UP_BY_ADDRESS: Final = Limit("sign-up, address", 3, 20 * MINUTE)
RESET_BY_NETWORK: Final = Limit("reset, network", 10, 6 * MINUTE)
RESET_BY_ADDRESS: Final = Limit("reset, address", 3, 20 * MINUTE)
CONFIRM_BY_LINK: Final = Limit("confirm, link", 5, MINUTE)


class ThrottleUnavailable(Exception):
    """An attempt could not be counted, so it is not allowed.

    Never the driver's own error, which may be taken for one that is worth another attempt of the
    whole request: that attempt must not pass uncounted.
    """


class Throttle:
    """Counts on the application's engine; allows everything where `is_on` is false."""

    def __init__(self, engine: Engine, is_on: bool) -> None:
        self._engine, self._is_on = committed(engine), is_on

    def try_all(self, limits: Iterable[tuple[Limit, str]], now: int) -> int:
        """Count an attempt by each limit, of the subject beside it: 0 if all allow it, else for how
        many milliseconds to wait.

        They are asked in this order, and after a refusal no more: name the network first, so that
        attempts refused to it don't use up what its account is allowed. Raises ThrottleUnavailable
        in an outage, in which nobody passes.
        """
        if not self._is_on:
            return 0
        for limit, subject in limits:
            if wait := self._try(limit, key_of(limit, subject), now):
                return wait
        return 0

    def _try(self, limit: Limit, key: bytes, now: int) -> int:
        try:
            return self._try_once(limit, key, now)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise ThrottleUnavailable("an attempt could not be counted") from error
        # The pool's connections were dead, and are new now. To count twice does no harm.
        try:
            return self._try_once(limit, key, now)
        except DBAPIError as error:
            raise ThrottleUnavailable("an attempt could not be counted") from error

    def _try_once(self, limit: Limit, key: bytes, now: int) -> int:
        self._begin(key, now)
        # The row is there: the housekeeping leaves it for an hour.
        return self._count(limit, key, now) or 0

    def _begin(self, key: bytes, now: int) -> None:
        """Have a row to count in. The same statement whether or not there is one: its time would
        tell whether somebody else was here before.
        """
        with self._engine.begin() as connection:
            connection.execute(_row_for(connection.dialect.name, key, now))

    def _count(self, limit: Limit, key: bytes, now: int) -> int | None:
        """Count an attempt, and say how long to wait: 0 if it is allowed. None without a row."""
        with self._engine.begin() as connection:
            moved = connection.execute(_one_more(limit, key, now)).rowcount
            free_at = None if moved else connection.scalar(_free_at(key))
        if moved:
            return 0
        return None if free_at is None else max(1, free_at - _latest(limit, now))


def _row_for(dialect: str, key: bytes, now: int) -> Insert:
    """A row in which nothing is counted yet, unless there is one."""
    row = {"digest": key, "free_at": now}
    if dialect in ("mysql", "mariadb"):
        return mysql.insert(Counted).values(row).prefix_with("IGNORE")
    kind = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return kind(Counted).values(row).on_conflict_do_nothing()


def _one_more(limit: Limit, key: bytes, now: int) -> Update:
    """Move the moment at which all is forgotten, if it is near enough."""
    latest = _latest(limit, now)
    since = case((_COUNTED.free_at.between(now, latest), _COUNTED.free_at), else_=now)
    # A moment that no number of attempts leads to was written by a clock that was wrong.
    is_nonsense = _COUNTED.free_at > latest + limit.interval_ms + _DAY
    is_allowed = or_(_COUNTED.free_at <= latest, is_nonsense)
    moved = update(Counted).where(_COUNTED.digest == key, is_allowed)
    return moved.values(free_at=since + limit.interval_ms)


def _free_at(key: bytes) -> Select[int]:
    return select(_COUNTED.free_at).where(_COUNTED.digest == key)


def _latest(limit: Limit, now: int) -> int:
    return now + (limit.burst - 1) * limit.interval_ms


def key_of(limit: Limit, subject: str) -> bytes:
    """What stands for a subject in the table, which tells nobody who was here."""
    text = f"{limit.name}\0{subject}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def network_of(remote_addr: str) -> str:
    """The network of a client's address: itself, or what an IPv6 customer has at least, its /64.

    Everything that is not an address, such as the empty one behind a Unix socket, is one network.
    """
    try:
        address: IPv4Address | IPv6Address = ip_address(remote_addr.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
