"""The first question about synthetic images, answered in words: are they as close to the real ones as these are
to each other?"""

from dataclasses import dataclass
from enum import StrEnum

from service.contracts.quality import QualityReport
from service.reports.wording import figure, interval

#: Fewer than this on either side of the comparison, and the kernel distance is noise.
MIN_COMPARED = 8
#: What of an interval's reach below its value is about one standard error.
_STANDARD_ERROR = 0.5


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


def closeness(quality: QualityReport | None) -> Closeness:
    """Compares ``matched`` with ``real_floor``, which are at equal counts, by the 95 % interval of their difference.

    Wholly above 0 it is a no; a difference within about one standard error is a yes; between the two nobody can tell.
    A yes that stands on images the adapter was trained on is none: an adapter that has learned them by heart would earn
    it too. A no stands, because such scores flatter.
    """
    if quality is None:
        return Closeness(Answer.UNKNOWN, "No scores were computed for this class; the warnings say why.")
    matched, floor = quality.matched, quality.real_floor
    caution = _caution(quality)
    fewest = min(matched.num_real, matched.num_other)
    if fewest < MIN_COMPARED:
        few = f"The comparison has {fewest} images a side, and with fewer than {MIN_COMPARED} chance decides."
        return Closeness(Answer.UNKNOWN, few, caution)
    above, reach, how_sure = _difference(quality)
    told = (
        f"at equal counts KID is {figure(matched.kid)} from synthetic to real and {figure(floor.kid)} from real to "
        f"real, {how_sure}"
    )
    if above > reach:
        return Closeness(Answer.NO, f"The synthetic images differ from the real ones: {told}.", caution)
    if above > _STANDARD_ERROR * reach:
        return Closeness(Answer.UNKNOWN, f"The difference may be one of chance: {told}.", caution)
    if quality.seen_by_adaptation:
        reason = f"The scores reach the floor ({told}), but on images that the adapter was trained on."
        return Closeness(Answer.UNKNOWN, reason, caution)
    return Closeness(Answer.YES, f"No difference beyond chance: {told}.", caution)


def _difference(quality: QualityReport) -> tuple[float, float, str]:
    """How far above the floor, how far it would reach by chance, and both in words.

    Reports of earlier versions have no interval: twice the spread of a single split stands for it.
    """
    found = quality.kid_above_floor
    if found is None:
        spread = max(quality.matched.kid_std, quality.real_floor.kid_std)
        told = f"with a spread of {figure(spread, 2)} between random splits"
        return quality.matched.kid - quality.real_floor.kid, 2 * spread, told
    told = f"a difference of {figure(found.value)} (95 %: {interval(found.interval)})"
    return found.value, found.value - found.interval.low, told


def _caution(quality: QualityReport) -> str | None:
    if quality.seen_by_search:
        return (
            "The search chose checkpoint and settings by these very images, so the scores flatter a little. Evaluate "
            "against a test split for scores that do not."
        )
    if not quality.seen_by_adaptation:
        return None
    return (
        f"These scores flatter: the {quality.score.num_real} images they are measured by ({quality.reference_split}) "
        "are ones that the adapter was trained on. Upload more validation images of the class for scores that do not."
    )
