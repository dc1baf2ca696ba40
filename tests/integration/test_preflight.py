"""What a pre-flight learns from real jobs: the next one takes as long as it was told to."""

from starlette.testclient import TestClient

from service.contracts.jobs import JobState
from service.main import create_app
from tests.fakes.worker_world import World, quick
from tests.integration.test_nothing_is_lost import is_final


def test_after_a_few_jobs_the_next_one_takes_as_long_as_it_was_told_to(file_world: World) -> None:
    """90 % of intervals hold. This one is of three jobs, and so has a width of more than twice each way."""
    with file_world.running("worker"):
        for _ in range(3):
            assert file_world.wait(file_world.submit_adaptation(quick(20)), is_final).state == JobState.SUCCEEDED
        client = TestClient(create_app(file_world.settings, database=file_world.database), base_url="http://127.0.0.1")
        asked = {"dataset_id": file_world.dataset_id, "settings": quick(30).model_dump(mode="json")}
        answer = client.post("/v1/adaptations?dry_run=true", json=asked)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        following = file_world.wait(file_world.submit_adaptation(quick(30)), is_final)
    assert (told["basis"], told["num_earlier_jobs"], told["device"]) == ("earlier_jobs", 3, "cpu")
    assert told["seconds"]["low"] <= following.device_seconds <= told["seconds"]["high"]
    assert told["memory"]["expected_bytes"] > 1e8
    assert told["memory"]["worker_bytes"] > told["memory"]["expected_bytes"]
