import httpx
import pytest

from defectsynth_client import calls
from defectsynth_client.errors import ApiError, LimitReached, NotAllowed, Refused, Unreachable
from tests.fakes.walking import Walker, in_turn, job_json, problem

OK = httpx.Response(200, json=job_json())
LOST = httpx.ReadError("connection reset")
ADAPT = calls.adapt("ds_1").plan
DONE = httpx.Response(200, json={
    "id": "adn_1", "state": "queued", "created_at": "2026-01-02T03:04:05Z", "links": {}, "dataset_id": "ds_1",
    "dataset_version_id": "dsv_1", "base_model": "mini", "jobs": [], "adapters": [], "trials": {},
})  # fmt: skip


def test_a_read_is_sent_again_with_pauses_that_grow_and_stay_bounded() -> None:
    walker = Walker(in_turn(*[LOST] * 8, OK), total_seconds=600)
    assert walker.run(calls.job("job_1").plan).id == "job_1"
    for number, pause in enumerate(walker.pauses):
        longest = min(10.0, 0.5 * 2**number)
        assert longest / 2 <= pause <= longest


def test_the_service_says_when_to_come_again_and_is_obeyed() -> None:
    walker = Walker(in_turn(problem(429, retry_after=7), problem(503, retry_after=3), OK))
    walker.run(calls.job("job_1").plan)
    assert walker.pauses == [7, 3]


def test_a_share_that_is_used_up_for_an_hour_is_told_at_once() -> None:
    walker = Walker(problem(429, "quota_exceeded", retry_after=3600))
    with pytest.raises(LimitReached) as told:
        walker.run(ADAPT)
    assert (told.value.retry_after_seconds, told.value.code, walker.pauses) == (3600, "quota_exceeded", [])


def test_all_tries_together_take_no_longer_than_was_allowed() -> None:
    walker = Walker(lambda _: httpx.ConnectError("refused"), total_seconds=20)
    with pytest.raises(Unreachable, match=r"GET /v1/jobs/job_1 \(refused\)"):
        walker.run(calls.job("job_1").plan)
    assert len(walker.requests) > 3
    assert walker.now <= 20


def test_work_whose_answer_was_lost_is_asked_for_again_under_the_same_key() -> None:
    walker = Walker(in_turn(LOST, problem(409, "idempotency_key_in_use", retry_after=1), problem(502), DONE))
    assert walker.run(ADAPT).id == "adn_1"
    assert [one.headers["Idempotency-Key"] for one in walker.requests] == ["key-0"] * 4
    walker.run(ADAPT)
    assert walker.requests[-1].headers["Idempotency-Key"] == "key-1"


def test_a_key_of_the_callers_own_is_used_as_it_is() -> None:
    walker = Walker(lambda _: DONE)
    walker.run(calls.adapt("ds_1", idempotency_key="order-7").plan)
    assert (walker.requests[0].headers["Idempotency-Key"], walker.keys) == ("order-7", [])


@pytest.mark.parametrize(("status", "kind"), [(401, NotAllowed), (403, NotAllowed), (409, ApiError), (422, Refused),
                                              (500, ApiError), (507, ApiError)])  # fmt: skip
def test_what_another_try_would_not_change_is_raised_at_once_with_all_that_was_told(
    status: int, kind: type[ApiError]
) -> None:
    walker = Walker(problem(status, field="classes", remedy="Do that.", request_id="abc"))
    with pytest.raises(kind) as told:
        walker.run(ADAPT)
    error = told.value
    assert (error.status, error.code, error.field, error.remedy, error.request_id) == (
        status, "some_code", "classes", "Do that.", "abc",
    )  # fmt: skip
    assert str(error) == "Title: what happened. Do that. (request abc)"
    assert len(walker.requests) == 1


def test_the_words_of_a_proxy_are_no_problem_document_and_say_so() -> None:
    walker = Walker(lambda _: httpx.Response(403, text="<html>denied</html>", headers={"content-type": "text/html"}))
    with pytest.raises(NotAllowed) as told:
        walker.run(ADAPT)
    assert told.value.code == "http_403"
    assert "html" not in str(told.value)
    assert "proxy" in (told.value.remedy or "")
