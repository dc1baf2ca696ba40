"""What may be asked for, as the shapes of dictionaries: every key may be left out. The service checks the values."""

from typing import Literal, TypedDict

Split = Literal["train", "validation", "test"]


class TextualInversionSettings(TypedDict, total=False):
    """Stage 1: the placeholder token's embedding is trained."""

    steps: int
    learning_rate: float
    batch_size: int
    initializer_text: str


class LoraSettings(TypedDict, total=False):
    """Stage 2: low-rank matrices of text encoder and U-Net are trained."""

    steps: int
    learning_rate: float
    text_encoder_learning_rate: float
    batch_size: int
    rank: int
    lora_alpha: float


class SearchSettings(TypedDict, total=False):
    """The search for generation settings; ``max_trials`` 0 leaves it out."""

    max_trials: int
    examples_per_trial: int
    images_per_trial: int
    max_share_copies: float
    splice_sources: bool


class AdaptationSettings(TypedDict, total=False):
    """How a base model is adapted."""

    textual_inversion: TextualInversionSettings
    lora: LoraSettings
    search: SearchSettings
    fit: Literal["resize", "center_crop"]
    seed: int


class GenerationSettings(TypedDict, total=False):
    """How images are made; what is left out is what the search found."""

    mode: Literal["image_oriented", "from_noise"]
    strength: float
    guidance_scale: float
    num_inference_steps: int
    lora_scale: float
    splice_sources: bool
    unadapted: bool


class GateSettings(TypedDict, total=False):
    """What images must pass to be delivered."""

    copies: bool
    wrong_class: bool
    outliers: bool
    copy_percentile: float
    max_candidates_per_image: float


class RecognitionSettings(TypedDict, total=False):
    """How classifiers are trained and compared."""

    ratios: list[float]
    num_seeds: int
    num_selection_seeds: int
    steps: int
    batch_size: int
    max_synthetic_share: float
    learning_rate: float
    image_size_px: int
    classifier: str
    seed: int


class ImageSet(TypedDict, total=False):
    """One side of an evaluation; made by ``dataset_images`` and ``generation_images``."""

    source: Literal["dataset", "generation"]
    dataset_id: str
    dataset_version_id: str
    generation_id: str
    class_name: str
    split: Split


def dataset_images(dataset_id: str, class_name: str, split: Split) -> ImageSet:
    """The images of one class and split of a dataset."""
    return ImageSet(source="dataset", dataset_id=dataset_id, class_name=class_name, split=split)


def generation_images(generation_id: str, class_name: str) -> ImageSet:
    """The synthetic images of one class of a generation."""
    return ImageSet(source="generation", generation_id=generation_id, class_name=class_name)
