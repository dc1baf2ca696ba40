"""The words of a search: what it may spend, what a trial showed, and which trial is the best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import InvalidSettings
from models.search.space import Candidate


@dataclass(frozen=True)
class SearchSettings:
    """What a search may spend and when it is satisfied.

    ``max_share_copies``: share of a trial's images, in [0, 1], that may be copies of real ones. ``num_sweep``: trials
    over the range of strength at the most trained checkpoint, from which quality is drawn against strength;
    ``num_spread``: trials that vary all settings. It never stops for want of gain before ``min_trials``, nor before
    both are over. ``noise_share``: the share of the lowest trial's ``kid_noise`` that counts as noise in that. All
    trials use the same seeds, so that the difference of two scores is known better than either: it is below 1.
    """

    max_trials: int = 16
    max_share_copies: float = 0.5
    seed: int = 0
    num_sweep: int = 4
    num_spread: int = 3
    min_trials: int = 10
    noise_share: float = 0.5

    def __post_init__(self) -> None:
        for name, least, most in (
            ("max_trials", 1, math.inf), ("max_share_copies", 0, 1), ("num_sweep", 0, math.inf),
            ("num_spread", 0, math.inf), ("min_trials", 1, math.inf), ("noise_share", 0, math.inf),
        ):  # fmt: skip
            value = getattr(self, name)
            if not least <= value <= most:
                raise InvalidSettings(f"The search's {name} is {value}.", field=name, remedy=f"Give {least} to {most}.")


@dataclass(frozen=True)
class Observation:
    """How the images of a candidate scored; ``remark`` says why they cannot be used, with scores then possibly none.

    ``kid``, ``kid_std``: against the reference, lower is better; of the ``num_scored`` images that are no copies, where
    few enough are. ``fid``: of as many in every trial. ``share_copies`` in [0, 1] of ``num_images``. ``kid_noise``: the
    part of the spread that trials do not share, being scored against the same real images; all of it where it is not
    known.
    """

    kid: float | None
    kid_std: float | None
    fid: float | None
    share_copies: float | None
    num_images: int
    seconds: float
    remark: str | None = None
    kid_noise: float | None = None
    num_scored: int | None = None

    @classmethod
    def failed(cls, remark: str, seconds: float, num_images: int = 0) -> "Observation":
        """No scores, and why."""
        return cls(None, None, None, None, num_images, seconds, remark)

    @property
    def is_scored(self) -> bool:
        """Whether the objective and the constraint are finite numbers and nothing speaks against using them."""
        numbers = (self.kid, self.kid_std, self.share_copies)
        return self.remark is None and all(number is not None and math.isfinite(number) for number in numbers)


@dataclass(frozen=True)
class Trial:
    """Trial ``number`` (from 0) of a search. ``feasible``: its images can be used and few enough are copies."""

    number: int
    candidate: Candidate
    observation: Observation
    feasible: bool

    @property
    def kid(self) -> float:
        """The objective of a scored trial; infinite for one that has none."""
        return _or_infinite(self.observation.kid) if self.observation.is_scored else math.inf

    @property
    def kid_std(self) -> float:
        """The objective's spread; infinite for a trial that has none."""
        return _or_infinite(self.observation.kid_std) if self.observation.is_scored else math.inf

    @property
    def kid_noise(self) -> float:
        """How far luck may have moved the objective, against other trials of the search."""
        noise = self.observation.kid_noise
        return noise if noise is not None and math.isfinite(noise) else self.kid_std

    @property
    def cautious_kid(self) -> float:
        """KID with its noise added: few images left by the copy gate may score well by chance alone."""
        return self.kid + self.kid_noise

    @property
    def share_copies(self) -> float:
        """The share of copies; 1 where the images could not be judged, so that a model of it keeps away from there."""
        share = self.observation.share_copies
        return share if share is not None and self.observation.is_scored else 1.0


def lowest_trial(trials: Sequence[Trial]) -> Trial | None:
    """The feasible trial with the lowest KID, luck allowed for, then the first; none where none is feasible."""
    feasible = [trial for trial in trials if trial.feasible]
    return min(feasible, key=lambda trial: (trial.cautious_kid, trial.number)) if feasible else None


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The feasible trial to generate with: the lowest, or the lowest spliced one within a standard error of it.

    The one-standard-error rule (Breiman et al., Classification and Regression Trees, 1984), for variety: n sources make
    n (n - 1) pairs, and of many images those of pairs differ more, which KID of a trial's few cannot see, and which
    helped a classifier most (tests/benchmarks/synthetic_images.py). ``kid_noise``, the spread of halves, is the
    standard error of the difference of two trials that are not paired: root two for the halves, root two for the two.
    """
    lowest = lowest_trial(trials)
    if lowest is None:
        return None
    highest = lowest.cautious_kid + lowest.kid_noise
    spliced = [one for one in trials if one.candidate.splice_sources and one.cautious_kid <= highest]
    return lowest_trial(spliced) or lowest


def why_none(trials: Sequence[Trial]) -> str:
    """In a sentence or two, why none of ``trials`` is feasible."""
    broken = [trial.observation.remark for trial in trials if not trial.observation.is_scored]
    scored = [trial for trial in trials if trial.observation.is_scored]
    said = f"None of {len(trials)} trials can be used."
    if scored:
        least = min(scored, key=lambda trial: trial.share_copies)
        said += (
            f" Too many images are copies in {len(scored)} of them; the fewest were "
            f"{100 * least.share_copies:.0f} %, at strength {least.candidate.strength:g}."
        )
    if broken:
        said += f" {len(broken)} could not be scored, the last because: {broken[-1] or 'its score is no number'}"
    return said


def _or_infinite(number: float | None) -> float:
    return math.inf if number is None else number
