"""The figures in answers: scores beside their floors, what a search tried, what a recognition found."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Figures(BaseModel):
    """The base: unknown fields are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Interval(Figures):
    """A 95 % interval."""

    low: float
    high: float


class Estimate(Figures):
    """A figure with its 95 % interval."""

    value: float
    interval: Interval


class Score(Figures):
    """FID and KID between two sets of the stated sizes."""

    fid: float
    kid: float
    kid_std: float
    num_real: int
    num_other: int
    fid_interval: Interval | None = None
    kid_interval: Interval | None = None


class Extractor(Figures):
    """Which features a score stands on; scores of different extractors must never be compared."""

    name: str
    digest: str


class CopySummary(Figures):
    """How many images lie nearer to a real one than real ones lie to each other."""

    threshold: float | None
    num_checked: int
    num_copies: int


class Quality(Figures):
    """``score`` is the headline; ``matched`` and ``real_floor`` are at equal counts, so these two may be compared:
    ``kid_above_floor`` is the difference of their KID."""

    class_name: str
    extractor: Extractor
    score: Score
    fid_interval: Interval | None = None
    kid_interval: Interval | None = None
    density: Estimate | None = None
    coverage: Estimate | None = None
    expected_coverage: float | None = None
    matched: Score
    real_floor: Score
    kid_above_floor: Estimate | None = None
    copy_floor: Score | None
    copies: CopySummary | None
    reference_split: str
    seen_by_adaptation: bool
    seen_by_search: bool = False
    seen_as_sources: bool = False
    notes: list[str] = Field(default_factory=list)


class TrialExample(Figures):
    """One image of a trial, made small. Those of one ``number`` have one source and seed, and differ by their trials'
    settings alone."""

    trial: int
    number: int
    sha256: str
    width_px: int
    height_px: int
    links: dict[str, str]


class Trial(Figures):
    """One trial of the search: the settings tried, how its images scored, and a few of them."""

    number: int
    checkpoint: str
    strength: float
    guidance_scale: float
    lora_scale: float
    num_inference_steps: int
    splice_sources: bool = False
    kid: float | None
    fid: float | None
    share_copies: float | None
    feasible: bool
    num_images: int
    num_scored: int | None = None
    seconds: float
    examples: list[TrialExample] = Field(default_factory=list)


class FoundSettings(Figures):
    """Generation settings that the search found."""

    strength: float
    guidance_scale: float
    lora_scale: float
    num_inference_steps: int
    splice_sources: bool = False


class LossPoint(Figures):
    """One point of a loss curve."""

    stage: str
    step: int
    loss: float


class AdaptationResult(Figures):
    """What a succeeded adaptation job made."""

    adapter_id: str
    num_train_images: int
    checkpoint: str | None = None
    found: FoundSettings | None = None
    stage_seconds: dict[str, float]
    loss_curve: list[LossPoint]
    warnings: list[str] = Field(default_factory=list)


class Judging(Figures):
    """How the images came about: ``num_candidates`` were made, ``rejected`` by reason, the rest delivered."""

    num_candidates: int
    num_accepted: int
    acceptance_rate: float
    rejected: dict[str, int]


class GenerationResult(Figures):
    """What a succeeded generation job made."""

    num_images: int
    num_requested: int | None = None
    judging: Judging | None = None
    denoising_steps: int
    contact_sheet: str
    quality: Quality | None
    stage_seconds: dict[str, float]
    warnings: list[str] = Field(default_factory=list)


class EvaluationResult(Figures):
    """What a succeeded evaluation job found."""

    quality: Quality
    stage_seconds: dict[str, float]


class Verdict(StrEnum):
    """Whether synthetic images beside real ones help a classifier, by the 95 % interval of the lift."""

    GAIN_SHOWN = "gain_shown"
    NO_GAIN_SHOWN = "no_gain_shown"
    HARM_SHOWN = "harm_shown"


class ArmResult(Figures):
    """One way to train, over all seeds. ``confusion``: rows are true classes, columns are told ones."""

    arm: str
    ratio: float | None
    num_real: int
    num_synthetic: int
    accuracy: Estimate
    macro_f1: Estimate
    recall: dict[str, float]
    confusion: list[list[int]]


class Lift(Figures):
    """How much ``arm`` is above ``over``, as a share (0.03 is 3 points)."""

    arm: str
    over: str
    metric: str
    value: float
    interval: Interval


class RecognitionResult(Figures):
    """What a succeeded recognition job found; ``sentence`` says it in words."""

    classes: list[str]
    classifier: str
    verdict: Verdict
    sentence: str
    is_inconclusive: bool = False
    chosen_ratio: float
    arms: list[ArmResult]
    lifts: list[Lift]
    notes: list[str] = Field(default_factory=list)
