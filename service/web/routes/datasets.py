"""A data set: its classes and images, what a person should know about them, and what was made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.api.presenting import dataset_view
from service.api.views import DatasetView
from service.contracts.datasets import DatasetWarning, Split
from service.reports.wording import counted
from service.store import adaptations, datasets, glances
from service.store.deletion import delete_dataset
from service.store.pages import PageRequest
from service.store.tables import ImageRow
from service.store.tombstones import Deletion
from service.web.adapting import AdaptForm, adapt_form
from service.web.lines import adaptations_of_dataset
from service.web.pictures import Picture, real_picture
from service.web.visits import PageRouter, Seen, Visit, VisitOf
from service.web.work import WorkLine, digest

router = PageRouter()
_SHOWN_A_CLASS = 10
_IMAGES_A_PAGE = 120


@dataclass(frozen=True)
class ClassShown:
    """One class: how many images in each split, some of them, and what is odd about them."""

    name: str
    href: str
    num_images: int
    splits: Sequence[tuple[str, int, float]]
    pictures: Sequence[Picture]
    num_more: int
    warnings: Sequence[str]


@dataclass(frozen=True)
class Made:
    """What was made of a data set."""

    dataset_id: str
    adaptations: Sequence[WorkLine]

    @property
    def seen(self) -> str:
        """Changes with any line."""
        return digest(self)


@dataclass(frozen=True)
class DatasetPage:
    """The whole page. ``warnings``: those of no single class."""

    id: str
    name: str
    version: int
    num_images: int
    classes: Sequence[ClassShown]
    warnings: Sequence[str]
    made: Made
    form: AdaptForm
    goes: str


@dataclass(frozen=True)
class ImagesPage:
    """Images of a class, some at a time."""

    dataset_id: str
    dataset_name: str
    class_name: str
    pictures: Sequence[Picture]
    more: str | None


@router.page("/datasets/{dataset_id}")
def show(dataset_id: str, visit: VisitOf) -> Response:
    """One data set in its latest version."""
    with visit.parts.database.reading() as session:
        row = datasets.get(session, visit.tenant, dataset_id)
        version = datasets.version(session, visit.tenant, dataset_id)
        view = dataset_view(session, visit.tenant, row, version)
        images = glances.first_of_each_class(session, visit.tenant, version.id, _SHOWN_A_CLASS)
        page = DatasetPage(
            id=row.id,
            name=row.name,
            version=version.number,
            num_images=view.num_images,
            classes=_classes(view, images),
            warnings=[one.message for one in view.warnings if one.class_name is None],
            made=_made(session, visit, row.id),
            form=adapt_form(visit, view),
            goes=f"Its {counted(view.num_images, 'image')} and all its versions go.",
        )
    return visit.page("dataset.html.j2", page.name, "datasets", page=page)


@router.page("/datasets/{dataset_id}/made")
def made(dataset_id: str, visit: VisitOf, seen: Seen = ()) -> Response:
    """Its adaptations alone, for a page that is open; nothing where they are what was seen."""
    with visit.parts.database.reading() as session:
        datasets.get(session, visit.tenant, dataset_id)
        found = _made(session, visit, dataset_id)
    return visit.fragment("made.html.j2", made=found) if found.seen not in seen else Response(status_code=204)


def _made(session: Session, visit: Visit, dataset_id: str) -> Made:
    rows = adaptations.of_dataset(session, visit.tenant, dataset_id)
    return Made(dataset_id, adaptations_of_dataset(session, visit, rows))


def _classes(view: DatasetView, images: Mapping[str, Sequence[ImageRow]]) -> list[ClassShown]:
    names = sorted({*view.classes, *(one.class_name for one in view.warnings if one.class_name is not None)})
    return [_class(view, name, images.get(name, [])) for name in names]


def _class(view: DatasetView, name: str, images: Sequence[ImageRow]) -> ClassShown:
    counts = view.classes.get(name, {})
    total = sum(counts.values())
    return ClassShown(
        name=name,
        href=f"/datasets/{view.id}/images?class_name={name}",
        num_images=total,
        splits=[(split.value, counts.get(split, 0), 100 * counts.get(split, 0) / max(total, 1)) for split in Split],
        pictures=[real_picture(image) for image in images],
        num_more=total - len(images),
        warnings=_of_class(view.warnings, name),
    )


def _of_class(warnings: Sequence[DatasetWarning], name: str) -> list[str]:
    return [one.message for one in warnings if one.class_name == name]


@router.page("/datasets/{dataset_id}/images")
def images(
    dataset_id: str,
    visit: VisitOf,
    class_name: Annotated[str, Query(max_length=64)],
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Response:
    """All images of a class."""
    with visit.parts.database.reading() as session:
        row = datasets.get(session, visit.tenant, dataset_id)
        version = datasets.version(session, visit.tenant, dataset_id)
        request = PageRequest(cursor, _IMAGES_A_PAGE)
        found = datasets.page_of_images(session, visit.tenant, version.id, class_name, request)
    page = ImagesPage(row.id, row.name, class_name, [real_picture(one) for one in found.items], found.next_cursor)
    if visit.is_fragment:
        return visit.fragment("dataset_images_part.html.j2", page=page)
    return visit.page("dataset_images.html.j2", f"{class_name} of {row.name}", "datasets", page=page)


@router.action("/datasets/{dataset_id}/delete")
def delete(dataset_id: str, visit: VisitOf) -> Response:
    """Delete it with all its versions."""
    delete_dataset(visit.parts.database, visit.tenant, dataset_id, Deletion(visit.now))
    return visit.go_to("/datasets")
