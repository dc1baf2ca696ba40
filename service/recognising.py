"""Use case: accept a recognition. Its test images must be unseen by whatever made the synthetic ones."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.contracts.datasets import Split
from service.contracts.generations import GenerationParams
from service.contracts.ids import RecognitionId, TenantId, VersionId
from service.contracts.jobs import JobKind, JobState
from service.contracts.recognitions import RecognitionParams
from service.contracts.requests import RecognitionRequest
from service.errors import Conflict, InvalidRequest, NotFound, TooFewImages
from service.queueing import Note, QueuedJob, Queueing, nothing
from service.store import adaptations, adapters, datasets, decisions, generations, jobs, recognitions
from service.store.datasets import SplitCounts
from service.store.tables import JobRow, RecognitionRow

MIN_CLASSES = 2
#: Of each class. Without validation images the ratio is chosen on train images that are held out for it.
MIN_IMAGES: Mapping[Split, int] = {Split.TRAIN: 2, Split.TEST: 1}
_MAX_CLASS_NAME = 255


@dataclass(frozen=True)
class Made:
    """Published images of a class, and how many of them were rejected."""

    num_images: int
    num_rejected: int


@dataclass(frozen=True)
class Chosen:
    """The classes to tell apart, in order, and what was left out, in words."""

    classes: list[str]
    notes: list[str]


class Recognising:
    """Accepts recognitions for one composition root. ``classifiers``: the registered names."""

    def __init__(self, queueing: Queueing, classifiers: Collection[str]) -> None:
        self._queueing = queueing
        self._classifiers = classifiers

    def recognise(
        self, tenant_id: TenantId, request: RecognitionRequest, note: Note[RecognitionRow] = nothing
    ) -> RecognitionRow:
        """Queue one recognition job; the dataset's version is fixed now, and which images are rejected.

        Raises ``NotFound``, ``InvalidRequest``, ``TooFewImages``, ``Conflict`` and ``QueueFull``.
        """
        self._check_classifier(request.settings.classifier)
        with self._queueing.database.transaction() as session:
            datasets.get(session, tenant_id, request.dataset_id, lock=True)
            version = datasets.version(session, tenant_id, request.dataset_id, request.dataset_version_id)
            counts = datasets.class_counts(session, tenant_id, version.id)
            generating = _generating(session, tenant_id, request.generation_id)
            rejected = decisions.rejected(session, tenant_id, request.generation_id)
            made = _made(session, tenant_id, request.generation_id, rejected)
            chosen = _chosen(request, counts, generating, made)
            _check_counts(chosen.classes, counts)
            learned_from = {
                _learned_from(session, tenant_id, request.dataset_id, generating[name]) for name in chosen.classes
            }
            _check_unseen(session, tenant_id, version.id, {version.id, *learned_from}, chosen.classes)
            fixed = request.model_copy(update={"dataset_version_id": VersionId(version.id)})
            recognition_id = RecognitionId(self._queueing.new_id("rec"))
            row = recognitions.insert(session, tenant_id, recognition_id, fixed, self._queueing.clock())
            params = RecognitionParams(
                recognition_id=recognition_id,
                dataset_version_id=VersionId(version.id),
                generation_id=request.generation_id,
                classes=chosen.classes,
                settings=request.settings,
                notes=[*chosen.notes, *_told_of_rejects(chosen.classes, rejected)],
                rejected={name: rejected[name] for name in chosen.classes if name in rejected},
            )
            queued = [QueuedJob(_told_together(chosen.classes), params)]
            rows = self._queueing.queue(session, tenant_id, JobKind.RECOGNITION, row.id, queued, request.priority)
            note(session, row)
        self._queueing.wake(rows)
        return row

    def _check_classifier(self, name: str) -> None:
        if name not in self._classifiers:
            raise InvalidRequest(
                f"classifier {name!r} is not registered; registered: {', '.join(sorted(self._classifiers))}",
                code="unknown_classifier",
                field="settings.classifier",
                remedy="Choose a registered name, or leave the field out.",
            )


def _generating(session: Session, tenant_id: TenantId, generation_id: str) -> dict[str, JobRow]:
    """The generation's jobs by class. Raises ``NotFound``."""
    generations.get(session, tenant_id, generation_id)
    return {job.class_name: job for job in jobs.of_resources(session, tenant_id, [generation_id])}


def _made(
    session: Session, tenant_id: TenantId, generation_id: str, rejected: Mapping[str, list[int]]
) -> dict[str, Made]:
    counts = generations.counts(session, tenant_id, generation_id)
    return {name: Made(number, len(rejected.get(name, []))) for name, number in counts.items()}


def _told_of_rejects(classes: list[str], rejected: Mapping[str, list[int]]) -> list[str]:
    numbers = [f"{len(rejected[name])} of class {name!r}" for name in classes if name in rejected]
    return [f"Rejected images are left out: {', '.join(numbers)}."] if numbers else []


def _chosen(
    request: RecognitionRequest, counts: SplitCounts, generating: Mapping[str, JobRow], made: Mapping[str, Made]
) -> Chosen:
    """Classes named must have synthetic images; of "all" those without are left out, and said so."""
    named = request.classes != "all"
    wanted = list(counts) if request.classes == "all" else list(dict.fromkeys(request.classes))
    reasons: dict[str, str] = {}
    for name in wanted:
        if name not in counts:
            raise InvalidRequest(
                f"the dataset has no class {name!r}; it has {', '.join(sorted(counts))}",
                code="unknown_class",
                field="classes",
            )
        reason = _without_images(name, generating, made)
        if reason is not None and named:
            raise InvalidRequest(
                f"{reason}, so nothing can be told about it",
                code="no_synthetic_images",
                field="classes",
                remedy="Leave the class out of 'classes', or generate images of it and name that generation.",
            )
        if reason is not None:
            reasons[name] = reason
    classes = sorted(name for name in wanted if name not in reasons)
    if len(classes) < MIN_CLASSES:
        raise InvalidRequest(
            "; ".join([f"{MIN_CLASSES} classes are needed to tell apart, there are {len(classes)}", *reasons.values()]),
            code="too_few_classes",
            field="classes",
            remedy="Generate images of at least two classes of the dataset in one generation.",
        )
    return Chosen(classes, [f"Left out: {reason}." for reason in reasons.values()])


def _without_images(name: str, generating: Mapping[str, JobRow], made: Mapping[str, Made]) -> str | None:
    """Why the generation has no images of the class to learn from; None where it has. Raises ``Conflict`` meanwhile."""
    if name not in generating:
        return f"the generation has no class {name!r}"
    state = JobState(generating[name].state)
    if not state.is_final:
        raise Conflict(
            f"class {name!r} of the generation is not finished: its job is {state.value}",
            code="generation_unfinished",
            field="generation_id",
            remedy="Wait until the generation's jobs are final, or name finished classes in 'classes'.",
        )
    if name not in made:
        return f"the generation made no image of class {name!r}, its job {state.value}"
    rejected = made[name].num_rejected == made[name].num_images
    return f"every image of class {name!r} was rejected" if rejected else None


def _check_counts(classes: list[str], counts: SplitCounts) -> None:
    for split, minimum in MIN_IMAGES.items():
        scarce = {name: counts[name][split] for name in classes if counts[name][split] < minimum}
        if scarce:
            listed = ", ".join(f"{name!r} has {number}" for name, number in scarce.items())
            raise TooFewImages(
                f"{minimum} {split.value} images a class are needed: {listed}",
                field="classes",
                remedy=f"Upload the class again with more images in split {split.value} (PUT "
                "/v1/datasets/{id}/classes/{class}/images replaces its images), or leave it out of 'classes'.",
            )


def _learned_from(session: Session, tenant_id: TenantId, dataset_id: str, job: JobRow) -> str:
    """The version that the adapter behind a generation job was trained on, which must be of the dataset."""
    params = GenerationParams.model_validate(job.params)
    try:
        adapter = adapters.get(session, tenant_id, params.adapter_id)
    except NotFound as error:
        raise Conflict(
            f"adapter {params.adapter_id!r} of class {params.class_name!r} was deleted: what it had learned from can "
            "no longer be told, so neither can be whether the test images are new to it",
            code="lineage_unknown",
            field="generation_id",
            remedy="Generate the images with an adapter that still exists.",
        ) from error
    version_id = adaptations.get(session, tenant_id, adapter.adaptation_id).dataset_version_id
    version = datasets.version_by_id(session, tenant_id, version_id)
    if version.dataset_id != dataset_id:
        raise InvalidRequest(
            f"the images of class {params.class_name!r} were made from dataset {version.dataset_id!r}, not from "
            f"{dataset_id!r}: nobody watched over the splits of the two together",
            code="other_dataset",
            field="generation_id",
            remedy=f"Name dataset {version.dataset_id!r}, or a generation made from {dataset_id!r}.",
        )
    return version_id


def _check_unseen(
    session: Session, tenant_id: TenantId, version_id: str, seen_versions: Collection[str], classes: list[str]
) -> None:
    """No test image may have been seen: by training, search, gates, or the choice of the ratio."""
    pairs = recognitions.seen_test_images(session, tenant_id, version_id, seen_versions, classes)
    if pairs:
        tested, seen = pairs[0]
        raise InvalidRequest(
            f"{len(pairs)} test images are train or validation images too, the first is {tested.filename!r} of class "
            f"{tested.class_name!r}: the same picture is {seen.filename!r} of class {seen.class_name!r} in split "
            f"{seen.split.value}",
            code="test_images_seen",
            field="dataset_id",
            remedy="Leave one of the two classes out, or upload a dataset in which each picture has one class and one "
            "split, and adapt again.",
        )


def _told_together(classes: list[str]) -> str:
    """One name for the job's row."""
    listed = ", ".join(classes)
    return listed if len(listed) <= _MAX_CLASS_NAME else f"{len(classes)} classes"
