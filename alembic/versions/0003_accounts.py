"""accounts"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

DIGEST = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
NUMBERED = {**OPTIONS, "sqlite_autoincrement": True}


def upgrade() -> None:
    refuse_present("users")
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=True),
        sa.Column("generation", DIGEST, nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
        **NUMBERED,
    )
    op.create_table(
        "account_signups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account_signups"),
        **NUMBERED,
    )
    index("account_signups", "created_at")
    op.create_table(
        "account_links",
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("signup_id", sa.Integer(), nullable=True),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("stamp", DIGEST, nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_account_links"),
        refers("account_links", "user_id", "users"),
        refers("account_links", "signup_id", "account_signups"),
        **OPTIONS,
    )
    index("account_links", "user_id")
    index("account_links", "signup_id")
    index("account_links", "expires_at")
    op.create_table(
        "account_browsers",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("name", sa.String(64), nullable=True),
        sa.Column("handle", sa.String(22), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "digest", name="pk_account_browsers"),
        refers("account_browsers", "user_id", "users"),
        **OPTIONS,
    )
    op.create_table(
        "account_throttles",
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("free_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_account_throttles"),
        **OPTIONS,
    )
    op.create_table(
        "account_messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("signup_id", sa.Integer(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("number", sa.String(32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account_messages"),
        refers("account_messages", "user_id", "users"),
        refers("account_messages", "signup_id", "account_signups"),
        **NUMBERED,
    )
    index("account_messages", "user_id")
    index("account_messages", "signup_id")
    index("account_messages", "due_at")
    op.create_table(
        "account_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("happened_at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("address", sa.String(45), nullable=True),
        sa.Column("user_agent", sa.String(255), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_account_events"),
        refers("account_events", "user_id", "users"),
        **NUMBERED,
    )
    index("account_events", "user_id", "happened_at")
    index("account_events", "happened_at")


def refuse_present(name: str) -> None:
    """Raise CommandError if there is a table of that name already; it may be anybody's."""
    if op.get_context().as_sql or not sa.inspect(op.get_bind()).has_table(name):
        return
    raise CommandError(
        f"there is already a table {name!r}: if it belongs to another application, give ours a"
        " database or, on PostgreSQL, a schema of its own; if it belongs to this application and"
        " was made without alembic, tell alembic so with `alembic stamp head`"
    )


def refers(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    """Rows go with the row that they are about."""
    name = f"fk_{table}_{column}_{other}"
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete="CASCADE")


def index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def downgrade() -> None:
    for table in ("events", "messages", "throttles", "browsers", "links", "signups"):
        op.drop_table(f"account_{table}")
    op.drop_table("users")
