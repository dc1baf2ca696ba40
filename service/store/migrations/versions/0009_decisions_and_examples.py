"""Decisions about generated images, and example images of a search's trials."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None

_ADDED = (
    ("decision", sa.String(length=255)),
    ("decided_at", sa.DateTime(timezone=True)),
    ("decided_by", sa.String(length=255)),
)


def upgrade() -> None:
    """Apply."""
    for column, kind in _ADDED:
        op.add_column("generated_image", sa.Column(column, kind, nullable=True))
    op.create_index(
        "generated_image_decided",
        "generated_image",
        ["generation_id", "class_name", "decision", "number"],
        unique=False,
    )
    op.create_table(
        "trial_example",
        sa.Column("adaptation_id", sa.String(length=255), nullable=False),
        sa.Column("class_name", sa.String(length=255), nullable=False),
        sa.Column("trial", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=255), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("width_px", sa.BigInteger(), nullable=False),
        sa.Column("height_px", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("source_image_id", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(["adaptation_id"], ["adaptation.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("adaptation_id", "class_name", "trial", "number"),
    )
    op.create_index(op.f("ix_trial_example_tenant_id"), "trial_example", ["tenant_id"], unique=False)
    op.create_index(op.f("ix_trial_example_sha256"), "trial_example", ["sha256"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_trial_example_sha256"), table_name="trial_example")
    op.drop_index(op.f("ix_trial_example_tenant_id"), table_name="trial_example")
    op.drop_table("trial_example")
    op.drop_index("generated_image_decided", table_name="generated_image")
    for column, _ in reversed(_ADDED):
        op.drop_column("generated_image", column)
