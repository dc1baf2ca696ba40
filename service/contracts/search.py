"""The search for generation settings: what it may spend, every trial it made, and what it found."""

from pydantic import Field

from service.contracts.ids import ImageId, Sha256
from service.contracts.quality import Extractor, Score
from service.contracts.words import Word


class SearchSettings(Word):
    """After the training, settings are tried and the best without copying is kept. ``max_trials`` 0 leaves it out."""

    max_trials: int = Field(default=16, ge=0, le=200)
    images_per_trial: int = Field(default=20, ge=8, le=500)
    max_share_copies: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="Of a trial's images, that may be copies of real ones: a generation makes others in their place.",
    )
    examples_per_trial: int = Field(
        default=4, ge=0, le=8, description="Images kept of each trial to look at, of the same sources and seeds."
    )
    splice_sources: bool = Field(
        default=True,
        description="Also try starts spliced of two real images. False where a defect's place on a part has a meaning.",
    )


class SearchTrial(Word):
    """One trial: the settings tried and how its images scored. ``feasible``: few enough of them are copies.

    Of a feasible trial the images that are no copies were scored, as a generation would deliver them; else all. KID
    does not depend on how many they are but for its spread. FID does: it is of as many in every trial.
    """

    number: int
    checkpoint: str = Field(examples=["lora@250"])
    strength: float
    guidance_scale: float
    lora_scale: float
    num_inference_steps: int
    splice_sources: bool = False
    kid: float | None
    kid_std: float | None
    fid: float | None
    share_copies: float | None
    feasible: bool
    num_images: int
    seconds: float
    remark: str | None = None
    kid_noise: float | None = Field(
        default=None,
        description="The part of `kid_std` not shared by trials, whose real images are the same.",
    )
    num_scored: int | None = Field(default=None, description="Images that `kid` is of; null where it was not kept.")


class TrialExample(Word):
    """An image of trial ``trial``, made small. ``number``: its place among the trial's images.

    Examples of one number are of one source and one seed, so that they differ by their trials' settings alone.
    """

    trial: int
    number: int
    sha256: Sha256
    size_bytes: int
    width_px: int
    height_px: int
    seed: int
    source_image_id: ImageId | None
    second_source_image_id: ImageId | None = None


class FoundSettings(Word):
    """Generation settings found by the search; fields of the same name are a generation's defaults."""

    strength: float
    guidance_scale: float
    lora_scale: float
    num_inference_steps: int
    splice_sources: bool = False


class SearchReport(Word):
    """All trials. ``best`` is the number of the one to generate with, null where none is feasible: that with the lowest
    KID, its noise added, or the lowest one with spliced sources within a standard error of it.

    Trials were scored on ``num_images`` images each, of one seed, against the images of ``reference_split``. The
    floors: real images against each other at ``real_floor``'s counts, and the sources' round trip at ``copy_floor``.
    """

    trials: list[SearchTrial]
    best: int | None
    stopped_because: str = Field(examples=["no_gain_expected"])
    expected_gain: float | None = Field(
        default=None, description="What one more trial was expected to lower KID by; null before that was asked."
    )
    num_images: int
    max_share_copies: float
    reference_split: str
    seen_by_adaptation: bool
    extractor: Extractor
    real_floor: Score
    copy_floor: Score | None


class SearchSoFar(Word):
    """What a running adaptation has tried; kept in its job's record, so that another worker goes on from it.

    ``made_with``: base model and extractor, each with its digest: trials of others cannot be compared.
    """

    made_with: str = ""

    trials: list[SearchTrial]
