"""The tables of accounts. Moments are milliseconds since 1970 in UTC, as for sessions.

Secrets are stored only as their SHA-256: a stolen table contains no link and no cookie.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Mapped, mapped_column

from myapp.accounts.addresses import MAX_LENGTH
from myapp.models.meta import Base

_DIGEST: Final = LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")

# Texts are compared to the letter, as SQLite and PostgreSQL do; and an id is never given twice.
_OPTIONS: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
_NUMBERED: Final[dict[str, Any]] = {**_OPTIONS, "sqlite_autoincrement": True}


class User(Base):
    """Somebody who can sign in, once the address is confirmed and unless it is disabled."""

    __tablename__ = "users"
    __table_args__ = _NUMBERED

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(MAX_LENGTH), unique=True)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    """None until one is chosen with a link."""
    generation: Mapped[bytes] = mapped_column(_DIGEST)
    """Random; another one ends all sessions and voids all links (R7)."""
    role: Mapped[str] = mapped_column(String(32))
    """`user` or `administrator`."""
    created_at: Mapped[int] = mapped_column(BigInteger)
    confirmed_at: Mapped[int | None] = mapped_column(BigInteger)
    disabled_at: Mapped[int | None] = mapped_column(BigInteger)

    # A change that rests on what was proved before another password was set is too late: it finds
    # no row, which is worth another attempt of the request.
    __mapper_args__ = {  # noqa: RUF012  # SQLAlchemy declares it as of an instance
        "version_id_col": generation,
        "version_id_generator": False,
    }

    @property
    def may_sign_in(self) -> bool:
        """Whether the account is confirmed and not disabled."""
        return self.confirmed_at is not None and self.disabled_at is None


class SignUp(Base):
    """A sign-up whose address is not confirmed yet."""

    __tablename__ = "account_signups"
    __table_args__ = _NUMBERED

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(MAX_LENGTH))
    password_hash: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[int] = mapped_column(BigInteger, index=True)


class Link(Base):
    """What the token of a link in a mail allows, once."""

    __tablename__ = "account_links"
    __table_args__ = _OPTIONS

    digest: Mapped[bytes] = mapped_column(_DIGEST, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    signup_id: Mapped[int | None] = mapped_column(
        ForeignKey("account_signups.id", ondelete="CASCADE"), index=True
    )
    email: Mapped[str] = mapped_column(String(MAX_LENGTH))
    """The address that it was sent to."""
    stamp: Mapped[bytes | None] = mapped_column(_DIGEST)
    """A digest of the account's generation and address then; if they change, the link is void."""
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)


class Browser(Base):
    """A browser in which a user has signed in before; it bears the cookie of this digest."""

    __tablename__ = "account_browsers"
    __table_args__ = _OPTIONS

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[bytes] = mapped_column(_DIGEST, primary_key=True)
    name: Mapped[str | None] = mapped_column(String(64))
    """What its user calls it."""
    handle: Mapped[str | None] = mapped_column(String(22))
    """The session that was begun in it last."""
    seen_at: Mapped[int] = mapped_column(BigInteger)


class Throttle(Base):
    """How often something was tried, stored as the moment at which that is forgotten."""

    __tablename__ = "account_throttles"
    __table_args__ = _OPTIONS

    digest: Mapped[bytes] = mapped_column(_DIGEST, primary_key=True)
    free_at: Mapped[int] = mapped_column(BigInteger)


class Message(Base):
    """A mail to send: committed with the change that it reports, and deleted once it is sent.

    It holds no token: the sender creates one. `user_id` and `signup_id` say whom it is about.
    """

    __tablename__ = "account_messages"
    __table_args__ = (Index(None, "due_at"), _NUMBERED)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    email: Mapped[str] = mapped_column(String(MAX_LENGTH))
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    signup_id: Mapped[int | None] = mapped_column(
        ForeignKey("account_signups.id", ondelete="CASCADE"), index=True
    )
    details: Mapped[str] = mapped_column(Text)
    """Further contents of the mail as JSON, such as a browser in words; nothing secret."""
    number: Mapped[str] = mapped_column(String(32))
    """The random part of its Message-ID, the same however often it is sent."""
    created_at: Mapped[int] = mapped_column(BigInteger)
    due_at: Mapped[int] = mapped_column(BigInteger)
    """When to send it; the sender postpones this first, so that nobody else sends it."""
    attempts: Mapped[int] = mapped_column()


class Event(Base):
    """Something that happened to an account's security, for its owner to read."""

    __tablename__ = "account_events"
    __table_args__ = (Index(None, "user_id", "happened_at"), _NUMBERED)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    happened_at: Mapped[int] = mapped_column(BigInteger, index=True)
    kind: Mapped[str] = mapped_column(String(32))
    address: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(255))
