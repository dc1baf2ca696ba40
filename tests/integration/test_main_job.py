"""Adaptation, generation and evaluation by a real worker process: files and SQLite, and Redis and PostgreSQL."""

import json
import zipfile

from c2pa import Reader
from PIL import Image

from service.contracts.adaptations import AdaptationResult
from service.contracts.datasets import Split
from service.contracts.evaluations import DatasetImages, EvaluationRequest, EvaluationResult, GenerationImages
from service.contracts.generations import GateSettings, GenerationMode, GenerationResult, GenerationSettings
from service.contracts.ids import DEFAULT_TENANT, AdapterId, GenerationId, JobId
from service.contracts.jobs import JobState
from service.store import adapters, datasets, generations
from service.store.tables import JobRow
from tests.fakes.certificates import make_credentials
from tests.fakes.worker_world import CLASS_NAME, IMAGE_SIZE_PX, World, quick

SETTINGS = GenerationSettings(num_inference_steps=4, strength=0.5, splice_sources=True)


def finished(world: World, job_id: JobId) -> JobRow:
    row = world.wait(job_id, lambda row: JobState(row.state).is_final)
    assert row.state == JobState.SUCCEEDED, row.failure
    return row


def test_a_class_is_adapted_images_are_made_and_judged_and_what_cannot_be_done_is_said(world: World) -> None:
    world.extra |= signed_by("Plant 7", world)
    with world.running("worker"):
        job = finished(world, world.submit_adaptation(quick(num_trials=2)))
        adapted = AdaptationResult.model_validate(job.result)
        assert (adapted.num_train_images, job.attempts) == (6, 1)
        assert {point.stage for point in adapted.loss_curve} == {"textual_inversion", "lora"}
        check_search(world, adapted)
        check_archive(world, adapted.adapter_id)
        generation_id, job_id = world.submit_generation(adapted.adapter_id, SETTINGS)
        made = GenerationResult.model_validate(finished(world, job_id).result)
        check_images(world, generation_id, made)
        judged_id, job_id = world.submit_generation(adapted.adapter_id, SETTINGS, 9, GateSettings())
        check_judged(world, judged_id, GenerationResult.model_validate(finished(world, job_id).result))
        unadapted = SETTINGS.model_copy(update={"unadapted": True, "mode": GenerationMode.FROM_NOISE})
        _, baseline_id = world.submit_generation(adapted.adapter_id, unadapted, num_images=2)
        baseline = GenerationResult.model_validate(finished(world, baseline_id).result)
        assert (baseline.num_images, baseline.denoising_steps) == (2, 4)
        check_evaluation(world, generation_id)
        check_failure(world)
    assert not any((world.data_dir / "work").iterdir())


def signed_by(name: str, world: World) -> dict[str, str]:
    given = make_credentials(world.data_dir, name)
    return {
        "DEFECTSYNTH_WORKER_C2PA_CERTIFICATE": str(given.certificate), "DEFECTSYNTH_WORKER_C2PA_KEY": str(given.key),
    }  # fmt: skip


def check_search(world: World, adapted: AdaptationResult) -> None:
    search = adapted.search
    assert search is not None
    assert [(trial.number, trial.splice_sources) for trial in search.trials] == [(0, False), (1, True)]
    assert all(trial.num_images == 8 and trial.kid is not None for trial in search.trials)
    assert (search.reference_split, search.seen_by_adaptation) == ("validation", False)
    best = next((trial for trial in search.trials if trial.number == search.best), None)
    assert (best is None) == (adapted.found is None) == any("found no settings" in one for one in adapted.warnings)
    assert all(0 < (trial.kid_noise or 0) < (trial.kid_std or 0) for trial in search.trials)
    with world.database.reading() as session:
        row = adapters.get(session, DEFAULT_TENANT, adapted.adapter_id)
    assert row.checkpoint == adapted.checkpoint == (best.checkpoint if best is not None else "lora@3")
    assert row.found == (adapted.found.model_dump() if adapted.found is not None else None)


def check_judged(world: World, generation_id: GenerationId, made: GenerationResult) -> None:
    """Every candidate is delivered or counted by why not; what is delivered is what was accepted, and never more."""
    judging = made.judging
    assert judging is not None and {gate.name for gate in judging.gates} == {"copies", "wrong_class", "outliers"}
    assert judging.num_candidates == judging.num_accepted + sum(judging.rejected.values())
    assert judging.num_candidates <= judging.max_candidates == 45
    with world.database.reading() as session:
        images = generations.images_of(session, DEFAULT_TENANT, generation_id, CLASS_NAME)
    assert len(images) == judging.num_accepted == made.num_images <= 9
    assert (made.num_images < 9) == any("of 9 images" in one for one in made.warnings)
    assert made.num_images == 9 or judging.num_candidates == 45
    candidates = [image.candidate for image in images]
    assert candidates == sorted(set(candidates), key=lambda one: one or 0)
    assert all(min(image.nearest_feature_ratio or 1, image.nearest_pixel_ratio or 1) >= 1 for image in images)


def check_archive(world: World, adapter_id: AdapterId) -> None:
    with world.database.reading() as session:
        row = adapters.get(session, DEFAULT_TENANT, adapter_id)
    with zipfile.ZipFile(world.artifacts.path_of(row.archive_sha256)) as archive:
        assert archive.namelist() == sorted(archive.namelist())
        assert {"adapter.json", "learned_embeds.safetensors"} <= set(archive.namelist())


def check_images(world: World, generation_id: GenerationId, made: GenerationResult) -> None:
    with world.database.reading() as session:
        images = generations.images_of(session, DEFAULT_TENANT, generation_id, CLASS_NAME)
        sources = datasets.images_by_id(session, DEFAULT_TENANT, set(images[0].source_image_ids))
    assert [image.number for image in images] == [0, 1, 2]
    assert {source.split for source in sources.values()} == {Split.TRAIN} and len(sources) == 2
    assert (made.num_images, made.denoising_steps) == (3, 2)
    assert made.sigma_max is not None and made.sigma_min is not None
    assert 0 < made.sigma_min < made.sigma_max
    with Image.open(world.artifacts.path_of(images[0].sha256)) as picture:
        assert (picture.size, picture.mode) == (IMAGE_SIZE_PX, "L")
        assert picture.info["synthetic"] == "true"
        assert picture.info["seed"] == str(images[0].seed)
        told = [picture.info["source_sha256"], picture.info["second_source_sha256"]]
        assert told == [sources[one].sha256 for one in images[0].source_image_ids]
    with world.artifacts.path_of(images[0].sha256).open("rb") as stream, Reader("image/png", stream) as reader:
        assert json.loads(reader.json())["validation_state"] == "Valid"
    assert made.quality is not None
    assert (made.quality.reference_split, made.quality.seen_by_adaptation) == ("validation", False)
    assert made.quality.seen_by_search
    assert made.quality.score.num_other == 3
    assert made.quality.copy_floor is not None
    assert world.artifacts.path_of(made.contact_sheet).stat().st_size > 1000


def check_evaluation(world: World, generation_id: GenerationId) -> None:
    request = EvaluationRequest(
        real=DatasetImages(dataset_id=world.dataset_id, class_name=CLASS_NAME, split=Split.TRAIN),
        other=GenerationImages(generation_id=generation_id, class_name=CLASS_NAME),
    )
    found = EvaluationResult.model_validate(finished(world, world.submit_evaluation(request)).result)
    assert (found.quality.seen_by_adaptation, found.quality.score.num_real) == (True, 6)
    assert not found.quality.seen_by_search
    itself = EvaluationRequest(real=request.real, other=request.real)
    shared = EvaluationResult.model_validate(finished(world, world.submit_evaluation(itself)).result)
    assert any("6 images are in both sets" in note for note in shared.quality.notes)


def check_failure(world: World) -> None:
    with world.database.reading() as session:
        lost = datasets.images_of(session, DEFAULT_TENANT, world.version_id, CLASS_NAME, Split.TRAIN)[0]
    world.artifacts.delete(lost.sha256)
    row = world.wait(world.submit_adaptation(), lambda row: JobState(row.state).is_final)
    assert (row.state, row.attempts) == (JobState.FAILED, 1)
    assert row.failure is not None
    assert row.failure["code"] == "artifact_missing"
    assert row.failure["remedy"]
