"""What becomes of each image that is made: judged, and stored with its lineage or counted by why it was rejected."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from PIL import Image

from models.evaluation.features import FeatureExtractor, Features, extract
from models.evaluation.gates import Gates, RejectReason, Verdict
from models.generation.engine import Sample, Sampler
from service.contracts.datasets import ImageRecord
from service.contracts.generations import (
    GeneratedImage,
    GenerationMode,
    GenerationParams,
    GenerationSoFar,
    Judging,
)
from service.contracts.jobs import Figure
from service.store.artifacts import ArtifactStore
from worker.credentials import Sign, unsigned
from worker.jobs.gating import gate_reports, ratio
from worker.jobs.judgement import SHEET_IMAGES
from worker.lineage import SYNTHETIC_XMP, png_bytes
from worker.progress import ProgressWriter

_MAX_CLOSEST = 8
_WHY = {
    RejectReason.COPY: "were copies of real images",
    RejectReason.WRONG_CLASS: "looked like another class",
    RejectReason.OUTLIER: "were unlike any real image",
    RejectReason.NOT_FINITE: "were broken",
}


@dataclass
class Delivery:
    """Takes images as they are made and stores the accepted ones, until there are enough.

    Keeps the accepted images' rows and features, and the first few of them for the sheet.
    """

    artifacts: ArtifactStore
    params: GenerationParams
    sources: list[ImageRecord]
    lineage: dict[str, object]
    gates: Gates
    extractor: FeatureExtractor
    sign: Sign = unsigned
    images: list[GeneratedImage] = field(default_factory=list)
    shown: list[Image.Image] = field(default_factory=list)
    rejected: Counter[RejectReason] = field(default_factory=Counter)
    num_candidates: int = 0
    _rows: list[Features] = field(default_factory=list)
    _being_stored: list[Future[GeneratedImage]] = field(default_factory=list)

    @property
    def num_accepted(self) -> int:
        """Images that passed, stored or being stored."""
        return len(self.images) + len(self._being_stored)

    @property
    def num_missing(self) -> int:
        """Images still to be made."""
        return self.params.num_images - self.num_accepted

    @property
    def max_candidates(self) -> int:
        """The budget."""
        return ceil(self.params.num_images * self.params.gates.max_candidates_per_image)

    def next_batch(self, batch_size: int) -> int:
        """How many to make next, ``batch_size`` at most: as will be enough if as many pass as have until now."""
        expected = ceil(self.num_missing * max(self.num_candidates, 1) / max(self.num_accepted, 1))
        return min(batch_size, expected, self.max_candidates - self.num_candidates)

    def features(self) -> Features:
        """(N, d) float64 of the accepted images, in their order."""
        return np.stack(self._rows) if self._rows else np.zeros((0, self.extractor.dim))

    def so_far(self, made_with: str) -> GenerationSoFar:
        """What another attempt needs to go on."""
        rejected = {str(reason): number for reason, number in self.rejected.items()}
        return GenerationSoFar(
            made_with=made_with, num_candidates=self.num_candidates, rejected=rejected, images=self.images
        )

    def go_on(self, so_far: GenerationSoFar, rows: Features, shown: Sequence[Image.Image]) -> None:
        """Begin with what an earlier attempt delivered. ``rows``: features of its images; ``shown``: the first few."""
        self.images.extend(so_far.images)
        self._rows.extend(rows)
        self.shown.extend(shown)
        self.num_candidates = so_far.num_candidates
        self.rejected.update({RejectReason(reason): number for reason, number in so_far.rejected.items()})

    def fill(self, sampler: Sampler, keep: Callable[[], None] = lambda: None) -> None:
        """Have images made until there are enough or the budget is spent. Raises `StorageFull`, and what making raises.

        What a batch delivers is stored beside the making of the next one: encoding and signing need no model, and a put
        may wait for a network. ``keep`` is called whenever all that was judged is stored: a batch follows from what is
        there, so it is the same wherever an earlier attempt stopped.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="storing") as thread:
            try:
                while self.num_missing and self.num_candidates < self.max_candidates:
                    indices = range(self.num_candidates, self.num_candidates + self.next_batch(sampler.batch_size))
                    samples = sampler.draw(indices)
                    self._settle()
                    keep()
                    self._take(samples, indices, thread)
            finally:
                self._settle()
        keep()

    def _settle(self) -> None:
        """Wait until what was judged is stored."""
        being_stored, self._being_stored = self._being_stored, []
        self.images.extend(image.result() for image in being_stored)

    def _take(self, samples: Sequence[Sample], indices: range, thread: ThreadPoolExecutor) -> None:
        """Judge one batch, and have ``thread`` store what passes; what is more than enough is not looked at."""
        within = {sample.index: sample for sample in samples}
        features = extract(self.extractor, [sample.image for sample in within.values()])
        verdicts = self.gates.judge(
            [sample.image for sample in within.values()],
            features,
            [sample.source_indices for sample in within.values()],
        )
        judged = dict(zip(within, zip(features, verdicts, strict=True), strict=True))
        for index in indices:
            if self.num_missing == 0:
                return
            self.num_candidates += 1
            if index not in judged:
                self.rejected[RejectReason.NOT_FINITE] += 1
                continue
            row, verdict = judged[index]
            if verdict.reason is not None:
                self.rejected[verdict.reason] += 1
                continue
            if len(self.shown) < SHEET_IMAGES:
                self.shown.append(within[index].image)
            self._rows.append(row)
            number = self.num_accepted
            self._being_stored.append(thread.submit(self._stored, number, within[index], verdict))

    def _stored(self, number: int, sample: Sample, verdict: Verdict) -> GeneratedImage:
        """The row of an image that passed, whose bytes are stored. Raises `StorageFull`."""
        source, second = (
            self.sources[index] if index is not None else None
            for index in (sample.source_index, sample.second_source_index)
        )
        text = {
            **self.lineage, "seed": sample.seed, "candidate": sample.index,
            "source_sha256": source.sha256 if source else "none",
            "second_source_sha256": second.sha256 if second else "none",
        }  # fmt: skip
        stored = self.artifacts.put_bytes(self.sign(png_bytes(sample.image, text, SYNTHETIC_XMP)))
        nearest = verdict.copy
        return GeneratedImage(
            class_name=self.params.class_name,
            number=number,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            width_px=sample.image.width,
            height_px=sample.image.height,
            mode=sample.image.mode,
            seed=sample.seed,
            source_image_id=source.id if source else None,
            second_source_image_id=second.id if second else None,
            candidate=sample.index,
            nearest_image_id=self.sources[nearest.nearest_index].id if nearest else None,
            nearest_feature_ratio=ratio(nearest.feature_distance, nearest.feature_threshold) if nearest else None,
            nearest_pixel_ratio=ratio(nearest.pixel_distance, nearest.pixel_threshold) if nearest else None,
        )

    def judging(self) -> Judging:
        """How the images came about."""
        return Judging(
            num_candidates=self.num_candidates,
            max_candidates=self.max_candidates,
            num_accepted=len(self.images),
            acceptance_rate=round(len(self.images) / max(self.num_candidates, 1), 4),
            rejected={str(reason): number for reason, number in sorted(self.rejected.items())},
            gates=gate_reports(self.gates),
        )

    def warnings(self) -> list[str]:
        """What a client must know about the number of images."""
        if self.num_missing == 0:
            return []
        why = ", ".join(f"{number} {_WHY[reason]}" for reason, number in self.rejected.most_common())
        asked = "1 image" if self.params.num_images == 1 else f"{self.params.num_images} images"
        return [
            f"{len(self.images)} of {asked}: of {self.num_candidates} that were made "
            f"(the budget), {why}. To get more, {self._advice()}."
        ]

    def _advice(self) -> str:
        """Ways that lie open on the page, too, which has no field for the budget."""
        used = self.params.settings
        mostly_copies = self.rejected[RejectReason.COPY] * 2 > sum(self.rejected.values())
        ways = ["raise strength"] if mostly_copies else ["lower strength", "adapt the class with more images"]
        if used.mode is not GenerationMode.IMAGE_ORIENTED:
            ways = ["adapt the class with more images"]
        elif used.splice_sources and not mostly_copies:
            ways.insert(0, "begin with one real image each (splice_sources false)")
        if self.images:
            ways.append("generate again with another seed")
        return ", or ".join(ways)

    def closest(self) -> list[GeneratedImage]:
        """The delivered images most like a real one, nearest first."""
        known = [image for image in self.images if image.nearest_image_id is not None]
        return sorted(known, key=_closeness)[:_MAX_CLOSEST]


def _closeness(image: GeneratedImage) -> float:
    ratios = (image.nearest_feature_ratio, image.nearest_pixel_ratio)
    return min((one for one in ratios if one is not None), default=float("inf"))


@dataclass
class Steps:
    """The sampler reports steps of a batch; a client sees how many of the images asked for are made."""

    writer: ProgressWriter
    delivery: Delivery
    batch_size: int

    def __call__(self, stage: str, step: int, total: int, **figures: float) -> None:
        """Pass one report on. Raises what the writer raises."""
        done, asked = self.delivery.num_accepted, self.delivery.params.num_images
        figures |= {Figure.IMAGES_DONE: float(done), Figure.NUM_CANDIDATES: float(self.delivery.num_candidates)}
        progress = done * total + step * min(self.delivery.next_batch(self.batch_size), asked - done)
        self.writer.pace.done(stage, step)
        self.writer.report(stage, progress, asked * total, **figures)
        self.writer.pace.begin()
