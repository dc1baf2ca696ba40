"""A generation job: synthetic images of one class, each stored with its lineage, and their quality."""

import time
from dataclasses import dataclass, field

from PIL import Image
from sqlalchemy.orm import Session

from models.adapter import Adapter
from models.diffusion.base_model import BaseModel
from models.generation.config import GenerationConfig, GenerationMode
from models.generation.engine import Prompts, Sample, Sampler, encode_sources
from models.imaging.fit import FitPolicy
from service.contracts import generations as contracts
from service.contracts.adaptations import AdaptationSettings
from service.contracts.datasets import ImageRecord, Split
from service.contracts.generations import GeneratedImage, GenerationParams, GenerationResult
from service.contracts.ids import AdapterId
from service.store import adaptations, adapters, datasets, generations
from service.store.artifacts import ArtifactStore
from service.store.tables import AdapterRow
from worker.jobs.judgement import SHEET_IMAGES, Made, judge, sheet
from worker.lifecycle import Attempt, Finished
from worker.lineage import png_bytes, software
from worker.progress import ProgressWriter
from worker.residents import StoredAdapter
from worker.scoring import FeatureTally
from worker.workshop import Workshop
from worker.workspace import load_images

_BATCH_SIZE = 8
_WEIGHTS = {"denoising": 0.85, "quality": 0.15}


@dataclass(frozen=True)
class Inputs:
    """What the record says: the adapter and the real images of its class and dataset version."""

    adapter: AdapterRow
    settings: AdaptationSettings
    train: list[ImageRecord]
    validation: list[ImageRecord]

    @property
    def prompt(self) -> str:
        """What the unadapted base model is asked for."""
        return f"a photo of {self.settings.textual_inversion.initializer_text}"


@dataclass
class Delivery:
    """Stores images as they are made; keeps their rows, their features and the first few for the sheet."""

    artifacts: ArtifactStore
    params: GenerationParams
    sources: list[ImageRecord]
    lineage: dict[str, object]
    tally: FeatureTally
    images: list[GeneratedImage] = field(default_factory=list)
    shown: list[Image.Image] = field(default_factory=list)

    def __call__(self, sample: Sample) -> None:
        """Store one image. Raises `StorageFull`."""
        source = self.sources[sample.source_index] if sample.source_index is not None else None
        text = {**self.lineage, "seed": sample.seed, "source_sha256": source.sha256 if source else "none"}
        stored = self.artifacts.put_bytes(png_bytes(sample.image, text))
        self.images.append(
            GeneratedImage(
                class_name=self.params.class_name,
                number=sample.index,
                sha256=stored.sha256,
                size_bytes=stored.size_bytes,
                width_px=sample.image.width,
                height_px=sample.image.height,
                mode=sample.image.mode,
                seed=sample.seed,
                source_image_id=source.id if source else None,
            )
        )
        self.tally.add(sample.image)
        if len(self.shown) < SHEET_IMAGES:
            self.shown.append(sample.image)


@dataclass
class Steps:
    """The engine reports steps of a batch; a client sees steps of the whole job."""

    writer: ProgressWriter
    num_images: int
    images_done: int = 0

    def __call__(self, stage: str, step: int, total: int, **figures: float) -> None:
        """Pass one report on. Raises what the writer raises."""
        batches_done, batches = self.images_done // _BATCH_SIZE, -(-self.num_images // _BATCH_SIZE)
        figures = {**figures, "images_done": float(self.images_done)}
        self.writer(stage, batches_done * total + step, batches * total, **figures)


def run(attempt: Attempt, workshop: Workshop) -> Finished:
    """Make and judge the images; their rows are written when the job succeeds."""
    params = GenerationParams.model_validate(attempt.job.params)
    inputs = _inputs(attempt, workshop, params.adapter_id)
    sources = load_images(workshop.artifacts, (record.sha256 for record in inputs.train))
    base, adapter = _models(workshop, params, inputs)
    extractor = workshop.residents.extractor()
    writer = attempt.progress(_WEIGHTS)
    delivery = Delivery(
        workshop.artifacts, params, inputs.train, _lineage(params, base, adapter), FeatureTally(extractor)
    )
    fit = FitPolicy(inputs.settings.fit.value)
    prompts = Prompts.of_words(inputs.prompt, base) if adapter is None else Prompts.of_adapter(adapter, base)
    steps = Steps(writer, params.num_images)
    sampler = Sampler(base, prompts, encode_sources(base, sources, fit), _configured(params), params.seed, steps)
    for sample in sampler.samples(range(params.num_images)):
        delivery(sample)
        steps.images_done = sample.index + 1
    started = time.monotonic()
    validation = load_images(workshop.artifacts, (record.sha256 for record in inputs.validation))
    made = Made(params.class_name, delivery.tally.features(), delivery.shown, adapted=adapter is not None)
    quality, warnings = judge(made, sources, validation, base, fit, extractor, writer)
    picture = sheet(made, sources, _caption(params))
    contact_sheet = workshop.artifacts.put_bytes(png_bytes(picture, {"software": software()}))
    seconds = {**sampler.stage_seconds, "quality": time.monotonic() - started}
    result = GenerationResult(
        num_images=len(delivery.images),
        stage_seconds={stage: round(value, 3) for stage, value in seconds.items()},
        denoising_steps=sampler.denoising_steps,
        equivalent_strength=sampler.equivalent_strength,
        quality=quality,
        contact_sheet=contact_sheet.sha256,
        warnings=warnings,
    )
    return _finished(attempt, params, delivery.images, result)


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
        records = datasets.images_of(session, tenant, version, adapter.class_name)
    return Inputs(
        adapter,
        AdaptationSettings.model_validate(adapter.settings),
        [record for record in records if record.split is Split.TRAIN],
        [record for record in records if record.split is Split.VALIDATION],
    )


def _models(workshop: Workshop, params: GenerationParams, inputs: Inputs) -> tuple[BaseModel, Adapter | None]:
    if params.settings.unadapted:
        return workshop.residents.bare(inputs.adapter.base_model), None
    stored = StoredAdapter(params.adapter_id, inputs.adapter.archive_sha256)
    return workshop.residents.adapted(inputs.adapter.base_model, stored, params.settings.lora_scale)


def _configured(params: GenerationParams) -> GenerationConfig:
    settings = params.settings
    return GenerationConfig(
        mode=GenerationMode(settings.mode.value),
        strength=settings.strength,
        guidance_scale=settings.guidance_scale,
        num_inference_steps=settings.num_inference_steps,
        batch_size=_BATCH_SIZE,
    )


def _lineage(params: GenerationParams, base: BaseModel, adapter: Adapter | None) -> dict[str, object]:
    """What all images of the job have in common."""
    settings = params.settings
    return {
        "synthetic": "true",
        "software": software(),
        "class_name": params.class_name,
        "adapter_id": params.adapter_id if adapter is not None else "none",
        "base_model": base.name,
        "base_model_revision": base.revision,
        "generation_id": params.generation_id,
        "job_seed": params.seed,
        "mode": settings.mode.value,
        "strength": settings.strength if settings.mode is contracts.GenerationMode.IMAGE_ORIENTED else 1.0,
        "num_inference_steps": settings.num_inference_steps,
        "guidance_scale": settings.guidance_scale,
        "lora_scale": settings.lora_scale,
        "scheduler": "DPMSolverMultistepScheduler",
    }


def _caption(params: GenerationParams) -> str:
    settings = params.settings
    if settings.mode is contracts.GenerationMode.FROM_NOISE:
        start = "from noise"
    else:
        start = f"image-oriented, strength {settings.strength:g}"
    adapted = "unadapted, " if settings.unadapted else ""
    return f"{adapted}{start}, guidance {settings.guidance_scale:g}, {settings.num_inference_steps} steps"
