"""The classifier: built, trained for a number of steps, asked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import ResNetConfig, ResNetForImageClassification

from models.diffusion.seeding import derived_seed, generator
from models.errors import InvalidSettings, NonFiniteLoss
from models.progress import Progress
from models.recognition.augmentation import augmented
from models.recognition.config import ClassifierConfig, TrainingConfig

_WARM_UP = 0.1
_ASK_BATCH = 128


@dataclass(frozen=True)
class TrainingSet:
    """``pixels``: (N, 3, H, W) in [-1, 1]; ``labels``, ``is_synthetic``: (N,); ``augment``: are images varied?"""

    pixels: torch.Tensor
    labels: torch.Tensor
    is_synthetic: torch.Tensor
    augment: bool


@dataclass(frozen=True)
class Trained:
    """``loss``: mean cross-entropy over the last tenth of the steps."""

    model: nn.Module
    loss: float


def build(config: ClassifierConfig, num_classes: int, seed: int) -> nn.Module:
    """A classifier of ``num_classes``, its new weights drawn from ``seed``. Raises ``InvalidSettings``."""
    state = torch.random.get_rng_state()
    try:
        torch.manual_seed(seed)
        if config.pretrained_path is None:
            made = ResNetConfig(
                num_channels=3, embedding_size=config.embedding_size, hidden_sizes=list(config.hidden_sizes),
                depths=list(config.depths), layer_type="basic", num_labels=num_classes,
            )  # fmt: skip
            model: nn.Module = ResNetForImageClassification(made)
            return model
        model = ResNetForImageClassification.from_pretrained(
            config.pretrained_path, num_labels=num_classes, ignore_mismatched_sizes=True, use_safetensors=True,
            local_files_only=True,
        )  # fmt: skip
        return model
    except (OSError, ValueError) as error:
        raise InvalidSettings(
            f"The registered classifier cannot be opened ({type(error).__name__}).", field="classifier",
            remedy="Register a transformers folder of a ResNetForImageClassification with safetensors weights.",
            detail=f"{config.pretrained_path}: {error}",
        ) from error  # fmt: skip
    finally:
        torch.random.set_rng_state(state)


def train(
    data: TrainingSet, num_classes: int, classifier: ClassifierConfig, config: TrainingConfig, seed: int,
    device: str, progress: Progress,
) -> Trained:  # fmt: skip
    """Train from ``seed``; batches and augmentation are a function of (seed, step) alone.

    Every batch holds each class equally often in expectation. Within a class a ratio r of synthetic images takes the
    share r / (1 + r) of the draws, but ``max_synthetic_share`` at most; real images are equally likely among each
    other, and so are synthetic ones. Arms of one seed draw the same real images where no synthetic one replaces them.
    All is float32: in bfloat16 the CPU's gradient of a convolution over a single pixel is NaN now and then.
    Raises ``NonFiniteLoss`` and whatever ``progress`` raises (stage ``classifier``).
    """
    model = build(classifier, num_classes, derived_seed(seed, "weights")).train()
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    places = [_ImagesOfClass.of(data, label, config.max_synthetic_share) for label in range(num_classes)]
    losses: list[float] = []
    for step in range(config.steps):
        draws = generator(seed, "batch", step)
        chosen = _drawn(places, config.batch_size, draws)
        pixels = data.pixels[chosen].to(device)
        if data.augment:
            pixels = augmented(pixels, draws)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _rate(step, config.steps)
        logits = model(pixels.contiguous(memory_format=torch.channels_last)).logits
        loss = F.cross_entropy(logits, data.labels[chosen].to(device))
        if not torch.isfinite(loss):
            raise NonFiniteLoss(
                f"The classifier's loss became {loss.item()} at step {step + 1}.", field="learning_rate",
                remedy="Lower the learning rate.",
            )  # fmt: skip
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        progress("classifier", step + 1, config.steps, loss=losses[-1])
    tail = losses[-max(1, len(losses) // 10) :]
    return Trained(model.eval(), sum(tail) / len(tail))


@dataclass(frozen=True)
class _ImagesOfClass:
    """Indices of a class's images, and how much of its draws is synthetic."""

    real: torch.Tensor
    synthetic: torch.Tensor
    synthetic_share: float

    @classmethod
    def of(cls, data: TrainingSet, label: int, max_share: float) -> "_ImagesOfClass":
        own = data.labels == label
        real = torch.nonzero(own & ~data.is_synthetic).flatten()
        synthetic = torch.nonzero(own & data.is_synthetic).flatten()
        return cls(real, synthetic, min(max_share, len(synthetic) / (len(real) + len(synthetic))))

    def one(self, origin: float, place: float) -> torch.Tensor:
        """``origin``, ``place``: in [0, 1), real or synthetic and which of them."""
        images = self.synthetic if origin < self.synthetic_share else self.real
        return images[int(place * len(images))]


def _drawn(classes: Sequence[_ImagesOfClass], batch_size: int, draws: torch.Generator) -> torch.Tensor:
    """Indices of a batch: a class by chance, then one of its images."""
    labels = torch.randint(0, len(classes), (batch_size,), generator=draws)
    origins, places = torch.rand((2, batch_size), generator=draws)
    return torch.stack(
        [
            classes[label].one(float(origin), float(place))
            for label, origin, place in zip(labels, origins, places, strict=True)
        ]
    )


def _rate(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to 0."""
    warm_up = max(1, round(_WARM_UP * steps))
    share = max(0.0, (step - warm_up) / max(1, steps - warm_up))
    return min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * share))


@torch.inference_mode()
def probabilities(model: nn.Module, pixels: torch.Tensor, device: str) -> torch.Tensor:
    """(N, 3, H, W) in [-1, 1] -> (N, C) float32, each row summing to 1."""
    parts = [model(batch.to(device)).logits.softmax(dim=1).cpu() for batch in torch.split(pixels, _ASK_BATCH)]
    return torch.cat(parts)
