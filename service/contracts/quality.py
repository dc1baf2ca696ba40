"""Quality of an image set against real images: scores beside the floors that give them meaning."""

from pydantic import Field

from service.contracts.words import Word

#: From so many validation images on they are what is scored against; with fewer, the train images are.
MIN_VALIDATION_IMAGES = 8


class Extractor(Word):
    """Which features a score stands on; scores of different extractors must never be compared."""

    name: str
    digest: str
    resize_rule: str


class Interval(Word):
    """A 95 % interval."""

    low: float
    high: float


class Estimate(Word):
    """A figure with its 95 % interval."""

    value: float
    interval: Interval


class Score(Word):
    """FID and KID between two sets of the stated sizes.

    ``kid_std``: the spread of KID between random halves of the images, or between splits where the score is a mean over
    splits. The intervals are those of the score itself: of KID by bootstrap, of FID by jackknife, since images drawn
    twice would raise FID. None below 5 images a side (6 real ones for the floor's FID), and in reports of earlier
    versions.
    """

    fid: float
    kid: float
    kid_std: float
    num_real: int
    num_other: int
    fid_interval: Interval | None = None
    kid_interval: Interval | None = None


class CopySummary(Word):
    """How many images lie nearer to a real one than real ones lie to each other (5th percentile, or the one that the
    generation's copy gate was given; deduplicated), in features or in moved and mirrored pixels. ``threshold``: of the
    features; null where these decide nothing.
    """

    threshold: float | None
    num_checked: int
    num_copies: int


class QualityReport(Word):
    """``score`` is the headline. ``matched`` and ``real_floor`` are at equal counts, so they may be compared:
    ``kid_above_floor`` is the difference of their KID, 0 in the mean where nothing differs. ``real_spread``: how far
    the real images lie from each other, in the same unit.

    ``real_floor``: halves of the real images against each other, the best that is possible. ``copy_floor``: the
    sources after the VAE's round trip, what plain copying would score. ``density`` and ``coverage`` (arXiv 2002.09797)
    tell faithfulness and variety; as many unseen real images would cover ``expected_coverage``, less than 1 where they
    are few.
    """

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
    real_spread: float | None = None
    copy_floor: Score | None
    copies: CopySummary | None
    reference_split: str
    seen_by_adaptation: bool = Field(description="True where the adapter was trained on the reference images.")
    seen_by_search: bool = Field(
        default=False, description="True where the search chose checkpoint and settings by the reference images."
    )
    seen_as_sources: bool = Field(
        default=False, description="True where the images began as reference images, partially noised."
    )
    notes: list[str] = Field(default_factory=list)
