"""The page under a person's hands: what renews itself takes nothing away, what is dragged comes, deleting asks."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from service.contracts.ids import DEFAULT_TENANT
from service.contracts.jobs import JobState, Progress
from service.contracts.search import SearchSoFar
from service.settings import Settings
from service.store import jobs
from tests.contract import test_gallery as gallery
from tests.contract.conftest import World, opened
from tests.contract.test_recognitions import generated, three_classes
from tests.contract.test_reports import finish
from tests.e2e.conftest import Api, Watched, wait_for
from tests.fakes import measured
from tests.fakes.pictures import png, zipped

FOCUSED = (
    "document.activeElement.getAttribute('aria-label') || document.activeElement.name || document.activeElement.id"
)
NUM_RENEWALS = 2


@pytest.fixture
def world(api: Api) -> Iterator[World]:
    """What the service's record holds; the service itself is started by the test."""
    with opened(api.settings) as world, world.client:
        yield world


def going_on(world: World, job_id: str, step: int) -> None:
    """Do what a worker does at a step of a training."""
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, job_id)
        progress = Progress(stage="lora", step=step, total=100, fraction=step / 100, figures={"loss": 1 / step})
        row.state, row.progress = JobState.RUNNING, progress.model_dump(mode="json")
        row.revision += 1


def renewed(world: World, page: Page, job_id: str, path: str) -> None:
    """Let the page renew itself several times."""
    for step in range(10, 10 * NUM_RENEWALS + 10, 10):
        with page.expect_response(lambda answer: path in answer.url and answer.status == 200):
            going_on(world, job_id, step)
        expect(page.get_by_text(f"LoRA, {step} of 100").first).to_be_visible()


def test_what_has_the_focus_keeps_it_while_the_page_renews_itself(api: Api, world: World, watched: Watched) -> None:
    page = watched.page
    adaptation = world.adaptation({"pits": 4, "rust": 4})
    pits, rust = (job["id"] for job in adaptation["jobs"])
    with api.running():
        page.goto(f"{api.url}/queue")
        page.get_by_role("button", name="Cancel rust").focus()
        renewed(world, page, pits, "/queue/live")
        assert page.evaluate(FOCUSED) == "Cancel rust"
        with page.expect_response(lambda answer: "/queue/live" in answer.url) as unchanged:
            pass
        assert unchanged.value.status == 204
        page.goto(api.url)
        link = page.locator(f"li:has(#{rust}) > a")
        link.focus()
        renewed(world, page, pits, "/under-way")
        expect(link).to_be_focused()
        page.goto(f"{api.url}/adaptations/{adaptation['id']}")
        page.get_by_role("button", name="Cancel rust").focus()
        renewed(world, page, pits, "/live")
        assert page.evaluate(FOCUSED) == "Cancel rust"
        page.keyboard.press("Enter")
        expect(page.locator("#training .state.canceled")).to_be_visible()
        assert page.evaluate(FOCUSED) == "training", "the button is gone, and its part has the focus"
        page.goto("about:blank")  # before the service goes away


def test_lists_grow_under_an_open_page_and_the_line_in_focus_stays(api: Api, world: World, watched: Watched) -> None:
    page = watched.page
    adaptation = world.adaptation({"pits": 4})
    with api.running():
        for path in ("/", "/adaptations", f"/datasets/{adaptation['dataset_id']}"):
            page.goto(api.url + path)
            line = page.locator(f"#line-{adaptation['id']} a")
            line.focus()
            body = {"dataset_id": adaptation["dataset_id"]}
            made = world.client.post("/v1/adaptations", json=body).json()
            going_on(world, adaptation["jobs"][0]["id"], 10 + len(path))
            expect(page.locator(f"#line-{made['id']}")).to_be_visible()
            expect(page.locator(f"#line-{adaptation['id']}")).to_contain_text(f"{10 + len(path)} %")
            expect(line).to_be_focused()
        watched.is_accessible()
        page.goto("about:blank")


def test_a_form_that_was_begun_keeps_what_was_typed_and_grows(api: Api, world: World, watched: Watched) -> None:
    page = watched.page
    adaptation = world.adaptation({"pits": 4, "rust": 4})
    first, second = ({**adaptation, "jobs": [job]} for job in adaptation["jobs"])
    world.finish(first)
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, second["jobs"][0]["id"])
        row.interim = SearchSoFar(trials=measured.TRIALS[:2]).model_dump(mode="json")
    with api.running():
        page.goto(f"{api.url}/adaptations/{adaptation['id']}")
        page.locator("#generate summary", has_text="Advanced").click()
        page.get_by_label("Strength", exact=True).nth(-1).focus()
        page.get_by_label("Start").select_option("from_noise")
        page.get_by_role("spinbutton", name="pits").fill("7")
        page.locator(".slider input[type=range]").press("End")
        shown = page.locator(".slider .stop:visible").get_attribute("data-number")
        page.get_by_role("spinbutton", name="pits").focus()
        world.finish(second)
        expect(page.get_by_role("spinbutton", name="rust")).to_have_value("1")
        expect(page.get_by_role("spinbutton", name="pits")).to_have_value("7")
        expect(page.get_by_role("spinbutton", name="pits")).to_be_focused()
        expect(page.get_by_label("Start")).to_have_value("from_noise")
        assert page.locator(".slider .stop:visible").get_attribute("data-number") == shown
        page.goto("about:blank")


def test_the_slider_shows_strength_alone_and_the_other_trials_are_chosen_apart(
    api: Api, world: World, watched: Watched
) -> None:
    page = watched.page
    adaptation = world.adaptation({"pits": 4})
    spliced = measured.trial(4, 0.6, 0.009).model_copy(update={"splice_sources": True, "guidance_scale": 4.0})
    other = measured.trial(5, 0.3, 0.04).model_copy(update={"lora_scale": 0.5})
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, adaptation["jobs"][0]["id"])
        row.interim = SearchSoFar(trials=[*measured.TRIALS, spliced, other]).model_dump(mode="json")
    with api.running():
        page.goto(f"{api.url}/adaptations/{adaptation['id']}")
        strength, apart = (page.locator(f".play[data-play$={kind}]") for kind in ("sweep", "apart"))
        strength.get_by_label("Strength").press("Home")
        numbers = []
        for _ in measured.TRIALS:
            numbers.append(strength.locator(".stop:visible").get_attribute("data-number"))
            page.keyboard.press("ArrowRight")
        assert numbers == ["0", "1", "3", "2"]
        expect(page.locator(".stop:visible").first).to_contain_text("chosen")
        expect(apart.locator(".stop:visible")).to_contain_text("chosen")
        expect(page.locator(".dot .ring")).to_have_count(1)
        apart.get_by_role("combobox").select_option(label="Trial 5: strength 0.30, usable")
        expect(apart.locator(".stop:visible")).to_have_attribute("data-number", "5")
        page.locator(".dot[data-stop=trial-4] path").click()
        expect(apart.locator(".stop:visible")).to_have_attribute("data-number", "4")
        expect(page.locator(".dot.current")).to_have_count(2)
        watched.is_accessible()
        page.goto("about:blank")


def test_a_finished_generation_grows_its_downloads_and_its_questions(api: Api, world: World, watched: Watched) -> None:
    page = watched.page
    generation = generated(world, three_classes(world)["id"], published=False)
    with api.running():
        page.goto(f"{api.url}/generations/{generation['id']}")
        expect(page.get_by_text("No images here yet.")).to_be_visible()
        for job in generation["jobs"]:
            world.publish(generation["id"], job["id"], job["class_name"], 2)
            with world.database.transaction() as session:
                row = jobs.get(session, DEFAULT_TENANT, job["id"])
                row.state, row.result = JobState.SUCCEEDED, measured.generation_result().model_dump(mode="json")
                row.revision += 1
        expect(page.get_by_role("button", name="Download the zip")).to_be_visible()
        expect(page.get_by_role("button", name="Find out")).to_be_visible()
        expect(page.locator(".cell")).to_have_count(6)
        expect(page.locator("#source")).to_have_count(0)
        page.goto("about:blank")


def test_a_matrix_becomes_a_proposal_and_the_proposal_a_generation(api: Api, world: World, watched: Watched) -> None:
    page = watched.page
    generation = generated(world, three_classes(world)["id"])
    with api.running():
        page.goto(f"{api.url}/generations/{generation['id']}")
        matrix = page.get_by_label("Confusion matrix, or recalls")
        matrix.fill("true;pits;rust\npits;19;1\nrust;ten;10")
        watched.expected.add(422)
        page.get_by_role("button", name="Propose images").click()
        expect(page.locator("#proposed").get_by_text("'ten' is no number of images")).to_be_visible()
        matrix.fill("true;pits;rust\npits;19;1\nrust;10;10")
        page.get_by_role("button", name="Propose images").click()
        expect(page.get_by_role("spinbutton", name="rust")).to_be_visible()
        expect(page.get_by_role("spinbutton", name="pits")).to_have_count(0)
        watched.is_accessible()
        page.get_by_role("spinbutton", name="rust").fill("2")
        page.get_by_role("button", name="Generate them").click()
        page.wait_for_url(re.compile(r"/generations/gen_(?!" + generation["id"][4:] + ")"))
        expect(page.get_by_text("0 of 2 images")).to_be_visible()
        page.goto("about:blank")


def asked(world: World, watched: Watched, api: Api) -> dict[str, Any]:
    """A recognition that a person asks for on a generation's page, and that then finishes under the open page."""
    page = watched.page
    generation = generated(world, three_classes(world)["id"])
    page.goto(f"{api.url}/generations/{generation['id']}")
    page.get_by_role("button", name="Find out").click()
    page.wait_for_url("**/recognitions/*")
    expect(page.locator("#job .state.queued")).to_be_visible()
    watched.is_accessible()
    recognition: dict[str, Any] = world.client.get("/v1/recognitions").json()["items"][0]
    finish(world, recognition["jobs"][0]["id"], measured.recognition_result())
    return generation


def test_a_recognition_and_an_evaluation_are_asked_for_read_and_acted_upon(
    api: Api, world: World, watched: Watched
) -> None:
    page = watched.page
    with api.running():
        generation = asked(world, watched, api)
        with world.database.transaction() as session:
            (job,) = world.client.get("/v1/recognitions").json()["items"][0]["jobs"]
            jobs.get(session, DEFAULT_TENANT, job["id"]).revision += 1
        expect(page.get_by_text("5 points more.")).to_be_visible()
        expect(page.get_by_role("table").first).to_be_visible()
        expect(page.get_by_text("No class is below a recall of 90 %")).to_be_visible()
        watched.is_accessible()
        page.goto(f"{api.url}/generations/{generation['id']}")
        page.get_by_label("Against").select_option("train")
        page.get_by_role("button", name="Score").click()
        page.wait_for_url("**/evaluations/*")
        watched.is_accessible()
        (job,) = world.client.get("/v1/evaluations").json()["items"][0]["jobs"]
        with world.database.transaction() as session:
            row = jobs.get(session, DEFAULT_TENANT, job["id"])
            row.state, row.revision = JobState.SUCCEEDED, row.revision + 1
            row.result = {"quality": measured.quality().model_dump(mode="json"), "stage_seconds": {}}
        expect(page.get_by_role("region", name="Scores")).to_be_visible()
        watched.is_accessible()
        page.goto("about:blank")


def test_what_is_deleted_says_first_what_goes_and_a_refusal_is_told_there(
    api: Api, world: World, watched: Watched
) -> None:
    page = watched.page
    generation = generated(world, three_classes(world)["id"], published=False)
    adaptation = world.client.get("/v1/adaptations").json()["items"][0]
    watched.expected.add(409)
    with api.running():
        page.goto(f"{api.url}/adaptations/{adaptation['id']}")
        page.get_by_role("button", name="Delete this adaptation").press("Enter")
        expect(page.get_by_role("dialog", name="Delete this adaptation?")).to_contain_text("Its 3 adapters")
        watched.is_accessible()
        expect(page.get_by_role("button", name="Keep it")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Delete this adaptation")).to_be_focused()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Delete for good").click()
        expect(page.get_by_role("dialog").get_by_text("is cited by 1 unfinished jobs")).to_be_visible()
        assert len(world.client.get("/v1/adapters").json()["items"]) == 3, "all of it goes, or nothing"
        for job in generation["jobs"]:
            world.client.post(f"/v1/jobs/{job['id']}/cancel")
        page.get_by_role("button", name="Delete for good").click()
        page.wait_for_url("**/adaptations")
        page.goto(f"{api.url}/generations/{generation['id']}")
        page.get_by_role("button", name="Delete this generation").click()
        page.get_by_role("button", name="Delete for good").click()
        page.wait_for_url("**/generations")
        expect(page.get_by_text("There are none yet.")).to_be_visible()
        page.goto("about:blank")
    assert world.client.get("/v1/adapters").json()["items"] == []


def test_the_image_that_is_judged_is_the_large_one_on_a_phone_and_the_buttons_stay(
    api: Api, world: World, watched: Watched
) -> None:
    page = watched.page
    generation = gallery.generated(world)
    source, nearest, second = (one["id"] for one in gallery.real_images(world, generation["dataset_id"])[:3])
    gallery.publish(world, generation, source=source, nearest=nearest, second=second)
    with api.running():
        page.set_viewport_size({"width": 360, "height": 640})
        page.goto(f"{api.url}/generations/{generation['id']}")
        page.locator(".cell").click()
        images = page.locator("#detail figure img")
        expect(images).to_have_count(4)
        synthetic, *real = [images.nth(place).bounding_box() or {} for place in range(4)]
        assert synthetic["width"] > 190
        assert all(one["width"] < 0.6 * synthetic["width"] for one in real)
        frames = "all => all.map((one) => getComputedStyle(one).outlineStyle)"
        assert images.evaluate_all(frames) == ["solid"] * 4
        page.locator("#detail").evaluate("one => one.scrollTo(0, one.scrollHeight)")
        expect(page.get_by_role("link", name="Download this image")).to_be_in_viewport()
        for name in ("Keep", "Reject", "Close"):
            expect(page.locator("#detail").get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
        watched.is_accessible()
        page.get_by_role("button", name="Reject").click()
        expect(page.locator(".cell.reject")).to_be_visible()
        page.goto("about:blank")


def test_a_folder_is_dragged_onto_the_page(api: Api, watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    for name in ("pits", "test/rust"):
        (tmp_path / "line 3" / name).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "line 3" / name / f"{number}.png").write_bytes(png(len(name) * 100 + number))
    with api.running():
        page.goto(api.url)
        zone = page.locator("#zone").bounding_box()
        assert zone is not None
        at = {"x": zone["x"] + zone["width"] / 2, "y": zone["y"] + 20}
        dragged = {"items": [], "files": [str(tmp_path / "line 3")], "dragOperationsMask": 1}
        devtools = page.context.new_cdp_session(page)
        for kind in ("dragEnter", "dragOver", "drop"):
            devtools.send("Input.dispatchDragEvent", {"type": kind, **at, "data": dragged})
        expect(page.locator("#what")).to_contain_text("8 files")
        expect(page.locator("#name")).to_have_value("line 3")
        page.get_by_role("button", name="Upload").click()
        page.wait_for_url("**/datasets/*")
        expect(page.get_by_role("heading", name="pits")).to_be_visible()
        expect(page.get_by_role("heading", name="rust")).to_be_visible()
        page.goto("about:blank")


def test_an_upload_that_was_stopped_is_another_one_under_another_name(
    api: Api, watched: Watched, tmp_path: Path
) -> None:
    """Under the first name it is the same one, which waits while its first try is still being looked at."""
    page = watched.page
    (tmp_path / "wrong.zip").write_bytes(zipped({f"pits/{number}.png": png(number) for number in range(4)}))
    keys: list[str] = []
    in_use = '{"code": "idempotency_key_in_use", "title": "", "detail": "", "status": 409}'

    def answer(route: Route, request: Request) -> None:
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            return  # the first is never answered
        route.fulfill(status=409, body=in_use) if len(keys) == 2 else route.continue_()

    watched.expected.add(409)
    with api.running():
        page.route("**/v1/datasets", answer)
        page.goto(api.url)
        page.locator("#zip").set_input_files(tmp_path / "wrong.zip")
        page.get_by_role("button", name="Upload").click()
        wait_for(lambda: page.evaluate("1") == 1 and len(keys) == 1)
        page.get_by_role("button", name="Stop").click()
        page.get_by_label("Name of the data set").fill("right")
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_role("heading", name="right")).to_be_visible()
        assert len(keys) == 3
        assert keys[0] != keys[1] == keys[2]
        page.goto("about:blank")


def test_what_the_browser_cannot_pack_is_refused_and_not_packed_wrongly(api: Api, watched: Watched) -> None:
    page = watched.page
    with api.running():
        page.goto(api.url)
        script = page.locator("script[type=module]").get_attribute("src")
        assert script is not None
        refused = page.evaluate(
            """async (script) => {
              const { zipOf, fitInZip } = await import(script);
              const large = { path: "a/1.png", file: { size: 2 ** 31, arrayBuffer: async () => new ArrayBuffer(0) } };
              const many = Array.from({ length: 65536 }, () => ({ path: "a", file: { size: 1 } }));
              const why = await zipOf([large, large], () => {}).catch((error) => error.name);
              return [fitInZip([large]), fitInZip([large, large]), fitInZip(many), fitInZip(many.slice(1)), why];
            }""",
            script.replace("upload.js", "packing.js"),
        )
        assert refused == [True, False, False, True, "RangeError"]
        page.goto("about:blank")


def test_the_defaults_in_grey_are_those_of_the_base_model_that_is_chosen(
    api: Api, watched: Watched, tmp_path: Path
) -> None:
    registry = tmp_path / "models.toml"
    registry.write_text('[models.large]\npath = "large"\n[models.large.adaptation.lora]\nsteps = 777\n')
    api.settings = Settings(data_dir=api.settings.data_dir, base_models=registry)
    page = watched.page
    with opened(api.settings) as world, world.client, api.running():
        page.goto(f"{api.url}/datasets/{world.dataset({'pits': 4})['id']}")
        page.locator("summary", has_text="Advanced").click()
        page.get_by_label("LoRA, rank").fill("3")
        expect(page.get_by_label("LoRA, steps")).to_have_attribute("placeholder", "250")
        page.get_by_label("Base model").select_option("large")
        expect(page.get_by_label("LoRA, steps")).to_have_attribute("placeholder", "777")
        expect(page.get_by_label("LoRA, rank")).to_have_value("3")
        page.goto("about:blank")
