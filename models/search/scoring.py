"""Scoring a candidate: a sample of fixed size and fixed seeds, against real features computed once."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.adapter import Adapter
from models.diffusion.base_model import BaseModel
from models.errors import InvalidSettings
from models.evaluation.features import FeatureExtractor, Features, extract
from models.evaluation.frechet import frechet_distance
from models.evaluation.kernel import Pairs, kernel_distance, kernel_noise
from models.generation.config import GenerationConfig, GenerationMode
from models.generation.denoising import Conditioning
from models.generation.engine import Sample, Sampler, Sources
from models.progress import Progress
from models.search.space import Candidate
from models.search.trials import Observation

#: Which of the samples, with their features (n, d) in the same order, are copies of real images.
AreCopies = Callable[[Sequence[Sample], Features], Sequence[bool]]


#: The fewest images whose halves show how much of a score is luck.
_LEAST_SCORED = 4


@dataclass(frozen=True)
class TrialMaterial:
    """What all trials of a search share, computed once.

    ``adapters``: by the name of their checkpoint. ``reference``: features (m, d) of the real images that samples are
    scored against; ``reference_is_sources``: they are the sources, in their order, and then no sample is compared with
    what it began as, or copying would be rewarded. Every trial makes the images 0 to ``num_images`` - 1 of ``seed``
    (common random numbers): two trials differ by their settings, not by their luck. The first ``num_examples`` of them
    are kept of each trial.

    Up to ``max_share_copies`` of them may be copies, and then the others are scored, being what a generation would
    deliver, if they are at least four; of a trial with more, all are, so that its quality can still be drawn. FID
    depends on how many images it is of: it is of the first ``num_for_fid`` of these, as many in every trial.
    """

    base: BaseModel
    sources: Sources
    adapters: Mapping[str, Adapter]
    reference: Features
    extractor: FeatureExtractor
    are_copies: AreCopies
    num_images: int = 24
    batch_size: int = 8
    seed: int = 0
    num_examples: int = 4
    max_share_copies: float = 0.5
    reference_is_sources: bool = False

    @property
    def num_for_fid(self) -> int:
        """As many as a trial that can be used has at least."""
        return max(2, math.ceil((1 - self.max_share_copies) * self.num_images - 1e-9))

    def __post_init__(self) -> None:
        if self.num_images < 2:
            raise InvalidSettings(
                f"{self.num_images} images a trial cannot be scored.", field="num_images", remedy="Give 2 or more."
            )


class TrialScorer:
    """Candidate -> Observation.

    Progress is told as stage ``search``: images made, of those of ``max_trials`` trials, of which ``num_done`` were
    made before. ``examples`` of each candidate scored here are of the same indices, so of the same sources and noise;
    broken images lack.
    """

    def __init__(self, material: TrialMaterial, progress: Progress, max_trials: int, num_done: int = 0) -> None:
        self.examples: dict[Candidate, tuple[Sample, ...]] = {}
        self._material, self._progress = material, progress
        self._total_images = max_trials * material.num_images
        self._trials_begun = num_done

    def __call__(self, candidate: Candidate) -> Observation:
        """Make and score the images of ``candidate``.

        Raises ``NonFiniteLoss`` when a whole batch is broken, and what the progress callback raises; a broken image
        among others makes an observation with a remark.
        """
        begun = time.monotonic()
        self._trials_begun += 1
        samples = self._drawn(candidate)
        images = [sample.image for sample in samples]
        self.examples[candidate] = tuple(one for one in samples if one.index < self._material.num_examples)
        missing = self._material.num_images - len(samples)
        if missing:
            hold = "holds" if missing == 1 else "hold"
            remark = f"{missing} of {self._material.num_images} images {hold} NaN or infinite values."
            return Observation.failed(remark, time.monotonic() - begun, len(samples))
        features = extract(self._material.extractor, images)
        copies = np.array(self._material.are_copies(samples, features), dtype=bool)
        share, num_new = float(copies.mean()), int((~copies).sum())
        are_few_copies = share <= self._material.max_share_copies
        too_few = are_few_copies and num_new < min(_LEAST_SCORED, len(samples))
        told = "1 image is" if num_new == 1 else f"{num_new} images are"
        chosen = ~copies if are_few_copies and not too_few else copies | True
        scored, left_out = features[chosen], self._left_out(samples)[:, chosen]
        kernel = kernel_distance(self._material.reference, scored, left_out=left_out)
        return Observation(
            kid=kernel.kid,
            kid_std=kernel.kid_std,
            fid=frechet_distance(self._material.reference, scored[: self._material.num_for_fid]),
            share_copies=share,
            num_images=len(samples),
            seconds=time.monotonic() - begun,
            remark=f"{told} no copies, too few to tell quality from luck." if too_few else None,
            kid_noise=kernel_noise(self._material.reference, scored, left_out=left_out),
            num_scored=len(scored),
        )

    def _left_out(self, samples: Sequence[Sample]) -> Pairs:
        """(m, n) bool: which of the reference each of ``samples`` began as."""
        left_out = np.zeros((len(self._material.reference), len(samples)), dtype=bool)
        if self._material.reference_is_sources:
            for column, sample in enumerate(samples):
                left_out[list(sample.source_indices), column] = True
        return left_out

    def _drawn(self, candidate: Candidate) -> list[Sample]:
        config = GenerationConfig(
            mode=GenerationMode.IMAGE_ORIENTED,
            strength=candidate.strength,
            guidance_scale=candidate.guidance_scale,
            num_inference_steps=candidate.num_inference_steps,
            batch_size=self._material.batch_size,
            splice_sources=candidate.splice_sources,
        )
        material = self._material
        adapter = material.adapters[candidate.checkpoint]
        conditioning = Conditioning.of_adapter(adapter, material.base, candidate.lora_scale)
        samples: list[Sample] = []
        indices = range(self._material.num_images)
        batches = [indices[first : first + config.batch_size] for first in indices[:: config.batch_size]]
        for batch in batches:
            told = self._told(batch)
            sampler = Sampler(material.base, conditioning, material.sources, config, material.seed, told)
            samples += sampler.draw(batch)
        return samples

    def _told(self, batch: range) -> Progress:
        """Denoising steps of ``batch`` told as images of the whole search, the last step as all of the batch."""
        before = (self._trials_begun - 1) * self._material.num_images + batch.start

        def denoised(stage: str, step: int, total: int, **figures: float) -> None:
            images = before + len(batch) * step // total
            self._progress("search", max(images, 1), max(self._total_images, images), **figures)

        return denoised
