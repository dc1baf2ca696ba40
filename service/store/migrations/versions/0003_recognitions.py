"""Recognitions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "recognition",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_recognition_tenant_id"), "recognition", ["tenant_id"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_recognition_tenant_id"), table_name="recognition")
    op.drop_table("recognition")
