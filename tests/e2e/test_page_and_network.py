"""The page when things go wrong: keys that end, answers that never come, a service that restarts, many images."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from service.contracts.generations import GeneratedImage, GenerationParams, GenerationSettings
from service.contracts.ids import DEFAULT_TENANT, AdapterId, GenerationId, JobId, TenantId
from service.contracts.jobs import JobKind, JobState
from service.contracts.keys import Scope
from service.keys import mint, server_secret
from service.settings import Settings
from service.store import generations, jobs, keys
from service.store.artifacts import LocalArtifacts
from service.store.database import Database
from tests.e2e.conftest import Api, Watched, losing_the_first_answer, wait_for
from tests.fakes.pictures import encoded, noise, png, zipped

NUM_MANY = 10_000


@pytest.fixture
def database(api: Api) -> Iterator[Database]:
    database = Database(api.settings.sqlalchemy_url)
    database.migrate()
    yield database
    database.close()


def archive(tmp_path: Path) -> Path:
    path = tmp_path / "line 3.zip"
    path.write_bytes(zipped({f"pits/{number}.png": png(number) for number in range(4)}))
    return path


def test_an_upload_whose_answer_is_lost_is_sent_again_and_made_once(api: Api, watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    lost: list[str] = []
    with api.running():
        page.route("**/v1/datasets", losing_the_first_answer(lost))
        page.goto(api.url)
        page.locator("#zip").set_input_files(archive(tmp_path))
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_text("The connection broke off.")).to_be_visible()
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("heading", name="line 3")).to_be_visible()
        assert len(httpx.get(f"{api.url}/v1/datasets").json()["items"]) == 1
        page.goto("about:blank")  # before the service goes away
    watched.errors.remove("console: Failed to load resource: net::ERR_CONNECTION_RESET")


def test_a_page_that_is_open_while_the_service_restarts_goes_on(api: Api, watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    with api.running():
        sent = {"archive": ("images.zip", archive(tmp_path).read_bytes())}
        dataset = httpx.post(f"{api.url}/v1/datasets", files=sent).json()
        adaptation = httpx.post(f"{api.url}/v1/adaptations", json={"dataset_id": dataset["id"]}).json()
        page.goto(f"{api.url}/adaptations/{adaptation['id']}")
        expect(page.locator(".state.queued")).to_be_visible()
    expect(page.locator("#connection")).to_be_visible()
    with api.running():
        httpx.post(f"{api.url}/v1/jobs/{adaptation['jobs'][0]['id']}/cancel")
        expect(page.locator("#training .state.canceled")).to_be_visible()
        expect(page.locator("#connection")).to_be_hidden()
    # What the browser and htmx say of requests that nobody answered.
    away = ("ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY", "[object Event]", "htmx:", "Send Error")
    watched.errors = [one for one in watched.errors if not any(name in one for name in away)]


def test_a_tab_that_nobody_looks_at_holds_no_stream(api: Api, watched: Watched, tmp_path: Path) -> None:
    """A browser has six connections to a service, over all its tabs."""
    page = watched.page
    with api.running():
        sent = {"archive": ("images.zip", archive(tmp_path).read_bytes())}
        dataset = httpx.post(f"{api.url}/v1/datasets", files=sent).json()
        adaptation = httpx.post(f"{api.url}/v1/adaptations", json={"dataset_id": dataset["id"]}).json()
        page.goto(f"{api.url}/adaptations/{adaptation['id']}")
        for is_hidden, num_streams in ((False, 1), (True, 0), (False, 1)):
            page.evaluate(
                "isHidden => { Object.defineProperty(document, 'hidden', { value: isHidden, configurable: true });"
                " document.dispatchEvent(new Event('visibilitychange')); }",
                is_hidden,
            )
            wait_for(lambda wanted=num_streams: num_open(api) == wanted, 10)  # type: ignore[misc]
        httpx.post(f"{api.url}/v1/jobs/{adaptation['jobs'][0]['id']}/cancel")
        expect(page.locator("#training .state.canceled")).to_be_visible()
        expect(page.locator("#source")).to_have_count(0)
        page.goto("about:blank")  # before the service goes away


def num_open(api: Api) -> int:
    (line,) = [
        one for one in httpx.get(f"{api.url}/metrics").text.splitlines() if one.startswith("defectsynth_event_streams ")
    ]
    return int(float(line.split()[1]))


def test_a_person_signs_in_once_and_loses_nothing_when_the_key_ends(api: Api, watched: Watched, tmp_path: Path) -> None:
    api = replace(api, settings=Settings(data_dir=tmp_path / "data", require_keys=True))
    database = Database(api.settings.sqlalchemy_url)
    database.migrate()
    key, row = minted(api, database)
    page = watched.page
    watched.expected |= {401}
    with api.running():
        page.goto(f"{api.url}/datasets")
        watched.is_accessible()
        page.get_by_label("API key").fill("dsk_wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert").get_by_text("This key cannot be used")).to_be_visible()
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/datasets")
        (cookie,) = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
        assert key not in cookie["value"]
        mail = page.context.new_page()
        mail.goto(f"{api.url.replace('127.0.0.1', 'localhost')}/login")  # to a browser another site
        mail.evaluate("url => { const a = document.createElement('a'); a.href = url; document.body.append(a); "
                      "a.click() }", f"{api.url}/queue")  # fmt: skip
        mail.wait_for_url(f"{api.url}/queue")
        mail.close()
        page.goto(api.url)
        page.locator("#zip").set_input_files(archive(tmp_path))
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_role("heading", name="line 3")).to_be_visible()
        page.locator("summary", has_text="Advanced").click()
        page.get_by_label("LoRA, steps").fill("33")
        page.context.clear_cookies()
        page.get_by_role("button", name="Start adaptation").click()
        expect(page.locator("#problem").get_by_text("You are signed out.")).to_be_visible()
        expect(page.get_by_label("LoRA, steps")).to_have_value("33")
        with page.context.expect_page() as opened:
            page.locator("#problem").get_by_role("link", name="Sign in again").click()
        opened.value.get_by_label("API key").fill(key)
        opened.value.get_by_role("button", name="Sign in").click()
        expect(opened.value.get_by_text("You are signed in")).to_be_visible()
        page.get_by_role("button", name="Start adaptation").click()
        page.wait_for_url("**/adaptations/*")
        signed_out_while_looking(page, f"{api.url}/queue")
        page.goto("about:blank")
    with database.transaction() as session:
        keys.revoke(session, row, datetime.now(UTC))
    database.close()
    with api.running():  # a new process has no memory of the key
        page.goto(api.url)
        page.wait_for_url("**/login**")
        page.goto("about:blank")


def signed_out_while_looking(page: Page, queue: str) -> None:
    """The link to sign in again can be reached by keyboard, though the page goes on looking."""
    page.goto(queue)
    session = page.context.cookies()
    page.context.clear_cookies()
    again = page.get_by_role("link", name="Sign in again")
    again.focus()
    for _ in range(2):
        with page.expect_response("**/queue/live*"):
            pass
    expect(again).to_be_focused()
    page.context.add_cookies([{"name": one["name"], "value": one["value"], "url": queue} for one in session])
    expect(page.locator("#problem")).to_be_empty()


def minted(api: Api, database: Database) -> tuple[str, str]:
    key, row = mint(
        database, server_secret(api.settings), tenant_id=TenantId("plant"), name="QA", scopes=[Scope.WRITE],
        now=datetime.now(UTC), expires_at=None,
    )  # fmt: skip
    return key, row.id


def test_ten_thousand_images_are_looked_through_by_keyboard(api: Api, database: Database, watched: Watched) -> None:
    generation_id = filled(api, database)
    page = watched.page
    with api.running():
        page.goto(f"{api.url}/generations/{generation_id}")
        expect(page.locator(".cell")).to_have_count(100)
        watched.is_accessible()
        for num_shown in (200, 300):
            page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight - 900)")
            expect(page.locator(".cell").nth(num_shown - 1)).to_be_attached()
        page.locator(".cell").nth(250).click()
        page.keyboard.press("ArrowDown")
        here, below = page.locator(".cell").nth(250).bounding_box(), page.locator(".cell.current").bounding_box()
        assert here is not None and below is not None
        assert (below["x"], below["y"] > here["y"]) == (here["x"], True)
        with page.expect_response("**/decisions") as stored:
            page.keyboard.press("k")
        assert stored.value.status == 200
        page.get_by_label("Decision").select_option("keep")
        expect(page.locator(".cell")).to_have_count(1)
        page.goto("about:blank")  # before the service goes away


def test_images_that_did_not_come_are_asked_for_again(api: Api, database: Database, watched: Watched) -> None:
    generation_id = filled(api, database)
    page = watched.page
    tries: list[str] = []

    def broken(route: Route) -> None:
        tries.append(route.request.url)
        route.abort("connectionreset") if len(tries) in (1, 2, 3, 5) else route.continue_()

    with api.running():
        page.route("**/gallery?*cursor=*", broken)
        page.goto(f"{api.url}/generations/{generation_id}")
        expect(page.locator(".cell")).to_have_count(100)
        page.locator("#cells .more").scroll_into_view_if_needed()
        expect(page.get_by_text("More images could not be loaded.")).to_be_visible(timeout=20_000)
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".cell")).to_have_count(200)
        page.locator("#cells .more").scroll_into_view_if_needed()
        expect(page.locator(".cell")).to_have_count(300, timeout=20_000)
        assert len(set(tries[:4])) == len(set(tries[4:6])) == 1
        page.goto("about:blank")  # before the service goes away
    away = ("ERR_CONNECTION", "htmx:", "Send Error")
    watched.errors = [one for one in watched.errors if not any(name in one for name in away)]


def filled(api: Api, database: Database) -> GenerationId:
    """A finished generation of 10,000 images, which all are the same few pictures."""
    store = LocalArtifacts(api.settings.artifacts_dir)
    stored = [store.put_bytes(encoded(noise(seed, (64, 64)))) for seed in range(5)]
    generation_id, job_id = GenerationId("gen_" + "a" * 32), JobId("job_" + "a" * 32)
    settings, now = GenerationSettings(), datetime.now(UTC)
    params = GenerationParams(
        generation_id=generation_id, adapter_id=AdapterId("adp_gone"), class_name="pits", num_images=NUM_MANY, seed=0,
        settings=settings,
    )  # fmt: skip
    images = [
        GeneratedImage(
            class_name="pits", number=number, sha256=one.sha256, size_bytes=one.size_bytes, width_px=64, height_px=64,
            mode="L", seed=number, source_image_id=None,
        )
        for number in range(NUM_MANY)
        for one in [stored[number % len(stored)]]
    ]  # fmt: skip
    with database.transaction() as session:
        generations.insert(session, DEFAULT_TENANT, generation_id, 0, settings, now)
        row = jobs.insert(session, DEFAULT_TENANT, job_id, JobKind.GENERATION, generation_id, "pits", params, now)
        row.state = JobState.CANCELED
        generations.insert_images(session, DEFAULT_TENANT, generation_id, job_id, images)
    return generation_id
