"""The table of the images that a search's trials leave to look at."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from service.store.base import Base


class TrialExampleRow(Base):
    """One of the images that a trial of an adaptation's search made; ``number``: its place among the trial's images."""

    __tablename__ = "trial_example"
    adaptation_id: Mapped[str] = mapped_column(ForeignKey("adaptation.id", ondelete="CASCADE"), primary_key=True)
    class_name: Mapped[str] = mapped_column(primary_key=True)
    trial: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    sha256: Mapped[str] = mapped_column(index=True)
    size_bytes: Mapped[int]
    width_px: Mapped[int]
    height_px: Mapped[int]
    seed: Mapped[int]
    source_image_id: Mapped[str | None]
    second_source_image_id: Mapped[str | None]
