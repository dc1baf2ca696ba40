"""Indexes in the order of lists, so that a page costs the same however much is stored.

Those of a tenant alone go: a tenant may have all rows, and SQLite then takes such an index where a better one is there.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_LISTED = ("dataset", "adaptation", "adapter", "generation", "evaluation", "recognition")
_MEMBERS = ("dataset_version", "image", "version_image", "generated_image", "trial_example")
_FILTERS = {"state": "state", "kind": "kind", "class": "class_name"}


def upgrade() -> None:
    """Apply."""
    for table in _LISTED:
        op.create_index(f"{table}_of_tenant", table, ["tenant_id", "created_at", "id"], unique=False)
    for table in (*_LISTED, *_MEMBERS):
        op.drop_index(f"ix_{table}_tenant_id", table_name=table)
    for name, column in _FILTERS.items():
        columns = ["tenant_id", column, "created_at", "id"]
        op.create_index(f"job_of_tenant_by_{name}", "job", columns, unique=False)
    op.create_index("ix_adaptation_dataset_version_id", "adaptation", ["dataset_version_id"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_adaptation_dataset_version_id", table_name="adaptation")
    for name in _FILTERS:
        op.drop_index(f"job_of_tenant_by_{name}", table_name="job")
    for table in (*_LISTED, *_MEMBERS):
        op.create_index(f"ix_{table}_tenant_id", table, ["tenant_id"], unique=False)
    for table in _LISTED:
        op.drop_index(f"{table}_of_tenant", table_name=table)
