"""The loss curve of a training that is under way."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("job", sa.Column("losses", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("job", "losses")
