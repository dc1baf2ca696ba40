"""The memory that workers have, and how sharp images are."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ADDED: tuple[tuple[str, str, sa.types.TypeEngine[int] | sa.types.TypeEngine[float]], ...] = (
    ("worker", "memory_bytes", sa.BigInteger()),
    ("worker", "device_memory_bytes", sa.BigInteger()),
    ("image", "sharpness", sa.Double()),
)


def upgrade() -> None:
    """Apply."""
    for table, name, kind in _ADDED:
        op.add_column(table, sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    """Take back."""
    for table, name, _ in reversed(_ADDED):
        op.drop_column(table, name)
