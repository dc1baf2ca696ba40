"""An index for the jobs that ended last."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("job_ended", "job", ["tenant_id", "finished_at"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index("job_ended", table_name="job")
