"""An adaptation: how the training goes, what the search tries, and what can be made with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.api.presenting import adaptation_view
from service.api.views import AdaptationView, JobView
from service.contracts.adaptations import AdaptationResult
from service.contracts.search import FoundSettings
from service.reports.wording import counted
from service.store import adaptations
from service.store.deletion import delete_adaptation
from service.store.tombstones import Deletion
from service.web.adapting import adapt_settings, adaptation_request, looked_ahead
from service.web.charts import Chart, loss_charts
from service.web.forms import FormOf
from service.web.generating import GenerateForm, generate_form
from service.web.lines import dataset_name
from service.web.searching import Searched, searched
from service.web.visits import PageRouter, Seen, Visit, VisitOf
from service.web.work import JobCard, ago, job_card, some

router = PageRouter()
_RETRY_SECONDS = 2
BaseModelAsked = Annotated[str, Query(max_length=64)]


@dataclass(frozen=True)
class ClassTraining:
    """One class. ``found``: settings that its generations use."""

    job: JobCard
    losses: Sequence[Chart]
    found: Sequence[tuple[str, str]]
    adapter_id: str | None
    warnings: Sequence[str]


@dataclass(frozen=True)
class Training:
    """The part of the page that changes while it is looked at. ``seen``: changes with it."""

    id: str
    state: str
    seen: str
    classes: Sequence[ClassTraining]

    @property
    def is_final(self) -> bool:
        """Whether it will never change again."""
        return all(one.job.is_final for one in self.classes)


@dataclass(frozen=True)
class AdaptationPage:
    """The whole page."""

    id: str
    dataset_id: str
    dataset_name: str
    base_model: str
    ago: str
    settings: Sequence[tuple[str, str]]
    training: Training
    searches: Sequence[Searched]
    form: GenerateForm
    goes: str


@router.action("/adaptations")
def start(form: FormOf, visit: VisitOf) -> Response:
    """Queue one."""
    request = adaptation_request(form)
    make = partial(visit.parts.submission.adapt, visit.tenant, request)
    answer = form.once(visit).accept(request, "/adaptations", _RETRY_SECONDS, make, adaptation_view)
    return visit.go_to(answer.headers["Location"])


@router.action("/adaptations/preflight")
def preflight(form: FormOf, visit: VisitOf) -> Response:
    """What starting it would meet and take; nothing is queued."""
    found = visit.parts.preflights.look(visit.tenant, adaptation_request(form))
    return visit.fragment("preflight.html.j2", told=looked_ahead(found))


@router.page("/adaptations/settings")
def settings(visit: VisitOf, base_model: BaseModelAsked) -> Response:
    """The advanced settings of the form, with the defaults of another base model."""
    return visit.fragment("adapt_settings.html.j2", settings=adapt_settings(visit, base_model))


@router.page("/adaptations/{adaptation_id}")
def show(adaptation_id: str, visit: VisitOf) -> Response:
    """One adaptation, as it is now."""
    with visit.parts.database.reading() as session:
        view = _view(session, visit, adaptation_id)
        name = dataset_name(session, visit, view.dataset_id)
    page = AdaptationPage(
        id=view.id,
        dataset_id=view.dataset_id,
        dataset_name=name,
        base_model=view.base_model,
        ago=ago(view.created_at, visit.now),
        settings=_settings(view),
        training=_training(view),
        searches=[searched(view, job, number) for number, job in enumerate(view.jobs)],
        form=generate_form(view),
        goes=_goes(view),
    )
    return visit.page("adaptation_page.html.j2", f"Adaptation of {name}", "adaptations", page=page)


@router.page("/adaptations/{adaptation_id}/live")
def live(adaptation_id: str, visit: VisitOf, seen: Seen = ()) -> Response:
    """The parts that are other than those seen; nothing where none is."""
    with visit.parts.database.reading() as session:
        view = _view(session, visit, adaptation_id)
    part = _training(view)
    searches = [searched(view, job, number) for number, job in enumerate(view.jobs)]
    changed = [one for one in searches if one.seen not in seen]
    if part.seen in seen and not changed:
        return Response(status_code=204)
    form = generate_form(view)
    return visit.fragment(
        "adaptation_live.html.j2",
        part=part if part.seen not in seen else None,
        searches=changed,
        form=form if form.seen not in seen else None,
        is_final=part.is_final,
    )


@router.action("/adaptations/{adaptation_id}/delete")
def delete(adaptation_id: str, visit: VisitOf) -> Response:
    """Delete it with its adapters."""
    delete_adaptation(visit.parts.database, visit.tenant, adaptation_id, Deletion(visit.now), with_adapters=True)
    return visit.go_to("/adaptations")


def _view(session: Session, visit: Visit, adaptation_id: str) -> AdaptationView:
    return adaptation_view(session, visit.tenant, adaptations.get(session, visit.tenant, adaptation_id))


def _goes(view: AdaptationView) -> str:
    """What a deletion takes away."""
    names = some([one.class_name for one in view.adapters])
    adapters = f"Its {counted(len(view.adapters), 'adapter')} ({names}), its" if view.adapters else "Its"
    return f"{adapters} jobs, its curves and the pictures of its search go."


def _training(view: AdaptationView) -> Training:
    seen = "training " + ".".join(f"{job.revision}-{job.queue_position or 0}" for job in view.jobs)
    return Training(view.id, view.state.value, seen, [_class(view, job) for job in view.jobs])


def _class(view: AdaptationView, job: JobView) -> ClassTraining:
    result = job.result if isinstance(job.result, AdaptationResult) else None
    adapter = next((one for one in view.adapters if one.class_name == job.class_name), None)
    return ClassTraining(
        job=job_card(job),
        losses=loss_charts(result.loss_curve if result is not None else view.losses.get(job.class_name, [])),
        found=_found(result.found) if result is not None and result.found is not None else [],
        adapter_id=adapter.id if adapter is not None else None,
        warnings=result.warnings if result is not None else [],
    )


def _found(found: FoundSettings) -> list[tuple[str, str]]:
    return [
        ("strength", f"{found.strength:.2f}"),
        ("guidance", f"{found.guidance_scale:.3g}"),
        ("LoRA scale", f"{found.lora_scale:.3g}"),
        ("steps", str(found.num_inference_steps)),
        ("sources", "two, spliced" if found.splice_sources else "one each"),
    ]


def _settings(view: AdaptationView) -> list[tuple[str, str]]:
    used = view.settings
    trials, each = counted(used.search.max_trials, "trial"), counted(used.search.images_per_trial, "image")
    return [
        ("base model", view.base_model),
        ("textual inversion", counted(used.textual_inversion.steps, "step")),
        ("LoRA", f"{counted(used.lora.steps, 'step')}, rank {used.lora.rank}"),
        ("search", f"{trials} at most, {each} each"),
        ("seed", str(used.seed)),
    ]
