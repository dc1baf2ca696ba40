"""A recognition: whether synthetic images helped, in words, with the figures and confusion matrices behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from starlette.responses import Response

from service.api.presenting import recognition_view
from service.contracts.ids import RecognitionId
from service.contracts.topup import TopUpRequest
from service.reports.recognition import RecognitionPage, recognition_page
from service.reports.records import recognition_record
from service.reports.thumbnails import StoredPictures
from service.store import recognitions
from service.store.deletion import delete_recognition
from service.store.tombstones import Deletion
from service.web.asking import recognition_request
from service.web.forms import FormOf
from service.web.lines import dataset_name
from service.web.topping import top_up_form
from service.web.visits import PageRouter, Seen, Visit, VisitOf
from service.web.work import JobCard, ago, job_card

router = PageRouter()
_RETRY_SECONDS = 5


@dataclass(frozen=True)
class Recognising:
    """The whole page. ``report`` is what the report shows; ``seen`` changes with the job."""

    id: str
    ago: str
    dataset_id: str
    dataset_name: str
    generation_id: str
    seen: str
    jobs: Sequence[JobCard]
    report: RecognitionPage

    @property
    def is_final(self) -> bool:
        """Whether there is a verdict, or never will be one."""
        return all(job.is_final for job in self.jobs)


@router.action("/recognitions")
def start(form: FormOf, visit: VisitOf) -> Response:
    """Queue one."""
    request = recognition_request(form)
    make = partial(visit.parts.recognising.recognise, visit.tenant, request)
    answer = form.once(visit).accept(request, "/recognitions", _RETRY_SECONDS, make, recognition_view)
    return visit.go_to(answer.headers["Location"])


@router.page("/recognitions/{recognition_id}")
def show(recognition_id: str, visit: VisitOf) -> Response:
    """One recognition, as it is now."""
    page = _page(recognition_id, visit)
    title = f"Recognition on {page.dataset_name}"
    return visit.page("recognition_page.html.j2", title, "recognitions", plots=True, page=page)


@router.page("/recognitions/{recognition_id}/live")
def live(recognition_id: str, visit: VisitOf, seen: Seen = ()) -> Response:
    """How it goes; when it has ended the page is loaded again, because it then has plots."""
    page = _page(recognition_id, visit)
    if page.seen in seen:
        return Response(status_code=204)
    if page.is_final:
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    return visit.fragment("job_live.html.j2", page=page)


@router.page("/recognitions/{recognition_id}/top-up")
def top_up(recognition_id: str, visit: VisitOf) -> Response:
    """Images that are proposed for the classes it still tells badly."""
    request = TopUpRequest(recognition_id=RecognitionId(recognition_id))
    found = visit.parts.topping_up.propose(visit.tenant, request)
    return visit.fragment("top_up.html.j2", told=top_up_form(found))


@router.action("/recognitions/{recognition_id}/delete")
def delete(recognition_id: str, visit: VisitOf) -> Response:
    """Delete it with its job."""
    delete_recognition(visit.parts.database, visit.tenant, recognition_id, Deletion(visit.now))
    return visit.go_to("/recognitions")


def _page(recognition_id: str, visit: Visit) -> Recognising:
    with visit.parts.database.reading() as session:
        view = recognition_view(session, visit.tenant, recognitions.get(session, visit.tenant, recognition_id))
        record, _ = recognition_record(session, visit.tenant, recognition_id)
        name = dataset_name(session, visit, view.request.dataset_id)
    return Recognising(
        id=view.id,
        ago=ago(view.created_at, visit.now),
        dataset_id=view.request.dataset_id,
        dataset_name=name,
        generation_id=view.request.generation_id,
        seen="job " + ".".join(f"{job.revision}-{job.queue_position or 0}" for job in view.jobs),
        jobs=[job_card(job) for job in view.jobs],
        report=recognition_page(replace(record, state=view.state.value), StoredPictures(visit.parts.artifacts.path_of)),
    )
