"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "dataset",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_dataset_tenant_id"), "dataset", ["tenant_id"], unique=False)
    op.create_table(
        "evaluation",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_evaluation_tenant_id"), "evaluation", ["tenant_id"], unique=False)
    op.create_table(
        "generation",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_generation_tenant_id"), "generation", ["tenant_id"], unique=False)
    op.create_table(
        "job",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=255), nullable=False),
        sa.Column("resource_id", sa.String(length=255), nullable=False),
        sa.Column("class_name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=255), nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("adapter_id", sa.String(length=255), nullable=True),
        sa.Column("progress", sa.JSON(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("failure", sa.JSON(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("fencing_token", sa.BigInteger(), nullable=False),
        sa.Column("worker_id", sa.String(length=255), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wakeup_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_job_lease_expires_at"), "job", ["lease_expires_at"], unique=False)
    op.create_index("job_of_resource", "job", ["resource_id", "class_name"], unique=False)
    op.create_index("job_of_tenant", "job", ["tenant_id", "created_at", "id"], unique=False)
    op.create_index("job_runnable", "job", ["state", "priority", "created_at"], unique=False)
    op.create_table(
        "worker",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("device", sa.String(length=255), nullable=False),
        sa.Column("resident_adapter_id", sa.String(length=255), nullable=True),
        sa.Column("job_id", sa.String(length=255), nullable=True),
        sa.Column("rss_bytes", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "dataset_version",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("dataset_id", sa.String(length=255), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dataset_id", "number"),
    )
    op.create_index(op.f("ix_dataset_version_dataset_id"), "dataset_version", ["dataset_id"], unique=False)
    op.create_index(op.f("ix_dataset_version_tenant_id"), "dataset_version", ["tenant_id"], unique=False)
    op.create_table(
        "generated_image",
        sa.Column("generation_id", sa.String(length=255), nullable=False),
        sa.Column("class_name", sa.String(length=255), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("job_id", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=255), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("width_px", sa.BigInteger(), nullable=False),
        sa.Column("height_px", sa.BigInteger(), nullable=False),
        sa.Column("mode", sa.String(length=255), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("source_image_id", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(["generation_id"], ["generation.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("generation_id", "class_name", "number"),
    )
    op.create_index(op.f("ix_generated_image_job_id"), "generated_image", ["job_id"], unique=False)
    op.create_index(op.f("ix_generated_image_sha256"), "generated_image", ["sha256"], unique=False)
    op.create_index(op.f("ix_generated_image_tenant_id"), "generated_image", ["tenant_id"], unique=False)
    op.create_table(
        "image",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("dataset_id", sa.String(length=255), nullable=False),
        sa.Column("class_name", sa.String(length=255), nullable=False),
        sa.Column("filename", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=255), nullable=False),
        sa.Column("pixel_sha256", sa.String(length=255), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("split", sa.String(length=255), nullable=False),
        sa.Column("group_name", sa.String(length=255), nullable=True),
        sa.Column("width_px", sa.BigInteger(), nullable=False),
        sa.Column("height_px", sa.BigInteger(), nullable=False),
        sa.Column("mode", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_image_dataset_id"), "image", ["dataset_id"], unique=False)
    op.create_index(op.f("ix_image_sha256"), "image", ["sha256"], unique=False)
    op.create_index(op.f("ix_image_tenant_id"), "image", ["tenant_id"], unique=False)
    op.create_table(
        "adaptation",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("dataset_version_id", sa.String(length=255), nullable=False),
        sa.Column("base_model", sa.String(length=255), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_version_id"],
            ["dataset_version.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_adaptation_tenant_id"), "adaptation", ["tenant_id"], unique=False)
    op.create_table(
        "version_image",
        sa.Column("version_id", sa.String(length=255), nullable=False),
        sa.Column("image_id", sa.String(length=255), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["version_id"], ["dataset_version.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("version_id", "image_id"),
    )
    op.create_index(op.f("ix_version_image_image_id"), "version_image", ["image_id"], unique=False)
    op.create_index(op.f("ix_version_image_tenant_id"), "version_image", ["tenant_id"], unique=False)
    op.create_table(
        "adapter",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("tenant_id", sa.String(length=255), nullable=False),
        sa.Column("adaptation_id", sa.String(length=255), nullable=False),
        sa.Column("job_id", sa.String(length=255), nullable=False),
        sa.Column("class_name", sa.String(length=255), nullable=False),
        sa.Column("base_model", sa.String(length=255), nullable=False),
        sa.Column("archive_sha256", sa.String(length=255), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["adaptation_id"],
            ["adaptation.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job_id"),
    )
    op.create_index(op.f("ix_adapter_adaptation_id"), "adapter", ["adaptation_id"], unique=False)
    op.create_index(op.f("ix_adapter_tenant_id"), "adapter", ["tenant_id"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_adapter_tenant_id"), table_name="adapter")
    op.drop_index(op.f("ix_adapter_adaptation_id"), table_name="adapter")
    op.drop_table("adapter")
    op.drop_index(op.f("ix_version_image_tenant_id"), table_name="version_image")
    op.drop_index(op.f("ix_version_image_image_id"), table_name="version_image")
    op.drop_table("version_image")
    op.drop_index(op.f("ix_adaptation_tenant_id"), table_name="adaptation")
    op.drop_table("adaptation")
    op.drop_index(op.f("ix_image_tenant_id"), table_name="image")
    op.drop_index(op.f("ix_image_sha256"), table_name="image")
    op.drop_index(op.f("ix_image_dataset_id"), table_name="image")
    op.drop_table("image")
    op.drop_index(op.f("ix_generated_image_tenant_id"), table_name="generated_image")
    op.drop_index(op.f("ix_generated_image_sha256"), table_name="generated_image")
    op.drop_index(op.f("ix_generated_image_job_id"), table_name="generated_image")
    op.drop_table("generated_image")
    op.drop_index(op.f("ix_dataset_version_tenant_id"), table_name="dataset_version")
    op.drop_index(op.f("ix_dataset_version_dataset_id"), table_name="dataset_version")
    op.drop_table("dataset_version")
    op.drop_table("worker")
    op.drop_index("job_runnable", table_name="job")
    op.drop_index("job_of_tenant", table_name="job")
    op.drop_index("job_of_resource", table_name="job")
    op.drop_index(op.f("ix_job_lease_expires_at"), table_name="job")
    op.drop_table("job")
    op.drop_index(op.f("ix_generation_tenant_id"), table_name="generation")
    op.drop_table("generation")
    op.drop_index(op.f("ix_evaluation_tenant_id"), table_name="evaluation")
    op.drop_table("evaluation")
    op.drop_index(op.f("ix_dataset_tenant_id"), table_name="dataset")
    op.drop_table("dataset")
