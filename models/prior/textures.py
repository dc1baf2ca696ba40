"""Random fields from which surfaces are drawn: noise of a given spectrum, ridges, cells, illumination.

Every function draws from the ``numpy.random.Generator`` it is given and returns (size, size) float32.
"""

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


def _field(values: npt.NDArray[np.floating]) -> Field:
    return np.asarray(values, dtype=np.float32)


def _frequencies(size: int, angle: float, stretch: float) -> Field:
    """Radial frequency of each rfft2 bin, in cycles per image, of a plane stretched along ``angle``."""
    fy = np.fft.fftfreq(size)[:, None] * size
    fx = np.fft.rfftfreq(size)[None, :] * size
    along = fx * np.cos(angle) + fy * np.sin(angle)
    across = -fx * np.sin(angle) + fy * np.cos(angle)
    return _field(np.hypot(along * stretch, across))


def _standardised(field: npt.NDArray[np.floating]) -> Field:
    return _field((field - field.mean()) / (field.std() + 1e-8))


def _filtered(rng: np.random.Generator, size: int, gain: Field) -> Field:
    white = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    return _standardised(np.fft.irfft2(white * gain, s=(size, size)))


def power_law(rng: np.random.Generator, size: int, exponent: float, angle: float = 0.0, stretch: float = 1.0) -> Field:
    """Gaussian noise with amplitude spectrum 1/f^exponent; zero mean, unit variance.

    ``stretch`` > 1 lengthens the grain along ``angle`` (radians).
    """
    radius = np.maximum(_frequencies(size, angle, stretch), 1.0)
    return _filtered(rng, size, _field(radius**-exponent))


def band_pass(
    rng: np.random.Generator,
    size: int,
    wavelength_px: float,
    width: float = 0.35,
    angle: float = 0.0,
    stretch: float = 1.0,
) -> Field:
    """Gaussian noise around one wavelength (log-normal band of ``width`` octaves/e); zero mean, unit variance."""
    radius = np.maximum(_frequencies(size, angle, stretch), 1e-3)
    octave = np.log(radius * wavelength_px / size)
    return _filtered(rng, size, _field(np.exp(-0.5 * (octave / width) ** 2)))


def blurred(field: Field, sigma_px: float) -> Field:
    """Periodic Gaussian blur with standard deviation ``sigma_px``."""
    size = field.shape[0]
    radius = _frequencies(size, 0.0, 1.0) / size
    gain = np.exp(-2.0 * (np.pi * radius * sigma_px) ** 2)
    return _field(np.fft.irfft2(np.fft.rfft2(field) * gain, s=field.shape))


def smooth_step(field: Field, threshold: float, softness: float) -> Field:
    """Values in (0, 1): 0 below ``threshold``, 1 above it, over a ramp of about ``softness``."""
    return _field(1.0 / (1.0 + np.exp(-np.clip((field - threshold) / softness, -30.0, 30.0))))


def illumination(rng: np.random.Generator, size: int, strength: float) -> Field:
    """A smooth light falling off across the image: multiplicative, mean about 1."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    plane = x * np.cos(angle) + y * np.sin(angle)
    cx, cy = rng.uniform(-0.6, 0.6, 2)
    spot = -((x - cx) ** 2 + (y - cy) ** 2)
    return _field(1.0 + strength * (plane + rng.uniform(-1.0, 1.0) * spot))


def ridge(rng: np.random.Generator, size: int, width_px: float, angle: float, length: float, curvature: float) -> Field:
    """A curved line with tapered ends; peak 1. ``length`` is in image sides, ``curvature`` in sides of sagitta."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    cx, cy = rng.uniform(0.1, 0.9, 2) * size
    along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    across = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
    half = max(length * size / 2, 2.0)
    bend = curvature * size * ((along / half) ** 2 - 0.5)
    taper = 1.0 / (1.0 + np.exp(np.clip((np.abs(along) - half) / (0.06 * half + 1.0), -30, 30)))
    local_width = width_px * (0.6 + 0.4 * taper)
    return _field(np.exp(-0.5 * ((across - bend) / local_width) ** 2) * taper)


def cell_edges(rng: np.random.Generator, size: int, cells: int, warp_px: float) -> Field:
    """Distance (px) to the nearest edge of a warped Voronoi diagram with about ``cells`` cells."""
    points = rng.uniform(-0.1, 1.1, (cells, 2)).astype(np.float32) * size
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    x = x + warp_px * power_law(rng, size, 1.8)
    y = y + warp_px * power_law(rng, size, 1.8)
    nearest = np.full((size, size), np.inf, dtype=np.float32)
    second = nearest.copy()
    for px, py in points:
        distance = np.hypot(x - px, y - py)
        second = np.minimum(second, np.maximum(nearest, distance))
        nearest = np.minimum(nearest, distance)
    return _field(0.5 * (second - nearest))


def blob(rng: np.random.Generator, size: int, radius_px: float, irregularity: float, aspect: float = 1.0) -> Field:
    """Signed distance-like field of one irregular spot: about 1 at its centre, 0 at its border, negative outside."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    cx, cy = rng.uniform(0.08, 0.92, 2) * size
    angle = rng.uniform(0, np.pi)
    u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    v = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
    distance = np.hypot(u / aspect, v * aspect) / radius_px
    return _field(1.0 - distance + irregularity * power_law(rng, size, 1.6))
