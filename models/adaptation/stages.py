"""The two stages of adaptation: what each one trains, and how it is stored between steps."""

import math
from collections.abc import Callable
from types import TracebackType
from typing import Any, ClassVar, Self

import torch
from torch import nn

from models.adaptation.checkpoint import Checkpoint
from models.adaptation.config import AdaptationConfig
from models.adaptation.low_rank import LowRank, low_rank
from models.adaptation.placeholder import ClassPrompt
from models.diffusion import lora
from models.diffusion.base_model import BaseModel
from models.diffusion.seeding import derived_seed

_WARM_UP = 0.05


class Stage:
    """What the training loop knows of a stage. ``parameters``: trained tensors by name, in a fixed order.

    ``unet``: the U-Net with whatever the stage trains in it.
    """

    name: ClassVar[str]
    next_name: ClassVar[str]
    steps: int
    batch_size: int
    optimizer: torch.optim.Optimizer
    parameters: dict[str, nn.Parameter]
    unet: Callable[..., Any]
    _prompt: ClassPrompt

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to take away."""

    def prompt_embeds(self) -> torch.Tensor:
        """The prompt's embedding of this step: (1, L, D) float32, with gradients where this stage trains text."""
        return self._prompt.embeds()

    def set_learning_rates(self, step: int) -> None:
        """Linear warm-up over the first twentieth, then half a cosine to a tenth of the base rate."""
        warm_up = max(1, round(_WARM_UP * self.steps))
        share = max(0.0, (step - warm_up) / max(1, self.steps - warm_up))
        factor = min(1.0, (step + 1) / warm_up) * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor

    def kept_steps(self, num_kept: int) -> list[int]:
        """The steps (1-based) after which an adapter is kept: evenly spaced, the last one among them."""
        return sorted({-(-self.steps * place // num_kept) for place in range(1, num_kept + 1)} - {0})

    def weights(self) -> tuple[lora.LoraWeights, lora.LoraWeights]:
        """The low-rank matrices of (text encoder, U-Net) so far; both empty where the stage trains none."""
        return {}, {}

    def store(self, state: Checkpoint) -> None:
        """Write this stage's tensors and optimiser into ``state``."""
        state.tensors |= {name: parameter.detach().cpu().clone() for name, parameter in self.parameters.items()}
        state.optimizer = self.optimizer.state_dict()

    @torch.no_grad()
    def restore(self, state: Checkpoint) -> None:
        """Take this stage's tensors from ``state``, and its optimiser if this stage was the one running."""
        for name, parameter in self.parameters.items():
            if name in state.tensors:
                parameter.copy_(state.tensors[name])
        if state.stage == self.name and state.optimizer is not None:
            self.optimizer.load_state_dict(state.optimizer)


class TextualInversionStage(Stage):
    """Stage 1 (Gal et al. 2022): the placeholder token's embedding, everything else frozen."""

    name = "textual_inversion"
    next_name = "lora"

    def __init__(self, base: BaseModel, prompt: ClassPrompt, config: AdaptationConfig) -> None:
        self._prompt, self.unet = prompt, base.unet
        self.steps, self.batch_size = config.textual_inversion.steps, config.textual_inversion.batch_size
        self.parameters = {"learned_embeds": prompt.embedding.vector}
        rate = config.textual_inversion.learning_rate
        self.optimizer = torch.optim.AdamW(
            [{"params": [prompt.embedding.vector], "base_lr": rate}], lr=rate, weight_decay=0
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """From here on the optimised embedding is fixed."""
        self._prompt.embedding.vector.requires_grad_(False)


class LoraStage(Stage):
    """Stage 2 (Hu et al. 2021): low-rank matrices in the attention of text encoder and U-Net, the token fixed.

    The base model's U-Net is left as it was found, whatever happened.
    """

    name = "lora"
    next_name = "done"

    def __init__(self, base: BaseModel, prompt: ClassPrompt, config: AdaptationConfig) -> None:
        self._prompt = prompt
        settings = config.lora
        self.steps, self.batch_size = settings.steps, settings.batch_size
        self._trained = settings.steps > 0

        def trained(name: str, module: nn.Module, targets: list[str]) -> LowRank:
            seed = derived_seed(config.seed, "lora", name)
            sparing = bool(base.unet.is_gradient_checkpointing)
            return low_rank(module, targets, settings.rank, settings.lora_alpha, seed, spare_memory=sparing)

        self._text = trained("text_encoder", prompt.text_encoder, lora.TEXT_ENCODER_TARGETS)
        self._image = trained("unet", base.unet, lora.UNET_TARGETS)
        prompt.encode, self.unet = self._text, self._image
        rates = (settings.text_encoder_learning_rate, settings.learning_rate)
        self.parameters, groups = {}, []
        for name, matrices, rate in zip(("text_encoder", "unet"), (self._text, self._image), rates, strict=True):
            self.parameters |= {f"{name}.{index}": matrix for index, matrix in enumerate(matrices.parameters)}
            groups.append({"params": matrices.parameters, "base_lr": rate})
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=1e-2, fused=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the base model its U-Net back."""
        self._image.remove()

    def weights(self) -> tuple[lora.LoraWeights, lora.LoraWeights]:
        """The trained matrices so far; none when the stage was skipped."""
        if not self._trained:
            return {}, {}
        return self._text.read(), self._image.read()
