"""sessions"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DIGEST = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
UP_TO_32_BYTES = sa.LargeBinary(32).with_variant(mysql.VARBINARY(32), "mysql", "mariadb")
DATA = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
SIGNED_IN = sa.text("user_id IS NOT NULL")
# SQLAlchemy 2.0 can't say so.
CAN_BE_ROOMY = "with" in sa.Table("any", sa.MetaData()).dialect_options["postgresql"]
ROOMY = {"postgresql_with": {"fillfactor": 90}} if CAN_BE_ROOMY else {}


def upgrade() -> None:
    table = op.get_context().opts["sessions_table"]
    name, schema = table.name, table.schema
    refuse_present(name, schema)
    op.create_table(
        name,
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("sweep_at", sa.BigInteger(), nullable=False),
        sa.Column("locked_until", sa.BigInteger(), nullable=True),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("manager", sa.String(64), nullable=False),
        sa.Column("handle", sa.String(22), nullable=True),
        sa.Column("data", DATA, nullable=False),
        sa.Column("user_id", sa.String(255), nullable=True),
        sa.Column("generation", UP_TO_32_BYTES, nullable=True),
        sa.Column("ended", sa.String(16), nullable=True),
        sa.Column("address", sa.String(45), nullable=True),
        sa.Column("user_agent", sa.String(255), nullable=True),
        sa.Column("lock_owner", sa.String(22), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=f"pk_{name}"),
        sa.UniqueConstraint("handle", name=f"uq_{name}_handle"),
        schema=schema,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
        **ROOMY,
    )
    op.create_index(
        f"ix_{name}_user_id",
        name,
        ["user_id"],
        schema=schema,
        postgresql_where=SIGNED_IN,
        sqlite_where=SIGNED_IN,
    )
    op.create_index(f"ix_{name}_sweep_at", name, ["sweep_at"], schema=schema)


def refuse_present(name: str, schema: str | None) -> None:
    """Raise CommandError if there is a table of that name already; it may be anybody's."""
    if op.get_context().as_sql or not sa.inspect(op.get_bind()).has_table(name, schema=schema):
        return
    raise CommandError(
        f"there is already a table {name!r}: if it belongs to another application, choose another"
        " name with the setting session.table; if it belongs to this application and was made"
        " without alembic, tell alembic so with `alembic stamp head`"
    )


def downgrade() -> None:
    table = op.get_context().opts["sessions_table"]
    op.drop_table(table.name, schema=table.schema)
