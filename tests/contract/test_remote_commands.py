"""The remote commands against the real API: what a person and a script are told."""

import functools
import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from defectsynth_client import Client
from service.cli import app
from service.cli_remote import session
from service.contracts.generations import GenerationResult
from service.contracts.ids import DEFAULT_TENANT, Sha256
from service.contracts.jobs import JobState
from service.store import jobs
from tests.contract.conftest import World
from tests.fakes.through_test_client import ThroughTestClient

NOTHING_LEFT = GenerationResult(
    num_images=0, stage_seconds={}, denoising_steps=20, quality=None, contact_sheet=Sha256("0" * 64),
    warnings=["0 of 3 images: of 15 that were made (the budget), 15 were copies of real images."],
)  # fmt: skip
MATRIX = "\ufeff,pits,dirt,ok\npits,10,10,0\ndirt,0,20,0\nok,0,0,9\n"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The commands do not know which database there is."""
    return f"sqlite:///{tmp_path / 'record.db'}"


@pytest.fixture(autouse=True)
def _served_by(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    through = ThroughTestClient(world.client)
    monkeypatch.setattr(session, "Client", functools.partial(Client, transport=through))


def run(*words: str) -> tuple[int, str]:
    with capture_logs():  # Of the service, which logs to the stdout that it shares with the command here.
        told = CliRunner().invoke(app, list(words), env={"DEFECTSYNTH_URL": "http://127.0.0.1"})
    assert told.exception is None or isinstance(told.exception, SystemExit), told.exception
    return told.exit_code, told.stdout


def test_a_dry_run_tells_the_memory_that_a_job_is_expected_to_take(world: World) -> None:
    dataset_id = world.dataset({"pits": 4})["id"]
    expected = json.loads(run("adapt", dataset_id, "--dry-run", "--json")[1])["memory"]["expected_bytes"]
    assert f"A job takes up to {expected / 2**30:.1f} GiB of memory." in run("adapt", dataset_id, "--dry-run")[1]


def test_a_generation_of_which_nothing_is_left_says_why_and_is_no_success_to_a_script(world: World) -> None:
    adaptation = world.adaptation({"pits": 4})
    world.finish(adaptation)
    body = {"adaptation_id": adaptation["id"], "num_images": 3}
    generation = world.client.post("/v1/generations", json=body).json()
    with world.database.transaction() as transaction:
        row = jobs.get(transaction, DEFAULT_TENANT, generation["jobs"][0]["id"])
        row.state, row.result = JobState.SUCCEEDED, NOTHING_LEFT.model_dump(mode="json")
    status, told = run("watch", generation["id"])
    assert status == 1
    assert "images: 0 of 3 pits" in told
    assert "pits: 0 of 3 images: of 15 that were made (the budget), 15 were copies of real images." in told
    world.publish(generation["id"], generation["jobs"][0]["id"], "pits", 1)
    assert run("watch", generation["id"])[0] == 0


def test_a_top_up_takes_a_confusion_matrix_from_a_file(world: World, tmp_path: Path) -> None:
    adaptation = world.adaptation({"pits": 4, "dirt": 4})
    world.finish(adaptation)
    (tmp_path / "confusion.csv").write_text(MATRIX, encoding="utf-8")
    words = ("top-up", adaptation["id"], "--matrix", str(tmp_path / "confusion.csv"), "--other-class", "ok", "--json")
    status, told = run(*words)
    assert (status, [one["class_name"] for one in json.loads(told)["classes"] if one["is_weak"]]) == (0, ["pits"])
    (tmp_path / "confusion.csv").write_text("nothing, of, use\n")
    status, told = run(*words)
    assert (status, json.loads(told)["error"]["code"]) == (2, "wrong_usage")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("upload", "/nonexistent"), "/nonexistent"),
        (("generate", "adn_1", "-n", "0"), "-n"),
        (("generate",), "name an adaptation"),
        (("adapt", "ds_1", "--settings", "{"), "--settings"),
        (("status", "--colour"), "--colour"),
        (("watch", "nonsense"), "nonsense"),
    ],
)
def test_wrong_usage_is_a_document_too_where_documents_are_asked_for(words: tuple[str, ...], said: str) -> None:
    status, told = run(*words, "--json")
    error = json.loads(told)["error"]
    assert (status, said in error["message"]) == (2, True), told
    assert error.keys() == {"code", "message", "field", "remedy", "status", "request_id", "refused"}
    assert run(*words) == (2, "")
