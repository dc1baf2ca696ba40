"""Whether the aim is met, in words that follow from the figures alone."""

from collections.abc import Mapping, Sequence

from neu_findings import Findings, Mean, mean_over_splits, mean_over_splits_and_seeds, students_interval
from neu_plan import ARMS, MODES, WHOLE

#: An arm and a mode.
Row = tuple[str, str]
#: KID of a split's class.
Cells = Mapping[tuple[int, str], float]

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
    mine = _filled(findings, _AIMED)
    if not mine:
        return f"- **Quality** ({aim}): not measured."
    if len(mine) < len(findings.row(*_AIMED)):
        return f"- **Quality** ({aim}): **missed**, it could not be filled itself."
    rows = [(arm, mode) for arm in ARMS for mode in MODES if (arm, mode) != _AIMED]
    ahead = {row: _ahead(mine, _filled(findings, row)) for row in rows}
    apart = {row: found for row, found in ahead.items() if found}
    if not apart:
        return f"- **Quality** ({aim}): no other row competes."
    nearest = min(apart, key=lambda row: sum(apart[row]) / len(apart[row]))
    mean, stricter = mean_over_splits(apart[nearest]), students_interval(apart[nearest])
    shown = mean.low is not None and mean.low > 0 and stricter is not None and stricter[0] > 0
    word = "missed" if mean.value <= 0 else "met" if shown else "met, not shown"
    by_t = "" if stricter is None else f", {stricter[0]:.3f} to {stricter[1]:.3f} by Student's t"
    return (
        f"- **Quality** ({aim}): **{word}**; the KID of the best other row, `{named(*nearest)}`, is "
        f"{mean.told(3)} higher (paired by split and class{by_t}; below 0 it is the better one)."
        f"{_short(findings, rows)}"
    )


def _filled(findings: Findings, row: Row) -> dict[tuple[int, str], float]:
    """KID by split and class, of those that have as many images as asked for."""
    return {(cell.split, cell.class_name): cell.kid for cell in findings.row(*row) if cell.is_complete}


def _ahead(mine: Cells, theirs: Cells) -> list[float]:
    """By how much ``theirs`` is higher, one value a split: the mean over the classes that both have."""
    by_split: dict[int, list[float]] = {}
    for split, name in mine.keys() & theirs.keys():
        by_split.setdefault(split, []).append(theirs[split, name] - mine[split, name])
    return [sum(of) / len(of) for _, of in sorted(by_split.items())]


def _short(findings: Findings, rows: Sequence[Row]) -> str:
    """Says which rows are compared on fewer classes, because the rest could not be filled or scored."""
    all_of_them = len(_filled(findings, _AIMED))
    counts = {row: len(_filled(findings, row)) for row in rows}
    told = [f"`{named(*row)}` by {count} of {all_of_them}" for row, count in counts.items() if count < all_of_them]
    return f" Compared by fewer classes, the rest being short of images: {', '.join(told)}." if told else ""
