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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmp  # noqa: F401  # before torch
import results_page
import scipy.linalg
import torch
from adapted_classes import CONFIG, classes, hardly_trained
from PIL import Image
from results_page import markdown_table

from models.adapter import Adapter, load_adapter
from models.diffusion.base_model import BaseModel, load_base_model
from models.evaluation.copies import CopyGate
from models.evaluation.features import FeatureExtractor, Features, extract
from models.evaluation.frechet import frechet_distance
from models.evaluation.kernel import kernel_distance
from models.evaluation.mini import load_mini
from models.generation.engine import Sample, encode_sources
from models.imaging.fit import FitPolicy
from models.prior.samples import write_samples
from models.progress import no_progress
from models.search.proposals import propose
from models.search.scoring import TrialMaterial, TrialScorer
from models.search.space import Candidate, SearchSpace
from models.search.stopping import expected_gain
from models.search.trials import Observation, SearchSettings, Trial

_MINI = results_page.ROOT / "models" / "prior" / "mini"
_REAL = (20, 100, 300)
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


@dataclass(frozen=True)
class Material:
    """What a search of drawn surfaces stands on; an adapter that was hardly trained costs what another does."""

    base: BaseModel
    extractor: FeatureExtractor
    adapter: Adapter
    real: list[Image.Image]

    @classmethod
    def of(cls, most: int, scratch: Path) -> "Material":
        """With so many real images."""
        base = load_base_model(str(_MINI), name="mini", bfloat16_on_cpu=True)
        [one] = classes(base, hardly_trained(2), 1, 1, scratch)
        write_samples(scratch / "many", images_per_class=most)
        real = [Image.open(path).convert("RGB") for path in sorted((scratch / "many/train" / one.name).glob("*.png"))]
        return cls(base, load_mini(_MINI / "extractor"), load_adapter(one.folder), real)


def of_a_trial(material: Material, num_real: int, num_images: int, rounds: int) -> dict[str, float]:
    """Median seconds of a trial's parts, with so many real images to be copied and to be scored against."""
    base, extractor, real, checking = material.base, material.extractor, material.real[:num_real], 0.0
    features_of_real = extract(extractor, real)
    gate = CopyGate.fit(real, features_of_real)

    def are_copies(samples: Sequence[Sample], features: Features) -> list[bool]:
        nonlocal checking
        begun = time.perf_counter()
        verdicts = gate.judge([each.image for each in samples], features, [each.source_indices for each in samples])
        checking = time.perf_counter() - begun
        return [verdict.is_copy for verdict in verdicts]

    scorer = TimedScorer(
        TrialMaterial(
            base, encode_sources(base, real, FitPolicy.RESIZE), {_CANDIDATE.checkpoint: material.adapter},
            features_of_real, extractor, are_copies, num_images, base.batch_size, reference_is_sources=True,
        ),
        no_progress, max_trials=rounds + 1,
    )  # fmt: skip
    parts: dict[str, list[float]] = {"its images": [], "are they copies?": [], "features and scores": []}
    for number in range(rounds + 1):
        begun = time.perf_counter()
        scorer(_CANDIDATE)
        whole = time.perf_counter() - begun
        if number:  # The first round warms up.
            taken = (scorer.drawing_seconds, checking, whole - scorer.drawing_seconds - checking)
            for part, seconds in zip(parts.values(), taken, strict=True):
                part.append(seconds)
    return {name: statistics.median(part) for name, part in parts.items()}


def of_a_proposal(rounds: int) -> float:
    """Median seconds of asking the model after twelve trials: is another worth it, and which?"""
    space = SearchSpace(checkpoints=("token@100", "lora@125", "lora@250"))
    settings, rng = SearchSettings(), np.random.default_rng(0)
    trials = [
        Trial(number, space.drawn(rng), Observation(rng.random(), 0.1, 1.0, 0.2, 20, 1.0, kid_noise=0.05), True)
        for number in range(12)
    ]
    taken = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        expected_gain(space, settings, trials)
        propose(space, settings, trials)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken[1:])


def trials(num_images: int, rounds: int) -> str:
    """The table."""
    with tempfile.TemporaryDirectory() as scratch:
        material = Material.of(max(_REAL), Path(scratch))
        found = {count: of_a_trial(material, count, num_images, rounds) for count in _REAL}
    proposal = of_a_proposal(rounds)
    for of_it in found.values():
        of_it["beyond its images"] = sum(of_it.values()) - of_it["its images"]
        of_it["a proposal by the model (of at most seven of sixteen trials)"] = proposal
    names = list(found[_REAL[0]])
    rows = [[name, *(f"{found[count][name]:.3f}" for count in _REAL)] for name in names]
    header = [f"s, of a trial of {num_images} images", *(f"{count} real images" for count in _REAL)]
    return markdown_table(header, rows)


def main() -> None:
    """Measure by turns, print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--trial", type=int, default=20, help="images of a trial")
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
    print(f"\n{trials(arguments.trial, arguments.rounds)}")


if __name__ == "__main__":
    main()
