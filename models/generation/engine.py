"""Generation: image-oriented (SDEdit, Meng et al. 2022) and from noise, by one loop.

An image is a function of (seed, index): its own seed, its noise and its source follow from them. Batches only decide
how many are computed at once.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from models.diffusion import latents as latent_space
from models.diffusion.base_model import BaseModel
from models.diffusion.seeding import generator, image_seed
from models.diffusion.timesteps import schedule
from models.errors import DatasetUnusable, NonFiniteLoss
from models.generation.config import GenerationConfig, GenerationMode
from models.generation.denoising import Conditioning, Denoiser, Run, denoise
from models.generation.splicing import partner_of, spliced
from models.imaging.arrays import deliver
from models.imaging.fit import FitPolicy, Fitted
from models.progress import Progress


@dataclass(frozen=True)
class Sample:
    """One image in the size and mode of the originals.

    ``source_index`` and ``second_source_index`` count in the sources: none from noise, no second where not spliced.
    """

    index: int
    image: Image.Image
    seed: int
    source_index: int | None
    second_source_index: int | None = None

    @property
    def source_indices(self) -> tuple[int, ...]:
        """The sources that it began as: none, one or two."""
        return tuple(one for one in (self.source_index, self.second_source_index) if one is not None)


#: The latents of source ``index``: those that are known, or else what the callable makes.
KnownLatents = Callable[[int, Callable[[], torch.Tensor]], torch.Tensor]


class Sources:
    """Real images of a class, each encoded once for many runs, when the first begins with it.

    One at a time, so that its latents do not depend on which others are used.
    """

    def __init__(
        self, base: BaseModel, images: Sequence[Image.Image], fit: FitPolicy, known: KnownLatents | None = None
    ) -> None:
        self.images, self.fit = images, fit
        self._base = base
        self._known = known or (lambda _, make: make())
        self._latents: dict[int, torch.Tensor] = {}
        self._fitted: dict[int, Fitted] = {}

    def latents(self, index: int) -> torch.Tensor:
        """(C, h, w) float32 on the device."""
        if index not in self._latents:
            self._latents[index] = self._known(index, lambda: self._encoded(index))
        return self._latents[index]

    def fitted(self, index: int) -> Fitted:
        """Size and mode of the source, which images made of it are delivered in."""
        if index not in self._fitted:
            self._fitted[index] = Fitted.of(self.images[index], self.fit)
        return self._fitted[index]

    def _encoded(self, index: int) -> torch.Tensor:
        return latent_space.encode(self._base, latent_space.fitted(self._base, [self.images[index]], self.fit))[0]


def encode_sources(
    base: BaseModel, images: Sequence[Image.Image], fit: FitPolicy, known: KnownLatents | None = None
) -> Sources:
    """The real images that generation starts from; each is opened and encoded when an image begins with it.

    ``known``: where latents are kept beyond these sources. Raises ``DatasetUnusable`` without any image.
    """
    if not len(images):
        raise DatasetUnusable("There is no source image.", field="sources", remedy="Give at least one real image.")
    return Sources(base, images, fit, known)


def source_of(index: int, num_sources: int, seed: int) -> int:
    """Which source image ``index`` starts from: every source once a round, in an order drawn for the round."""
    cycle, place = divmod(index, num_sources)
    return int(torch.randperm(num_sources, generator=generator(seed, "sources", cycle))[place])


class Sampler:
    """Makes images of a class; ``denoiser`` decides whether alone or with others.

    From noise, the sources only tell size and mode. ``schedule``: the steps that every image takes; ``batch_size``: how
    many are best drawn at once; ``stage_seconds`` adds up where the time went. Raises ``InvalidSettings`` when the
    settings leave no step.
    """

    def __init__(
        self, base: BaseModel, conditioning: Conditioning, sources: Sources, config: GenerationConfig, seed: int,
        progress: Progress, denoiser: Denoiser = denoise,
    ) -> None:  # fmt: skip
        strength = config.strength if config.mode is GenerationMode.IMAGE_ORIENTED else 1.0
        self.schedule = schedule(base, config.num_inference_steps, strength)
        self.stage_seconds = {"denoising": 0.0, "decoding": 0.0}
        self.batch_size = config.batch_size
        self._base, self._conditioning, self._sources, self._config = base, conditioning, sources, config
        self._seed, self._progress, self._denoiser = seed, progress, denoiser
        self._some_finite = False

    def draw(self, indices: Sequence[int]) -> list[Sample]:
        """The images ``indices`` as one batch, in their order.

        An image with NaN or infinite values is left out; ``NonFiniteLoss`` is raised where no image that this sampler
        made has been another. What the progress callback raises passes through.
        """
        begun = time.monotonic()
        from_noise = self._config.mode is GenerationMode.FROM_NOISE
        chosen = [source_of(index, len(self._sources.images), self._seed) for index in indices]
        seconds = [None if from_noise else self._second(index, one) for index, one in zip(indices, chosen, strict=True)]
        seeds = [image_seed(self._seed, index) for index in indices]
        starts = None if from_noise else torch.stack([*map(self._start, indices, chosen, seconds)])
        run = Run(self._base, self._conditioning, starts, seeds, self.schedule, self._config.guidance_scale)
        self._denoiser(self._base, run, self._progress)
        self._base.wait()
        between = time.monotonic()
        pixels = latent_space.decode(self._base, run.latents).cpu()
        samples = []
        for index, image_pixels, source, second, seed in zip(indices, pixels, chosen, seconds, seeds, strict=True):
            if torch.isfinite(image_pixels).all():
                image = deliver(image_pixels, self._sources.fitted(source))
                samples.append(Sample(index, image, seed, None if from_noise else source, second))
        self._some_finite = self._some_finite or bool(samples)
        if not self._some_finite:
            raise NonFiniteLoss(
                "Every image holds NaN or infinite values.", field="settings",
                remedy="Lower guidance_scale, use bfloat16 or float32, or adapt again with a lower learning rate.",
            )  # fmt: skip
        self.stage_seconds["denoising"] += between - begun
        self.stage_seconds["decoding"] += time.monotonic() - between
        return samples

    def _second(self, index: int, source: int) -> int | None:
        """What ``source`` is spliced with for image ``index``; none where nothing is spliced or it is alone."""
        count = len(self._sources.images)
        return partner_of(index, source, count, self._seed) if self._config.splice_sources and count > 1 else None

    def _start(self, index: int, source: int, second: int | None) -> torch.Tensor:
        """(C, h, w): the clean latents that image ``index`` begins as."""
        latents = self._sources.latents(source)
        return latents if second is None else spliced(latents, self._sources.latents(second), self._seed, index)

    def samples(self, indices: range) -> Iterator[Sample]:
        """The images ``indices``, batch by batch as they are asked for."""
        for first in range(indices.start, indices.stop, self.batch_size):
            yield from self.draw(range(first, min(first + self.batch_size, indices.stop)))
