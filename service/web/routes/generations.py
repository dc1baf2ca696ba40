"""A generation: how it goes, whether it is good, its images to look through, and what to do with them next."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.api.image_views import generated_image_views
from service.api.presenting import generation_view
from service.api.routes.archives import archive_response
from service.api.views import GenerationClassView, GenerationView
from service.contracts.datasets import Split
from service.contracts.generations import DecisionState, GenerationResult
from service.exports.choosing import Wanted
from service.exports.manifest import ExportFormat
from service.reports.closeness import closeness
from service.reports.judged import copy_statement
from service.reports.records import DatasetRecord, GenerationRecord, generation_record
from service.reports.wording import counted
from service.store import datasets, generations
from service.store.deletion import delete_generation
from service.store.pages import PageRequest
from service.store.tombstones import Deletion
from service.web.asking import AskForm, ask_form
from service.web.forms import FormOf
from service.web.generating import generation_request
from service.web.reviewing import DECISIONS, Filter, detail, gallery
from service.web.topping import top_up_form, top_up_request
from service.web.visits import PageRouter, Seen, Visit, VisitOf
from service.web.work import JobCard, ago, job_card

router = PageRouter()
_RETRY_SECONDS = 2
_IMAGES_A_PAGE = 100
ClassAsked = Annotated[str, Query(max_length=64)]


@dataclass(frozen=True)
class ClassMade:
    """One class: its job, and once it has ended whether the images are as close as real ones. ``answer``: yes or no."""

    job: JobCard
    num_images: int
    num_asked: int
    kept: int
    rejected: int
    undecided: int
    answer: str
    reason: str
    copies: str
    warnings: Sequence[str]
    sheet: str | None


@dataclass(frozen=True)
class Making:
    """The part of the page that changes while it is looked at. ``seen``: changes with it."""

    id: str
    state: str
    seen: str
    classes: Sequence[ClassMade]

    @property
    def is_final(self) -> bool:
        """Whether no further image will come."""
        return all(one.job.is_final for one in self.classes)

    @property
    def num_images(self) -> int:
        """That can be looked at now."""
        return sum(one.num_images for one in self.classes)


@dataclass(frozen=True)
class NextSteps:
    """What can be done with the images, which grows while they are made. ``ask``: None before all are.

    ``normal_classes``: those of the data set that may have no defect.
    """

    id: str
    num_images: int
    normal_classes: Sequence[str]
    ask: AskForm | None

    @property
    def seen(self) -> str:
        """Changes when there is more to do."""
        return f"next {bool(self.num_images)} {self.ask is not None}"


@dataclass(frozen=True)
class GenerationPage:
    """The whole page. ``dataset``: what the adapters learned from, where that can still be told."""

    id: str
    ago: str
    seed: int
    adaptation_id: str | None
    dataset: DatasetRecord | None
    making: Making
    next: NextSteps
    goes: str
    class_names: Sequence[str]
    decisions: Sequence[tuple[str, str]]


@router.action("/generations")
def start(form: FormOf, visit: VisitOf) -> Response:
    """Queue one."""
    request = generation_request(form)
    make = partial(visit.parts.submission.generate, visit.tenant, request)
    answer = form.once(visit).accept(request, "/generations", _RETRY_SECONDS, make, generation_view)
    return visit.go_to(answer.headers["Location"])


@router.action("/generations/top-up")
def top_up(form: FormOf, visit: VisitOf) -> Response:
    """Images that are proposed for what a person's own classifier tells badly; nothing is queued."""
    found = visit.parts.topping_up.propose(visit.tenant, top_up_request(form))
    return visit.fragment("top_up.html.j2", told=top_up_form(found))


@router.page("/generations/{generation_id}")
def show(generation_id: str, visit: VisitOf) -> Response:
    """One generation, as it is now."""
    with visit.parts.database.reading() as session:
        view, record = _read(session, visit, generation_id)
        adapter = next((one.adapter for one in record.classes if one.adapter is not None), None)
        making = _making(view, record)
        following = _next_steps(session, visit, view, record)
        page = GenerationPage(
            id=view.id,
            ago=ago(view.created_at, visit.now),
            seed=view.seed,
            adaptation_id=adapter.adaptation_id if adapter is not None else None,
            dataset=adapter.dataset if adapter is not None else None,
            making=making,
            next=following,
            goes=_goes(making),
            class_names=[one.class_name for one in view.classes],
            decisions=DECISIONS,
        )
    title = "Generation of " + ", ".join(page.class_names)
    return visit.page("generation_page.html.j2", title, "generations", page=page)


@router.page("/generations/{generation_id}/live")
def live(generation_id: str, visit: VisitOf, seen: Seen = ()) -> Response:
    """How it goes, images to look through, and what to do with them; nothing where that is what was seen."""
    with visit.parts.database.reading() as session:
        view, record = _read(session, visit, generation_id)
        part = _making(view, record)
        if part.seen in seen:
            return Response(status_code=204)
        following = _next_steps(session, visit, view, record)
    shown = following if following.seen not in seen else None
    answer = visit.fragment("generation_live.html.j2", part=part, next=shown)
    if not any(one.startswith(f"making {part.num_images} ") for one in seen):
        answer.headers["HX-Trigger"] = "published"
    return answer


@router.page("/generations/{generation_id}/gallery")
def images(
    generation_id: str,
    visit: VisitOf,
    class_name: ClassAsked = "",
    decision: Annotated[str, Query(max_length=20)] = "",
    cursor: Annotated[str | None, Query(max_length=1024)] = None,
) -> Response:
    """Images, some at a time, in the order of class and number."""
    shown = Filter(class_name, decision if decision in dict(DECISIONS) else "")
    with visit.parts.database.reading() as session:
        generations.get(session, visit.tenant, generation_id)
        found = generations.page_of_images(
            session,
            visit.tenant,
            generation_id,
            shown.class_name or None,
            PageRequest(cursor, _IMAGES_A_PAGE),
            DecisionState(shown.decision) if shown.decision else None,
        )
        views = generated_image_views(session, visit.tenant, generation_id, found.items)
    page = gallery(generation_id, views, shown, found.next_cursor)
    return visit.fragment("gallery_part.html.j2", page=page, first=cursor is None)


@router.page("/generations/{generation_id}/images/{class_name}/{number}")
def image(generation_id: str, class_name: str, number: int, visit: VisitOf) -> Response:
    """One image with its lineage."""
    with visit.parts.database.reading() as session:
        view = generation_view(session, visit.tenant, generations.get(session, visit.tenant, generation_id))
        found = generations.image(session, visit.tenant, generation_id, class_name, number)
        (one,) = generated_image_views(session, visit.tenant, generation_id, [found])
        real = datasets.images_by_id(session, visit.tenant, found.real_image_ids)
    names = {str(row.id): row.filename for row in real.values()}
    return visit.fragment("detail.html.j2", one=detail(view, one, names))


@router.get("/generations/{generation_id}/archive", response_model=None)
def archive(
    generation_id: str,
    request: Request,
    visit: VisitOf,
    layout: Annotated[ExportFormat, Query(alias="format")] = ExportFormat.IMAGEFOLDER,
    normal_class: ClassAsked = "",
    include_real: bool = False,
    include_rejected: bool = False,
) -> Response:
    """The API's archive. The form sends every field, so that the normal class counts where it has a meaning alone."""
    normal = normal_class if layout is ExportFormat.ANOMALIB else ""
    wanted = Wanted(include_real, normal or None, include_rejected)
    return archive_response(request, visit.parts, visit.tenant, generation_id, wanted, layout)


@router.action("/generations/{generation_id}/delete")
def delete(generation_id: str, visit: VisitOf) -> Response:
    """Delete it with its images."""
    delete_generation(visit.parts.database, visit.tenant, generation_id, Deletion(visit.now))
    return visit.go_to("/generations")


def _read(session: Session, visit: Visit, generation_id: str) -> tuple[GenerationView, GenerationRecord]:
    view = generation_view(session, visit.tenant, generations.get(session, visit.tenant, generation_id))
    record, _ = generation_record(session, visit.tenant, generation_id, visit.parts.registry.base_models)
    return view, record


def _normal_classes(session: Session, visit: Visit, view: GenerationView, dataset: DatasetRecord) -> list[str]:
    """With train images, and of which nothing was generated here: what is generated is a defect."""
    counts = datasets.class_counts(session, visit.tenant, dataset.version_id)
    made = {one.class_name for one in view.classes}
    return [name for name, splits in counts.items() if splits[Split.TRAIN] and name not in made]


def _making(view: GenerationView, record: GenerationRecord) -> Making:
    num_images = sum(one.num_published for one in view.classes)
    seen = f"making {num_images} " + ".".join(f"{job.revision}-{job.queue_position or 0}" for job in view.jobs)
    results = {one.params.class_name: one.result for one in record.classes}
    cards = {job.class_name: job_card(job) for job in view.jobs}
    classes = [_class(one, cards[one.class_name], results.get(one.class_name), view.id) for one in view.classes]
    return Making(view.id, view.state.value, seen, classes)


def _next_steps(session: Session, visit: Visit, view: GenerationView, record: GenerationRecord) -> NextSteps:
    learned_from = next((one.adapter.dataset for one in record.classes if one.adapter is not None), None)
    is_final = all(job.state.is_final for job in view.jobs)
    ask = ask_form(session, visit, view, learned_from) if learned_from is not None and is_final else None
    normal = _normal_classes(session, visit, view, learned_from) if learned_from is not None else []
    return NextSteps(view.id, sum(one.num_published for one in view.classes), normal, ask)


def _goes(making: Making) -> str:
    """What a deletion takes away."""
    decided = sum(one.kept + one.rejected for one in making.classes)
    told = f"Its {counted(making.num_images, 'image')} go" if making.num_images else "Its jobs go"
    return f"{told}, with {counted(decided, 'decision')} about them and its report." if decided else f"{told}."


def _class(one: GenerationClassView, card: JobCard, result: GenerationResult | None, generation_id: str) -> ClassMade:
    close = closeness(result.quality) if result is not None else None
    return ClassMade(
        job=card,
        num_images=one.num_published,
        num_asked=one.num_images,
        kept=one.decisions.keep,
        rejected=one.decisions.reject,
        undecided=one.decisions.undecided,
        answer=close.answer.value if close is not None else "",
        reason=close.reason if close is not None else "",
        copies=copy_statement(result) if result is not None else "",
        warnings=result.warnings if result is not None else [],
        sheet=one.links["contact_sheet"] if result is not None else None,
    )
