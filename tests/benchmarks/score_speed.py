"""What FID and KID cost against the usual way, the square root of two covariances' product; and a trial of the search
beyond its images. Prints two tables.

python tests/benchmarks/score_speed.py --images 300 --dim 2048
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import openmp  # noqa: F401  # before torch
import results_page
import scipy.linalg
import torch
from adapted_classes import CONFIG, classes
from results_page import markdown_table

from models.adapter import load_adapter
from models.diffusion.base_model import load_base_model
from models.evaluation.copies import CopyGate
from models.evaluation.features import Features, extract
from models.evaluation.frechet import frechet_distance
from models.evaluation.kernel import kernel_distance
from models.evaluation.mini import load_mini
from models.generation.engine import Sample
from models.progress import no_progress
from models.search.scoring import TrialMaterial, TrialScorer
from models.search.space import Candidate

_MINI = results_page.ROOT / "models" / "prior" / "mini"
_CANDIDATE = Candidate("lora", CONFIG.strength, CONFIG.guidance_scale, 1.0, CONFIG.num_inference_steps)


def by_square_root(x: Features, y: Features) -> float:
    """FID as pytorch-fid and its kin compute it."""
    shift, first, second = x.mean(axis=0) - y.mean(axis=0), np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fewer images than features the product is singular
        root = scipy.linalg.sqrtm(first @ second)
    return float(shift @ shift + np.trace(first) + np.trace(second) - 2.0 * np.trace(root.real))


class TimedScorer(TrialScorer):
    """``drawing_seconds``: of the last trial, until its images were there."""

    drawing_seconds = 0.0

    def _drawn(self, candidate: Candidate) -> list[Sample]:
        begun = time.perf_counter()
        samples = super()._drawn(candidate)
        self.drawing_seconds = time.perf_counter() - begun
        return samples


def of_a_trial(num_images: int, rounds: int) -> str:
    """The table of a trial's parts, with `mini` as it is registered, 20 real images and as many to score against."""
    base = load_base_model(str(_MINI), name="mini", bfloat16_on_cpu=True)
    extractor, checking = load_mini(_MINI / "extractor"), 0.0
    with tempfile.TemporaryDirectory() as scratch:
        [one] = classes(base, 1, 1, 2, Path(scratch))
        adapter = load_adapter(one.folder)
    gate = CopyGate.fit(one.real, extract(extractor, one.real))

    def are_copies(samples: Sequence[Sample], features: Features) -> list[bool]:
        nonlocal checking
        begun = time.perf_counter()
        verdicts = gate.judge([each.image for each in samples], features, [each.source_indices for each in samples])
        checking = time.perf_counter() - begun
        return [verdict.is_copy for verdict in verdicts]

    scorer = TimedScorer(
        TrialMaterial(
            base, one.sources, {_CANDIDATE.checkpoint: adapter}, extract(extractor, one.held_out), extractor,
            are_copies, num_images, CONFIG.batch_size,
        ),
        no_progress, max_trials=rounds + 1,
    )  # fmt: skip
    parts: dict[str, list[float]] = {"drawing them": [], "copy check": [], "features and scores": []}
    for number in range(rounds + 1):
        begun = time.perf_counter()
        scorer(_CANDIDATE)
        whole = time.perf_counter() - begun
        if number:  # The first round warms up.
            taken = (scorer.drawing_seconds, checking, whole - scorer.drawing_seconds - checking)
            for part, seconds in zip(parts.values(), taken, strict=True):
                part.append(seconds)
    medians = {name: statistics.median(part) for name, part in parts.items()}
    medians["beyond its images"] = medians["copy check"] + medians["features and scores"]
    whole = medians["drawing them"] + medians["beyond its images"]
    rows = [[name, f"{median:.3f}", f"{100 * median / whole:.1f} %"] for name, median in medians.items()]
    return markdown_table([f"a trial of {num_images} images, {base.precision}", "s", "of the trial"], rows)


def main() -> None:
    """Measure by turns, print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--trial", type=int, default=24, help="images of a trial")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(arguments.images, arguments.dim))
    y = rng.normal(0.1, 1.0, size=(arguments.images, arguments.dim))
    ways: dict[str, Callable[[], object]] = {
        "FID by scipy.linalg.sqrtm": lambda: by_square_root(x, y),
        "FID": lambda: frechet_distance(x, y),
        "KID with its spread over 100 subsets": lambda: kernel_distance(x, y),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - begun)
    usual = statistics.median(next(iter(seconds.values())))
    rows = [
        [name, f"{statistics.median(taken):.3f}", f"{usual / statistics.median(taken):.0f}"]
        for name, taken in seconds.items()
    ]
    print(f"`{results_page.command()}`, commit {results_page.commit()}, {results_page.machine()}\n")
    print(markdown_table([f"{arguments.images} x {arguments.dim} against as many", "s", "times faster"], rows))
    print(f"\n{of_a_trial(arguments.trial, arguments.rounds)}")


if __name__ == "__main__":
    main()
