"""The lines of `scale.py` as log-log plots, small multiples in one picture."""

import itertools
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import matplotlib
from PIL import Image
from scale_lines import Line

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

_COLUMNS, _SIDE_INCHES, _DPI = 2, 5.4, 85
_LEAST_SPAN = 100.0
_MARKERS = "osD^vPX*<>ph8"
_UNITS = {"s": "processor time, s", "MiB": "memory on top, MiB", "ms": "median, ms"}


def plot(lines: Sequence[Line], path: Path) -> None:
    """A panel for each thing that grows and each unit; slopes stand in the legends."""
    panels: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        panels.setdefault((line.of, line.unit), []).append(line)
    rows = -(-len(panels) // _COLUMNS)
    size = (_COLUMNS * _SIDE_INCHES, rows * _SIDE_INCHES)
    figure, axes = pyplot.subplots(rows, _COLUMNS, figsize=size, squeeze=False, layout="constrained")
    places = list(axes.flat)
    for place, ((of, unit), own) in zip(places, panels.items(), strict=False):
        _panel(place, own, of, unit)
    for place in places[len(panels) :]:
        place.axis("off")
    drawn = BytesIO()
    figure.savefig(drawn, dpi=_DPI)
    pyplot.close(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)


def _panel(axes: Axes, lines: Sequence[Line], of: str, unit: str) -> None:
    colours = pyplot.get_cmap("tab20").colors  # type: ignore[attr-defined]
    for line, marker, colour in zip(lines, itertools.cycle(_MARKERS), itertools.cycle(colours[::2] + colours[1::2])):
        shown = line.what.removesuffix(", processor time").removesuffix(", memory on top")
        axes.plot(
            list(line.points), list(line.points.values()), marker=marker, color=colour,
            label=f"{shown}: {line.exponent:.2f}",
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel=of, ylabel=_UNITS[unit])
    sizes = sorted({size for line in lines for size in line.points})
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    if high < _LEAST_SPAN * low:  # Or the noise of what stays the same would fill the panel.
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / _LEAST_SPAN**0.5, middle * _LEAST_SPAN**0.5)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1 + (len(lines) > 4))
