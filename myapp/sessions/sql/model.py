"""The SQLAlchemy model of the sessions table.

It has its own metadata, which any application can pass to alembic together with that of its own
models; no foreign key leads into an application. Every moment is a whole number of milliseconds
since 1970 in UTC: no time zones, no 2038. The columns that a touch or a save changes (`version`,
`data`, `seen_at`, `expires_at`) have no index, or PostgreSQL could not do heap-only updates.
"""

from __future__ import annotations

from typing import Final, cast

from sqlalchemy import (
    URL,
    BigInteger,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    quoted_name,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.elements import conv
from sqlalchemy.sql.schema import RETAIN_SCHEMA

_CONVENTION: Final = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=_CONVENTION)

# A BLOB of MySQL ends at 64 KiB, and its texts compare without regard to case unless told.
_BYTES_32 = LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
_UP_TO_32_BYTES = LargeBinary(32).with_variant(mysql.VARBINARY(32), "mysql", "mariadb")
_SIGNED_IN = text("user_id IS NOT NULL")
# Room on each page for updated rows. SQLAlchemy 2.0 can't say so: the table then has PostgreSQL's
# default, no room, and works all the same.
_ROOMY: Final = {"postgresql_with": {"fillfactor": 90}}
_CAN_BE_ROOMY = "with" in Table("any", MetaData()).dialect_options["postgresql"]
_DATA = LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


class Base(DeclarativeBase):
    """The base of this one model."""

    metadata = metadata


class SessionRow(Base):
    """One session, or the marker that an ended one leaves for a minute."""

    __tablename__ = "sessions"
    __table_args__ = (
        # Most sessions may be nobody's. MariaDB and MySQL have no such index, and take a whole one.
        Index(None, "user_id", postgresql_where=_SIGNED_IN, sqlite_where=_SIGNED_IN),
        Index(None, "sweep_at"),
        {
            **(_ROOMY if _CAN_BE_ROOMY else {}),
            "mysql_engine": "InnoDB",
            "mysql_charset": "utf8mb4",
            "mysql_collate": "utf8mb4_bin",
            "mariadb_engine": "InnoDB",
            "mariadb_charset": "utf8mb4",
            "mariadb_collate": "utf8mb4_bin",
        },
    )

    # First what a save or a touch changes, all of one width: PostgreSQL logs an update from the
    # first changed byte to the last, and pads no row.
    version: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[int] = mapped_column(BigInteger)
    seen_at: Mapped[int] = mapped_column(BigInteger)
    deadline: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger)
    # When the sweeper is to look at this row, seldom moved: not later than a session can expire; a
    # marker made in place on SQLite may wait for a while longer.
    sweep_at: Mapped[int] = mapped_column(BigInteger)
    # Until when at the latest the session's lock is held (S13), and by whom.
    locked_until: Mapped[int | None] = mapped_column(BigInteger)
    digest: Mapped[bytes] = mapped_column(_BYTES_32, primary_key=True)
    manager: Mapped[str] = mapped_column(String(64))
    handle: Mapped[str | None] = mapped_column(String(22), unique=True)
    data: Mapped[bytes] = mapped_column(_DATA)
    user_id: Mapped[str | None] = mapped_column(String(255))
    generation: Mapped[bytes | None] = mapped_column(_UP_TO_32_BYTES)
    ended: Mapped[str | None] = mapped_column(String(16))
    address: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(255))
    lock_owner: Mapped[str | None] = mapped_column(String(22))
    # Added by a migration, and so the last.
    signed_in_at: Mapped[int | None] = mapped_column(BigInteger)


table: Table = cast(Table, SessionRow.__table__)
"""The same as SQLAlchemy Core has it."""


_MYSQL_SCHEMAS: Final = ("information_schema", "mysql", "performance_schema", "sys")
_SCHEMAS_OF_SERVERS: Final = {
    "postgresql": ("information_schema", "pg_catalog", "pg_toast"),
    "mysql": _MYSQL_SCHEMAS,
    "mariadb": _MYSQL_SCHEMAS,
}


def refused_name(name: str, url: URL) -> str | None:
    """What is expected in place of a name that this database can't have; None where it can."""
    taken = _SCHEMAS_OF_SERVERS.get(url.get_backend_name())
    if taken is not None:
        schema = name.rpartition(".")[0].lower()
        return "a name in a schema of your own" if schema in taken else None
    if "." in name:
        return "a name without a schema, which SQLite does not have"
    if name.lower().startswith("sqlite_"):
        return "a name that does not begin with sqlite_, which SQLite keeps for itself"
    return None


def named(name: str, *, within: str | None = None) -> Table:
    """The table under the name that `session.table` gives it: a name, or schema.name.

    Its `metadata` hold it alone, for alembic. `within` is the schema if the name has none. The
    constraints and indexes are called after the table.
    """
    given, _, plain = name.rpartition(".")
    schema = given or within
    if plain == table.name and not schema:
        return table
    # Quoted, since a database may reserve the word.
    where = quoted_name(schema, quote=True) if schema else RETAIN_SCHEMA
    own = MetaData(naming_convention=_CONVENTION)
    made = table.to_metadata(own, name=quoted_name(plain, quote=True), schema=where)
    # SQLAlchemy gives new names to the others only.
    made.primary_key.name = conv(_CONVENTION["pk"] % {"table_name": plain})
    for index in made.indexes:
        names = {"table_name": plain, "column_0_name": index.columns[0].name}
        index.name = conv(_CONVENTION["ix"] % names)
    return made
