"""The programs that call a service: the README's example, the scripts in examples/, and the remote commands."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from service.cli import app
from tests.e2e.callers.conftest import Served
from tests.fakes.pictures import noise
from tests.fakes.worker_world import ROOT

FINE, FAILED, USAGE, UNREACHABLE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 130


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, and a file that is no image."""
    folder = tmp_path_factory.mktemp("here") / "images"
    for number, name in enumerate(("pits", "rolled in")):
        (folder / name).mkdir(parents=True)
        for index in range(8):
            noise(100 * number + index, (40, 36)).save(folder / name / f"{index}.png")
    (folder / "pits" / "broken.png").write_bytes(b"\x89PNG but not really")
    return folder


@pytest.fixture(scope="module")
def archive(images: Path) -> Path:
    return Path(shutil.make_archive(str(images), "zip", images))


def ran(command: list[str], served: Served, folder: Path) -> str:
    environment = {**os.environ, **served.environment}
    outcome = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


def num_images(archive: Path) -> int:
    with zipfile.ZipFile(archive) as packed:
        return sum(name.endswith(".png") for name in packed.namelist())


def test_the_example_of_the_readme_does_what_it_says(served: Served, images: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(example.splitlines()) <= 15
    told = ran([sys.executable, "-W", "error", "-c", example], served, images.parent)
    assert "pits/broken.png was left out" in told
    assert "pits: succeeded" in told
    for name in ("pits", "rolled in"):
        assert re.search(rf"{name}: \d+ images", told)
    assert num_images(images.parent / "synthetic.zip") > 0
    assert "<html" in (images.parent / "report.html").read_text(encoding="utf-8")


def test_a_script_with_plain_requests_does_the_same(served: Served, archive: Path, tmp_path: Path) -> None:
    pytest.importorskip("requests")
    command = [sys.executable, str(ROOT / "examples" / "qa_with_requests.py"), str(archive), "8", "out.zip"]
    told = ran(command, served, tmp_path)
    assert "left out: pits/broken.png" in told
    assert num_images(tmp_path / "out.zip") > 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_script_with_curl_does_the_same(served: Served, archive: Path, tmp_path: Path) -> None:
    command = ["bash", str(ROOT / "examples" / "qa_with_curl.sh"), str(archive), "8", "out.zip"]
    assert "succeeded" in ran(command, served, tmp_path)
    assert num_images(tmp_path / "out.zip") > 0


def run(served: Served | None, *words: str, **variables: str) -> tuple[int, str, str]:
    environment = {**(served.environment if served is not None else {}), **variables}
    outcome = CliRunner().invoke(app, list(words), env=environment)
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exception
    return outcome.exit_code, outcome.stdout, outcome.stderr


def document(served: Served | None, *words: str, code: int = FINE, **variables: str) -> Any:
    status, out, err = run(served, *words, "--json", **variables)
    assert (status, err) == (code, ""), out + err
    return json.loads(out)


def test_the_whole_way_in_documents(served: Served, images: Path, tmp_path: Path) -> None:
    receipt = document(served, "upload", str(images), "--name", "line 3")
    assert (receipt["name"], receipt["accepted"], len(receipt["refused"])) == ("line 3", 16, 1)
    told = document(served, "adapt", receipt["id"], "--class", "pits", "--dry-run")
    assert told["verdict"] in ("ready", "ready_with_warnings"), told["sentence"]
    assert told["sentence"] in " ".join(run(served, "adapt", receipt["id"], "--class", "pits", "--dry-run")[1].split())
    settings = json.dumps({"lora": {"steps": 5, "rank": 2}})
    words = ("adapt", receipt["id"], "--class", "pits", "--seed", "3", "--settings", settings, "--watch")
    adaptation = document(served, *words)
    assert adaptation["state"] == "succeeded"
    assert (adaptation["settings"]["seed"], adaptation["settings"]["lora"]["steps"]) == (3, 5)
    generation = document(served, "generate", adaptation["id"], "--class", "pits=6", "--strength", "0.7", "--seed", "1")
    assert (generation["seed"], generation["settings"]["strength"]) == (1, 0.7)
    assert document(served, "watch", generation["id"])["state"] == "succeeded"
    assert document(served, "report", generation["id"])["results"].keys() == {"pits"}
    proposed = document(served, "top-up", generation["id"], "--recall", "pits=0.4")
    assert [(one["class_name"], one["is_weak"]) for one in proposed["classes"]] == [("pits", True)]
    assert proposed["classes"][0]["reason"][:40] in run(served, "top-up", generation["id"], "--recall", "pits=0.4")[1]
    saved = document(served, "download", generation["id"], "--out", str(tmp_path))
    num_published = document(served, "status", generation["id"])["classes"][0]["num_published"]
    assert num_images(Path(saved["path"])) == num_published
    decisions = {"decisions": [{"class_name": "pits", "number": 0, "decision": "reject"}]}
    headers = {"Authorization": f"Bearer {served.key}"}
    at = f"{served.url}{generation['links']['images']}/decisions"
    assert httpx.put(at, json=decisions, headers=headers).status_code == 200
    for options, expected in (((), num_published - 1), (("--include-rejected",), num_published)):
        saved = document(served, "download", generation["id"], "--out", str(tmp_path / "less.zip"), *options)
        assert num_images(Path(saved["path"])) == expected
    words = ("download", generation["id"], "--format", "anomalib", "--normal-class", "rolled in")
    saved = document(served, *words, "--out", str(tmp_path / "anomalib.zip"))
    with zipfile.ZipFile(saved["path"]) as packed:
        assert {name.partition("/")[0] for name in packed.namelist()} == {"normal", "abnormal", "manifest.json"}
    for suffix in ("html", "csv", "json"):
        assert document(served, "report", generation["id"], "-o", str(tmp_path / f"r.{suffix}"))["size_bytes"] > 0
    words = ("evaluate", generation["id"], receipt["id"], "--class", "pits", "--split", "train", "--watch")
    assert document(served, *words)["result"]["quality"]["class_name"] == "pits"
    adapter = adaptation["adapters"][0]["id"]
    document(served, "download", adapter, "-o", str(tmp_path / "adapter.zip"))
    with zipfile.ZipFile(tmp_path / "adapter.zip") as packed:
        assert "adapter.json" in packed.namelist()
    overview = document(served, "status")
    assert overview["status"] in ("ready", "degraded")
    assert generation["jobs"][0]["id"] in [job["id"] for job in overview["jobs"]]


def test_a_top_up_of_two_weak_classes_is_asked_for_by_the_command_that_is_told(
    served: Served, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = document(served, "upload", str(images))["id"]
    adaptation = document(served, "adapt", named, "--watch")["id"]
    asked = {"adaptation_id": adaptation, "num_images": 2, "settings": {"strength": 0.6}, "gates": {"outliers": False}}
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    generation = document(served, "generate", "--request", str(tmp_path / "asked.json"), "--watch")
    assert generation["settings"]["strength"] == 0.6
    words = ("top-up", generation["id"], "--recall", "pits=0.4", "--recall", "rolled in=0.5", "--target", "0.95")
    wanted = document(served, *words)["request"]["num_images"]
    assert len(wanted) == 2
    monkeypatch.chdir(tmp_path)
    status, _, err = run(served, *words, TTY_COMPATIBLE="1")
    (told,) = re.findall(r"Next: (.*)", re.sub(r"\x1b\[[0-9;]*m", "", err), re.DOTALL)
    pasted = [shlex.split(line) for line in told.splitlines() if line.strip()]
    assert [line[:2] for line in pasted] == [["defectsynth", "top-up"], ["defectsynth", "generate"]]
    assert (status, run(served, *pasted[0][1:])[0]) == (FINE, FINE)
    made = document(served, *pasted[1][1:])
    assert {one["class_name"]: one["num_images"] for one in made["classes"]} == wanted
    assert {(one["settings"]["strength"], one["gates"]["outliers"]) for one in made["classes"]} == {(0.6, False)}
    status, piped, _ = run(served, *words, "--out", "-")
    outcome = CliRunner().invoke(app, ["generate", "--request", "-", "--json"], piped, env=served.environment)
    assert json.loads(outcome.stdout)["state"] in ("queued", "running")
    status, _, err = run(served, "top-up", generation["id"], "--recall", "pits=1", "--out", "none.json")
    assert (status, "No class is below" in err, Path("none.json").exists()) == (FAILED, True, False)


def test_what_was_made_is_deleted_when_a_person_says_so(served: Served, images: Path) -> None:
    named = document(served, "upload", str(images), "--name", "line 9")["id"]
    adaptation = document(served, "adapt", named, "--class", "pits", "--watch")
    refused = document(served, "delete", named, "--yes", code=REFUSED)["error"]
    assert (refused["code"], bool(refused["remedy"])) == ("still_cited", True)
    status, _, err = run(served, "delete", adaptation["jobs"][0]["id"], "--yes")
    assert (status, adaptation["id"] in err) == (USAGE, True)
    asked = ["delete", adaptation["adapters"][0]["id"], adaptation["id"], named]
    outcome = CliRunner().invoke(app, asked, "n\n", env=served.environment)
    assert outcome.exit_code == FAILED
    assert "data set 'line 9' with 16 images" in outcome.stderr
    assert document(served, "status", named)["id"] == named
    assert CliRunner().invoke(app, asked, "y\n", env=served.environment).exit_code == FINE
    assert document(served, "delete", named, "--yes", code=REFUSED)["error"]["status"] == 410
    assert run(served, "delete", named, "--json")[0] == USAGE


def test_a_person_reads_what_was_left_out_and_what_came_of_it(served: Served, images: Path, tmp_path: Path) -> None:
    shutil.copytree(images, tmp_path / "images")
    (tmp_path / "images" / "rare").mkdir()
    noise(999, (40, 36)).save(tmp_path / "images" / "rare" / "0.png")
    status, out, err = run(served, "upload", str(tmp_path / "images"))
    assert status == FINE
    assert "17 images of 3 classes accepted" in out
    assert re.search(r"pits/broken\.png\s+\S+.*", out)
    assert "1 file refused" in out
    assert "! rare: there is one image only" in out
    (named,) = re.findall(r"ds_[0-9a-f]{32}", out)
    assert err == ""  # bars and hints are for a terminal
    status, out, _ = run(served, "adapt", named, "--class", "pits", "--watch")
    assert (status, "succeeded" in out) == (FINE, True)
    adaptation = re.findall(r"adn_[0-9a-f]{32}", out)[0]
    status, out, _ = run(served, "generate", adaptation, "-n", "8", "--watch")
    generation = re.findall(r"gen_[0-9a-f]{32}", out)[0]
    status, out, _ = run(served, "report", generation)
    assert status == FINE
    for words in ("delivered", "real floor", "copy floor", "coverage"):
        assert words in out
    assert named in run(served, "status", named)[1]
    assert adaptation in run(served, "report", adaptation)[1]


def test_a_failed_job_is_exit_code_1_with_its_remedy(served: Served, images: Path) -> None:
    named = document(served, "upload", str(images))["id"]
    status, out, _ = run(served, "adapt", named, "--class", "pits", "--base-model", "broken", "--watch")
    assert status == FAILED
    assert "does not open as a Stable Diffusion model" in out
    adaptation = re.findall(r"adn_[0-9a-f]{32}", out)[0]
    assert document(served, "watch", adaptation, code=FAILED)["jobs"][0]["failure"]["remedy"]


def test_what_the_service_refuses_is_exit_code_4(served: Served, images: Path) -> None:
    status, _, err = run(served, "status", DEFECTSYNTH_API_KEY="wrong")
    assert status == REFUSED
    assert "DEFECTSYNTH_API_KEY" in err
    error = document(served, "adapt", "ds_unknown", code=REFUSED)["error"]
    assert (error["status"], error["code"], bool(error["request_id"])) == (404, "not_found", True)
    named = document(served, "upload", str(images))["id"]
    error = document(served, "adapt", named, "--base-model", "sd99", code=REFUSED)["error"]
    assert (error["code"], error["field"]) == ("unknown_base_model", "base_model")


def test_nobody_there_is_exit_code_3_and_says_what_to_look_at() -> None:
    nowhere = {"DEFECTSYNTH_URL": "http://127.0.0.1:1"}
    status, out, err = run(None, "status", **nowhere)
    assert (status, out) == (UNREACHABLE, "")
    assert "http://127.0.0.1:1" in err and "defectsynth serve" in err
    assert document(None, "watch", "adn_1", code=UNREACHABLE, **nowhere)["error"]["code"] == "unreachable"


@pytest.mark.parametrize(
    "words",
    [
        ("watch", "nonsense"), ("upload", "nowhere"), ("adapt", "ds_1", "--settings", "{"),
        ("generate", "adn_1", "--class", "pits=many"), ("generate",), ("generate", "--request", "nowhere.json"),
        ("generate", "adn_1", "--request", str(ROOT / "Makefile")), ("generate", "--request", str(ROOT / "Makefile")),
        ("generate", "adn_1", "-n", "0"), ("status", "--url", "ftp://x"),
    ],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(words: tuple[str, ...], served: Served) -> None:
    assert run(served, *words)[0] == USAGE


def test_ctrl_c_leaves_the_work_running_and_says_how_to_go_on(served: Served, images: Path) -> None:
    named = document(served, "upload", str(images))["id"]
    long = json.dumps({"textual_inversion": {"steps": 5000}})
    command = [sys.executable, "-m", "service.cli", "adapt", named, "--class", "pits", "--settings", long, "--watch"]
    watching = subprocess.Popen(
        command, env={**os.environ, **served.environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    running = lambda: [job for job in document(served, "status")["jobs"] if job["state"] == "running"]  # noqa: E731
    while not (jobs := running()):  # By then the command has the answer and follows the job.
        assert watching.poll() is None
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=30)
    assert watching.returncode == INTERRUPTED
    adaptation = jobs[0]["resource_id"]
    assert f"defectsynth watch {adaptation}" in err
    assert running()[0]["resource_id"] == adaptation
    assert len(document(served, "cancel", adaptation)["canceled"]) == 1
    assert document(served, "watch", adaptation, code=FAILED)["state"] == "canceled"


def test_ids_are_completed_and_a_silent_service_disturbs_nobody(served: Served, images: Path) -> None:
    named = document(served, "upload", str(images))["id"]
    words = f"defectsynth adapt {named[:6]}"
    asked = {"_DEFECTSYNTH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "2"}
    completed = [sys.executable, "-c", "from service.cli import app; app(prog_name='defectsynth')"]
    for url, expected in ((served.url, True), ("http://127.0.0.1:1", False)):
        environment = {**os.environ, **served.environment, **asked, "DEFECTSYNTH_URL": url}
        outcome = subprocess.run(completed, env=environment, capture_output=True, text=True, timeout=30)
        assert (named in outcome.stdout) is expected, outcome.stdout + outcome.stderr
