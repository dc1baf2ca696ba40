"""The page's answers without a browser: who gets them, what they allow, and that names are only text."""

import re
from datetime import timedelta
from html import unescape

from fastapi import FastAPI
from starlette.testclient import TestClient

from service.contracts.ids import DEFAULT_TENANT
from service.contracts.jobs import JobState, Progress
from service.contracts.keys import Scope
from service.keys import SESSION_LASTS
from service.main import create_app
from service.store import jobs, keys
from tests.contract.conftest import World
from tests.contract.test_keys import Gate, gate
from tests.fakes import measured
from tests.fakes.pictures import png

__all__ = ["gate"]

OWN = {"Origin": "http://testserver"}
UPLOAD = {"images": ("pits/0.png", png(1))}
PAGES = ("/", "/datasets", "/adaptations", "/generations", "/recognitions", "/evaluations", "/queue")


def signed_in(gate: Gate, key: str) -> TestClient:
    """A browser that has a session, and sends no key."""
    browser = TestClient(gate.client.app, follow_redirects=False)
    answer = browser.post("/login", data={"key": key, "next": "/queue"}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/queue")
    return browser


def test_every_page_forbids_what_is_not_its_own(world: World) -> None:
    adaptation = world.adaptation({"pits": 4})
    for path in (
        *PAGES,
        f"/datasets/{adaptation['dataset_id']}",
        f"/adaptations/{adaptation['id']}",
        "/datasets/ds_no",
    ):
        answer = world.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy and "script-src 'self'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert not re.search(r"<script(?! [^>]*src=)|<style| on\w+=|javascript:|https?://", answer.text), path
        assert world.client.head(path).status_code == answer.status_code


def test_what_the_page_loads_is_there_and_may_be_kept(world: World) -> None:
    html = world.client.get("/").text
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', html)
    assert len(addresses) >= 5
    for address in addresses:
        answer = world.client.get(address)
        assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True)
        again = world.client.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    assert world.client.get("/static/../main.py").status_code == 404
    assert world.client.get("/static/page.css").headers["cache-control"] == "no-cache"


def test_a_picture_tells_of_itself_without_its_bytes(world: World) -> None:
    dataset = world.dataset({"pits": 1})
    links = world.client.get(f"/v1/datasets/{dataset['id']}/images").json()["items"][0]["links"]
    for address in (links["content"], links["thumbnail"]):
        got, told = world.client.get(address), world.client.head(address)
        assert (told.status_code, told.content) == (200, b"")
        assert told.headers["content-length"] == str(len(got.content))
        assert told.headers["etag"] == got.headers["etag"]


def test_names_that_are_markup_are_shown_as_text(world: World) -> None:
    name = "<script>alert(1)</script>"
    files = [("images", (f"pits/{number}<img src=x>.png", png(number))) for number in range(4)]
    made = world.client.post("/v1/datasets", files=files, data={"name": name}).json()
    for path in ("/", "/datasets", f"/datasets/{made['id']}", f"/datasets/{made['id']}/images?class_name=pits"):
        html = world.client.get(path).text
        assert name not in html and "<img src=x" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in world.client.get("/datasets").text


def test_a_form_is_refused_in_the_api_s_words_and_done_once(world: World) -> None:
    made = world.dataset({"pits": 4})
    form = {"dataset_id": made["id"], "classes": "pits", "once": "a" * 32, "settings.lora.rank": "999"}
    part = {"HX-Request": "true"}
    refused = world.client.post("/adaptations", data=form, headers=part)
    assert (refused.status_code, refused.headers["hx-retarget"]) == (422, "#problem")
    assert 'data-field="settings.lora.rank"' in refused.text
    started = [world.client.post("/adaptations", data=form | {"settings.lora.rank": "4"}, headers=part) for _ in "12"]
    assert len({answer.headers["hx-redirect"] for answer in started}) == 1
    assert len(world.client.get("/v1/adaptations").json()["items"]) == 1
    assert len(world.sender.sent) == 1
    without_script = world.client.post("/adaptations", data=form | {"classes": "rust"}, follow_redirects=False)
    assert without_script.status_code == 422
    assert "<!doctype html>" in without_script.text


def test_a_part_of_a_page_is_sent_again_only_when_it_is_another(world: World) -> None:
    adaptation = world.adaptation({"pits": 4})
    page = world.client.get(f"/adaptations/{adaptation['id']}").text
    seen = re.findall(r'name="seen" value="([^"]+)"', page)
    path, part = f"/adaptations/{adaptation['id']}/live", {"HX-Request": "true"}
    assert world.client.get(path, params={"seen": seen}, headers=part).status_code == 204
    world.client.post(f"/jobs/{adaptation['jobs'][0]['id']}/cancel", headers=part)
    changed = world.client.get(path, params={"seen": seen}, headers=part)
    assert 'id="training" hx-swap-oob="renew"' in changed.text
    assert 'id="source" hx-swap-oob="delete"' in changed.text


def test_a_part_that_looks_again_by_itself_is_sent_once(world: World) -> None:
    world.adaptation({"pits": 4})
    part = {"HX-Request": "true"}
    for path, live in (("/", "/under-way"), ("/queue", "/queue/live")):
        seen = re.findall(r'name="seen" value="([^"]+)"', world.client.get(path).text)
        assert world.client.get(live, params={"seen": seen}, headers=part).status_code == 204
        told = world.client.get(live, params={"seen": "older"}, headers=part).text
        assert "pits" in told and "<code>defectsynth worker</code>" in told


def test_a_list_that_is_open_tells_what_is_new_and_ends_where_it_ended(world: World) -> None:
    def names(html: str) -> list[str]:
        return re.findall(r'class="title">([^<]+)<', html)

    def again(html: str) -> str:
        """Where a list on a page looks again, with what it shows."""
        found = re.search(
            r'hx-get="(/datasets/lines[^"]+)"[^>]*><input type="hidden" name="(seen)" value="([^"]+)"', html
        )
        assert found is not None
        return unescape("{}&{}={}".format(*found.groups()))

    part = {"HX-Request": "true"}
    for number in range(27):
        world.client.post("/v1/datasets", files=UPLOAD, data={"name": f"set {number}"})
    first = world.client.get("/datasets").text
    more = re.search(r'hx-get="(/datasets\?cursor=[^"]+)"', first)
    assert more is not None
    rest = world.client.get(unescape(more[1]), headers=part).text
    shown = [f"set {number}" for number in reversed(range(27))]
    assert names(first) + names(rest) == shown
    assert [world.client.get(again(html), headers=part).status_code for html in (first, rest)] == [204, 204]
    world.client.post("/v1/datasets", files=UPLOAD, data={"name": "new"})
    assert names(world.client.get(again(first), headers=part).text) == ["new", *names(first)]
    assert world.client.get(again(rest), headers=part).status_code == 204


def test_the_first_page_and_a_data_set_s_tell_of_work_that_goes_on(world: World) -> None:
    part = {"HX-Request": "true"}
    adaptation = world.adaptation({"pits": 4})
    dataset = f"/datasets/{adaptation['dataset_id']}"
    for page, path in (("/", "/recent"), (dataset, f"{dataset}/made"), ("/adaptations", "/adaptations/lines")):
        seen = re.findall(r'name="seen" value="([^"]+)"', world.client.get(page).text)
        assert world.client.get(path, params={"seen": seen}, headers=part).status_code == 204
        with world.database.transaction() as session:
            row = jobs.get(session, DEFAULT_TENANT, adaptation["jobs"][0]["id"])
            fraction = (row.progress or {"fraction": 0.0})["fraction"] + 0.25
            progress = Progress(stage="lora", step=1, total=4, fraction=fraction, figures={})
            row.state, row.progress = JobState.RUNNING, progress.model_dump(mode="json")
        told = world.client.get(path, params={"seen": seen}, headers=part).text
        assert f"{round(100 * fraction)} %" in told


def test_as_many_images_are_proposed_of_a_class_as_its_adapter_was_trained_on(world: World) -> None:
    adaptation = world.adaptation({"pits": 4, "rust": 4})
    world.finish(adaptation)
    result = measured.adaptation_result()
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, adaptation["jobs"][0]["id"])
        row.result = result.model_dump(mode="json")
    page = world.client.get(f"/adaptations/{adaptation['id']}").text
    proposed = dict(re.findall(r'name="num_images\.(\w+)" min="0" value="(\d+)"', page))
    assert proposed == {"pits": str(result.num_train_images), "rust": "1"}


def test_an_adaptation_is_deleted_with_its_adapters_or_not_at_all(world: World) -> None:
    adaptation = world.adaptation({"pits": 4, "rust": 4})
    made = [f"/v1/adapters/{one}" for one in world.finish(adaptation)]
    body = {"adaptation_id": adaptation["id"], "num_images": {"rust": 1}}
    job = world.client.post("/v1/generations", json=body).json()["jobs"][0]
    delete = f"/adaptations/{adaptation['id']}/delete"
    assert world.client.post(delete, follow_redirects=False).status_code == 409
    assert [world.client.get(one).status_code for one in made] == [200, 200]
    world.client.post(f"/v1/jobs/{job['id']}/cancel")
    assert world.client.post(delete, follow_redirects=False).status_code == 303
    gone = [*made, f"/v1/adaptations/{adaptation['id']}"]
    assert [world.client.get(one).status_code for one in gone] == [410, 410, 410]


def test_what_the_page_tells_to_do_can_be_done_on_the_page(world: World) -> None:
    adaptation = world.adaptation({"pits": 4})
    world.finish(adaptation)
    part = {"HX-Request": "true"}
    refused = world.client.post(f"/datasets/{adaptation['dataset_id']}/delete", headers=part)
    assert "Delete its adaptations with their adapters first.</p>" in refused.text
    matrix = {"adaptation_id": adaptation["id"], "judged": "pits,0.5\nok,0.9"}
    unknown = world.client.post("/generations/top-up", data=matrix, headers=part)
    assert "name it under &#34;Classes that were never adapted&#34;" in unknown.text
    rubbish = world.client.post("/generations/top-up", data=matrix | {"judged": "rubbish"}, headers=part)
    assert (rubbish.status_code, 'data-field="judged"' in rubbish.text) == (422, True)
    by_api = world.client.delete(f"/v1/datasets/{adaptation['dataset_id']}").json()
    assert by_api["remedy"].endswith("first: DELETE /v1/adapters/{id}.")


def test_the_form_looks_ahead_with_every_warning_and_as_many_classes_as_there_are(world: World) -> None:
    made = world.dataset({"pits": 4})
    form = {"dataset_id": made["id"], "classes": "pits"}
    told = world.client.post("/adaptations/preflight", data=form, headers={"HX-Request": "true"}).text
    assert "no worker was seen lately" in told
    assert "<strong>pits:</strong> 0 validation images, fewer than" in told
    many = {**form, "classes": [f"class {number}" for number in range(300)]}
    refused = world.client.post("/adaptations/preflight", data=many, headers={"HX-Request": "true"})
    assert (refused.status_code, "class 0" in refused.text) == (422, True)


def test_without_a_key_there_is_a_login_and_nothing_else(gate: Gate) -> None:
    browser = TestClient(gate.client.app, follow_redirects=False)
    for path in PAGES:
        answer = browser.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")
        assert browser.get(path, headers={"HX-Request": "true"}).status_code == 401
    assert browser.post("/adaptations", data={}, headers=OWN).status_code == 401
    assert browser.get("/login").status_code == 200
    wrong = browser.post("/login", data={"key": "dsk_no"}, headers=OWN)
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)


def test_a_login_leads_nowhere_else(gate: Gate) -> None:
    key = gate.key(Scope.READ)
    for elsewhere in ("//evil.example/", "https://evil.example/", "/\\evil.example", "evil", "/a\nb"):
        browser = TestClient(gate.client.app, follow_redirects=False)
        answer = browser.post("/login", data={"key": key, "next": elsewhere}, headers=OWN)
        assert answer.headers["location"] == "/", elsewhere


def test_a_session_is_no_key_and_ends_with_it(gate: Gate) -> None:
    key = gate.key(Scope.WRITE, days=1)
    browser = signed_in(gate, key)
    cookie = browser.cookies["defectsynth_session"]
    assert key not in cookie and key.split("_", 2)[2] not in cookie
    assert browser.get("/").status_code == browser.get("/v1/jobs").status_code == 200
    for forged in (cookie[:-1], f"{cookie}0", cookie.replace(".", ".9", 1), "..", ""):
        thief = TestClient(gate.client.app, cookies={"defectsynth_session": forged})
        assert thief.get("/v1/jobs").status_code == 401
    with gate.database.transaction() as session:
        keys.revoke(session, gate.ids[key], gate.now)
    other_process = TestClient(create_again(gate), cookies={"defectsynth_session": cookie})
    assert other_process.get("/v1/jobs").status_code == 401


def test_a_session_ends_after_a_working_day(gate: Gate) -> None:
    browser = signed_in(gate, gate.key(Scope.READ))
    gate.now += SESSION_LASTS + timedelta(seconds=1)
    other_process = TestClient(create_again(gate), cookies=browser.cookies)
    assert other_process.get("/v1/jobs").status_code == 401


def create_again(gate: Gate) -> FastAPI:
    """A process that remembers nothing."""
    return create_app(gate.settings, database=gate.database, send=lambda *_: True, clock=lambda: gate.now)


def test_a_session_changes_something_for_the_own_page_alone(gate: Gate) -> None:
    browser = signed_in(gate, gate.key(Scope.WRITE))
    refused = (
        {"Origin": "http://testserver:8080"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://testserver"},
        {"Sec-Fetch-Site": "cross-site"},
        {},
    )
    for told in ({"Origin": "http://testserver"}, {"Sec-Fetch-Site": "same-origin"}):
        assert browser.post("/v1/datasets", files=UPLOAD, headers=told).status_code == 201
    for told in refused:
        answer = browser.post("/v1/datasets", files=UPLOAD, headers=told)
        assert (answer.status_code, answer.json()["code"]) == (403, "other_origin"), told


def test_a_service_without_keys_is_not_used_by_other_pages_either(world: World) -> None:
    assert world.client.post("/v1/datasets", files=UPLOAD).status_code == 201
    elsewhere = {"Origin": "https://evil.example"}
    assert world.client.post("/v1/datasets", files=UPLOAD, headers=elsewhere).status_code == 403


def test_a_key_that_may_only_read_is_shown_no_form_and_gets_through_none(gate: Gate) -> None:
    browser = signed_in(gate, gate.key(Scope.READ))
    assert 'id="upload"' not in browser.get("/").text
    assert browser.post("/adaptations", data={}, headers=OWN).status_code == 403


def test_another_tenant_sees_nothing_of_it(gate: Gate) -> None:
    owner, stranger = (signed_in(gate, gate.key(Scope.WRITE, tenant=name)) for name in ("a", "b"))
    files = [("images", (f"pits/{number}.png", png(number))) for number in range(4)]
    dataset = owner.post("/v1/datasets", files=files, data={"name": "secret"}, headers=OWN).json()
    adaptation = owner.post("/v1/adaptations", json={"dataset_id": dataset["id"]}, headers=OWN).json()
    job_id = adaptation["jobs"][0]["id"]
    for path in (f"/datasets/{dataset['id']}", f"/datasets/{dataset['id']}/images?class_name=pits",
                 f"/adaptations/{adaptation['id']}", f"/adaptations/{adaptation['id']}/live"):  # fmt: skip
        assert owner.get(path).status_code == 200
        assert stranger.get(path).status_code == 404
    for path in (
        f"/datasets/{dataset['id']}/delete",
        f"/adaptations/{adaptation['id']}/delete",
        f"/jobs/{job_id}/cancel",
    ):
        assert stranger.post(path, headers=OWN).status_code == 404
    for path in PAGES:
        html = stranger.get(path).text
        assert "secret" not in html and "pits" not in html
    assert owner.get("/queue").text.count("pits") > 0
