"""The first question about synthetic images, answered in words: are they as close to the real ones as these are
to each other?"""

from dataclasses import dataclass
from enum import StrEnum

from service.contracts.quality import QualityReport
from service.reports.wording import figure

#: Fewer than this on either side of the comparison, and the kernel distance is noise.
MIN_COMPARED = 8
#: Up to one spread above the floor is as good as the floor; beyond two it is not; between the two nobody can tell.
_CLEARLY_ABOVE = 2.0


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
    """Compares ``matched`` with ``real_floor``, which are at equal counts.

    Their spread is that of one random split. A yes that stands on images the adapter was trained on is none: an
    adapter that has learned them by heart would earn it too. A no stands, because such scores flatter.
    """
    if quality is None:
        return Closeness(Answer.UNKNOWN, "No scores were computed for this class; the warnings say why.")
    matched, floor = quality.matched, quality.real_floor
    caution = _caution(quality)
    fewest = min(matched.num_real, matched.num_other)
    if fewest < MIN_COMPARED:
        few = f"The comparison has {fewest} images a side, and with fewer than {MIN_COMPARED} chance decides."
        return Closeness(Answer.UNKNOWN, few, caution)
    spread = max(matched.kid_std, floor.kid_std)
    above = matched.kid - floor.kid
    told = (
        f"at equal counts KID is {figure(matched.kid)} from synthetic to real and {figure(floor.kid)} from real to "
        f"real, with a spread of {figure(spread, 2)} between random splits"
    )
    if above > _CLEARLY_ABOVE * spread:
        return Closeness(Answer.NO, f"The synthetic images differ from the real ones: {told}.", caution)
    if above > spread:
        return Closeness(Answer.UNKNOWN, f"The difference is too near to the spread to tell: {told}.", caution)
    if quality.seen_by_adaptation:
        reason = f"The scores reach the floor ({told}), but on images that the adapter was trained on."
        return Closeness(Answer.UNKNOWN, reason, caution)
    return Closeness(Answer.YES, f"No difference beyond chance: {told}.", caution)


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
