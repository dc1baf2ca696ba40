"""From image sets to the quality report that clients read."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.evaluation import intervals, quality
from models.evaluation.features import FeatureExtractor, Features
from models.evaluation.splits import SplitScore
from service.contracts.quality import CopySummary, Estimate, Extractor, Interval, QualityReport, Score


@dataclass(frozen=True)
class Comparison:
    """Features to compare, each (N, d) of one extractor; see `models.evaluation.quality.assess`.

    ``copies``: how many of the other images are copies of real ones, where that was looked at.
    """

    class_name: str
    real: Features
    other: Features
    reference_split: str
    seen_by_adaptation: bool
    seen_by_search: bool = False
    seen_as_sources: bool = False
    round_trip: Features | None = None
    copies: CopySummary | None = None
    notes: Sequence[str] = ()


def score(comparison: Comparison, extractor: FeatureExtractor) -> QualityReport:
    """The report as clients read it. Raises `DatasetUnusable` for too few images."""
    found = quality.assess(
        comparison.real,
        comparison.other,
        quality.ExtractorIdentity.of(extractor),
        seen_by_adaptation=comparison.seen_by_adaptation,
        round_trip=comparison.round_trip,
    )
    fid_interval = _interval(found.intervals.fid if found.intervals else None)
    kid_interval = _interval(found.intervals.kid if found.intervals else None)
    return QualityReport(
        class_name=comparison.class_name,
        extractor=Extractor(name=extractor.name, digest=extractor.digest, resize_rule=extractor.resize_rule),
        score=Score(
            fid=found.fid,
            kid=found.kid,
            kid_std=found.kid_std,
            num_real=found.num_real,
            num_other=found.num_synthetic,
            fid_interval=fid_interval,
            kid_interval=kid_interval,
        ),
        fid_interval=fid_interval,
        kid_interval=kid_interval,
        density=_estimate(found.density.density, found.intervals.density) if found.intervals else None,
        coverage=_estimate(found.density.coverage, found.intervals.coverage) if found.intervals else None,
        expected_coverage=found.density.expected_coverage if found.intervals else None,
        matched=_of_splits(found.matched),
        real_floor=_of_splits(found.real_floor),
        kid_above_floor=_estimate(found.kid_above_floor, found.kid_above_floor_interval),
        real_spread=found.real_spread,
        copy_floor=_of_copies(found.copy_floor),
        copies=comparison.copies,
        reference_split=comparison.reference_split,
        seen_by_adaptation=found.seen_by_adaptation,
        seen_by_search=comparison.seen_by_search,
        seen_as_sources=comparison.seen_as_sources,
        notes=[*comparison.notes, *found.notes],
    )


def _interval(found: intervals.Interval | None) -> Interval | None:
    return Interval(low=found.low, high=found.high) if found is not None else None


def _estimate(value: float, found: intervals.Interval | None) -> Estimate | None:
    return Estimate(value=value, interval=Interval(low=found.low, high=found.high)) if found is not None else None


def _of_splits(found: SplitScore) -> Score:
    return Score(
        fid=found.fid, kid=found.kid, kid_std=found.kid_std, num_real=found.num_first, num_other=found.num_second,
        fid_interval=_interval(found.fid_interval), kid_interval=_interval(found.kid_interval),
    )  # fmt: skip


def _of_copies(found: quality.CopyFloor | None) -> Score | None:
    if found is None:
        return None
    return Score(
        fid=found.fid, kid=found.kid, kid_std=found.kid_std, num_real=found.num_real, num_other=found.num_round_trip,
        fid_interval=_interval(found.fid_interval), kid_interval=_interval(found.kid_interval),
    )  # fmt: skip
