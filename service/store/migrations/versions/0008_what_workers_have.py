"""The memory that workers have."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ADDED = ("memory_bytes", "device_memory_bytes")


def upgrade() -> None:
    """Apply."""
    for name in _ADDED:
        op.add_column("worker", sa.Column(name, sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take back."""
    for name in reversed(_ADDED):
        op.drop_column("worker", name)
