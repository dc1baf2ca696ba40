"""The first question about synthetic images, answered in words: are they as close to the real ones as these are
to each other?"""

from dataclasses import dataclass
from enum import StrEnum

from service.contracts.quality import QualityReport
from service.reports.wording import figure, interval, percent

#: Fewer than this on either side of the comparison, and the kernel distance is noise.
MIN_COMPARED = 8
#: A difference below this share of the real images' spread counts as none. Where a fifth of the images are of another
#: class, or all are visibly blurred, it is above (tests/benchmarks/closeness.py).
MARGIN = 0.05


class Answer(StrEnum):
    """Of three, because small sets often allow no other than the third."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "cannot be said"


@dataclass(frozen=True)
class Closeness:
    """The answer and why it is that. ``caution``: what else must be known to read the scores, where there is such."""

    answer: Answer
    reason: str
    caution: str | None = None


def closeness(quality: QualityReport | None, other: str = "synthetic") -> Closeness:
    """What is said of the images that are compared with the real ones, by the name ``other``.

    Compares ``matched`` with ``real_floor``, which are at equal counts, by the 95 % interval of their difference.
    Where all of it lies below `MARGIN` of the real images' spread it is a yes; where it lies above 0, a no. Otherwise
    nobody can tell: no evidence of a difference is no evidence of there being none, and few images give no other.
    A yes that stands on images the adapter was trained on, or that the synthetic ones began as, is none: copies would
    earn it too. A no stands, because such scores flatter.
    """
    if quality is None:
        return Closeness(Answer.UNKNOWN, "No scores were computed for this class; the warnings say why.")
    matched, floor = quality.matched, quality.real_floor
    caution = _caution(quality)
    fewest = min(matched.num_real, matched.num_other)
    if fewest < MIN_COMPARED:
        few = f"The comparison has {fewest} images a side, and with fewer than {MIN_COMPARED} chance decides."
        return Closeness(Answer.UNKNOWN, few, caution)
    if quality.kid_above_floor is None or not quality.real_spread:
        return Closeness(Answer.UNKNOWN, "This report is of an earlier version: evaluate again for an answer.", caution)
    found, most = quality.kid_above_floor, quality.kid_above_floor.interval.high / quality.real_spread
    told = (
        f"at equal counts KID is {figure(matched.kid)} from {other} to real and {figure(floor.kid)} from real to real, "
        f"a difference of {figure(found.value)} (95 %: {interval(found.interval)})"
    )
    if most <= MARGIN:
        return _close(quality, told, caution)
    if found.interval.low > 0:
        return Closeness(Answer.NO, f"The {other} images differ from the real ones: {told}.", caution)
    reason = (
        f"The difference may be one of chance: {told}. One of up to {percent(most)} of the real images' own spread is "
        f"not excluded, and for a yes one above {percent(MARGIN)} must be. More images narrow it."
    )
    return Closeness(Answer.UNKNOWN, reason, caution)


def _close(quality: QualityReport, told: str, caution: str | None) -> Closeness:
    if quality.seen_by_adaptation or quality.seen_as_sources:
        seen = "that the adapter was trained on" if quality.seen_by_adaptation else "that they began as"
        return Closeness(Answer.UNKNOWN, f"The scores reach the floor ({told}), but on images {seen}.", caution)
    return Closeness(Answer.YES, f"No difference, or next to none: {told}.", caution)


def _caution(quality: QualityReport) -> str | None:
    if quality.seen_by_adaptation or quality.seen_as_sources:
        seen = "the adapter was trained on" if quality.seen_by_adaptation else "the synthetic ones began as"
        return (
            f"These scores flatter: the {quality.score.num_real} images they are measured by "
            f"({quality.reference_split}) are ones that {seen}. Upload more validation images of the class for scores "
            "that do not."
        )
    if not quality.seen_by_search:
        return None
    return (
        "The search chose checkpoint and settings by these very images, so the scores flatter a little. Evaluate "
        "against a test split for scores that do not."
    )
