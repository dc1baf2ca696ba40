"""The page in a real browser, as a QA engineer uses it: from folders of images to a reviewed download."""

import json
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Watched, embedded
from tests.fakes.pictures import noise
from tests.fakes.worker_world import build_registry

QUICK = """
[models.mini.adaptation]
textual_inversion = { steps = 4, batch_size = 2 }
lora = { steps = 12, batch_size = 2, rank = 2 }
search = { max_trials = 3, images_per_trial = 8 }
[models.mini.generation]
num_inference_steps = 4
"""
NUM_REAL, NUM_IMAGES = 6, 5


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = build_registry(tmp_path_factory.mktemp("models"))
    path.write_text(path.read_text() + QUICK)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, and two files that are no images, one with a name that is markup."""
    for place, name in enumerate(("pits", "scratches")):
        (tmp_path / "line 3" / name).mkdir(parents=True)
        for number in range(NUM_REAL):
            noise(100 * place + number, (40, 36)).save(tmp_path / "line 3" / name / f"{number}.png")
    (tmp_path / "line 3" / "pits" / "notes.txt").write_text("no image")
    (tmp_path / "line 3" / "pits" / "<img src=x onerror=alert(1)>.png").write_text("no image")
    return tmp_path / "line 3"


def test_from_folders_to_a_reviewed_download(
    watched: Watched, context: BrowserContext, folder: Path, registry: Path, tmp_path: Path
) -> None:
    page = watched.page
    with embedded(tmp_path, registry) as url:
        page.goto(url)
        watched.is_accessible()
        upload(page, folder)
        expect(page.get_by_text("12 images were accepted, 2 refused.")).to_be_visible()
        expect(page.get_by_role("cell", name="line 3/pits/<img src=x onerror=alert(1)>.png")).to_be_visible()
        watched.is_accessible()
        page.get_by_role("link", name="Open the data set").click()
        expect(page.get_by_role("heading", name="line 3")).to_be_visible()
        expect(page.locator("#preflight .verdict")).to_be_visible()
        watched.is_accessible()
        page.get_by_role("button", name="Start adaptation").click()
        adapted(watched, context)
        generated(watched)
        reviewed(watched)
        downloaded(page)
        for path in ("/datasets", "/generations", "/queue", page.url.removeprefix(url).replace("images", "")):
            page.goto(url + path)
            watched.is_accessible()
        page.goto("about:blank")  # before the service goes away


def upload(page: Page, folder: Path) -> None:
    page.locator("#folder").set_input_files(folder)
    expect(page.locator("#name")).to_have_value("line 3")
    page.get_by_role("button", name="Upload").click()


def adapted(watched: Watched, context: BrowserContext) -> None:
    """Live, and the same in a page that is opened in the middle of it."""
    page = watched.page
    page.wait_for_url("**/adaptations/*")
    expect(page.locator("#training .state.running, #training .state.succeeded").first).to_be_visible(timeout=60_000)
    again = context.new_page()
    again.goto(page.url)
    expect(again.locator("#training .job")).to_have_count(2)
    again.close()
    expect(page.locator("#training .state.succeeded")).to_have_count(2, timeout=90_000)
    expect(page.locator("#source")).to_have_count(0)
    expect(page.locator(".slider")).to_have_count(2)
    page.locator("#training details").first.evaluate("one => { one.open = true }")
    expect(page.locator("#training .chart").first).to_be_visible()
    slider = page.locator(".slider .play[data-play$=sweep]").first  # trial 0 is of one source each
    first = slider.locator(".stop:visible").get_attribute("data-number")
    slider.locator("input[type=range]").focus()
    page.keyboard.press("Home")
    page.keyboard.press("End")
    last = slider.locator(".stop:visible").get_attribute("data-number")
    page.keyboard.press("Home")
    assert {first, last, slider.locator(".stop:visible").get_attribute("data-number")} == {"1", "2"}
    expect(slider.locator(".stop:visible img").first).to_be_visible()
    watched.is_accessible()


def generated(watched: Watched) -> None:
    page = watched.page
    page.locator("#generate summary").first.click()
    for number in page.locator("input[name^='num_images.']").all():
        number.fill(str(NUM_IMAGES))
    for gate in page.locator("input[name=gates]").all():  # what a network of random weights makes fails them all
        gate.uncheck()
    page.get_by_role("button", name="Generate").click()
    page.wait_for_url("**/generations/*")
    expect(page.locator(".cell")).to_have_count(2 * NUM_IMAGES, timeout=90_000)
    expect(page.locator("#making .state.succeeded")).to_have_count(2)


def reviewed(watched: Watched) -> None:
    """By keyboard alone; what was decided is there when the images are asked for again, and the page never reloads."""
    page = watched.page
    page.locator(".cell").first.focus()
    with page.expect_response("**/decisions"):
        page.keyboard.press("r")
    expect(page.locator(".cell.current")).to_have_attribute("data-number", "1")
    expect(page.locator("[data-counts=pits] .rejected")).to_have_text("1 rejected")
    page.keyboard.press("ArrowRight")
    with page.expect_response("**/decisions"):
        page.keyboard.press("k")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#detail h3")).to_contain_text("pits 2")
    expect(page.locator("#detail figure.source img")).to_be_visible()
    watched.is_accessible()
    page.locator(".cell.current").focus()
    with page.expect_response("**/decisions"):
        page.keyboard.press("u")
    page.locator(".cell.reject").wait_for()
    page.locator(".filters").get_by_label("Class").select_option("pits")
    expect(page.locator(".cell")).to_have_count(NUM_IMAGES)
    expect(page.locator(".cell.reject")).to_have_count(1)
    expect(page.locator(".cell.keep")).to_have_count(0)
    page.get_by_label("Decision").select_option("reject")
    expect(page.locator(".cell")).to_have_count(1)


def downloaded(page: Page) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the zip").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
        manifest = json.loads(archive.read("manifest.json"))
    assert len(pictures) == 2 * NUM_IMAGES - 1
    assert len(manifest["images"]) == len(pictures)
