"""The Python client against the real API: what it sends is accepted, and what is answered is read."""

import asyncio
import json
import zipfile
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from defectsynth_client import (
    ApiError,
    AsyncClient,
    Client,
    Conflict,
    Dataset,
    Decision,
    DecisionState,
    DeliveryState,
    Gone,
    NewImage,
    NotAllowed,
    NotFound,
    Refused,
    Retries,
    State,
    WebhookState,
    WorkFailed,
)
from service.main import create_app
from service.settings import Settings
from tests.contract.conftest import World
from tests.fakes.pictures import png
from tests.fakes.through_test_client import ThroughTestClient

KEY = "0123456789abcdef" * 2


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The client does not know which database there is."""
    return f"sqlite:///{tmp_path / 'record.db'}"


@pytest.fixture
def client(world: World) -> Client:
    return Client("http://127.0.0.1", retries=Retries(total_seconds=0), transport=ThroughTestClient(world.client))


def folder_of(path: Path, classes: dict[str, int], seed: int = 0) -> Path:
    for number, (name, count) in enumerate(classes.items()):
        (path / name).mkdir(parents=True)
        for index in range(count):
            (path / name / f"{index}.png").write_bytes(png(seed + 100 * number + index))
    return path


def filled(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Its classes, without the splits that hold nothing."""
    return {name: {split: n for split, n in splits.items() if n} for name, splits in dataset.classes.items()}


def test_a_folder_is_uploaded_and_every_file_that_is_left_out_is_named(client: Client, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "line 3", {"pits": 5, "train/dirt": 2, "test/dirt": 1})
    (folder / "pits" / "notes.txt").write_text("no image")
    (folder / "loose.png").write_bytes(png(999))
    (folder / "pits" / ".hidden.png").write_bytes(png(998))
    sent: list[tuple[int, int]] = []
    receipt = client.upload(folder, on_sent=lambda *told: sent.append(told))
    assert (receipt.name, receipt.accepted) == ("line 3", 8)
    assert filled(receipt) == {"pits": {"train": 5}, "dirt": {"train": 2, "test": 1}}
    assert {one.filename for one in receipt.refused} == {"pits/notes.txt", "loose.png"}
    assert all(one.remedy for one in receipt.refused)
    assert any(one.code for one in receipt.warnings)
    assert sent[-1][0] == sent[-1][1] > 0
    assert client.dataset(receipt.id).num_images == 8
    (image,) = [one for one in client.real_images(receipt.id, class_name="dirt") if one.split == "test"]
    assert client.image_bytes(image).startswith(b"\x89PNG")


def test_images_in_memory_and_zips_are_uploaded_too(client: Client, tmp_path: Path) -> None:
    (tmp_path / "on disk.png").write_bytes(png(7))
    images = [
        NewImage("pits", png(1), split="train", group="coil-1"),
        NewImage("pits", png(2), split="test"),
        NewImage("dirt", tmp_path / "on disk.png"),
    ]
    receipt = client.upload(images, "camera 4")
    assert filled(receipt) == {"pits": {"train": 1, "test": 1}, "dirt": {"train": 1}}
    assert {(one.filename, one.group) for one in client.real_images(receipt.id)} == {
        ("000000.png", "coil-1"), ("000001.png", None), ("on disk.png", None),
    }  # fmt: skip
    again = client.replace_images(receipt.id, "dirt", [NewImage("", png(number)) for number in range(20, 24)])
    assert again.version.number == 2
    assert filled(again)["dirt"] == {"train": 4}
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("pits/a.png", png(3))
    assert client.upload(packed.getvalue()).name == "dataset"
    (tmp_path / "week 12.zip").write_bytes(packed.getvalue())
    assert client.upload(tmp_path / "week 12.zip").name == "week 12"


@pytest.mark.parametrize("source", ["empty", "[]"])
def test_nothing_to_upload_is_said_before_anything_is_sent(source: str, client: Client, tmp_path: Path) -> None:
    (tmp_path / "empty" / "pits").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"no sub-folder with files|no image to upload"):
        client.upload([] if source == "[]" else tmp_path / source)


def test_work_is_queued_listed_canceled_and_deleted(client: Client, world: World, tmp_path: Path) -> None:
    receipt = client.upload(folder_of(tmp_path / "x", {"pits": 4, "dirt": 4}))
    adaptation = client.adapt(receipt.id, classes=["pits"], settings={"lora": {"steps": 5}, "seed": 3})
    assert [job.class_name for job in adaptation.jobs] == ["pits"]
    assert adaptation.model_extra is not None
    assert adaptation.model_extra["settings"]["lora"]["steps"] == 5
    assert client.adaptation(adaptation.id) == adaptation
    assert [job.id for job in client.jobs(resource_id=adaptation.id, state="queued")] == [adaptation.jobs[0].id]
    with pytest.raises(Conflict) as told:
        client.generate(adaptation.id, 10)
    assert told.value.remedy
    assert client.cancel(adaptation.jobs[0].id).state is State.CANCELED
    with pytest.raises(WorkFailed, match="canceled"):
        client.wait(adaptation)
    ended = client.wait(adaptation, must_succeed=False)
    client.delete(ended)
    client.delete(ended)
    with pytest.raises(Gone):
        client.adaptation(adaptation.id)


def test_what_an_adaptation_would_take_is_told_without_queueing_it(client: Client, world: World) -> None:
    dataset_id = world.dataset({"pits": 4})["id"]
    told = client.preflight(dataset_id, classes=["pits"])
    assert (told.verdict, told.classes[0].num_images["train"]) == ("not_advised", 4)  # there is no worker
    assert told.sentence
    assert list(client.jobs()) == []


def test_a_proposed_top_up_is_sent_as_it_is_or_edited(client: Client, world: World) -> None:
    adaptation = world.adaptation({"pits": 4, "dirt": 4})
    world.finish(adaptation)
    told = client.top_up(adaptation_id=adaptation["id"], recall_by_class={"pits": 0.5, "dirt": 0.95})
    assert [one.class_name for one in told.classes if one.is_weak] == ["pits"]
    assert told.request is not None
    generation = client.generate(**told.request.given)
    wanted = [(one.class_name, one.num_images) for one in told.classes if one.is_weak]
    assert [(one.class_name, one.num_images) for one in generation.classes] == wanted


def test_images_are_kept_and_rejected_and_found_again_by_it(client: Client, world: World) -> None:
    adaptation = world.adaptation({"pits": 4})
    world.finish(adaptation)
    generation = client.generate(adaptation["id"], 3)
    world.publish(generation.id, generation.jobs[0].id, "pits", 3)
    told = client.decide(generation.id, {"pits": {0: Decision.KEEP, 1: Decision.REJECT, 2: Decision.REJECT}})
    assert (told.decisions["pits"].keep, told.decisions["pits"].reject) == (1, 2)
    client.decide(generation.id, {"pits": {2: None}})
    assert client.generation(generation.id).classes[0].decisions.undecided == 1
    (rejected,) = client.synthetic_images(generation.id, decision=DecisionState.REJECT)
    assert (rejected.number, rejected.decision, rejected.decided_by) == (1, Decision.REJECT, "default")
    assert client.thumbnail_bytes(rejected, 64).startswith(b"\xff\xd8")
    with pytest.raises(ApiError, match="9"):
        client.decide(generation.id, {"pits": {1: Decision.KEEP, 9: Decision.KEEP}})
    assert len(list(client.synthetic_images(generation.id, decision=DecisionState.REJECT))) == 1


def test_what_is_proposed_may_be_written_to_a_file_and_sent_from_there(client: Client, world: World) -> None:
    adaptation = world.adaptation({"pits": 4, "dirt": 4})
    world.finish(adaptation)
    told = client.top_up(adaptation_id=adaptation["id"], recall_by_class={"pits": 0.5, "dirt": 0.6})
    assert told.request is not None
    written = json.loads(json.dumps(told.request.given))
    wanted = {one.class_name: one.num_images for one in told.classes}
    for generation in (client.generate_from(told.request), client.generate_from({**written, "seed": 5})):
        assert {one.class_name: one.num_images for one in generation.classes} == wanted
    assert generation.seed == 5
    with pytest.raises(Refused) as refused:
        client.generate_from({**written, "nun_images": 3})
    assert "nun_images" in str(refused.value.field)


def test_webhooks_are_made_changed_and_deleted_and_their_secret_is_told_once(world: World, settings: Settings) -> None:
    listed = settings.model_copy(update={"webhook_allow": "127.0.0.1"})
    app = create_app(listed, database=world.database, artifacts=world.artifacts, send=world.sender)
    with TestClient(app) as served:
        client = Client("http://127.0.0.1", retries=Retries(total_seconds=0), transport=ThroughTestClient(served))
        made = client.create_webhook("http://127.0.0.1:9000/hook", events=["generation.finished"])
        assert made.secret.startswith("whsec_")
        assert [one.id for one in client.webhooks()] == [made.id]
        assert client.change_webhook(made.id, enabled=False).state is WebhookState.DISABLED
        assert client.change_webhook(made.id, enabled=True, events=["job.failed"]).events == ["job.failed"]
        assert client.rotate_secret(made.id).secret != made.secret
        sent = client.ping_webhook(made.id)
        assert client.replay(made.id, sent.id).event_id == sent.event_id
        assert {one.event_type for one in client.deliveries(made.id, state=DeliveryState.PENDING)} == {"webhook.ping"}
        client.delete(client.webhook(made.id))
        assert list(client.webhooks()) == []


def test_an_idempotency_key_makes_work_once(client: Client, world: World) -> None:
    dataset_id = world.dataset({"pits": 4})["id"]
    first = client.adapt(dataset_id, idempotency_key="order-7")
    assert client.adapt(dataset_id, idempotency_key="order-7") == first
    assert client.adapt(dataset_id).id != first.id
    with pytest.raises(Refused) as told:
        client.adapt(dataset_id, classes=["pits"], idempotency_key="order-7")
    assert told.value.code == "idempotency_key_reused"


def test_lists_go_on_over_pages(client: Client, world: World) -> None:
    images = [NewImage("pits", png(number), f"{number}.png") for number in range(30)]
    dataset_id = client.upload(images).id
    assert {one.filename for one in client.real_images(dataset_id)} == {f"{number}.png" for number in range(30)}
    assert [one.name for one in client.base_models()] == ["mini"]
    assert [one.name for one in client.extractors() if one.is_default] == ["mini"]
    assert "small_resnet" in {one.name for one in client.classifiers()}
    assert client.readiness().status in ("ready", "degraded")


def test_downloads_are_checked_against_the_digest_that_the_service_announces(
    client: Client, world: World, tmp_path: Path
) -> None:
    adaptation = world.adaptation({"pits": 4})
    (adapter_id,) = world.finish(adaptation)
    adapter = client.adapter(adapter_id)
    client.download_adapter(adapter, tmp_path / "adapter.zip")
    assert (tmp_path / "adapter.zip").read_bytes() == adaptation["jobs"][0]["id"].encode()
    generation = client.generate(adaptation["id"], {"pits": 2}, seed=1)
    with pytest.raises(Conflict):
        client.download_archive(generation.id, tmp_path / "early.zip")
    world.publish(generation.id, generation.jobs[0].id, "pits", 2)
    client.download_archive(generation.id, tmp_path / "images.zip")
    with zipfile.ZipFile(tmp_path / "images.zip") as archive:
        assert set(archive.namelist()) == {"manifest.json", "pits/000000.png", "pits/000001.png"}
    images = list(client.synthetic_images(generation.id, class_name="pits"))
    to = client.download(images[0].links["content"], tmp_path / "0.png", sha256=images[0].sha256)
    assert to.read_bytes() == client.image_bytes(images[0])
    announced = world.client.get(images[0].links["content"]).headers["Repr-Digest"]
    assert announced.startswith("sha-256=:")
    for name in ("report.html", "report.csv"):
        assert client.download_report(generation, tmp_path / name).stat().st_size > 0
    with pytest.raises(ValueError, match=r"\.csv or \.html"):
        client.download_report(generation, tmp_path / "report.pdf")
    assert not list(tmp_path.glob(".*.part"))


def test_what_was_refused_is_told_file_by_file_and_an_unknown_id_as_such(client: Client) -> None:
    with pytest.raises(Refused) as told:
        client.upload([NewImage("pits", b"no image", "a.png")])
    assert [(one.filename, bool(one.reason)) for one in told.value.refused] == [("a.png", True)]
    with pytest.raises(NotFound) as unknown:
        client.job("job_unknown")
    assert unknown.value.request_id


def test_a_key_is_sent_and_never_shown(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path, admin_key=KEY))
    with TestClient(app) as served:
        for key, fits in ((KEY, True), ("wrong", False), (None, False)):
            client = Client("http://testserver", key, transport=ThroughTestClient(served))
            assert KEY not in f"{client!r} {client._connection!r} {client._http.headers!r}"
            if fits:
                assert list(client.datasets()) == []
                continue
            with pytest.raises(NotAllowed) as told:
                list(client.datasets())
            assert KEY not in str(told.value)


def test_the_awaited_client_does_the_same(world: World, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "x", {"pits": 4})

    async def work() -> None:
        transport = httpx.ASGITransport(world.app)
        async with AsyncClient("http://127.0.0.1", transport=transport) as client:
            receipt = await client.upload(folder)
            adaptation = await client.adapt(receipt.id)
            jobs = [job async for job in client.jobs(resource_id=adaptation.id)]
            assert [job.class_name for job in jobs] == ["pits"]
            states = await asyncio.gather(client.cancel(jobs[0].id), client.readiness())
            assert states[0].state is State.CANCELED
            seen: list[str] = []
            ended = await client.wait(adaptation, lambda job: seen.append(job.state), must_succeed=False)
            assert (ended.state, seen[-1]) == (State.CANCELED, State.CANCELED)
            (image, *_) = [one async for one in client.real_images(receipt.id)]
            to = await client.download(image.links["content"], tmp_path / "a.png", sha256=image.sha256)
            assert to.read_bytes() == await client.image_bytes(image)
            assert (await client.thumbnail_bytes(image)).startswith(b"\xff\xd8")
            assert [one async for one in client.workers()] == [one async for one in client.webhooks()] == []
            with pytest.raises(NotFound):
                await client.decide("gen_unknown", {"pits": {0: Decision.KEEP}})
            with pytest.raises(NotFound):
                await client.job("job_unknown")

    asyncio.run(work())
