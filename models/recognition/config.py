"""The settings of a recognition."""

from dataclasses import dataclass, field
from pathlib import Path

from models.errors import InvalidSettings


@dataclass(frozen=True)
class ClassifierConfig:
    """A ResNet (He et al. 2016) of basic blocks from random weights, or a pretrained folder whose head is replaced.

    ``pretrained_path``: a transformers folder of a ``ResNetForImageClassification`` (safetensors).
    """

    hidden_sizes: tuple[int, ...] = (32, 64, 128, 192)
    depths: tuple[int, ...] = (1, 1, 1, 1)
    embedding_size: int = 32
    pretrained_path: Path | None = None


@dataclass(frozen=True)
class TrainingConfig:
    """How a classifier is trained: the same number of optimiser ``steps`` in every arm.

    ``max_synthetic_share``: of a class's draws at most this share is synthetic, however many such images there are, so
    that more of them bring variety and never push the real ones out.
    """

    steps: int = 500
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 5e-2
    image_size_px: int = 64
    max_synthetic_share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "learning_rate", "image_size_px"):
            if getattr(self, name) <= 0:
                raise InvalidSettings(f"{name} is {getattr(self, name)}.", field=name, remedy="Give more than 0.")
        if not 0 < self.max_synthetic_share < 1:
            raise InvalidSettings(
                f"max_synthetic_share is {self.max_synthetic_share}.", field="max_synthetic_share",
                remedy="Give more than 0 and less than 1.",
            )  # fmt: skip


@dataclass(frozen=True)
class ProtocolConfig:
    """``ratios``: synthetic images for each real train image of a class, of which one is chosen.

    ``num_seeds`` classifiers are trained for each arm that is tested, at least two, because an interval must know how
    much they differ; ``num_selection_seeds`` for each ratio tried.
    ``confidence``: of the intervals, from ``num_replicates`` bootstrap replicates.
    """

    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    num_seeds: int = 5
    num_selection_seeds: int = 4
    seed: int = 0
    confidence: float = 0.95
    num_replicates: int = 2000
    training: TrainingConfig = field(default_factory=TrainingConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)

    def __post_init__(self) -> None:
        if not self.ratios or any(ratio <= 0 for ratio in self.ratios) or len(set(self.ratios)) < len(self.ratios):
            raise InvalidSettings(
                f"ratios are {self.ratios}.", field="ratios", remedy="Give different numbers above 0, at least one."
            )
        least = {"num_seeds": 2, "num_selection_seeds": 1, "num_replicates": 1}
        for name, number in least.items():
            if getattr(self, name) < number:
                raise InvalidSettings(
                    f"{name} is {getattr(self, name)}.", field=name, remedy=f"Give at least {number}."
                )
        if not 0 < self.confidence < 1:
            raise InvalidSettings(
                f"confidence is {self.confidence}.", field="confidence", remedy="Give more than 0 and less than 1."
            )
