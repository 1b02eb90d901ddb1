"""when a user signed in"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    table = op.get_context().opts["sessions_table"]
    column = sa.Column("signed_in_at", sa.BigInteger(), nullable=True)
    op.add_column(table.name, column, schema=table.schema)
    names = ("signed_in_at", "created_at", "user_id")
    rows = sa.table(table.name, *map(sa.column, names), schema=table.schema)
    # Until now a sign-in always began a session.
    began = sa.update(rows).values(signed_in_at=rows.c.created_at)
    op.execute(began.where(rows.c.user_id.is_not(None)))


def downgrade() -> None:
    table = op.get_context().opts["sessions_table"]
    op.drop_column(table.name, "signed_in_at", schema=table.schema)
