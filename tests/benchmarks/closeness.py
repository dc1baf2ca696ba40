"""How often a report answers "yes" or "no" where the truth is known: sets of real images, some of them spoilt.

    python tests/benchmarks/closeness.py --data FOLDER            # FOLDER holds images/CLASS/*.jpg

In place of synthetic images stand other real ones of the class, as they are, with a share of them replaced by images of
another class, or all blurred. The features are those of the bundled extractor.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openmp  # noqa: F401  # before torch
import results_page
from base_model import loaded
from PIL import ImageFilter

from models.errors import DatasetUnusable
from models.evaluation.features import Features, extract
from models.evaluation.mini import load_mini
from service.contracts.quality import QualityReport
from service.registry import load_base_models
from service.reports.closeness import MARGIN, Answer, closeness
from service.settings import Settings
from worker.scoring import Comparison, score

_COUNTS = ((16, 24), (24, 24), (50, 48), (100, 100), (100, 200))
_BLUR_PX = 1.4
_OTHERS = {"real images": 0.0, "a tenth of another class": 0.1, "a fifth": 0.2, "two fifths": 0.4}
_BLURRED = f"all blurred ({_BLUR_PX:g} px)"


class Sets:
    """Features of every image of each class, as it is and blurred: (n, d)."""

    def __init__(self, folder: Path, base_model: Path) -> None:
        self.extractor = load_mini(base_model / "extractor")
        self.clean: dict[str, Features] = {}
        self.blurred: dict[str, Features] = {}
        for of_class in sorted(path for path in folder.iterdir() if path.is_dir()):
            name = of_class.name
            images = loaded({name: sorted(of_class.glob("*.jpg"))})[name]
            self.clean[name] = extract(self.extractor, images)
            self.blurred[name] = extract(
                self.extractor, [image.filter(ImageFilter.GaussianBlur(_BLUR_PX)) for image in images]
            )

    def drawn(
        self, name: str, kind: str, counts: tuple[int, int], rng: np.random.Generator
    ) -> tuple[Features, Features]:
        """A reference of real images of class ``name``, and others in the place of synthetic ones."""
        order = rng.permutation(len(self.clean[name]))
        reference, chosen = np.split(order[: sum(counts)], [counts[0]])
        others = (self.blurred if kind == _BLURRED else self.clean)[name][chosen].copy()
        foreign = round(_OTHERS.get(kind, 0.0) * len(others))
        names = list(self.clean)
        other = self.clean[names[(names.index(name) + 1) % len(names)]]
        others[:foreign] = other[rng.permutation(len(other))[:foreign]]
        return self.clean[name][reference], others

    def report(self, name: str, kind: str, counts: tuple[int, int], rng: np.random.Generator) -> QualityReport:
        """As the service would score such a set."""
        real, other = self.drawn(name, kind, counts, rng)
        return score(Comparison(name, real, other, "validation", seen_by_adaptation=False), self.extractor)


def rows(sets: Sets, draws: int) -> Iterator[list[str]]:
    """Of each kind, the share of answers at each pair of counts."""
    for kind in (*_OTHERS, _BLURRED):
        cells = []
        for counts in _COUNTS:
            rng = np.random.default_rng(0)
            answers = [
                closeness(sets.report(name, kind, counts, rng)).answer for name in sets.clean for _ in range(draws)
            ]
            yes, no = (100 * answers.count(answer) / len(answers) for answer in (Answer.YES, Answer.NO))
            cells.append(f"{yes:.0f}, {no:.0f}")
        yield [kind, *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=8, help="of each class")
    parser.add_argument("--page", type=Path, help="also write the section `closeness` of this page")
    arguments = parser.parse_args()
    try:
        sets = Sets(arguments.data / "images", Path(load_base_models(Settings())["mini"].path))
        table = list(rows(sets, arguments.draws))
    except (OSError, DatasetUnusable) as error:
        raise SystemExit(f"--data: {error}") from error
    header = ["in the place of synthetic images", *(f"{real} and {other} images" for real, other in _COUNTS)]
    text = (
        f"## How often a report says yes\n\n{results_page.provenance()}. "
        f'Answers *yes* and *no* to "as close to the real images as real images are to each other?" in per cent, '
        f"over {len(sets.clean)} classes of NEU and {arguments.draws} draws each; the rest "
        f"*cannot be said*. Counts are of the reference and of what is compared with it; the margin is "
        f"{100 * MARGIN:g} % of the reference's spread.\n\n{results_page.markdown_table(header, table)}"
    )
    print(text)
    if arguments.page is not None:
        results_page.write_section("closeness", text, arguments.page)


if __name__ == "__main__":
    main()
