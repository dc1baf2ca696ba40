"""From a drawing to SVG text for a page: the same data gives the same bytes, and colours follow the page's theme."""

import io
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours that the page's style sheet decides: each stands for a custom property of it.
INK, MUTED, RULE, PAPER = "#010101", "#020202", "#030303", "#040404"
REAL, SYNTHETIC, BAD = "#050505", "#060606", "#070707"
_PROPERTIES = {
    INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper",
    REAL: "--real", SYNTHETIC: "--synthetic", BAD: "--bad",
}  # fmt: skip
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "defectsynth", "font.size": 9.0, "font.family": "DejaVu Sans",
    "text.color": INK, "axes.edgecolor": RULE, "axes.labelcolor": MUTED, "axes.linewidth": 0.8,
    "axes.spines.top": False, "axes.spines.right": False, "xtick.color": RULE, "ytick.color": RULE,
    "xtick.labelcolor": MUTED, "ytick.labelcolor": MUTED, "grid.color": RULE, "grid.linewidth": 0.5,
    "axes.axisbelow": True, "legend.frameon": False, "legend.fontsize": 8.0, "errorbar.capsize": 2.5,
    "axes.facecolor": "none", "figure.facecolor": "none", "text.parse_math": False,
}  # fmt: skip
#: matplotlib's settings are one dictionary a process, so one thread draws at a time.
_DRAWING = threading.Lock()
_NAMELESS = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_ASIDE = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)
_IDS = re.compile(r'<g id="[^"]*">')
_ATTRIBUTES = re.compile(r' (?:xmlns(?::xlink)?|version|width|height)="[^"]*"')
_FONTS = re.compile(r"font-family: [^;\"]*;?")


class Svg(str):
    """An ``svg`` element, which templates insert as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        """Asked for by whatever escapes text: this is markup already."""
        return str(self)


def drawn(draw: Callable[["Axes"], None], width_in: float = 4.2, height_in: float = 3.2) -> Svg:
    """What ``draw`` puts on empty axes, as an ``svg`` element without size, address or date of its own."""
    # Imported at the first drawing: half a second that the start of the API should not take.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    text = io.StringIO()
    with _DRAWING, rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(width_in, height_in), layout="tight")
        draw(figure.add_subplot())
        figure.savefig(text, format="svg", metadata=_NAMELESS)
    return Svg(_as_part_of_a_page(text.getvalue()))


def _as_part_of_a_page(svg: str) -> str:
    svg = _ASIDE.sub("", _HEAD.sub("", svg, count=1))
    opening, rest = svg.split(">", 1)
    svg = f'{_ATTRIBUTES.sub("", opening)} aria-hidden="true" focusable="false">{_IDS.sub("<g>", rest)}'
    svg = _FONTS.sub("", svg).replace("xlink:href", "href")
    for colour, name in _PROPERTIES.items():
        svg = svg.replace(colour, f"var({name})")
    return re.sub(r"\n\s*", "\n", svg).strip()
