"""An adaptation job: one class's train images become an adapter, with the generation settings found for it."""

import hashlib
import re
import time

from sqlalchemy.orm import Session

from models.adaptation.config import AdaptationConfig, LoraTrainingConfig, TextualInversionConfig
from models.adaptation.trainer import AdaptationOutcome, adapt
from models.imaging.fit import FitPolicy
from service.contracts.adaptations import AdaptationParams, AdaptationResult, AdaptationSettings, CurvePoint
from service.contracts.datasets import Split
from service.contracts.ids import AdapterId, JobId, new_id
from service.contracts.jobs import Footprint
from service.store import adapters, datasets
from service.store.artifacts import StoredArtifact
from worker import footprint
from worker.jobs.searching import Found, find_settings
from worker.lifecycle import Attempt, Finished, utc_now
from worker.workshop import Workshop
from worker.workspace import StoredImages, pack

#: A LoRA step goes through the text encoder and back, and costs about this many textual-inversion steps.
_LORA_STEP_WEIGHT = 1.3
_CACHING_WEIGHT = 5.0
#: Making an image of a trial costs about as much as this many textual-inversion steps.
_TRIAL_IMAGE_WEIGHT = 1.0
#: Adapters that the search may choose from, of each stage.
_NUM_KEPT = 3


def run(attempt: Attempt, workshop: Workshop) -> Finished:
    """Train the adapter and store its archive; its row is written when the job succeeds.

    Raises `ExtractorUnusable` before the training where the search could not be scored.
    """
    begun = time.monotonic()
    footprint.begin()
    job = attempt.job
    params = AdaptationParams.model_validate(job.params)
    with workshop.database.reading() as session:
        records = datasets.images_of(session, job.tenant_id, params.dataset_version_id, params.class_name)
    train = [record.sha256 for record in records if record.split is Split.TRAIN]
    if params.settings.search.max_trials > 0:
        workshop.residents.extractor()  # what the search cannot do without is missed before the training, not after it
    workspace = workshop.workspace(job)
    base = workshop.residents.bare(params.base_model)
    writer = attempt.progress(_weights(params.settings))
    loading_seconds = time.monotonic() - begun
    outcome = adapt(
        base,
        StoredImages(workshop.artifacts, train),
        configured(params.settings),
        placeholder_token=placeholder_token(params.class_name, job.id),
        out_dir=workspace.fresh_folder("adapter"),
        checkpoint_dir=workspace.folder("checkpoints"),
        progress=writer,
        checkpoint_seconds=workshop.checkpoint_seconds,
    )
    started = time.monotonic()
    found = find_settings(attempt, workshop, base, records, outcome.kept, writer)
    between = time.monotonic()
    archive = workspace.fresh_folder("archive") / "adapter.zip"
    pack(outcome.kept[found.checkpoint], archive)
    stored = workshop.artifacts.put_file(archive)
    publishing_seconds = time.monotonic() - between
    outcome.stage_seconds.update(
        {"loading": loading_seconds, "search": between - started, "publishing": publishing_seconds}
    )
    return _finished(attempt, params, outcome, found, stored, footprint.taken(workshop.residents.device))


def _finished(
    attempt: Attempt,
    params: AdaptationParams,
    outcome: AdaptationOutcome,
    found: Found,
    archive: StoredArtifact,
    took: Footprint,
) -> Finished:
    adapter_id = AdapterId(new_id("adp"))

    def publish(session: Session) -> None:
        adapters.insert(
            session,
            attempt.job.tenant_id,
            adapter_id,
            params.adaptation_id,
            attempt.job.id,
            params.class_name,
            params.base_model,
            archive,
            params.settings,
            utc_now(),
            checkpoint=found.checkpoint,
            found=found.settings,
        )
        found.publish(session)

    result = AdaptationResult(
        adapter_id=adapter_id,
        num_train_images=outcome.num_train_images,
        checkpoint=found.checkpoint,
        found=found.settings,
        search=found.report,
        warnings=found.warnings,
        stage_seconds={stage: round(seconds, 3) for stage, seconds in outcome.stage_seconds.items()},
        footprint=took,
        loss_curve=[CurvePoint(stage=point.stage, step=point.step, loss=point.loss) for point in outcome.loss_curve],
    )
    return Finished(result, publish)


def configured(settings: AdaptationSettings) -> AdaptationConfig:
    """The models' configuration of the client's settings."""
    return AdaptationConfig(
        textual_inversion=TextualInversionConfig(**settings.textual_inversion.model_dump()),
        lora=LoraTrainingConfig(**settings.lora.model_dump()),
        fit=FitPolicy(settings.fit.value),
        seed=settings.seed,
        num_kept=_NUM_KEPT if settings.search.max_trials > 0 else 1,
    )


def placeholder_token(class_name: str, job_id: JobId) -> str:
    """A token that no other adapter has, such as ``<rolled-in-scale-3fa91c07>``; the same for every attempt."""
    slug = re.sub(r"[^a-z0-9]+", "-", class_name.lower()).strip("-") or "class"
    return f"<{slug}-{hashlib.sha256(job_id.encode()).hexdigest()[:8]}>"


def _weights(settings: AdaptationSettings) -> dict[str, float]:
    return {
        "caching_latents": _CACHING_WEIGHT,
        "textual_inversion": float(settings.textual_inversion.steps),
        "lora": settings.lora.steps * _LORA_STEP_WEIGHT,
        "search": settings.search.max_trials * settings.search.images_per_trial * _TRIAL_IMAGE_WEIGHT,
    }
