"""Every operation of the service as a value: the request, and how its answer is read. No I/O.

What a caller leaves out is left out of the request, too: the service fills it in with what its search found and what
the base model registers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from defectsynth_client.announcing import Webhook
from defectsynth_client.calling import Call, Reading, at, get, post
from defectsynth_client.drivers import Core
from defectsynth_client.errors import Gone
from defectsynth_client.models import (
    Adaptation,
    Adapter,
    Dataset,
    DatasetSummary,
    Decision,
    Decisions,
    DecisionState,
    Evaluation,
    Generation,
    Job,
    Page,
    RealImage,
    Recognition,
    SyntheticImage,
)
from defectsynth_client.proposals import GenerationProposal, Preflight, TopUp
from defectsynth_client.quality import TrialExample
from defectsynth_client.reports import GenerationReport, RecognitionReport
from defectsynth_client.requests import (
    AdaptationSettings,
    GateSettings,
    GenerationSettings,
    ImageSet,
    RecognitionSettings,
)
from defectsynth_client.retrying import answered
from defectsynth_client.steps import Plan, Request, Send


# ---------------------------------------------------------------------------------------------- data sets
def dataset(dataset_id: str, *, version_id: str | None = None) -> Call[Dataset]:
    """A dataset in its latest version, or in the one that is named."""
    return get(at("datasets", dataset_id), Dataset, version_id=version_id)


def datasets() -> Call[Page[DatasetSummary]]:
    """Datasets, newest first."""
    return get("/v1/datasets", Page[DatasetSummary])


def real_images(
    dataset_id: str, *, class_name: str | None = None, version_id: str | None = None
) -> Call[Page[RealImage]]:
    """The images of a dataset, newest first."""
    path = at("datasets", dataset_id, "images")
    return get(path, Page[RealImage], class_name=class_name, version_id=version_id)


# ---------------------------------------------------------------------------------------------- work
def adapt(
    dataset_id: str,
    *,
    classes: Sequence[str] | None = None,
    base_model: str | None = None,
    settings: AdaptationSettings | None = None,
    dataset_version_id: str | None = None,
    priority: int | None = None,
    idempotency_key: str | None = None,
) -> Call[Adaptation]:
    """Adapt a base model to classes of a dataset, all unless some are named: one job and one adapter a class."""
    body = {
        "dataset_id": dataset_id, "classes": _listed(classes), "base_model": base_model, "settings": settings,
        "dataset_version_id": dataset_version_id, "priority": priority,
    }  # fmt: skip
    return post("/v1/adaptations", Adaptation, body, idempotency_key)


def preflight(
    dataset_id: str,
    *,
    classes: Sequence[str] | None = None,
    base_model: str | None = None,
    settings: AdaptationSettings | None = None,
    dataset_version_id: str | None = None,
) -> Call[Preflight]:
    """What ``adapt`` of the same would meet and take: faults, seconds, memory and a verdict. Nothing is queued."""
    asked = adapt(
        dataset_id, classes=classes, base_model=base_model, settings=settings, dataset_version_id=dataset_version_id
    )
    return Call(replace(asked.request, params={"dry_run": "true"}), Reading(Preflight))


def top_up(
    *,
    generation_id: str | None = None,
    adaptation_id: str | None = None,
    recognition_id: str | None = None,
    classes: Sequence[str] | None = None,
    confusion_matrix: Sequence[Sequence[int]] | None = None,
    recall_by_class: Mapping[str, float] | None = None,
    other_classes: Sequence[str] | None = None,
    target_recall: float | None = None,
) -> Call[TopUp]:
    """Propose images for the classes that a classifier tells badly. Nothing is queued: look at ``request``, edit it,
    and give it to ``generate``. ``classes`` names the matrix' rows (true) and columns (told)."""
    body = {
        "generation_id": generation_id, "adaptation_id": adaptation_id, "recognition_id": recognition_id,
        "classes": _listed(classes), "other_classes": _listed(other_classes), "target_recall": target_recall,
        "confusion_matrix": [list(row) for row in confusion_matrix] if confusion_matrix is not None else None,
        "recall_by_class": dict(recall_by_class) if recall_by_class is not None else None,
    }  # fmt: skip
    return post("/v1/generations/top-up", TopUp, body, None)


def generate(
    adaptation_id: str | None = None,
    num_images: int | Mapping[str, int] = 100,
    *,
    adapter_ids: Sequence[str] | None = None,
    settings: GenerationSettings | None = None,
    gates: GateSettings | None = None,
    seed: int | None = None,
    priority: int | None = None,
    idempotency_key: str | None = None,
) -> Call[Generation]:
    """Make images of classes by an adaptation, or by single adapters. ``num_images``: of each class, or by class."""
    body = {
        "adaptation_id": adaptation_id, "adapter_ids": _listed(adapter_ids),
        "num_images": num_images if isinstance(num_images, int) else dict(num_images),
        "settings": settings, "gates": gates, "seed": seed, "priority": priority,
    }  # fmt: skip
    return post("/v1/generations", Generation, body, idempotency_key)


def generate_from(
    request: GenerationProposal | Mapping[str, object], *, idempotency_key: str | None = None
) -> Call[Generation]:
    """Make images as a request says that was written elsewhere: ``TopUp.request``, ``answers[...].remake`` of a
    report, or a file's JSON. It is sent as it is, and the service checks it."""
    body = request.given if isinstance(request, GenerationProposal) else request
    return post("/v1/generations", Generation, body, idempotency_key)


def evaluate(
    real: ImageSet,
    other: ImageSet,
    *,
    extractor: str | None = None,
    priority: int | None = None,
    idempotency_key: str | None = None,
) -> Call[Evaluation]:
    """Measure how close ``other`` images are to ``real`` ones; see ``dataset_images`` and ``generation_images``.

    ``real`` is of a dataset. Two generations are compared by evaluating each against the same real images.
    """
    body = {"real": real, "other": other, "extractor": extractor, "priority": priority}
    return post("/v1/evaluations", Evaluation, body, idempotency_key)


def recognise(
    dataset_id: str,
    generation_id: str,
    *,
    classes: Sequence[str] | None = None,
    settings: RecognitionSettings | None = None,
    dataset_version_id: str | None = None,
    priority: int | None = None,
    idempotency_key: str | None = None,
) -> Call[Recognition]:
    """Measure what a generation's images do for a classifier, on the dataset's test images."""
    body = {
        "dataset_id": dataset_id, "generation_id": generation_id, "classes": _listed(classes), "settings": settings,
        "dataset_version_id": dataset_version_id, "priority": priority,
    }  # fmt: skip
    return post("/v1/recognitions", Recognition, body, idempotency_key)


def _listed(names: Sequence[str] | None) -> list[str] | None:
    if isinstance(names, str):
        raise TypeError(f"a list is wanted, not the text {names!r}: [{names!r}]")
    return list(names) if names is not None else None


def adaptation(adaptation_id: str) -> Call[Adaptation]:
    """An adaptation with its jobs, adapters and trials."""
    return get(at("adaptations", adaptation_id), Adaptation)


def adaptations() -> Call[Page[Adaptation]]:
    """Adaptations, newest first."""
    return get("/v1/adaptations", Page[Adaptation])


def adapter(adapter_id: str) -> Call[Adapter]:
    """One adapter."""
    return get(at("adapters", adapter_id), Adapter)


def adapters(*, class_name: str | None = None) -> Call[Page[Adapter]]:
    """Adapters, newest first."""
    return get("/v1/adapters", Page[Adapter], class_name=class_name)


def generation(generation_id: str) -> Call[Generation]:
    """A generation with its classes and jobs."""
    return get(at("generations", generation_id), Generation)


def generations() -> Call[Page[Generation]]:
    """Generations, newest first."""
    return get("/v1/generations", Page[Generation])


def generation_report(generation_id: str) -> Call[GenerationReport]:
    """Quality, class by class, with the floors that give it meaning."""
    return get(at("generations", generation_id, "report"), GenerationReport)


def synthetic_images(
    generation_id: str, *, class_name: str | None = None, decision: DecisionState | None = None
) -> Call[Page[SyntheticImage]]:
    """The images published so far, in the order of class and number; those alone of which ``decision`` was made."""
    path = at("generations", generation_id, "images")
    return get(path, Page[SyntheticImage], class_name=class_name, decision=decision)


def decide(generation_id: str, decisions: Mapping[str, Mapping[int, Decision | None]]) -> Call[Decisions]:
    """Keep or reject images: ``{class name: {number: decision}}``, where None takes a decision back. All of them are
    stored, or none; at most 1,000 at once."""
    told = [
        {"class_name": name, "number": number, "decision": decision}
        for name, numbers in decisions.items()
        for number, decision in numbers.items()
    ]
    path = at("generations", generation_id, "images", "decisions")
    return Call(Request("PUT", path, json={"decisions": told}), Reading(Decisions))


def evaluation(evaluation_id: str) -> Call[Evaluation]:
    """An evaluation, with its report when it has succeeded."""
    return get(at("evaluations", evaluation_id), Evaluation)


def evaluations() -> Call[Page[Evaluation]]:
    """Evaluations, newest first."""
    return get("/v1/evaluations", Page[Evaluation])


def recognition(recognition_id: str) -> Call[Recognition]:
    """A recognition, with its result when it has succeeded."""
    return get(at("recognitions", recognition_id), Recognition)


def recognitions() -> Call[Page[Recognition]]:
    """Recognitions, newest first."""
    return get("/v1/recognitions", Page[Recognition])


def recognition_report(recognition_id: str) -> Call[RecognitionReport]:
    """The verdict and the figures it stands on."""
    return get(at("recognitions", recognition_id, "report"), RecognitionReport)


# ---------------------------------------------------------------------------------------------- jobs and the rest
def job(job_id: str) -> Call[Job]:
    """One job."""
    return get(at("jobs", job_id), Job)


def jobs(
    *, kind: str | None = None, state: str | None = None, resource_id: str | None = None, class_name: str | None = None
) -> Call[Page[Job]]:
    """Jobs, newest first."""
    return get("/v1/jobs", Page[Job], kind=kind, state=state, resource_id=resource_id, class_name=class_name)


def cancel(job_id: str) -> Call[Job]:
    """Cancel a queued job at once, ask a running one to stop; what has ended stays as it is."""
    return post(at("jobs", job_id, "cancel"), Job, None)


def image_bytes(image: RealImage | SyntheticImage | TrialExample) -> Call[bytes]:
    """The PNG of one image."""
    return Call(Request("GET", image.links["content"]), lambda answer: answer.content)


def thumbnail_bytes(image: RealImage | SyntheticImage | TrialExample, size_px: int = 256) -> Call[bytes]:
    """A JPEG of one image, whose longest side has 64, 128, 256 or 512 pixels at most."""
    request = Request("GET", image.links["thumbnail"], params={"size_px": size_px})
    return Call(request, lambda answer: answer.content)


@dataclass(frozen=True)
class Deletion:
    """Deletes a resource by its path; one that is gone already is no error, since an answer may have been lost."""

    path: str

    def plan(self, core: Core) -> Plan[None]:
        """Send it. Raises ``Conflict`` where something else depends on the resource."""
        try:
            yield from answered(Send(Request("DELETE", self.path)), core.retries)
        except Gone:
            return


def delete(
    resource: Dataset | DatasetSummary | Adaptation | Adapter | Generation | Evaluation | Recognition | Webhook,
) -> Deletion:
    """Delete a resource with what belongs to it alone."""
    return Deletion(resource.links["self"].partition("?")[0])
