"""What grows, and how fast: the lines of `scale.py` and their exponents.

A line has two exponents: the slope of log y against log n over all its points, by least squares, and that of the last
interval alone, where a fixed cost hides the least. The larger one is judged. Below a floor all values count as the
floor: differences that small are noise, and no exponent is drawn from them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

LARGEST_EXPONENT = 1.1
#: By unit: 5 ms, and what allocators keep or give back by chance.
FLOORS = {"s": 0.005, "ms": 5.0, "MiB": 16.0}
HEADER = ["against", "what", "measured", "exponent", "of the last interval", f"none above {LARGEST_EXPONENT}"]
REMARK = (
    "Exponents count what is below a floor as the floor: "
    + ", ".join(f"{floor:g} {unit}" for unit, floor in FLOORS.items() if unit != "s")
    + "."
)


@dataclass(frozen=True)
class Line:
    """One quantity at several sizes, two or more. ``what`` grows with ``of``; ``unit``: s, ms or MiB."""

    of: str
    what: str
    unit: str
    points: Mapping[int, float]

    @property
    def exponent(self) -> float:
        """Over all points."""
        return _slope(self._logs())

    @property
    def last_exponent(self) -> float:
        """Between the two largest sizes."""
        return _slope(self._logs()[-2:])

    @property
    def passes(self) -> bool:
        """Whether neither is above `LARGEST_EXPONENT`."""
        return max(self.exponent, self.last_exponent) <= LARGEST_EXPONENT

    def cells(self) -> list[str]:
        """A row of the table."""
        shown = ", ".join(f"{size:,}: {value:.3g}" for size, value in self.points.items())
        exponents = [f"{exponent:.2f}" for exponent in (self.exponent, self.last_exponent)]
        return [self.of, f"{self.what}, {self.unit}", shown, *exponents, "yes" if self.passes else "**no**"]

    def _logs(self) -> list[tuple[float, float]]:
        floor = FLOORS[self.unit]
        return [(math.log(size), math.log(max(value, floor))) for size, value in sorted(self.points.items())]


def _slope(points: list[tuple[float, float]]) -> float:
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
