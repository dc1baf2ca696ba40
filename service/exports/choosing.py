"""Which images an archive holds. This is the one place that decides it.

Of synthetic ones all that were published, less those that somebody rejected, and those whose source, or a picture of
its group or with its pixels, is a validation or test image: a model that learns from the archive must not have seen
what it is measured on. Of real ones, where they are wanted, the train images that the generation's adapters learned
from, by the same rule.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from service.contracts.datasets import Split
from service.contracts.generations import (
    DecidedImage,
    Decision,
    DecisionCounts,
    DecisionState,
    GenerationParams,
    GenerationResult,
)
from service.contracts.ids import TenantId
from service.contracts.jobs import JobState
from service.errors import Conflict, InvalidRequest, NotFound
from service.exports.folders import folders_of
from service.exports.manifest import LeftOut, ManifestClass
from service.store import adaptations, adapters, datasets, generations, jobs
from service.store.splits import HeldOut, held_out
from service.store.tables import ImageRow, JobRow


@dataclass(frozen=True)
class Wanted:
    """What a client asks for: real train images too, and which class (of the data set's) shows no defect.

    ``include_rejected``: synthetic images that somebody rejected, too.
    """

    include_real: bool = False
    normal_class: str | None = None
    include_rejected: bool = False


@dataclass(frozen=True)
class Picture:
    """One image of an archive, and the real ones it was made from; a real image is its own source."""

    image: DecidedImage | ImageRow
    source: ImageRow | None
    second_source: ImageRow | None = None

    @property
    def is_synthetic(self) -> bool:
        """Whether it was generated."""
        return isinstance(self.image, DecidedImage)


@dataclass(frozen=True)
class Chosen:
    """What an archive holds, synthetic images first, each by class and number; ``jobs``: of the generation.

    ``decisions``: about all published images, by class.
    """

    classes: Mapping[str, ManifestClass]
    pictures: Sequence[Picture]
    left_out: Mapping[LeftOut, int]
    decisions: Mapping[str, DecisionCounts]
    jobs: Sequence[JobRow] = field(default=())


def chosen(session: Session, tenant_id: TenantId, generation_id: str, wanted: Wanted) -> Chosen:
    """The images of an archive.

    Raises ``NotFound``; ``Conflict`` where nothing was published, where all of it was rejected, and where real images
    are wanted of a class whose adapter was deleted; ``InvalidRequest`` for a normal class that no data set
    behind the generation has.
    """
    generations.get(session, tenant_id, generation_id)
    of_it = jobs.of_resources(session, tenant_id, [generation_id])
    images = generations.images_of(session, tenant_id, generation_id)
    if not images:
        raise _nothing_published(of_it)
    left_out: Counter[LeftOut] = Counter()
    delivered = images if wanted.include_rejected else _not_rejected(images, left_out)
    classes = {job.class_name: _class_of(session, tenant_id, job) for job in of_it}
    versions = {one.dataset_version_id for one in classes.values() if one.dataset_version_id is not None}
    held = held_out(session, tenant_id, versions)
    pictures = list(_synthetic(session, tenant_id, delivered, held, left_out))
    if wanted.include_real or wanted.normal_class is not None:
        pictures += _real(_train_rows(session, tenant_id, classes, wanted), held, left_out)
    if wanted.normal_class is not None:
        classes.setdefault(wanted.normal_class, ManifestClass(folder=""))
    folders = folders_of(classes)
    named = {name: one.model_copy(update={"folder": folders[name]}) for name, one in classes.items()}
    return Chosen(named, pictures, left_out, _decisions(images), of_it)


def _nothing_published(of_it: Sequence[JobRow]) -> Conflict:
    """Why there is no image: there will be some, none passed the gates, or no job succeeded."""
    states = {JobState(job.state) for job in of_it}
    if not all(state.is_final for state in states):
        return Conflict(
            "no image of this generation has been published yet",
            code="generation_unfinished",
            remedy="Wait until one of its jobs has succeeded.",
        )
    if JobState.SUCCEEDED not in states:
        return Conflict(
            "this generation has no images: none of its jobs succeeded",
            code="generation_failed",
            remedy="Each failed job says why, and what to do; then generate again.",
        )
    results = [GenerationResult.model_validate(job.result) for job in of_it if job.result is not None]
    told = " ".join(warning for result in results for warning in result.warnings)
    return Conflict(
        f"this generation has no images: the gates accepted none of those that were made. {told}".rstrip(),
        code="no_image_accepted",
        remedy="Its report says which gate rejected how many; generate again with other settings or gates.",
    )


def _not_rejected(images: Sequence[DecidedImage], left_out: Counter[LeftOut]) -> list[DecidedImage]:
    kept = [image for image in images if image.decision is not Decision.REJECT]
    if not kept:
        raise Conflict(
            "every published image of this generation was rejected",
            code="all_images_rejected",
            remedy="Keep some of them, or ask for them with include_rejected=true.",
        )
    if len(kept) < len(images):
        left_out[LeftOut.REJECTED] = len(images) - len(kept)
    return kept


def _decisions(images: Sequence[DecidedImage]) -> dict[str, DecisionCounts]:
    """Of the images that were read, so that they agree with those that are delivered."""
    found: dict[str, Counter[str]] = {}
    for image in images:
        found.setdefault(image.class_name, Counter())[image.decision or DecisionState.UNDECIDED] += 1
    return {class_name: DecisionCounts(**numbers) for class_name, numbers in found.items()}


def _class_of(session: Session, tenant_id: TenantId, job: JobRow) -> ManifestClass:
    params = GenerationParams.model_validate(job.params)
    try:
        adapter = adapters.get(session, tenant_id, params.adapter_id)
    except NotFound:
        return ManifestClass(folder="", adapter_id=params.adapter_id, params=params)
    return ManifestClass(
        folder="",
        adapter_id=adapter.id,
        base_model=adapter.base_model,
        dataset_version_id=adaptations.get(session, tenant_id, adapter.adaptation_id).dataset_version_id,
        params=params,
    )


def _synthetic(
    session: Session,
    tenant_id: TenantId,
    images: Sequence[DecidedImage],
    held: HeldOut,
    left_out: Counter[LeftOut],
) -> Iterator[Picture]:
    """A source that was deleted since can no longer be looked at; the image was made of a train image, as all are."""
    named = {one for image in images for one in image.source_image_ids}
    sources = datasets.rows_by_id(session, tenant_id, named)
    for image in images:
        source, second = (sources.get(one or "") for one in (image.source_image_id, image.second_source_image_id))
        if any(one is not None and held.holds(one) for one in (source, second)):
            left_out[LeftOut.SOURCE_HELD_OUT] += 1
            continue
        yield Picture(image, source, second)


def _real(rows: Iterable[ImageRow], held: HeldOut, left_out: Counter[LeftOut]) -> Iterator[Picture]:
    for row in rows:
        if held.holds(row):
            left_out[LeftOut.HELD_OUT] += 1
            continue
        yield Picture(row, row)


def _train_rows(
    session: Session, tenant_id: TenantId, classes: Mapping[str, ManifestClass], wanted: Wanted
) -> list[ImageRow]:
    """Train images, each class's of the version that its adapter learned from; the normal class's of all of these."""
    unknown = sorted(name for name, one in classes.items() if one.dataset_version_id is None)
    if unknown:
        raise Conflict(
            f"the adapters of {', '.join(unknown)} were deleted: what they had learned from can no longer be told",
            code="lineage_unknown",
            remedy="Ask for the archive without real images.",
        )
    asked: dict[str, set[str]] = {}
    for name, one in classes.items():
        if wanted.include_real:
            asked.setdefault(one.dataset_version_id or "", set()).add(name)
        if wanted.normal_class is not None:
            asked.setdefault(one.dataset_version_id or "", set()).add(wanted.normal_class)
    rows = {
        row.id: row
        for version_id, names in asked.items()
        for row in datasets.rows_of_version(session, tenant_id, version_id)
        if row.class_name in names and row.split == Split.TRAIN
    }
    _check_normal(wanted.normal_class, {row.class_name for row in rows.values()})
    return sorted(rows.values(), key=lambda row: (row.class_name, row.filename, row.id))


def _check_normal(normal_class: str | None, found: set[str]) -> None:
    if normal_class is not None and normal_class not in found:
        raise InvalidRequest(
            f"no data set behind this generation has train images of class {normal_class!r}",
            code="unknown_class",
            field="normal_class",
            remedy="Name the class of images without a defect, as it was uploaded, or leave the option out.",
        )
