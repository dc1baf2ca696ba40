"""What a gallery asks for: real images beside synthetic ones, thumbnails, a search's examples, and the workers."""

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from service.contracts.generations import GeneratedImage
from service.contracts.ids import DEFAULT_TENANT, AdaptationId, GenerationId, ImageId, JobId
from service.contracts.search import SearchSoFar, SearchTrial, TrialExample
from service.store import generations, jobs, trial_examples
from service.store.tables import WorkerRow
from tests.contract.conftest import World
from tests.contract.test_deletion import end
from tests.fakes.pictures import png


def generated(world: World) -> dict[str, Any]:
    """A generation of one class, not yet published."""
    adaptation = world.adaptation({"pits": 4})
    world.finish(adaptation)
    body = {"adaptation_id": adaptation["id"], "num_images": 2}
    generation: dict[str, Any] = world.client.post("/v1/generations", json=body).json()
    return {**generation, "dataset_id": adaptation["dataset_id"]}


def publish(
    world: World, generation: dict[str, Any], *, source: str, nearest: str | None, second: str | None = None
) -> None:
    stored = world.artifacts.put_bytes(png(77))
    image = GeneratedImage(
        class_name="pits", number=0, sha256=stored.sha256, size_bytes=stored.size_bytes, width_px=32, height_px=32,
        mode="L", seed=5, source_image_id=ImageId(source), candidate=1,
        second_source_image_id=ImageId(second) if second else None,
        nearest_image_id=ImageId(nearest) if nearest else None, nearest_feature_ratio=1.5, nearest_pixel_ratio=None,
    )  # fmt: skip
    job_id = JobId(generation["jobs"][0]["id"])
    with world.database.transaction() as session:
        generations.insert_images(session, DEFAULT_TENANT, GenerationId(generation["id"]), job_id, [image])


def real_images(world: World, dataset_id: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = world.client.get(f"/v1/datasets/{dataset_id}/images").json()["items"]
    return items


def test_every_image_leads_to_its_source_and_to_its_nearest_real_image(world: World) -> None:
    generation = generated(world)
    source, nearest, second = real_images(world, generation["dataset_id"])[:3]
    publish(world, generation, source=source["id"], nearest=nearest["id"], second=second["id"])
    (image,) = world.client.get(generation["links"]["images"]).json()["items"]
    assert image["nearest_real"] == {
        "image_id": nearest["id"], "feature_ratio": 1.5, "pixel_ratio": None, "links": nearest["links"],
    }  # fmt: skip
    assert image["links"]["source"] == source["links"]["content"]
    assert image["links"]["source_thumbnail"] == source["links"]["thumbnail"]
    assert image["links"]["second_source"] == second["links"]["content"]
    for address in (*image["links"].values(), *nearest["links"].values()):
        assert world.client.get(address).status_code == 200, address


def test_the_page_tells_both_sources_from_the_nearest_image_and_names_their_files(world: World) -> None:
    generation = generated(world)
    real = real_images(world, generation["dataset_id"])[:3]
    source, nearest, second = (one["id"] for one in real)
    publish(world, generation, source=source, nearest=nearest, second=second)
    html = world.client.get(f"/generations/{generation['id']}/images/pits/0", headers={"HX-Request": "true"}).text
    found = re.findall(r'<figure class="(\w+)">.*?alt="([^"]+)".*?class="file">([^<]+)<', html)
    assert found == [
        ("real", "The real image nearest to image 0", real[1]["filename"]),
        ("source", "The real image that image 0 was made from", real[0]["filename"]),
        ("second", "The real image that image 0 was spliced with", real[2]["filename"]),
    ]
    assert "<dt>distance to the nearest</dt>" in html


def test_a_real_image_that_is_gone_is_named_and_not_linked_to(world: World) -> None:
    generation = generated(world)
    publish(world, generation, source="img_gone", nearest="img_gone")
    (image,) = world.client.get(generation["links"]["images"]).json()["items"]
    assert (image["nearest_real"]["image_id"], image["nearest_real"]["links"]) == ("img_gone", {})
    assert set(image["links"]) == {"content", "thumbnail"}


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_thumbnail_is_small_never_enlarged_and_asked_for_once(world: World) -> None:
    large = io.BytesIO()
    Image.linear_gradient("L").resize((600, 300)).save(large, "PNG")
    files = [("images", (f"pits/{number}.png", data)) for number, data in enumerate((large.getvalue(), png(1)))]
    dataset = world.client.post("/v1/datasets", files=files).json()
    wide, small = sorted(real_images(world, dataset["id"]), key=lambda one: -int(one["width_px"]))
    path = wide["links"]["thumbnail"]
    answer = world.client.get(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert opened(answer.content).size == (128, 64)
    assert answer.headers["ETag"] == f'"{wide["sha256"]}-128"'
    assert "immutable" in answer.headers["Cache-Control"] and "private" in answer.headers["Cache-Control"]
    assert world.client.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert opened(world.client.get(path, params={"size_px": 512}).content).size == (512, 256)
    assert opened(world.client.get(small["links"]["thumbnail"]).content).size == (small["width_px"], small["height_px"])
    for size in (100, 100_000, "large"):
        assert world.client.get(path, params={"size_px": size}).status_code == 422
    world.artifacts.delete(wide["sha256"])
    assert world.client.get(path).content == answer.content, "it was made once"
    assert world.client.get(path, params={"size_px": 64}).json()["code"] == "artifact_missing"


def tried(number: int) -> SearchTrial:
    return SearchTrial(
        number=number, checkpoint="lora@10", strength=0.2 + 0.1 * number, guidance_scale=2.0, lora_scale=1.0,
        num_inference_steps=20, kid=0.1, kid_std=0.01, fid=3.0, share_copies=0.0, feasible=True, num_images=8,
        seconds=1.0,
    )  # fmt: skip


def examples(world: World, num_trials: int, source_image_id: str) -> list[TrialExample]:
    stored = [
        (trial, number, world.artifacts.put_bytes(png(10 * trial + number)))
        for trial in range(num_trials)
        for number in range(2)
    ]
    return [
        TrialExample(
            trial=trial, number=number, sha256=one.sha256, size_bytes=one.size_bytes, width_px=32, height_px=32,
            seed=40 + number, source_image_id=ImageId(source_image_id),
        )
        for trial, number, one in stored
    ]  # fmt: skip


def test_trials_show_their_examples_while_the_search_runs_and_until_the_adaptation_is_deleted(world: World) -> None:
    adaptation = world.adaptation({"pits": 4})
    path = f"/v1/adaptations/{adaptation['id']}"
    source = real_images(world, adaptation["dataset_id"])[0]
    made = examples(world, 2, source["id"])
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, adaptation["jobs"][0]["id"])
        row.interim = SearchSoFar(trials=[tried(0), tried(1)]).model_dump(mode="json")
        for once_and_again in (made[:2], made):
            trial_examples.replace(
                session, DEFAULT_TENANT, AdaptationId(adaptation["id"]), "pits", once_and_again
            )  # fmt: skip
    trials = world.client.get(path).json()["trials"]["pits"]
    assert [(one["strength"], len(one["examples"])) for one in trials] == [(0.2, 2), (pytest.approx(0.3), 2)]
    shown = trials[1]["examples"][0]
    assert shown["seed"] == trials[0]["examples"][0]["seed"] == 40
    assert shown["links"] == {
        "content": f"{path}/classes/pits/trials/1/examples/0",
        "thumbnail": f"{path}/classes/pits/trials/1/examples/0/thumbnail", "source": source["links"]["content"],
    }  # fmt: skip
    small = world.client.get(shown["links"]["thumbnail"], params={"size_px": 64})
    assert (small.status_code, small.headers["Content-Type"]) == (200, "image/jpeg")
    answer = world.client.get(shown["links"]["content"])
    assert (answer.headers["Content-Type"], answer.headers["ETag"]) == ("image/png", f'"{made[2].sha256}"')
    assert world.client.get(f"{path}/classes/pits/trials/2/examples/0").status_code == 404
    assert world.client.get(f"{path}/classes/dents/trials/0/examples/0").status_code == 404
    end(world, adaptation)
    assert world.client.delete(path).status_code == 204
    for link in ("content", "thumbnail"):
        assert world.client.get(shown["links"][link]).status_code == 410
    with world.database.reading() as session:
        assert trial_examples.of_adaptation(session, DEFAULT_TENANT, adaptation["id"]) == {}


def test_a_page_shows_pictures_of_this_service_alone_wherever_downloads_are_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    adaptation = world.adaptation({"pits": 4})
    source = real_images(world, adaptation["dataset_id"])[0]
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, adaptation["jobs"][0]["id"])
        row.interim = SearchSoFar(trials=[tried(0), tried(1)]).model_dump(mode="json")
        made = examples(world, 2, source["id"])
        trial_examples.replace(session, DEFAULT_TENANT, AdaptationId(adaptation["id"]), "pits", made)
    monkeypatch.setattr(world.artifacts, "download_url", lambda *_: "https://bucket.example/signed")
    assert world.client.get(source["links"]["content"], follow_redirects=False).status_code == 307
    for path, num_pictures in ((f"/adaptations/{adaptation['id']}", 4), (f"/datasets/{adaptation['dataset_id']}", 4)):
        shown = re.findall(r'<img src="(/v1[^"]+)"', world.client.get(path).text)
        assert len(shown) == num_pictures
        for address in shown:
            assert world.client.get(address, follow_redirects=False).status_code == 200, address


def test_workers_are_everybodys_what_they_do_is_told_to_its_owner(world: World) -> None:
    adaptation = world.adaptation({"pits": 4})
    (adapter_id,) = world.finish(adaptation)
    job, now = adaptation["jobs"][0], datetime.now(UTC)
    seen = [("busy", job["id"], adapter_id, 1), ("other", "job_of_another", "adp_of_another", 2),
            ("idle", None, None, 3), ("dead", None, None, 60)]  # fmt: skip
    with world.database.transaction() as session:
        session.add_all(
            WorkerRow(
                id=name, device="cpu", resident_adapter_id=held, job_id=doing, rss_bytes=1,
                seen_at=now - timedelta(seconds=ago), looked_at=None,
            )
            for name, doing, held, ago in seen
        )  # fmt: skip
    answer = world.client.get("/v1/workers")
    told = {one["id"]: one for one in answer.json()["items"]}
    assert [(name, one["is_busy"]) for name, one in told.items()] == [("busy", True), ("idle", False), ("other", True)]
    assert told["busy"]["job"]["links"]["self"] == job["links"]["self"]
    assert told["busy"]["resident_adapter_id"] == adapter_id
    assert (told["other"]["job"], told["other"]["resident_adapter_id"]) == (None, None)
    assert "of_another" not in answer.text
