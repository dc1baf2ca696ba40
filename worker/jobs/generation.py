"""A generation job: synthetic images of one class, each judged and stored with its lineage, and their quality."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from models.diffusion.base_model import BaseModel
from models.errors import Interrupted
from models.evaluation.features import FeatureExtractor
from models.generation.config import GenerationConfig, GenerationMode
from models.generation.denoising import Conditioning
from models.generation.engine import Sampler
from models.imaging.fit import FitPolicy
from service.contracts import generations as contracts
from service.contracts.adaptations import AdaptationSettings
from service.contracts.datasets import ImageRecord, Split
from service.contracts.generations import GeneratedImage, GenerationParams, GenerationResult
from service.contracts.ids import AdapterId
from service.contracts.quality import CopySummary
from service.store import adaptations, adapters, datasets, generations
from service.store.tables import AdapterRow
from worker.jobs.delivery import Delivery, Steps
from worker.jobs.earlier_images import EarlierImages
from worker.jobs.gating import fitted_gates
from worker.jobs.judgement import SHEET_IMAGES, Made, RealImages, judge, sheet
from worker.lifecycle import Attempt, Finished
from worker.lineage import png_bytes, software
from worker.metrics import Observe, What
from worker.real_images import copies_among, sources_of
from worker.residents import StoredAdapter
from worker.workshop import Workshop
from worker.workspace import load_images

_WEIGHTS = {"gates": 0.05, "denoising": 0.8, "quality": 0.15}


@dataclass(frozen=True)
class Inputs:
    """What the record says: the adapter, and the real images of its dataset version, of all classes."""

    adapter: AdapterRow
    settings: AdaptationSettings
    records: list[ImageRecord]

    def of_class(self, split: Split) -> list[ImageRecord]:
        """The images of the adapter's class in one split."""
        return [one for one in self.records if one.class_name == self.adapter.class_name and one.split is split]

    @property
    def fit(self) -> FitPolicy:
        """How the adapter's images were brought to the native size."""
        return FitPolicy(self.settings.fit.value)

    @property
    def prompt(self) -> str:
        """What the unadapted base model is asked for."""
        return f"a photo of {self.settings.textual_inversion.initializer_text}"


def run(attempt: Attempt, workshop: Workshop) -> Finished:
    """Make and judge the images; their rows are written when the job succeeds."""
    params = GenerationParams.model_validate(attempt.job.params)
    inputs = _inputs(attempt, workshop, params.adapter_id)
    train, validation = inputs.of_class(Split.TRAIN), inputs.of_class(Split.VALIDATION)
    digests = [record.sha256 for record in train]
    base, conditioning = _models(workshop, params, inputs)
    adapted = not params.settings.unadapted
    writer = attempt.progress(_WEIGHTS)
    started = time.monotonic()
    gates = fitted_gates(params, inputs.records, workshop, writer)
    delivery = Delivery(
        workshop.artifacts, params, train, _lineage(params, base), gates, workshop.residents.extractor(),
        workshop.sign,
    )  # fmt: skip
    sources = sources_of(workshop, base, digests, inputs.fit)
    steps = Steps(writer, delivery, base.batch_size)
    sampler = Sampler(base, conditioning, sources, _configured(params, base), params.seed, steps, workshop.denoiser)
    begun = time.monotonic()
    earlier = EarlierImages(attempt, workshop, _made_with(base, inputs, delivery.extractor))
    earlier.restore(delivery)
    try:
        delivery.fill(sampler, lambda: earlier.keep(delivery))
    except Interrupted:
        earlier.keep(delivery, now=True)
        raise
    _count(delivery, workshop.observe)
    between = time.monotonic()
    searched = adapted and inputs.adapter.found is not None
    from_sources = params.settings.mode is contracts.GenerationMode.IMAGE_ORIENTED
    copies = _copies(delivery, workshop, digests)
    made = Made(params.class_name, delivery.features(), delivery.shown, adapted, searched, from_sources, copies)
    real = RealImages(digests, [one.sha256 for one in validation])
    quality, warnings = judge(made, real, workshop, base, inputs.fit, writer)
    picture = sheet(made, load_images(workshop.artifacts, digests[:SHEET_IMAGES]), _caption(params))
    result = GenerationResult(
        num_images=len(delivery.images),
        num_requested=params.num_images,
        judging=delivery.judging(),
        closest=delivery.closest(),
        stage_seconds=_rounded(
            {"preparing": begun - started, **sampler.stage_seconds,
             "judging": between - begun - sum(sampler.stage_seconds.values()), "quality": time.monotonic() - between}
        ),
        denoising_steps=sampler.schedule.num_steps,
        sigma_max=sampler.schedule.sigma_max,
        sigma_min=sampler.schedule.sigma_min,
        quality=quality,
        contact_sheet=workshop.artifacts.put_bytes(png_bytes(picture, {"software": software()})).sha256,
        warnings=[*delivery.warnings(), *warnings],
    )  # fmt: skip
    return _finished(attempt, params, delivery.images, result)


def _copies(delivery: Delivery, workshop: Workshop, train: Sequence[str]) -> CopySummary:
    """Of the delivered images: none where the copy gate has judged each."""
    if (gate := delivery.gates.copy) is not None:
        return CopySummary(threshold=gate.feature_threshold, num_checked=len(delivery.images), num_copies=0)
    digests = [image.sha256 for image in delivery.images]
    return copies_among(workshop, delivery.extractor, digests, delivery.features(), train)


def _count(delivery: Delivery, observe: Observe) -> None:
    observe(What.ACCEPTED, len(delivery.images))
    for reason, number in delivery.rejected.items():
        observe(What.REJECTED, number, reason)


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {stage: round(max(value, 0.0), 3) for stage, value in seconds.items()}


def _finished(
    attempt: Attempt, params: GenerationParams, images: list[GeneratedImage], result: GenerationResult
) -> Finished:
    def publish(session: Session) -> None:
        generations.insert_images(session, attempt.job.tenant_id, params.generation_id, attempt.job.id, images)

    return Finished(result, publish)


def _inputs(attempt: Attempt, workshop: Workshop, adapter_id: AdapterId) -> Inputs:
    tenant = attempt.job.tenant_id
    with workshop.database.reading() as session:
        adapter = adapters.get(session, tenant, adapter_id)
        version = adaptations.get(session, tenant, adapter.adaptation_id).dataset_version_id
        records = datasets.images_of(session, tenant, version)
    return Inputs(adapter, AdaptationSettings.model_validate(adapter.settings), records)


def _models(workshop: Workshop, params: GenerationParams, inputs: Inputs) -> tuple[BaseModel, Conditioning]:
    if params.settings.unadapted:
        base = workshop.residents.bare(inputs.adapter.base_model)
        return base, Conditioning.of_words(inputs.prompt, base)
    stored = StoredAdapter(params.adapter_id, inputs.adapter.archive_sha256)
    return workshop.residents.adapted(inputs.adapter.base_model, stored, params.settings.lora_scale)


def _made_with(base: BaseModel, inputs: Inputs, extractor: FeatureExtractor) -> str:
    """Images of an earlier attempt are gone on from where all of this is the same."""
    adapter = inputs.adapter.archive_sha256
    return f"{base.identity}, {adapter}, {extractor.name}@{extractor.digest}, {software()}"


def _configured(params: GenerationParams, base: BaseModel) -> GenerationConfig:
    settings = params.settings
    return GenerationConfig(
        mode=GenerationMode(settings.mode.value),
        strength=settings.strength,
        guidance_scale=settings.guidance_scale,
        num_inference_steps=settings.num_inference_steps,
        batch_size=base.batch_size,
        splice_sources=settings.splice_sources,
    )


def _lineage(params: GenerationParams, base: BaseModel) -> dict[str, object]:
    """What all images of the job have in common."""
    settings = params.settings
    return {
        "synthetic": "true",
        "software": software(),
        "class_name": params.class_name,
        "adapter_id": "none" if settings.unadapted else params.adapter_id,
        "base_model": base.name,
        "base_model_revision": base.revision,
        "precision": base.precision,
        "generation_id": params.generation_id,
        "job_seed": params.seed,
        "mode": settings.mode.value,
        "strength": settings.strength if settings.mode is contracts.GenerationMode.IMAGE_ORIENTED else 1.0,
        "num_inference_steps": settings.num_inference_steps,
        "guidance_scale": settings.guidance_scale,
        "lora_scale": settings.lora_scale,
        "splice_sources": settings.splice_sources,
        "scheduler": "UniPCMultistepScheduler",
    }


def _caption(params: GenerationParams) -> str:
    settings = params.settings
    if settings.mode is contracts.GenerationMode.FROM_NOISE:
        start = "from noise"
    else:
        start = f"image-oriented, {'spliced, ' if settings.splice_sources else ''}strength {settings.strength:g}"
    adapted = "unadapted, " if settings.unadapted else ""
    return f"{adapted}{start}, guidance {settings.guidance_scale:g}, {settings.num_inference_steps} steps"
