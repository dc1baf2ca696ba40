"""Denoising a step at a time, so that images of different jobs may share a U-Net call.

They need nothing in common but the base model: each row of a call has its own timestep, prompt embedding and low-rank
matrices, and each run its own solver.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from models.adapter import Adapter
from models.diffusion.base_model import BaseModel
from models.diffusion.seeding import image_noise
from models.diffusion.timesteps import Schedule, solver
from models.generation.low_rank import LowRank, answer
from models.progress import Progress


@dataclass(frozen=True)
class Conditioning:
    """What makes a class's images of the base model's: embeddings of its prompt and of the empty one, and its LoRA.

    Embeddings: (1, L, D) in the base model's dtype, on its device. ``low_rank``: none for the frozen U-Net.
    """

    conditional: torch.Tensor
    unconditional: torch.Tensor
    low_rank: LowRank | None = None

    @classmethod
    def of_adapter(cls, adapter: Adapter, base: BaseModel, lora_scale: float = 1.0) -> "Conditioning":
        """As stored in the adapter, prompts under its text encoder's LoRA; see `LowRank.of_adapter`."""
        low_rank = LowRank.of_adapter(adapter, base, lora_scale)
        prompts = (adapter.prompt_embeds, adapter.negative_prompt_embeds)
        conditional, unconditional = (embeds.to(base.device, base.dtype) for embeds in prompts)
        return cls(conditional, unconditional, low_rank)

    @classmethod
    def of_words(cls, words: str, base: BaseModel) -> "Conditioning":
        """What the frozen base model is asked for: the unadapted baseline."""
        return cls(base.encode_prompt(words).to(base.dtype), base.encode_prompt("").to(base.dtype))


class Run:
    """A few images of one class, from noised sources (or noise) to clean ``latents``: (B, C, h, w) float32.

    ``source_latents``: (B, C, h, w) or none; ``seeds``: one an image. Classifier-free guidance (Ho & Salimans 2022)
    takes two rows an image, and one where its scale is 1.
    """

    @torch.inference_mode()
    def __init__(
        self, base: BaseModel, conditioning: Conditioning, source_latents: torch.Tensor | None, seeds: Sequence[int],
        steps: Schedule, guidance_scale: float,
    ) -> None:  # fmt: skip
        self.num_steps, self.num_done = steps.num_steps, 0
        self.conditioning = conditioning
        self.error: Exception | None = None
        self._guidance_scale = guidance_scale
        self._solver = solver(base, steps)
        self._timesteps = self._solver.timesteps
        noise = torch.cat([image_noise(seed, base.latent_shape) for seed in seeds]).to(base.device)
        if source_latents is None:
            self.latents = noise * float(self._solver.init_noise_sigma)
        else:
            begun_at = self._timesteps[:1].repeat(len(seeds))
            self.latents = torch.as_tensor(self._solver.add_noise(source_latents, noise, begun_at))
        contexts = [conditioning.unconditional] * self._guided + [conditioning.conditional]
        self.context = torch.cat([one.expand(len(seeds), -1, -1) for one in contexts])

    @property
    def _guided(self) -> bool:
        return self._guidance_scale > 1

    @property
    def is_done(self) -> bool:
        """Whether ``latents`` are clean."""
        return self.num_done == self.num_steps

    @property
    def num_rows(self) -> int:
        """Rows that a step of it takes of a U-Net call."""
        return len(self.context)

    def rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What the U-Net is asked for at the next step: (rows, C, h, w) float32, and the timestep of each row."""
        batch = torch.cat([self.latents, self.latents]) if self._guided else self.latents
        return batch, self._timesteps[self.num_done].expand(self.num_rows)

    def advance(self, predicted: torch.Tensor) -> None:
        """Take the step with what the U-Net answered: (rows, C, h, w) float32."""
        if self._guided:
            unconditional, conditional = predicted.chunk(2)
            predicted = unconditional + self._guidance_scale * (conditional - unconditional)
        stepped = self._solver.step(predicted, self._timesteps[self.num_done], self.latents, return_dict=False)
        self.latents = torch.as_tensor(stepped[0])
        self.num_done += 1


#: Takes all steps of a run, and tells the progress of each.
Denoiser = Callable[[BaseModel, Run, Progress], None]


@torch.inference_mode()
def predict(base: BaseModel, runs: Sequence[Run]) -> tuple[torch.Tensor, ...]:
    """What the U-Net answers to the next step of each run, by one call. Changes none of them."""
    latents, timesteps = (torch.cat(parts) for parts in zip(*(run.rows() for run in runs), strict=True))
    context = torch.cat([run.context for run in runs])
    low_rank = [run.conditioning.low_rank for run in runs for _ in range(run.num_rows)]
    predicted = answer(base.unet, low_rank, latents.to(base.dtype), timesteps, context)
    return torch.split(predicted.float(), [run.num_rows for run in runs])


@torch.inference_mode()
def denoise(base: BaseModel, run: Run, progress: Progress) -> None:
    """All steps of one run, alone. What the progress callback raises passes through."""
    while not run.is_done:
        run.advance(*predict(base, [run]))
        progress("denoising", run.num_done, run.num_steps)
