"""Use case: receive images. Decode, check, hash, assign splits, and record an immutable dataset version.

One bad file never spoils the others: it is named with its reason, and the version holds exactly the accepted ones.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO

from sqlalchemy.orm import Session

from service.contracts.datasets import DatasetWarning, RefusedImage, Split
from service.contracts.ids import DatasetId, ImageId, TenantId, VersionId
from service.decoding import DecodedImage, ImageLimits, ImageRefusal, decode
from service.errors import ArchiveUnusable, NoAcceptableImages
from service.intake_budget import Budget, UploadLimits
from service.intake_splits import Candidate, assign, refuse_straddling
from service.intake_storing import Storing
from service.intake_warnings import about_conversions, about_images
from service.queueing import nothing
from service.store import datasets
from service.store.artifacts import ArtifactStore, StoredArtifact
from service.store.database import Database
from service.store.tables import DatasetRow, DatasetVersionRow, ImageRow


@dataclass(frozen=True)
class Incoming:
    """One uploaded image, not yet looked at. ``path`` is how the client calls it; ``read`` raises ``ImageRefusal``."""

    path: str
    class_name: str
    filename: str
    split: Split | None
    group: str | None
    read: Callable[[], BinaryIO]


def _go_on() -> None:
    """Nobody asks for the upload to be left."""


@dataclass(frozen=True)
class Upload:
    """Everything of one request: images to decode, those refused by name alone, and classes that were announced.

    ``before_each`` image: what it raises ends the upload.
    """

    images: list[Incoming] = field(default_factory=list)
    refused: list[RefusedImage] = field(default_factory=list)
    class_names: set[str] = field(default_factory=set)
    before_each: Callable[[], None] = _go_on


@dataclass(frozen=True)
class Receipt:
    """What became of an upload."""

    dataset: DatasetRow
    version: DatasetVersionRow
    num_accepted: int
    refused: list[RefusedImage]


@dataclass(frozen=True)
class _Accepted:
    """A decoded image whose bytes are stored."""

    incoming: Incoming
    decoded: DecodedImage
    stored: StoredArtifact


class Intake:
    """Receives images for one composition root. Its methods block: call them outside the event loop."""

    def __init__(
        self,
        database: Database,
        artifacts: ArtifactStore,
        limits: ImageLimits,
        upload_limits: UploadLimits,
        min_train_images: int,
        clock: Callable[[], datetime],
        new_id: Callable[[str], str],
        count: Callable[[int, Sequence[RefusedImage]], None] = lambda num_accepted, refused: None,
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._limits = limits
        self._upload_limits = upload_limits
        self._min_train_images = min_train_images
        self._clock = clock
        self._new_id = new_id
        self._count = count

    def create(
        self, tenant_id: TenantId, name: str, upload: Upload, note: Callable[[Session, Receipt], None] = nothing
    ) -> Receipt:
        """A new dataset; ``note`` ends its transaction.

        Raises ``NoAcceptableImages``, ``ArchiveUnusable``, ``GroupStraddles`` and ``StorageFull``.
        """
        refuse_straddling([(image.group, image.split) for image in upload.images], {})
        accepted, refused = self._accept(upload)
        with self._database.transaction() as session:
            dataset_id = DatasetId(self._new_id("ds"))
            dataset = datasets.insert_dataset(session, tenant_id, dataset_id, name, self._clock())
            version = self._record(session, dataset, accepted, [], [], upload.class_names)
            receipt = Receipt(dataset, version, len(accepted), refused)
            note(session, receipt)
        return receipt

    def replace_class(
        self,
        tenant_id: TenantId,
        dataset_id: str,
        class_name: str,
        upload: Upload,
        note: Callable[[Session, Receipt], None] = nothing,
    ) -> Receipt:
        """A new version in which the class holds exactly these images; other classes stay as they are.

        Raises ``NotFound`` besides what ``create`` raises.
        """
        with self._database.reading() as session:
            datasets.get(session, tenant_id, dataset_id)
        accepted, refused = self._accept(upload)
        with self._database.transaction() as session:
            dataset = datasets.get(session, tenant_id, dataset_id, lock=True)
            latest = datasets.version(session, tenant_id, dataset_id)
            rows = datasets.rows_of_version(session, tenant_id, latest.id)
            others = [row for row in rows if row.class_name != class_name]
            warnings = [warning for warning in _conversion_warnings(latest) if warning.class_name != class_name]
            version = self._record(session, dataset, accepted, others, warnings, upload.class_names)
            receipt = Receipt(dataset, version, len(accepted), refused)
            note(session, receipt)
        return receipt

    def _accept(self, upload: Upload) -> tuple[list[_Accepted], list[RefusedImage]]:
        """Decode image by image, so that one picture is in memory at a time; earlier ones are stored meanwhile."""
        kept: list[tuple[Incoming, DecodedImage, Future[StoredArtifact]]] = []
        refused = list(upload.refused)
        budget = Budget(self._upload_limits)
        with Storing(self._artifacts.put_bytes) as storing:
            for image in upload.images:
                upload.before_each()
                try:
                    budget.check()
                    decoded = decode(image.read(), image.filename, self._limits, budget.take_pixels)
                except ImageRefusal as refusal:
                    refused.append(refusal.of(image.path))
                    continue
                kept.append((image, _without_bytes(decoded), storing.put(decoded.png)))
        accepted = [_Accepted(image, decoded, stored.result()) for image, decoded, stored in kept]
        self._count(len(accepted), refused)
        if not accepted and not refused:
            raise ArchiveUnusable("the archive holds no image", field="archive")
        if not accepted:
            raise NoAcceptableImages(f"none of the {len(refused)} files sent can be accepted", refused)
        return accepted, refused

    def _record(
        self,
        session: Session,
        dataset: DatasetRow,
        accepted: Sequence[_Accepted],
        others: Sequence[ImageRow],
        earlier_warnings: Sequence[DatasetWarning],
        class_names: Iterable[str],
    ) -> DatasetVersionRow:
        settled = {row.group: Split(row.split) for row in others if row.group is not None}
        splits, moved = assign([_candidate(one) for one in accepted], settled)
        now = self._clock()
        rows = [self._row(dataset, one, split, now) for one, split in zip(accepted, splits, strict=True)]
        datasets.insert_images(session, rows)
        converted = [
            (one.incoming.class_name, one.incoming.filename, note)
            for one in accepted
            for note in one.decoded.conversions
        ]
        warnings = [
            *about_images([*others, *rows], class_names, self._min_train_images),
            *moved,
            *earlier_warnings,
            *about_conversions(converted),
        ]
        image_ids = [ImageId(row.id) for row in (*others, *rows)]
        version_id = VersionId(self._new_id("dsv"))
        return datasets.add_version(
            session, TenantId(dataset.tenant_id), version_id, DatasetId(dataset.id), image_ids, warnings, now
        )

    def _row(self, dataset: DatasetRow, one: _Accepted, split: Split, now: datetime) -> ImageRow:
        return ImageRow(
            id=self._new_id("img"),
            tenant_id=dataset.tenant_id,
            dataset_id=dataset.id,
            class_name=one.incoming.class_name,
            filename=one.incoming.filename,
            sha256=one.stored.sha256,
            pixel_sha256=one.decoded.pixel_sha256,
            size_bytes=one.stored.size_bytes,
            split=split,
            group=one.incoming.group,
            width_px=one.decoded.width_px,
            height_px=one.decoded.height_px,
            mode=one.decoded.mode,
            sharpness=one.decoded.sharpness,
            created_at=now,
        )


def _without_bytes(decoded: DecodedImage) -> DecodedImage:
    return DecodedImage(
        png=b"",
        pixel_sha256=decoded.pixel_sha256,
        width_px=decoded.width_px,
        height_px=decoded.height_px,
        mode=decoded.mode,
        sharpness=decoded.sharpness,
        conversions=decoded.conversions,
    )


def _candidate(one: _Accepted) -> Candidate:
    image = one.incoming
    return Candidate(image.class_name, image.filename, one.decoded.pixel_sha256, image.split, image.group)


def _conversion_warnings(version: DatasetVersionRow) -> list[DatasetWarning]:
    """Those warnings that cannot be computed again from the record."""
    kept = ("converted", "wrong_extension", "duplicate_moved")
    parsed = [DatasetWarning.model_validate(warning) for warning in version.warnings]
    return [warning for warning in parsed if warning.code in kept]
