"""The quality report: FID, KID, density and coverage of a synthetic set, with what is needed to read them.

FID of few images is far above 0 even between two samples of one distribution, and it can be driven down by copying.
So a score never stands alone: beside it are the counts, the real floor and the synthetic score at the floor's counts,
the copy floor and the extractor. Whether images are copies is `copies`' question.
"""

from dataclasses import asdict, dataclass, field, replace

import numpy as np

from models.errors import DatasetUnusable, InvalidSettings
from models.evaluation.density import DensityScore, density_and_coverage
from models.evaluation.features import FeatureExtractor, Features
from models.evaluation.frechet import frechet_distance
from models.evaluation.intervals import (
    MIN_IMAGES,
    Interval,
    ScoreIntervals,
    fid_interval,
    kid_interval,
    score_intervals,
)
from models.evaluation.kernel import kernel_distance, kernel_spread
from models.evaluation.splits import SplitScore, split_scores, with_intervals

MIN_REAL, MIN_SYNTHETIC = 4, 2


@dataclass(frozen=True)
class QualitySettings:
    """``num_splits``: random halvings of the reals for the real floor; ``num_subsets``: for the spread of KID.

    ``num_replicates``: for the intervals.
    """

    num_splits: int = 20
    num_subsets: int = 100
    num_replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_splits < 2:
            raise InvalidSettings(
                f"num_splits is {self.num_splits}: no spread.", field="num_splits", remedy="Give at least 2."
            )


@dataclass(frozen=True)
class CopyFloor:
    """The real reference (``num_real``) against the autoencoder's round trip of real sources (``num_round_trip``).

    What copying every source exactly would score. A synthetic set at or below it deserves suspicion, not praise. The
    intervals take the two sets for independent; where the sources are the reference itself they are rather too wide.
    """

    fid: float
    kid: float
    kid_std: float
    num_real: int
    num_round_trip: int
    fid_interval: Interval | None = None
    kid_interval: Interval | None = None


@dataclass(frozen=True)
class ExtractorIdentity:
    """Which network and which resizing made the features; scores of two extractors are not comparable."""

    name: str
    digest: str
    resize_rule: str
    dim: int

    @classmethod
    def of(cls, extractor: FeatureExtractor) -> "ExtractorIdentity":
        """The identity that ``extractor`` states."""
        return cls(extractor.name, extractor.digest, extractor.resize_rule, extractor.dim)


@dataclass(frozen=True)
class QualityReport:
    """Scores of one class.

    ``fid``, ``kid``, ``kid_std``: all real against all synthetic images. ``real_floor`` (real against real) and
    ``matched`` (real against synthetic) are at the same counts and over the same splits: compare these two, whose
    difference in KID is ``kid_above_floor``; ``real_spread`` is a measure for it (see `kernel_spread`).
    ``seen_by_adaptation``: the reference holds images that the adapter was trained on. ``intervals``: at 95 %, of
    ``fid``, ``kid`` and ``density``; these and the other intervals are None with fewer than 5 images on a side.
    ``notes``: what was left out, and why.
    """

    fid: float
    kid: float
    kid_std: float
    density: DensityScore
    intervals: ScoreIntervals | None
    num_real: int
    num_synthetic: int
    extractor: ExtractorIdentity
    seen_by_adaptation: bool
    real_floor: SplitScore
    matched: SplitScore
    kid_above_floor: float
    kid_above_floor_interval: Interval | None
    real_spread: float
    copy_floor: CopyFloor | None
    settings: QualitySettings = field(default_factory=QualitySettings)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain numbers, strings, tuples and dictionaries, ready for JSON."""
        return asdict(self)


def assess(
    real: Features,
    synthetic: Features,
    extractor: ExtractorIdentity,
    *,
    seen_by_adaptation: bool,
    round_trip: Features | None = None,
    settings: QualitySettings = QualitySettings(),
) -> QualityReport:
    """Judge ``synthetic`` (m, d) against the reference ``real`` (n, d), both features of one ``extractor``.

    ``round_trip`` (k, d): the real sources through the base model's autoencoder, for the copy floor (two or more).
    Raises `DatasetUnusable` below 4 real or 2 synthetic images. What else needs more images than there are is None,
    with a note: the intervals and the copy floor.
    """
    _require(len(real), MIN_REAL, "real")
    _require(len(synthetic), MIN_SYNTHETIC, "synthetic")
    kernel = kernel_distance(real, synthetic, num_subsets=settings.num_subsets, seed=settings.seed)
    fid = frechet_distance(real, synthetic)
    splits = split_scores(real, synthetic, settings.num_splits, settings.seed)
    notes: list[str] = []
    intervals = _intervals(real, synthetic, settings, notes)
    if intervals is not None:
        splits = with_intervals(splits, intervals, real, fid, settings.seed)
    return QualityReport(
        fid=fid,
        kid=kernel.kid,
        kid_std=kernel.kid_std,
        density=density_and_coverage(real, synthetic),
        intervals=intervals,
        num_real=len(real),
        num_synthetic=len(synthetic),
        extractor=extractor,
        seen_by_adaptation=seen_by_adaptation,
        real_floor=splits.real_floor,
        matched=splits.matched,
        kid_above_floor=splits.kid_above_floor,
        kid_above_floor_interval=splits.kid_above_floor_interval,
        real_spread=kernel_spread(real.astype(np.float64)),
        copy_floor=None if round_trip is None else _copy_floor(real, round_trip, settings, notes),
        settings=settings,
        notes=tuple(notes),
    )


def _intervals(
    real: Features, synthetic: Features, settings: QualitySettings, notes: list[str]
) -> ScoreIntervals | None:
    found = score_intervals(real, synthetic, settings.num_replicates, settings.seed)
    if found is None:
        notes.append(
            f"No intervals: {len(real)} real and {len(synthetic)} synthetic images; they need {MIN_IMAGES} of each."
        )
    return found


def _copy_floor(real: Features, round_trip: Features, settings: QualitySettings, notes: list[str]) -> CopyFloor | None:
    if len(round_trip) < MIN_SYNTHETIC:
        notes.append(f"No copy floor: {len(round_trip)} source images; it needs {MIN_SYNTHETIC}.")
        return None
    kernel = kernel_distance(real, round_trip, num_subsets=settings.num_subsets, seed=settings.seed)
    floor = CopyFloor(frechet_distance(real, round_trip), kernel.kid, kernel.kid_std, len(real), len(round_trip))
    if min(len(real), len(round_trip)) < MIN_IMAGES:
        return floor
    return replace(
        floor,
        fid_interval=fid_interval(real, round_trip, seed=settings.seed),
        kid_interval=kid_interval(real, round_trip, settings.num_replicates, settings.seed),
    )


def _require(count: int, least: int, kind: str) -> None:
    if count < least:
        raise DatasetUnusable(
            f"A quality report needs at least {least} {kind} images; there are {count}.",
            field=kind, remedy=f"Add {least - count} or more.",
        )  # fmt: skip
