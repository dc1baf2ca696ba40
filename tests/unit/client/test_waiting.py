import json

import httpx
import pytest

from defectsynth_client import calls
from defectsynth_client.errors import WaitedTooLong, WorkFailed
from defectsynth_client.models import Adaptation, Job, State
from defectsynth_client.waiting import Waiting
from tests.fakes.walking import NOW, Answer, Walker, in_turn, job_json, problem

FAILURE = {"code": "dataset_unusable", "message": "It is too dark.", "remedy": "Add light."}


def adaptation(*jobs: dict[str, object]) -> dict[str, object]:
    states = [job["state"] for job in jobs]
    return {
        "id": "adn_1", "state": next((one for one in ("running", "failed") if one in states), "succeeded"),
        "links": {"self": "/v1/adaptations/adn_1"}, "dataset_id": "ds_1", "dataset_version_id": "dsv_1",
        "base_model": "mini", "jobs": list(jobs), "adapters": [], "trials": {}, **NOW,
    }  # fmt: skip


def served(states: dict[str, list[dict[str, object]]]) -> dict[str, list[httpx.Response]]:
    return {
        path: [httpx.Response(200, json=one, headers={"ETag": f'"{number}"', "Retry-After": "1"})
               for number, one in enumerate(answers)]
        for path, answers in states.items()
    }  # fmt: skip


class Service:
    """Jobs that move on each time they are looked at; the events of none are streamed unless ``streams`` has them."""

    def __init__(self, states: dict[str, list[dict[str, object]]], streams: list[Answer] | None = None) -> None:
        self.left = served(states)
        self.streams = streams or []
        self.not_modified = 0

    def __call__(self, request: httpx.Request) -> Answer:
        path = request.url.path
        if path.endswith("/events"):
            return self.streams.pop(0) if self.streams else httpx.Response(404, json={})
        answers = self.left[path]
        current = answers[0]
        if len(answers) > 1:
            answers.pop(0)
        if request.headers.get("If-None-Match") == current.headers["ETag"]:
            self.not_modified += 1
            return httpx.Response(304, headers={"ETag": current.headers["ETag"], "Retry-After": "1"})
        return httpx.Response(200, content=current.content, headers=current.headers)


def test_all_jobs_are_followed_to_their_end_and_the_resource_is_fetched_as_it_is_then() -> None:
    first = [job_json(1, fraction=0.2), job_json(1, fraction=0.2), job_json(1, "succeeded")]
    second = [job_json(2, "queued"), job_json(2), job_json(2), job_json(2, "succeeded")]
    ended = adaptation(job_json(1, "succeeded"), job_json(2, "succeeded"))
    service = Service({"/v1/jobs/job_1": first, "/v1/jobs/job_2": second, "/v1/adaptations/adn_1": [ended]})
    told: list[str] = []
    walker = Walker(service)
    work = Adaptation.model_validate(adaptation(job_json(1, "queued"), job_json(2, "queued")))
    outcome = walker.run(Waiting(work, lambda job: told.append(f"{job.id} {job.state}")).plan)
    assert isinstance(outcome, Adaptation)
    assert outcome.state is State.SUCCEEDED
    assert told == [
        "job_1 queued", "job_2 queued", "job_1 running", "job_2 running", "job_1 succeeded", "job_2 succeeded",
    ]  # fmt: skip
    assert set(walker.pauses) == {1.0}


def test_what_has_not_changed_is_not_sent_again() -> None:
    service = Service({"/v1/jobs/job_1": [job_json(), job_json()]})
    service.left["/v1/jobs/job_1"][1].headers["ETag"] = '"0"'
    walker = Walker(service)
    with pytest.raises(WaitedTooLong, match=r"job_1 has not ended in 5 s \(class 1: 50%, lora\)"):
        walker.run(Waiting(Job.model_validate(job_json()), timeout_seconds=5).plan)
    assert service.not_modified >= 3
    assert 5 <= walker.now < 6


def test_a_failure_is_an_error_that_holds_what_succeeded_beside_it() -> None:
    failed = job_json(2, "failed", failure=FAILURE)
    ended = adaptation(job_json(1, "succeeded"), failed)
    service = Service({"/v1/jobs/job_2": [failed], "/v1/adaptations/adn_1": [ended]})
    work = Adaptation.model_validate(adaptation(job_json(1, "succeeded"), job_json(2)))
    with pytest.raises(WorkFailed, match=r"class 2: It is too dark\. Add light\.") as told:
        Walker(service).run(Waiting(work).plan)
    assert [job.state for job in told.value.work.all_jobs] == ["succeeded", "failed"]
    assert Walker(service).run(Waiting(work, must_succeed=False).plan).state is State.FAILED


def streamed(*jobs: dict[str, object], cut: int = 0) -> httpx.Response:
    events = "".join(f": beat\r\n\r\nid: {n}\nevent: job\ndata: {json.dumps(one)}\n\n" for n, one in enumerate(jobs, 1))
    body = events.encode()
    return httpx.Response(200, content=body[: len(body) - cut], headers={"content-type": "text/event-stream"})


def test_the_events_of_a_last_job_are_read_as_they_come_and_the_job_is_asked_for_no_more() -> None:
    service = Service({}, [streamed(job_json(fraction=0.6), job_json(fraction=0.9), job_json(1, "succeeded"))])
    walker, told = Walker(service), list[float]()
    job = Job.model_validate(job_json())
    seen = lambda one: told.append(one.progress.fraction)  # noqa: E731
    assert walker.run(Waiting(job, seen).plan).state is State.SUCCEEDED
    assert told == [0.5, 0.6, 0.9, 0.5]
    assert len(walker.requests) == 1


def test_one_stream_tells_of_all_jobs_of_a_resource() -> None:
    first, second = job_json(1, "succeeded"), job_json(2, "succeeded")
    service = Service({"/v1/adaptations/adn_1": [adaptation(first, second)]}, [streamed(job_json(2), first, second)])
    walker = Walker(service)
    work = Adaptation.model_validate(adaptation(job_json(1), job_json(2, "queued")))
    assert walker.run(Waiting(work).plan).state is State.SUCCEEDED
    assert [str(one.url.raw_path, "ascii") for one in walker.requests] == [
        "/v1/events?resource_id=adn_1", "/v1/adaptations/adn_1",
    ]  # fmt: skip


def test_a_stream_that_ends_early_or_is_cut_in_a_message_loses_nothing() -> None:
    running, ended = job_json(fraction=0.6), job_json(1, "succeeded")
    streams: list[Answer] = [streamed(running, ended, cut=30), streamed(ended)]
    walker = Walker(Service({"/v1/jobs/job_1": [running, ended]}, streams))
    assert walker.run(Waiting(Job.model_validate(job_json())).plan).state is State.SUCCEEDED
    events, job = "/v1/jobs/job_1/events", "/v1/jobs/job_1"
    assert [one.url.path for one in walker.requests] == [events, job, events]


@pytest.mark.parametrize("stream", [httpx.ReadTimeout("silence"), httpx.Response(404, json={})])
def test_where_events_do_not_come_the_job_is_asked_for(stream: Answer) -> None:
    service = Service({"/v1/jobs/job_1": [job_json(), job_json(), job_json(1, "succeeded")]}, [stream])
    walker = Walker(service)
    assert walker.run(Waiting(Job.model_validate(job_json())).plan).state is State.SUCCEEDED
    assert [one.url.path for one in walker.requests] == ["/v1/jobs/job_1/events"] + ["/v1/jobs/job_1"] * 3


def test_a_service_that_is_away_for_a_while_is_waited_for() -> None:
    answers = (problem(404), httpx.ConnectError("refused"), httpx.ConnectError("refused"))
    walker = Walker(in_turn(*answers, httpx.Response(200, json=job_json(1, "succeeded"))))
    assert walker.run(Waiting(Job.model_validate(job_json())).plan).state is State.SUCCEEDED


def test_deleting_what_is_gone_already_is_no_error() -> None:
    walker = Walker(in_turn(httpx.ReadError("lost"), problem(410)))
    work = Adaptation.model_validate(adaptation(job_json(1, "succeeded")))
    assert walker.run(calls.delete(work).plan) is None  # type: ignore[func-returns-value]
    assert walker.requests[-1].method == "DELETE"
