"""Lists of what there is, newest first, a line each."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.api.presenting import (
    adaptation_view,
    dataset_view,
    evaluation_view,
    generation_view,
    recognition_view,
)
from service.contracts.evaluations import GenerationImages
from service.contracts.recognitions import Verdict
from service.errors import NotFound
from service.reports.wording import counted, figure
from service.store import adaptations as adaptation_rows
from service.store import datasets as dataset_rows
from service.store import evaluations as evaluation_rows
from service.store import generations as generation_rows
from service.store import recognitions as recognition_rows
from service.store.pages import PageRequest
from service.store.tables import AdaptationRow, DatasetRow, EvaluationRow, GenerationRow, RecognitionRow
from service.web.visits import Visit
from service.web.work import WorkLine, ago, line, some

VERDICTS = {
    Verdict.GAIN_SHOWN: "Gain shown",
    Verdict.NO_GAIN_SHOWN: "No gain shown",
    Verdict.HARM_SHOWN: "Harm shown",
}


@dataclass(frozen=True)
class Lines:
    """Some of a list."""

    items: list[WorkLine]
    next_cursor: str | None


def datasets(session: Session, visit: Visit, page: PageRequest) -> Lines:
    """Datasets."""
    found = dataset_rows.page(session, visit.tenant, page)
    return Lines([_dataset(session, visit, row) for row in found.items], found.next_cursor)


def _dataset(session: Session, visit: Visit, row: DatasetRow) -> WorkLine:
    view = dataset_view(session, visit.tenant, row, dataset_rows.version(session, visit.tenant, row.id))
    told = f"{counted(view.num_images, 'image')} in {counted(len(view.classes), 'class', 'classes')}"
    if view.warnings:
        told += f", {counted(len(view.warnings), 'warning')}"
    return WorkLine(f"/datasets/{row.id}", row.name, told, "", None, row.created_at, ago(row.created_at, visit.now))


def adaptations(session: Session, visit: Visit, page: PageRequest) -> Lines:
    """Adaptations."""
    found = adaptation_rows.page(session, visit.tenant, page)
    return Lines([_adaptation(session, visit, row) for row in found.items], found.next_cursor)


def _adaptation(session: Session, visit: Visit, row: AdaptationRow) -> WorkLine:
    view = adaptation_view(session, visit.tenant, row)
    title = dataset_name(session, visit, view.dataset_id)
    told = f"{view.base_model}: {some([job.class_name for job in view.jobs])}"
    return line(f"/adaptations/{row.id}", title, told, view.jobs, view.state, row.created_at, visit.now)


def generations(session: Session, visit: Visit, page: PageRequest) -> Lines:
    """Generations."""
    found = generation_rows.page(session, visit.tenant, page)
    return Lines([_generation(session, visit, row) for row in found.items], found.next_cursor)


def _generation(session: Session, visit: Visit, row: GenerationRow) -> WorkLine:
    view = generation_view(session, visit.tenant, row)
    made, asked = sum(one.num_published for one in view.classes), sum(one.num_images for one in view.classes)
    told = counted(made, "image") if made == asked else f"{made} of {counted(asked, 'image')}"
    title = some([one.class_name for one in view.classes], 3)
    return line(f"/generations/{row.id}", title, told, view.jobs, view.state, row.created_at, visit.now)


def recognitions(session: Session, visit: Visit, page: PageRequest) -> Lines:
    """Recognitions."""
    found = recognition_rows.page(session, visit.tenant, page)
    return Lines([_recognition(session, visit, row) for row in found.items], found.next_cursor)


def _recognition(session: Session, visit: Visit, row: RecognitionRow) -> WorkLine:
    view = recognition_view(session, visit.tenant, row)
    told = VERDICTS[view.result.verdict] if view.result is not None else "No verdict yet"
    title = dataset_name(session, visit, view.request.dataset_id)
    return line(f"/recognitions/{row.id}", title, told, view.jobs, view.state, row.created_at, visit.now)


def evaluations(session: Session, visit: Visit, page: PageRequest) -> Lines:
    """Evaluations."""
    found = evaluation_rows.page(session, visit.tenant, page)
    return Lines([_evaluation(session, visit, row) for row in found.items], found.next_cursor)


def _evaluation(session: Session, visit: Visit, row: EvaluationRow) -> WorkLine:
    view = evaluation_view(session, visit.tenant, row)
    other = "synthetic images" if isinstance(view.request.other, GenerationImages) else "real images"
    told = f"{other} against {view.request.real.split.value} images"
    if view.result is not None:
        told += f": KID {figure(view.result.quality.score.kid)}"
    title = view.request.real.class_name
    return line(f"/evaluations/{row.id}", title, told, view.jobs, view.state, row.created_at, visit.now)


def dataset_name(session: Session, visit: Visit, dataset_id: str) -> str:
    """What a person called it."""
    try:
        return dataset_rows.get(session, visit.tenant, dataset_id).name
    except NotFound:
        return "deleted data set"
