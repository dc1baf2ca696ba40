"""The request that a job came from, when a worker last looked for work, and an index to count jobs by."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("job", sa.Column("request_id", sa.String(length=255), nullable=True))
    op.add_column("worker", sa.Column("looked_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("job_counted", "job", ["state", "kind", "created_at"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index("job_counted", table_name="job")
    op.drop_column("worker", "looked_at")
    op.drop_column("job", "request_id")
