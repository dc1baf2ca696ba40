"""Whether the aim is met, in words that follow from the figures alone."""

from neu_findings import Findings, Mean, mean_over_splits, mean_over_splits_and_seeds, students_interval
from neu_plan import ARMS, MODES, WHOLE

REAL_AUGMENTED, REAL_PLUS_SYNTHETIC = "real_augmented", "real_plus_synthetic"
_LEAST_LIFT = 0.03
_AIMED = (WHOLE, "image_oriented")


def lift(findings: Findings, arm: str = REAL_PLUS_SYNTHETIC, over: str = REAL_AUGMENTED) -> Mean | None:
    """The paired difference of accuracy over splits and seeds; None where no recognition is finished."""
    runs = _lifts(findings, arm, over)
    return mean_over_splits_and_seeds(runs) if runs else None


def _lifts(findings: Findings, arm: str = REAL_PLUS_SYNTHETIC, over: str = REAL_AUGMENTED) -> list[list[float]]:
    """Paired differences of accuracy, one list a split."""
    return [
        [mine - theirs for mine, theirs in zip(one.runs[arm], one.runs[over], strict=True)]
        for one in findings.recognised
    ]


def named(arm: str, mode: str) -> str:
    """A row in words."""
    return f"{arm}, {mode.replace('_', ' ')}"


def verdict(findings: Findings) -> str:
    """Both halves of the aim, and what is not finished."""
    planned = len(findings.plan["classes"])
    done = len({cell.split for cell in findings.row(*_AIMED)})
    counted = f"{len(findings.recognised)} splits with recognition and {done} with rows, {planned} classes"
    return "\n".join([_of_recognition(findings), _of_rows(findings), f"- Finished: {counted}."])


def _of_recognition(findings: Findings) -> str:
    aim = f"{REAL_PLUS_SYNTHETIC} at least {100 * _LEAST_LIFT:.0f} points above {REAL_AUGMENTED}, interval above 0"
    found = lift(findings)
    if found is None:
        return f"- **Recognition** ({aim}): not measured."
    stricter = students_interval([sum(runs) / len(runs) for runs in _lifts(findings)])
    told = (
        "" if stricter is None else f" ({100 * stricter[0]:.1f} to {100 * stricter[1]:.1f} by Student's t over splits)"
    )
    above = found.low is not None and found.low > 0 and stricter is not None and stricter[0] > 0
    met = found.value >= _LEAST_LIFT and above
    return f"- **Recognition** ({aim}): **{'met' if met else 'missed'}**, {found.told(1, 100)} points{told}."


def _of_rows(findings: Findings) -> str:
    aim = f"`{named(*_AIMED)}` has the lowest KID of the rows that could be filled with images that are no copies"
    kids = {
        row: findings.by_split(findings.row(*row), "kid") for row in ((arm, mode) for arm in ARMS for mode in MODES)
    }
    passing = {row: of for row, of in kids.items() if of and all(cell.is_complete for cell in findings.row(*row))}
    if not kids[_AIMED]:
        return f"- **Quality** ({aim}): not measured."
    if _AIMED not in passing:
        return f"- **Quality** ({aim}): **missed**, it could not be filled itself."
    others = {row: of for row, of in passing.items() if row != _AIMED and of.keys() >= passing[_AIMED].keys()}
    if not others:
        return f"- **Quality** ({aim}): no other row competes."
    splits = list(passing[_AIMED])
    nearest = min(others, key=lambda row: sum(others[row][split] for split in splits))
    ahead = mean_over_splits([others[nearest][split] - passing[_AIMED][split] for split in splits])
    word = "missed" if ahead.value <= 0 else "met" if ahead.low is not None and ahead.low > 0 else "met, not shown"
    return (
        f"- **Quality** ({aim}): **{word}**; the KID of the best other row, `{named(*nearest)}`, is "
        f"{ahead.told(3)} higher (paired by split; below 0 it is the better one)."
    )
