"""What FID and KID cost against the usual way: the matrix square root of two covariances' product. Prints a table.

python tests/benchmarks/score_speed.py --images 300 --dim 2048
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import results_page
import scipy.linalg
from results_page import markdown_table

from models.evaluation.features import Features
from models.evaluation.frechet import frechet_distance
from models.evaluation.kernel import kernel_distance


def by_square_root(x: Features, y: Features) -> float:
    """FID as pytorch-fid and its kin compute it."""
    shift, first, second = x.mean(axis=0) - y.mean(axis=0), np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fewer images than features the product is singular
        root = scipy.linalg.sqrtm(first @ second)
    return float(shift @ shift + np.trace(first) + np.trace(second) - 2.0 * np.trace(root.real))


def main() -> None:
    """Measure by turns, print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
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


if __name__ == "__main__":
    main()
