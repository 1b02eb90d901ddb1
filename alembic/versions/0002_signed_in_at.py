"""when a user signed in"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("signed_in_at", sa.BigInteger(), nullable=True))
    # Until now a sign-in always began a session.
    op.execute("UPDATE sessions SET signed_in_at = created_at WHERE user_id IS NOT NULL")


def downgrade() -> None:
    op.drop_column("sessions", "signed_in_at")
