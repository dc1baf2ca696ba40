"""Forms of a finished generation: do its images help a classifier, and how close are they to other real images?"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.api.views import GenerationView
from service.contracts.datasets import Split
from service.contracts.evaluations import EvaluationRequest
from service.contracts.recognitions import RecognitionSettings
from service.contracts.requests import RecognitionRequest
from service.errors import NotFound
from service.reports.records import DatasetRecord
from service.store import datasets
from service.web.adapting import Setting
from service.web.forms import Form, new_once, request_of
from service.web.visits import Visit


@dataclass(frozen=True)
class AskForm:
    """Both forms. ``no_recognition``: why there can be none; ``sets``: real images that may be compared with."""

    generation_id: str
    dataset_id: str
    dataset_name: str
    once: str
    no_recognition: str | None
    settings: Sequence[Setting]
    classes: Sequence[str]
    splits: Sequence[tuple[str, str]]


def ask_form(session: Session, visit: Visit, view: GenerationView, dataset: DatasetRecord) -> AskForm | None:
    """The forms for a generation; None where its data set was deleted."""
    try:
        version = datasets.version(session, visit.tenant, dataset.dataset_id)
    except NotFound:
        return None
    made = [one.class_name for one in view.classes if one.num_published]
    counts = datasets.class_counts(session, visit.tenant, version.id)
    return AskForm(
        generation_id=view.id,
        dataset_id=dataset.dataset_id,
        dataset_name=dataset.name,
        once=new_once(),
        no_recognition=_no_recognition(made, counts),
        settings=_settings(),
        classes=made,
        splits=[(split.value, f"{split.value} images") for split in reversed(Split)],
    )


def _no_recognition(made: Sequence[str], counts: datasets.SplitCounts) -> str | None:
    if len(made) < 2:
        return "A classifier tells at least two classes apart, and this generation has images of one."
    untested = [name for name in made if not counts.get(name, {}).get(Split.TEST, 0)]
    if untested:
        return f"It is tested on the test images of the data set, and {', '.join(untested)} has none."
    return None


def _settings() -> list[Setting]:
    used = RecognitionSettings()
    return [
        Setting("settings.num_seeds", "Classifiers for each way of training", "More make the interval narrower.",
                str(used.num_seeds), 2, 50),
        Setting("settings.num_selection_seeds", "Classifiers for each ratio tried", "", str(used.num_selection_seeds),
                1, 50),
        Setting("settings.steps", "Steps", "The same for every classifier.", str(used.steps), 1, 50_000),
        Setting("settings.seed", "Seed", "", str(used.seed), 0, 2**63 - 1),
    ]  # fmt: skip


def recognition_request(form: Form) -> RecognitionRequest:
    """What was asked for. Raises as FastAPI does for a body."""
    values = {name: form.text(name) for name in ("dataset_id", "generation_id")}
    return request_of(RecognitionRequest, {**values, "settings": form.below("settings")})


def evaluation_request(form: Form) -> EvaluationRequest:
    """Synthetic images of a class against real ones of a split. Raises as FastAPI does for a body."""
    class_name = form.text("class_name")
    real = {"dataset_id": form.text("dataset_id"), "class_name": class_name, "split": form.text("split")}
    other = {"source": "generation", "generation_id": form.text("generation_id"), "class_name": class_name}
    return request_of(EvaluationRequest, {"real": real, "other": other})
