"""What another trial may still gain, from a Gaussian process over the trials."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from models.diffusion.seeding import derived_seed
from models.search.space import SearchSpace
from models.search.trials import SearchSettings, Trial

Array = npt.NDArray[np.float64]

#: Candidates drawn from the space, over which the largest gain is looked for.
_NUM_POINTS = 1024
#: Standard deviation of the share of copies that is put down to noise.
_COPIES_NOISE = 0.02


def expected_gain(space: SearchSpace, settings: SearchSettings, trials: Sequence[Trial]) -> float | None:
    """The most that one more trial is expected to lower KID by, within the constraint; none before a trial is feasible.

    Expected improvement (Jones et al. 1998) on the model's own value of the best feasible trial, not on its score,
    which luck has lowered; times the probability that few enough images are copies. A function of the seed and
    ``trials`` alone.
    """
    scored = [trial for trial in trials if trial.observation.is_scored]
    feasible = [place for place, trial in enumerate(scored) if trial.feasible]
    if len(scored) < 2 or not feasible:
        return None
    rng = np.random.default_rng(derived_seed(settings.seed, "gain", len(trials)))
    tried = np.array([space.unit(trial.candidate) for trial in scored])
    if not tried.shape[1]:
        return 0.0
    points = np.array([space.unit(space.drawn(rng)) for _ in range(_NUM_POINTS)])
    noise = settings.noise_share * float(np.median([trial.kid_noise for trial in scored]))
    kid = _Surrogate(tried, np.array([trial.kid for trial in scored]), noise)
    copies = _Surrogate(tried, np.array([trial.share_copies for trial in scored]), _COPIES_NOISE)
    best = float(kid.at(tried[feasible])[0].min())
    gains = _improvement(best, *kid.at(points)) * _chance_below(settings.max_share_copies, *copies.at(points))
    return float(gains.max())


class _Surrogate:
    """A Gaussian process (Matern 5/2, a length for each setting) through ``values`` (n,) at ``tried`` (n, d).

    ``noise``: a floor of their standard deviation, so that a dozen noisy values are not taken for a winding curve.
    """

    def __init__(self, tried: Array, values: Array, noise: float) -> None:
        self._mean, self._scale = float(values.mean()), float(values.std())
        self._scale = self._scale if self._scale > 1e-12 else 1.0
        floor = min(max((noise / self._scale) ** 2, 1e-6), 1.0)
        kernel = ConstantKernel(1.0, (1e-3, 1e2)) * Matern(np.full(tried.shape[1], 0.5), (0.1, 3.0), nu=2.5)
        self._model: Any = GaussianProcessRegressor(
            kernel + WhiteKernel(floor, (floor, max(2.0, 2 * floor))), n_restarts_optimizer=2, random_state=0
        )
        with warnings.catch_warnings():  # a length at its bound is no failure here
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model.fit(tried, (values - self._mean) / self._scale)

    def at(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (k,) of the curve itself, without the noise, at ``points`` (k, d)."""
        mean, deviation = self._model.predict(points, return_std=True)
        noise_variance = float(self._model.kernel_.k2.noise_level)
        bare = np.sqrt(np.maximum(deviation**2 - noise_variance, 1e-12))
        return self._mean + self._scale * mean, self._scale * bare


def _improvement(best: float, mean: Array, deviation: Array) -> Array:
    z = (best - mean) / deviation
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return deviation * (z * _normal_cdf(z) + density)


def _chance_below(bar: float, mean: Array, deviation: Array) -> Array:
    return _normal_cdf((bar - mean) / deviation)


def _normal_cdf(z: Array) -> Array:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in z])
