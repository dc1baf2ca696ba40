"""The second real image of a spliced start."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TABLES = ("generated_image", "trial_example")


def upgrade() -> None:
    """Apply."""
    for table in _TABLES:
        op.add_column(table, sa.Column("second_source_image_id", sa.String(length=255), nullable=True))


def downgrade() -> None:
    """Take back."""
    for table in reversed(_TABLES):
        op.drop_column(table, "second_source_image_id")
