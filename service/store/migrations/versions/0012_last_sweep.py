"""When maintenance last swept, and an index for when a tenant was last served."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "sweep",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("swept_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("job_served", "job", ["tenant_id", "started_at"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index("job_served", table_name="job")
    op.drop_table("sweep")
