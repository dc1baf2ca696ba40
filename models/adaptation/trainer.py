"""Adaptation, whole: cache latents, train the token, train the low-rank matrices, store the adapter."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from models.adaptation.checkpoint import Checkpoint, CheckpointFile
from models.adaptation.config import MIN_TRAIN_IMAGES, AdaptationConfig
from models.adaptation.keeping import Keeper
from models.adaptation.latent_cache import LatentFile, cached_latents
from models.adaptation.placeholder import ClassPrompt
from models.adaptation.stages import LoraStage, Stage, TextualInversionStage
from models.diffusion.base_model import BaseModel
from models.diffusion.objective import denoising_loss, sample_timesteps
from models.diffusion.seeding import generator
from models.errors import DatasetUnusable, Interrupted, NonFiniteLoss
from models.progress import Progress

_CURVE_POINTS = 60


@dataclass(frozen=True)
class LossPoint:
    """The mean loss over the steps up to ``step`` of ``stage``."""

    stage: str
    step: int
    loss: float


@dataclass(frozen=True)
class AdaptationOutcome:
    """What happened. ``kept``: folders of the adapters by name, such as ``lora@250``, in the order of their training.

    The last one is the folder that was given for the adapter.
    """

    num_train_images: int
    stage_seconds: dict[str, float]
    loss_curve: list[LossPoint]
    kept: dict[str, Path]


def adapt(
    base: BaseModel,
    images: Sequence[Image.Image],
    config: AdaptationConfig,
    *,
    placeholder_token: str,
    out_dir: Path,
    checkpoint_dir: Path,
    progress: Progress,
    checkpoint_seconds: float = 10.0,
) -> AdaptationOutcome:
    """Both stages of StableSDG's generator adaptation (arXiv 2405.01872) on ``images`` of one class.

    Goes on from ``checkpoint_dir`` where an earlier run of the same settings stopped: at its last checkpoint, or where
    ``progress`` raised ``Interrupted``. Adapters kept on the way lie there too. ``checkpoint_seconds``: how much work a
    killed run may lose.

    The base model is left as it was found. Raises ``DatasetUnusable`` for too few images, ``NonFiniteLoss``
    when training diverges, and whatever ``progress`` raises.
    """
    if len(images) < MIN_TRAIN_IMAGES:
        raise DatasetUnusable(
            f"The class has {len(images)} training images; adaptation needs at least {MIN_TRAIN_IMAGES}.",
            field="images",
            remedy="Upload more images of this class to the train split.",
        )
    started = time.monotonic()
    purpose = f"{base.identity}:{placeholder_token}"
    if base.unet.is_gradient_checkpointing:
        purpose += " with gradient checkpointing"
    file = CheckpointFile(checkpoint_dir, config, purpose, checkpoint_seconds)
    latent_file = LatentFile(checkpoint_dir, file.identity, checkpoint_seconds)
    latents = cached_latents(base, images, config.fit, config.variants_per_image, config.seed, latent_file, progress)
    prompt = ClassPrompt(base, placeholder_token, config.textual_inversion.initializer_text)
    state = file.load() or Checkpoint(TextualInversionStage.name, 0, {})
    cached_before = state.stage_seconds.get("caching_latents", 0.0)
    state.stage_seconds["caching_latents"] = cached_before + time.monotonic() - started
    keeper = Keeper(base, prompt, config, len(images), checkpoint_dir / "kept", out_dir)
    with TextualInversionStage(base, prompt, config) as inversion:
        _run(base, latents, inversion, config, state, file, keeper, progress)
        if not config.lora.steps:
            keeper.finish(inversion)
    with LoraStage(base, prompt, config) as low_rank:
        _run(base, latents, low_rank, config, state, file, keeper, progress)
        if config.lora.steps:
            keeper.finish(low_rank)
    curve = [LossPoint(*point) for point in state.curve]
    return AdaptationOutcome(len(images), state.stage_seconds, curve, keeper.kept)


def _run(
    base: BaseModel,
    latents: torch.Tensor,
    stage: Stage,
    config: AdaptationConfig,
    state: Checkpoint,
    file: CheckpointFile,
    keeper: Keeper,
    progress: Progress,
) -> None:
    """The training loop, of either stage: from ``state`` to the stage's end, with checkpoints between steps."""
    stage.restore(state)
    resumed_at = state.step if state.stage == stage.name else stage.steps
    for step in range(1, resumed_at + 1):
        keeper.passed(stage, step, resumed=True)
    if state.stage != stage.name:
        return
    started = time.monotonic()
    spent_before = state.stage_seconds.get(stage.name, 0.0)

    def save() -> None:
        state.stage_seconds[stage.name] = spent_before + time.monotonic() - started
        stage.store(state)
        file.save(state)

    every = max(1, stage.steps // _CURVE_POINTS)
    for step in range(state.step, stage.steps):
        loss = _train_step(stage, batch_loss(base, latents, stage, config.seed, step), step)
        state.window.append(loss)
        if (step + 1) % every == 0 or step + 1 == stage.steps:
            state.curve.append((stage.name, step + 1, sum(state.window) / len(state.window)))
            state.window.clear()
        keeper.passed(stage, step + 1)
        state.step = step + 1
        try:
            progress(stage.name, step + 1, stage.steps, loss=loss)
        except Interrupted:
            save()
            raise
        if file.is_due:
            save()
    state.stage_seconds[stage.name] = spent_before + time.monotonic() - started
    stage.store(state)
    state.stage, state.step, state.optimizer = stage.next_name, 0, None
    file.save(state)


def _train_step(stage: Stage, loss: torch.Tensor, step: int) -> float:
    """One optimiser step; the loss as a number. Raises ``NonFiniteLoss`` before anything is changed by it.

    On a GPU to read the loss is to wait for it, so the way back is asked for first.
    """
    stage.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    value = float(loss.detach())
    if not math.isfinite(value):
        raise NonFiniteLoss(
            f"The loss of {stage.name} became {value} at step {step + 1}.",
            field=f"{stage.name}.learning_rate",
            remedy=f"Lower settings.{stage.name}.learning_rate.",
        )
    stage.set_learning_rates(step)
    stage.optimizer.step()
    return value


def batch_loss(base: BaseModel, latents: torch.Tensor, stage: Stage, seed: int, step: int) -> torch.Tensor:
    """The denoising loss of step ``step``: images, noise and timesteps are a function of (seed, stage, step) alone."""
    draws = generator(seed, stage.name, step)
    chosen = torch.randint(len(latents), (stage.batch_size,), generator=draws)
    noise = torch.randn((stage.batch_size, *latents.shape[1:]), generator=draws).to(latents.device)
    timesteps = sample_timesteps(stage.batch_size, base.noise_scheduler.config.num_train_timesteps, draws)
    return denoising_loss(
        base, stage.unet, latents[chosen.to(latents.device)], noise, timesteps.to(latents.device),
        stage.prompt_embeds(),
    )  # fmt: skip
