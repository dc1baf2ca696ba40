"""Search, gates and interim results."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ADDED = (
    ("job", "interim", sa.JSON),
    ("adapter", "checkpoint", lambda: sa.String(length=255)),
    ("adapter", "found", sa.JSON),
    ("generated_image", "candidate", sa.BigInteger),
    ("generated_image", "nearest_image_id", lambda: sa.String(length=255)),
    ("generated_image", "nearest_feature_ratio", sa.Double),
    ("generated_image", "nearest_pixel_ratio", sa.Double),
)


def upgrade() -> None:
    """Apply."""
    for table, column, kind in _ADDED:
        op.add_column(table, sa.Column(column, kind(), nullable=True))


def downgrade() -> None:
    """Take back."""
    for table, column, _ in reversed(_ADDED):
        op.drop_column(table, column)
