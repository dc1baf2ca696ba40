"""What a worker takes for so much work: a child of `scale.py`, a fresh process for each point.

python tests/benchmarks/scale_models.py PART NUMBER BASE FIGURES.json

What is loaded once is loaded before: the figures are of the work itself, memory is what came on top.
"""

import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.generation.config import GenerationConfig
from models.generation.engine import Sampler, encode_sources
from models.imaging.fit import FitPolicy
from models.prior.samples import SAMPLE_CLASSES
from models.progress import no_progress
from service.contracts.adaptations import AdaptationParams, AdaptationSettings, LoraSettings, TextualInversionSettings
from service.contracts.datasets import Split
from service.contracts.generations import GateSettings, GenerationParams, GenerationSettings
from service.contracts.ids import DEFAULT_TENANT, AdaptationId, AdapterId, GenerationId, ImageId, JobId, new_id
from service.contracts.jobs import JobKind, JobState
from service.contracts.search import SearchSettings
from service.logs import configure_logs
from service.registry import load_registry
from service.settings import Settings
from service.store import adaptations, datasets, generations, jobs
from service.store.database import Database
from service.store.placement import artifact_store
from service.store.tables import AdapterRow, ImageRow
from worker import footprint
from worker.lifecycle import utc_now
from worker.process import compose
from worker.residents import Residents, StoredAdapter

_SIZE_PX, _VALIDATION = 160, 8
_UNGATED = GateSettings(copies=False, wrong_class=False, outliers=False)
_ONE_TRY = GateSettings(max_candidates_per_image=1.0)
#: One step of the solver, without guidance: what is left is what an image costs beside its denoising.
_ONE_STEP = GenerationSettings(strength=0.5, num_inference_steps=2, guidance_scale=1.0)
_STEPS, _FEW_STEPS = 10, 2
_REQUESTS = 30


@dataclass
class Spent:
    """Of one piece of work. ``peak_bytes``: above what the process had before."""

    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    bytes_before: int = 0
    peak_bytes: int = 0


@contextmanager
def spending() -> Iterator[Spent]:
    """Measures the block."""
    spent = Spent()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # From here on a new peak is looked for.
    spent.bytes_before = _status("VmRSS")
    cpu, wall = time.process_time(), time.perf_counter()
    yield spent
    spent.cpu_seconds, spent.wall_seconds = time.process_time() - cpu, time.perf_counter() - wall
    spent.peak_bytes = _status("VmHWM") - spent.bytes_before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


@dataclass
class Plant:
    """A record and a worker in this process; ``classes``: train images by class, drawn surfaces."""

    folder: Path
    base: str
    classes: dict[str, int]
    job_ids: list[JobId] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = Settings(data_dir=self.folder, device="cpu")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(self.settings.sqlalchemy_url)
        self.database.migrate()
        self.artifacts = artifact_store(self.settings)
        self.worker = compose(self.settings, self.database, worker_id="w", stopping=lambda: False)
        dataset_id, self.version_id = new_id("ds"), new_id("dsv")
        with self.database.transaction() as session:
            datasets.insert_dataset(session, DEFAULT_TENANT, dataset_id, "surfaces", utc_now())
            rows = [row for number, name in enumerate(self.classes) for row in self._rows(dataset_id, name, number)]
            datasets.insert_images(session, rows)
            ids = [ImageId(row.id) for row in rows]
            datasets.add_version(session, DEFAULT_TENANT, self.version_id, dataset_id, ids, [], utc_now())

    def _rows(self, dataset_id: str, name: str, place: int) -> Iterator[ImageRow]:
        draw = list(SAMPLE_CLASSES.values())[place % len(SAMPLE_CLASSES)]
        for number in range(self.classes[name] + _VALIDATION):
            stream = BytesIO()
            Image.fromarray(draw(np.random.default_rng([place, number]), _SIZE_PX)).save(stream, "PNG")
            stored = self.artifacts.put_bytes(stream.getvalue())
            yield ImageRow(
                id=new_id("img"), tenant_id=DEFAULT_TENANT, dataset_id=dataset_id, class_name=name,
                filename=f"{number:04}.png", sha256=stored.sha256, pixel_sha256=stored.sha256,
                split=Split.TRAIN if number < self.classes[name] else Split.VALIDATION, group=None,
                size_bytes=stored.size_bytes, width_px=_SIZE_PX, height_px=_SIZE_PX, mode="L", created_at=utc_now(),
            )  # fmt: skip

    def adapt(self, class_name: str, steps: int) -> JobId:
        """Queue an adaptation of fixed numbers of steps, without a search."""
        settings = AdaptationSettings(
            textual_inversion=TextualInversionSettings(steps=steps), lora=LoraSettings(steps=steps),
            search=SearchSettings(max_trials=0),
        )  # fmt: skip
        own_id = AdaptationId(new_id("adn"))
        params = AdaptationParams(
            adaptation_id=own_id, dataset_version_id=self.version_id, class_name=class_name, base_model=self.base,
            settings=settings,
        )  # fmt: skip
        with self.database.transaction() as session:
            adaptations.insert(session, DEFAULT_TENANT, own_id, self.version_id, self.base, settings, utc_now())
        return self._queue(JobKind.ADAPTATION, own_id, params)

    def generate(
        self, adapted: JobId, num_images: int, settings: GenerationSettings | None = None,
        gates: GateSettings = _UNGATED,
    ) -> JobId:  # fmt: skip
        """Queue a generation by the adapter that a job has made; the base model's settings where none are given."""
        settings = settings or load_registry(self.settings).base_models[self.base].generation
        with self.database.reading() as session:
            found = jobs.get(session, DEFAULT_TENANT, adapted)
        adapter_id, own_id = AdapterId((found.result or {})["adapter_id"]), GenerationId(new_id("gen"))
        params = GenerationParams(
            generation_id=own_id, adapter_id=adapter_id, class_name=found.class_name, num_images=num_images, seed=7,
            settings=settings, gates=gates,
        )  # fmt: skip
        with self.database.transaction() as session:
            generations.insert(session, DEFAULT_TENANT, own_id, 7, settings, utc_now())
        return self._queue(JobKind.GENERATION, own_id, params, adapter_id)

    def _queue(
        self, kind: JobKind, resource_id: str, params: AdaptationParams | GenerationParams,
        adapter_id: AdapterId | None = None,
    ) -> JobId:  # fmt: skip
        self.job_ids.append(JobId(new_id("job")))
        with self.database.transaction() as session:
            jobs.insert(
                session, DEFAULT_TENANT, self.job_ids[-1], kind, resource_id, params.class_name, params, utc_now(),
                adapter_id,
            )  # fmt: skip
        return self.job_ids[-1]

    def work(self) -> None:
        """Run all that is queued, as a worker does. Raises where a job does not succeed."""
        self.worker.work_off()
        with self.database.reading() as session:
            for row in jobs.by_ids(session, self.job_ids):
                assert row.state == JobState.SUCCEEDED, row.failure

    def warmed(self, class_name: str) -> JobId:
        """An adaptation of the class, and a few images by it: all is loaded that jobs share."""
        adapted = self.adapt(class_name, _FEW_STEPS)
        self.work()
        self.generate(adapted, 8)
        self.work()
        return adapted


def adaptation(folder: Path, base: str, num_images: int) -> dict[str, Spent]:
    """A class of so many images; the numbers of steps are fixed."""
    plant = Plant(folder, base, {"first": 8, "class": num_images})
    plant.warmed("first")
    plant.adapt("class", _STEPS)
    with spending() as spent:
        plant.work()
    return {"adaptation": spent}


def judging(folder: Path, base: str, num_images: int) -> dict[str, Spent]:
    """Of eight images of a class of so many: all gates, then the quality report."""
    plant = Plant(folder, base, {"first": 8, "class": num_images})
    plant.warmed("first")
    adapted = plant.adapt("class", _FEW_STEPS)
    plant.work()
    plant.generate(adapted, 8, _ONE_STEP, _ONE_TRY)
    plant.generate(adapted, 8, _ONE_STEP)
    with spending() as spent:
        plant.work()
    return {"judging": spent}


def count(folder: Path, base: str, num_images: int) -> dict[str, Spent]:
    """So many images of one class, as `mini` is registered."""
    return {"count": _images(folder, base, num_images, None)}


def count_one_step(folder: Path, base: str, num_images: int) -> dict[str, Spent]:
    """So many images of one class, with one denoising step."""
    return {"count, one step": _images(folder, base, num_images, _ONE_STEP)}


def _images(folder: Path, base: str, num_images: int, settings: GenerationSettings | None) -> Spent:
    plant = Plant(folder, base, {"class": 20})
    plant.generate(plant.warmed("class"), num_images, settings)
    with spending() as spent:
        plant.work()
    return spent


def classes(folder: Path, base: str, num_classes: int) -> dict[str, Spent]:
    """So many classes adapted, then four images of each."""
    names = [f"class-{number}" for number in range(num_classes)]
    plant = Plant(folder, base, {"first": 8} | dict.fromkeys(names, 8))
    plant.warmed("first")
    adapted = [plant.adapt(name, _FEW_STEPS) for name in names]
    with spending() as spent:
        plant.work()
        for one in adapted:
            plant.generate(one, 4, gates=_ONE_TRY)
        plant.work()
    return {"classes": spent}


def residents(folder: Path, base: str, num_adapters: int) -> dict[str, Spent]:
    """So many adapters loaded and kept; then an image by one of them, drawn at random, median of some."""
    plant = Plant(folder, base, {"class": 8})
    adapted = plant.warmed("class")
    with plant.database.reading() as session:
        result = jobs.get(session, DEFAULT_TENANT, adapted).result or {}
        archive = session.get_one(AdapterRow, result["adapter_id"]).archive_sha256
    registry = load_registry(plant.settings)
    kept = Residents(registry.base_models, plant.artifacts, device="cpu", max_adapters=num_adapters)
    loaded = kept.bare(base)
    stored = [StoredAdapter(AdapterId(f"adp_{number}"), archive) for number in range(num_adapters)]
    with spending() as loading:
        for one in stored:
            kept.adapted(base, one, 1.0)
    usual, draws = registry.base_models[base].generation, random.Random(0)
    config = GenerationConfig(
        strength=usual.strength, guidance_scale=usual.guidance_scale, num_inference_steps=usual.num_inference_steps
    )
    sources = encode_sources(loaded, [Image.new("L", (_SIZE_PX, _SIZE_PX), 99)], FitPolicy.RESIZE)

    def request() -> None:
        used, conditioning = kept.adapted(base, draws.choice(stored), 1.0)
        Sampler(used, conditioning, sources, config, 1, no_progress).draw([0])

    request()
    taken = []
    for _ in range(_REQUESTS):
        with spending() as one_request:
            request()
        taken.append(one_request)
    median = Spent(
        statistics.median(one.cpu_seconds for one in taken), statistics.median(one.wall_seconds for one in taken),
        taken[0].bytes_before, max(one.peak_bytes for one in taken),
    )  # fmt: skip
    return {"residents": loading, "request": median}


PARTS: dict[str, Callable[[Path, str, int], dict[str, Spent]]] = {
    one.__name__: one for one in (adaptation, judging, count, count_one_step, classes, residents)
}


def main() -> None:
    """Parse the words that the parent gave, measure, write the figures."""
    part, number, base, figures = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    configure_logs("error")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    footprint.begin = lambda: None  # It would forget the peak.
    with tempfile.TemporaryDirectory() as folder:
        found = PARTS[part](Path(folder), base, number)
    figures.write_text(json.dumps({name: vars(spent) for name, spent in found.items()}), encoding="utf-8")


if __name__ == "__main__":
    main()
