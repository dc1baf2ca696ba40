"""Lists of what there is, newest first, a line each, by as many statements for fifty lines as for one."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.contracts.adaptations import AdaptationSettings
from service.contracts.evaluations import EvaluationRequest, GenerationImages
from service.contracts.requests import RecognitionRequest
from service.reports.wording import counted, figure, verdict_words
from service.store import adaptations as adaptation_rows
from service.store import datasets as dataset_rows
from service.store import evaluations as evaluation_rows
from service.store import generations as generation_rows
from service.store import glances
from service.store import recognitions as recognition_rows
from service.store.pages import PageRequest
from service.store.tables import AdaptationRow, DatasetVersionRow
from service.web.visits import Visit
from service.web.work import WorkLine, ago, digest, line, some

_DELETED = "deleted data set"


@dataclass(frozen=True)
class Lines:
    """Some of a list."""

    items: list[WorkLine]
    next_cursor: str | None

    @property
    def seen(self) -> str:
        """Changes with any line."""
        return digest(self.items)


def datasets(session: Session, visit: Visit, page: PageRequest) -> Lines:
    """Datasets."""
    found = dataset_rows.page(session, visit.tenant, page)
    versions = glances.latest_versions(session, visit.tenant, [row.id for row in found.items])
    sizes = glances.sizes_of_versions(session, visit.tenant, [version.id for version in versions.values()])
    items = []
    for row in found.items:
        told = _size(versions[row.id], sizes)
        at = row.created_at
        items.append(WorkLine(f"/datasets/{row.id}", row.name, told, "", None, at, ago(at, visit.now)))
    return Lines(items, found.next_cursor)


def _size(version: DatasetVersionRow, sizes: dict[str, tuple[int, int]]) -> str:
    num_images, num_classes = sizes.get(version.id, (0, 0))
    told = f"{counted(num_images, 'image')} in {counted(num_classes, 'class', 'classes')}"
    return f"{told}, {counted(len(version.warnings), 'warning')}" if version.warnings else told


def adaptations(session: Session, visit: Visit, page: PageRequest) -> Lines:
    """Adaptations."""
    found = adaptation_rows.page(session, visit.tenant, page)
    of_each = glances.jobs_of(session, visit.tenant, [row.id for row in found.items])
    names = glances.names_by_version(session, visit.tenant, [row.dataset_version_id for row in found.items])
    items = []
    for row in found.items:
        told = f"{row.base_model}: {some([job.class_name for job in of_each[row.id]])}"
        title = names[row.dataset_version_id]
        items.append(line(f"/adaptations/{row.id}", title, told, of_each[row.id], row.created_at, visit.now))
    return Lines(items, found.next_cursor)


def adaptations_of_dataset(session: Session, visit: Visit, rows: Sequence[AdaptationRow]) -> list[WorkLine]:
    """Adaptations of one dataset, which its page need not name again."""
    of_each = glances.jobs_of(session, visit.tenant, [row.id for row in rows])
    items = []
    for row in rows:
        title = some([job.class_name for job in of_each[row.id]])
        told = f"{row.base_model}, seed {AdaptationSettings.model_validate(row.settings).seed}"
        items.append(line(f"/adaptations/{row.id}", title, told, of_each[row.id], row.created_at, visit.now))
    return items


def generations(session: Session, visit: Visit, page: PageRequest) -> Lines:
    """Generations."""
    found = generation_rows.page(session, visit.tenant, page)
    ids = [row.id for row in found.items]
    of_each = glances.jobs_of(session, visit.tenant, ids)
    asked, made = (count(session, visit.tenant, ids) for count in (glances.num_asked, glances.num_published))
    items = []
    for row in found.items:
        whole, so_far = counted(asked[row.id], "image"), made.get(row.id, 0)
        told = whole if so_far == asked[row.id] else f"{so_far} of {whole}"
        title = some([job.class_name for job in of_each[row.id]], 3)
        items.append(line(f"/generations/{row.id}", title, told, of_each[row.id], row.created_at, visit.now))
    return Lines(items, found.next_cursor)


def recognitions(session: Session, visit: Visit, page: PageRequest) -> Lines:
    """Recognitions."""
    found = recognition_rows.page(session, visit.tenant, page)
    ids = [row.id for row in found.items]
    of_each, verdicts = glances.jobs_of(session, visit.tenant, ids), glances.verdicts(session, visit.tenant, ids)
    homes = {row.id: RecognitionRequest.model_validate(row.request).dataset_id for row in found.items}
    names = glances.dataset_names(session, visit.tenant, list(homes.values()))
    items = []
    for row in found.items:
        told = verdict_words(*verdicts[row.id]) if row.id in verdicts else "No verdict yet"
        title = names.get(homes[row.id], _DELETED)
        items.append(line(f"/recognitions/{row.id}", title, told, of_each[row.id], row.created_at, visit.now))
    return Lines(items, found.next_cursor)


def evaluations(session: Session, visit: Visit, page: PageRequest) -> Lines:
    """Evaluations."""
    found = evaluation_rows.page(session, visit.tenant, page)
    ids = [row.id for row in found.items]
    of_each, kids = glances.jobs_of(session, visit.tenant, ids), glances.kids(session, visit.tenant, ids)
    items = []
    for row in found.items:
        request = EvaluationRequest.model_validate(row.request)
        other = "synthetic images" if isinstance(request.other, GenerationImages) else "real images"
        told = f"{other} against {request.real.split.value} images"
        told += f": KID {figure(kids[row.id])}" if row.id in kids else ""
        title = request.real.class_name
        items.append(line(f"/evaluations/{row.id}", title, told, of_each[row.id], row.created_at, visit.now))
    return Lines(items, found.next_cursor)


def dataset_name(session: Session, visit: Visit, dataset_id: str) -> str:
    """What a person called it."""
    return glances.dataset_names(session, visit.tenant, [dataset_id]).get(dataset_id, _DELETED)
