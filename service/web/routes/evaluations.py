"""An evaluation: one image set scored against another, beside the floors that give the scores a meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response

from service.api.presenting import evaluation_view
from service.contracts.evaluations import DatasetImages, ImageSet
from service.contracts.quality import QualityReport, Score
from service.reports.closeness import Closeness, closeness
from service.reports.wording import figure, interval
from service.store import evaluations
from service.store.deletion import delete_evaluation
from service.store.tombstones import Deletion
from service.web.asking import evaluation_request
from service.web.forms import FormOf
from service.web.visits import PageRouter, Seen, Visit, VisitOf
from service.web.work import JobCard, ago, job_card

router = PageRouter()
_RETRY_SECONDS = 2


@dataclass(frozen=True)
class ScoreLine:
    """One comparison."""

    name: str
    kid: str
    fid: str
    counts: str
    is_floor: bool


@dataclass(frozen=True)
class Evaluating:
    """The whole page."""

    id: str
    ago: str
    class_name: str
    real: str
    real_href: str
    other: str
    other_href: str
    seen: str
    jobs: Sequence[JobCard]
    close: Closeness | None
    scores: Sequence[ScoreLine]
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]

    @property
    def is_final(self) -> bool:
        """Whether it will never change again."""
        return all(job.is_final for job in self.jobs)


@router.action("/evaluations")
def start(form: FormOf, visit: VisitOf) -> Response:
    """Queue one."""
    request = evaluation_request(form)
    make = partial(visit.parts.submission.evaluate, visit.tenant, request)
    answer = form.once(visit).accept(request, "/evaluations", _RETRY_SECONDS, make, evaluation_view)
    return visit.go_to(answer.headers["Location"])


@router.page("/evaluations/{evaluation_id}")
def show(evaluation_id: str, visit: VisitOf) -> Response:
    """One evaluation, as it is now."""
    page = _page(evaluation_id, visit)
    return visit.page("evaluation_page.html.j2", f"Evaluation of {page.class_name}", "evaluations", page=page)


@router.page("/evaluations/{evaluation_id}/live")
def live(evaluation_id: str, visit: VisitOf, seen: Seen = ()) -> Response:
    """How it goes; when it has ended the page is loaded again."""
    page = _page(evaluation_id, visit)
    if page.seen in seen:
        return Response(status_code=204)
    if page.is_final:
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    return visit.fragment("job_live.html.j2", page=page)


@router.action("/evaluations/{evaluation_id}/delete")
def delete(evaluation_id: str, visit: VisitOf) -> Response:
    """Delete it with its job."""
    delete_evaluation(visit.parts.database, visit.tenant, evaluation_id, Deletion(visit.now))
    return visit.go_to("/evaluations")


def _page(evaluation_id: str, visit: Visit) -> Evaluating:
    with visit.parts.database.reading() as session:
        view = evaluation_view(session, visit.tenant, evaluations.get(session, visit.tenant, evaluation_id))
    quality = view.result.quality if view.result is not None else None
    real, real_href = _named(view.request.real)
    other, other_href = _named(view.request.other, beside=view.request.real)
    are_real = isinstance(view.request.other, DatasetImages)
    return Evaluating(
        id=view.id,
        ago=ago(view.created_at, visit.now),
        class_name=view.request.real.class_name,
        real=real,
        real_href=real_href,
        other=other,
        other_href=other_href,
        seen="job " + ".".join(f"{job.revision}-{job.queue_position or 0}" for job in view.jobs),
        jobs=[job_card(job) for job in view.jobs],
        close=closeness(quality, "other" if are_real else "synthetic") if quality is not None else None,
        scores=_scores(quality) if quality is not None else [],
        facts=_facts(quality) if quality is not None else [],
        notes=quality.notes if quality is not None else [],
    )


def _named(images: ImageSet, beside: DatasetImages | None = None) -> tuple[str, str]:
    """What they are and where; of which class and data set, where that is not the one of those ``beside`` them."""
    apart = f" of {images.class_name}" if beside is not None and images.class_name != beside.class_name else ""
    if not isinstance(images, DatasetImages):
        return f"synthetic images{apart}", f"/generations/{images.generation_id}"
    if beside is not None and images.dataset_id != beside.dataset_id:
        apart += " of another data set"
    return f"real {images.split.value} images{apart}", f"/datasets/{images.dataset_id}"


def _scores(quality: QualityReport) -> list[ScoreLine]:
    named = [
        ("These images to the real ones", quality.score, False),
        ("The same, at equal counts", quality.matched, False),
        ("Real to real, at equal counts: the best that is possible", quality.real_floor, True),
    ]
    if quality.copy_floor is not None:
        named.append(("Plain copies to the real ones", quality.copy_floor, True))
    return [_line(name, score, is_floor) for name, score, is_floor in named]


def _line(name: str, score: Score, is_floor: bool) -> ScoreLine:
    kid, fid = figure(score.kid), figure(score.fid)
    kid += f" ({interval(score.kid_interval)})" if score.kid_interval else f" ± {figure(score.kid_std, 2)}"
    fid += f" ({interval(score.fid_interval)})" if score.fid_interval else ""
    return ScoreLine(name, kid, fid, f"{score.num_other} against {score.num_real}", is_floor)


def _facts(quality: QualityReport) -> list[tuple[str, str]]:
    facts = [("extractor", quality.extractor.name)]
    for name, estimate in (("density", quality.density), ("coverage", quality.coverage)):
        if estimate is not None:
            facts.append((name, f"{figure(estimate.value)} ({interval(estimate.interval)})"))
    if quality.copies is not None:
        facts.append(("copies", f"{quality.copies.num_copies} of {quality.copies.num_checked}"))
    return facts
