"""`defectsynth demo` from end to end, as a person runs it: a real service, a real worker, a tiny base model."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.fakes.pictures import noise
from tests.fakes.worker_world import ROOT, build_registry

QUICK = """
[models.tiny]
path = "tiny"
[models.tiny.adaptation]
textual_inversion = { steps = 4, batch_size = 2 }
lora = { steps = 4, batch_size = 2, rank = 2 }
search = { max_trials = 2, images_per_trial = 8 }
[models.tiny.generation]
num_inference_steps = 4
"""
NUM_IMAGES, NUM_REAL = 6, 8


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = build_registry(tmp_path_factory.mktemp("models"))
    path.write_text(path.read_text() + QUICK)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes that can be adapted, one that has too few images, and a file that is no image."""
    for number, (name, count) in enumerate({"pits": NUM_REAL, "rolled in": NUM_REAL, "rare": 2}.items()):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for index in range(count):
            noise(100 * number + index, (40, 36)).save(folder / f"{index}.png")
    (tmp_path / "data" / "pits" / "broken.png").write_bytes(b"\x89PNG but not really")
    return tmp_path / "data"


def started(registry: Path, folder: Path, *options: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
        "DEFECTSYNTH_BASE_MODELS": str(registry),
        "DEFECTSYNTH_DEVICE": "cpu",
    }
    command = [sys.executable, "-m", "service.cli", "demo", "--out", str(folder / "out"), "--base-model", "tiny"]
    return subprocess.Popen(
        [*command, "--images", str(NUM_IMAGES), *options], env=environment, cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def is_served(folder: Path) -> bool:
    """Whether any process still works for the data folder."""
    wanted = f"DEFECTSYNTH_DATA_DIR={folder / 'out' / 'service'}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def test_a_folder_of_classes_becomes_images_sheets_a_table_and_a_report(
    registry: Path, data: Path, tmp_path: Path
) -> None:
    demo = started(registry, tmp_path, "--data", str(data))
    told, _ = demo.communicate(timeout=120)
    assert demo.returncode == 1, told  # one class could not be adapted, and the status says so
    out = tmp_path / "out"
    report = json.loads((out / "report.json").read_text())
    by_name = {one["class_name"]: one for one in report["classes"]}
    for name in ("pits", "rolled in"):
        images = sorted((out / "images" / name).glob("*.png"))
        judging = by_name[name]["generation"]["judging"]
        assert 0 < len(images) == judging["num_accepted"] <= NUM_IMAGES  # what random weights make is often rejected
        assert (f"{len(images)} of {NUM_IMAGES} images" in told) == (len(images) < NUM_IMAGES)
        with Image.open(images[0]) as picture:
            assert (picture.size, picture.mode) == ((40, 36), "L")
        with Image.open(out / "contact-sheets" / f"{name}.png") as sheet:
            assert sheet.width > 40
    for words in ("FID", "KID", "real floor", "copy floor", "copies found", "textual inversion", "denoising"):
        assert words in told
    assert "FAILED rare: 2 images to learn from, and 4 are needed" in told
    assert "broken.png" in told
    assert str(out / "contact-sheets") in told
    summary = (out / "summary.txt").read_text()
    assert "rolled in" in summary
    assert "broken.png" in summary
    check_report(report, by_name)
    assert not (out / "service").exists()
    assert not is_served(tmp_path)


def check_report(report: dict[str, Any], by_name: dict[str, dict[str, Any]]) -> None:
    assert set(by_name) == {"pits", "rolled in", "rare"}
    pits = by_name["pits"]
    assert set(pits["adaptation"]["stage_seconds"]) >= {"caching_latents", "textual_inversion", "lora", "search"}
    assert len(pits["adaptation"]["search"]["trials"]) == 2
    assert pits["adaptation"]["num_train_images"] == NUM_REAL
    quality = pits["generation"]["quality"]
    assert (quality["score"]["num_real"], quality["score"]["num_other"]) == (NUM_REAL, pits["generation"]["num_images"])
    assert quality["seen_by_adaptation"] is True
    assert [one["filename"] for one in report["refused"]] == ["pits/broken.png"]
    assert by_name["rare"]["generation"] is None


def test_a_second_demo_clears_what_the_first_wrote_and_no_other_folder(registry: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    demo = started(registry, tmp_path)
    told, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "Name another with --out" in told
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_what_fails_in_the_service_is_said_in_a_sentence_with_the_end_of_its_log(
    registry: Path, data: Path, tmp_path: Path
) -> None:
    damaged = shutil.copytree(registry.parent, tmp_path / "models")
    (damaged / "tiny" / "unet" / "config.json").write_text("{")
    demo = started(damaged / registry.name, tmp_path, "--data", str(data))
    told, _ = demo.communicate(timeout=120)
    assert demo.returncode == 1, told
    assert "No class could be adapted" in told
    assert "does not open as a Stable Diffusion model" in told
    assert "service.log" in told
    assert "Traceback" not in told.split("The end of its log")[0]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_the_service_ends_with_the_demo_by_ctrl_c_and_when_the_demo_is_killed(
    number: signal.Signals, status: int, registry: Path, data: Path, tmp_path: Path
) -> None:
    demo = started(registry, tmp_path, "--data", str(data))
    assert demo.stdout is not None
    while "Uploaded" not in (line := demo.stdout.readline()):
        assert line, "the demo ended early"
    assert is_served(tmp_path)
    demo.send_signal(number)
    told = demo.communicate(timeout=60)
    assert demo.returncode == status, told
    give_up_at = time.monotonic() + 40
    while is_served(tmp_path) and time.monotonic() < give_up_at:
        time.sleep(0.1)
    assert not is_served(tmp_path)
