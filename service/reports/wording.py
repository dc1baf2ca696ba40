"""Numbers, times and short words as a page shows them."""

import math
from datetime import UTC, datetime

from service.contracts.quality import Interval
from service.contracts.recognitions import Verdict

MISSING = "–"
_STAGES = {"lora": "LoRA"}
_VERDICTS = {
    Verdict.GAIN_SHOWN: "Gain shown",
    Verdict.NO_GAIN_SHOWN: "No gain shown",
    Verdict.HARM_SHOWN: "Harm shown",
}


def figure(value: float | None, significant: int = 3) -> str:
    """``value`` to so many significant digits, never in powers of ten; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    decimals = max(significant - 1 - math.floor(math.log10(abs(value))), 0)
    return f"{value:.{min(decimals, 6)}f}"


def setting(value: object) -> str:
    """A setting's value; a switch is yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def interval(given: Interval | None, significant: int = 3) -> str:
    """``low to high``; empty where there is none."""
    if given is None:
        return ""
    return f"{figure(given.low, significant)} to {figure(given.high, significant)}"


def percent(share: float | None, decimals: int = 0) -> str:
    """A share in [0, 1] as a percentage."""
    if share is None or not math.isfinite(share):
        return MISSING
    return f"{100 * share:.{decimals}f} %"


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    text = f"{100 * share:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def points_interval(given: Interval) -> str:
    """An interval of a difference, in percentage points."""
    return f"{points(given.low)} to {points(given.high)}"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if round(seconds) < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def moment(at: datetime) -> str:
    """A time in UTC, to the minute."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def stage(name: str) -> str:
    """A stage's name in words."""
    return _STAGES.get(name, name.replace("_", " "))


def verdict_words(verdict: Verdict, is_inconclusive: bool) -> str:
    """A recognition's verdict; of one that concludes nothing it is none."""
    return "Nothing can be concluded" if is_inconclusive else _VERDICTS[verdict]


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """``1 image``, ``2 images``."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
