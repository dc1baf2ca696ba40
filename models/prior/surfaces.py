"""Drawn surfaces: a metal-like base texture with one kind of defect on it, its caption and its parameters.

The bundled base model and its feature extractor see nothing but these, so the weights carry no photograph and no
factory's data. ``draw`` is a pure function of (kind, generator, size).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.prior import textures
from models.prior.textures import Field

Rng = np.random.Generator


@dataclass(frozen=True)
class Surface:
    """One drawn image.

    ``pixels``: (size, size, 3) uint8. ``parameters``: (len(PARAMETERS),) float32, about [-1, 1], what the feature
    extractor learns to tell. ``caption``: kind and attributes in words.
    """

    pixels: npt.NDArray[np.uint8]
    caption: str
    kind: str
    parameters: npt.NDArray[np.float32]


PARAMETERS = (
    "brightness", "contrast", "spectral_exponent", "anisotropy", "angle_cos", "angle_sin",
    "illumination", "noise", "blur", "tint", "defect_size", "defect_amount", "defect_contrast",
)  # fmt: skip


@dataclass
class _Base:
    """The random base a defect is drawn on, in linear grey about [0, 1], before noise and tint."""

    field: Field
    brightness: float
    contrast: float
    exponent: float
    stretch: float
    angle: float


@dataclass(frozen=True)
class _Mark:
    """A defect: ``delta`` is added to the grey field; size, amount and contrast are about [0, 1] ([-1, 1])."""

    delta: Field
    size: float
    amount: float
    contrast: float


def _base(rng: Rng, size: int) -> _Base:
    brightness, contrast = rng.uniform(0.22, 0.78), float(np.exp(rng.uniform(np.log(0.015), np.log(0.12))))
    exponent = rng.uniform(0.2, 2.5)
    brushed = rng.random() < 0.4
    angle = rng.uniform(0, np.pi)
    stretch = float(np.exp(rng.uniform(np.log(1.5), np.log(12.0)))) if brushed else 1.0
    grain = textures.power_law(rng, size, exponent, angle, stretch)
    if rng.random() < 0.4:
        fine = textures.power_law(rng, size, rng.uniform(0.0, 0.8), angle, min(stretch, 3.0))
        grain = 0.75 * grain + 0.6 * fine
    return _Base(brightness + contrast * grain, brightness, contrast, exponent, stretch, angle)


def _sign(rng: Rng) -> float:
    return -1.0 if rng.random() < 0.62 else 1.0


def _depth(rng: Rng) -> float:
    """Contrast of a defect, signed: most are darker than their surface."""
    return _sign(rng) * rng.uniform(0.1, 0.45)


def _scratches(rng: Rng, size: int, base: _Base) -> _Mark:
    count, depth = int(rng.integers(1, 7)), _depth(rng)
    main = rng.uniform(0, np.pi)
    width = float(np.exp(rng.uniform(np.log(0.6), np.log(4.5)))) * size / 128
    delta = np.zeros((size, size), np.float32)
    for _ in range(count):
        line = textures.ridge(rng, size, width * rng.uniform(0.6, 1.4), main + rng.normal(0, 0.12),
                              rng.uniform(0.3, 1.6), rng.normal(0, 0.04))  # fmt: skip
        delta += line * rng.uniform(0.5, 1.0)
    grain = 1.0 + 0.35 * textures.power_law(rng, size, 0.8, main, 6.0)
    return _Mark(depth * np.clip(delta, 0, 1.4) * grain, width / 5, count / 7, depth)


def _patches(rng: Rng, size: int, base: _Base) -> _Mark:
    depth, exponent = _depth(rng), rng.uniform(1.3, 2.2)
    field = textures.power_law(rng, size, exponent, rng.uniform(0, np.pi), rng.uniform(1.0, 2.2))
    threshold = rng.uniform(0.2, 1.3)
    mask = textures.smooth_step(field, threshold, float(np.exp(rng.uniform(np.log(0.02), np.log(0.25)))))
    inner = 1.0 + rng.uniform(0.0, 0.5) * textures.power_law(rng, size, rng.uniform(0.3, 1.5))
    return _Mark(depth * mask * inner, (2.2 - exponent), float(mask.mean()) * 2, depth)


def _pits(rng: Rng, size: int, base: _Base) -> _Mark:
    depth, wavelength = -rng.uniform(0.1, 0.4), float(np.exp(rng.uniform(np.log(5), np.log(24)))) * size / 128
    field = textures.band_pass(rng, size, wavelength, 0.4)
    where = textures.smooth_step(textures.power_law(rng, size, 1.8), rng.uniform(-1.2, 0.6), 0.4)
    holes = textures.smooth_step(field, rng.uniform(0.9, 1.8), rng.uniform(0.08, 0.35)) * where
    rim = textures.blurred(holes, 0.15 * wavelength)
    light = rng.uniform(0.0, 0.6) * (np.roll(rim, 1, 0) - np.roll(rim, -1, 0))
    return _Mark(depth * holes - depth * light, wavelength / 24, float(holes.mean()) * 5, depth)


def _inclusions(rng: Rng, size: int, base: _Base) -> _Mark:
    depth, angle = _depth(rng), base.angle if rng.random() < 0.5 else rng.uniform(0, np.pi)
    stretch = float(np.exp(rng.uniform(np.log(3), np.log(12))))
    field = textures.power_law(rng, size, rng.uniform(1.2, 2.0), angle, stretch)
    mask = textures.smooth_step(field, rng.uniform(1.0, 2.0), rng.uniform(0.08, 0.35))
    return _Mark(depth * mask, 1 / stretch, float(mask.mean()) * 5, depth)


def _cracks(rng: Rng, size: int, base: _Base) -> _Mark:
    depth, cells = -rng.uniform(0.15, 0.45), int(rng.integers(4, 12))
    distance = textures.cell_edges(rng, size, cells, rng.uniform(1.5, 6.0) * size / 128)
    width = rng.uniform(0.6, 2.2) * size / 128
    gate = textures.smooth_step(textures.power_law(rng, size, 1.6), rng.uniform(-0.6, 0.7), 0.25)
    return _Mark(depth * np.exp(-0.5 * (distance / width) ** 2) * gate, width / 2.2, cells / 12, depth)


def _crazing(rng: Rng, size: int, base: _Base) -> _Mark:
    depth, cells = _depth(rng), int(rng.integers(30, 110))
    distance = textures.cell_edges(rng, size, cells, rng.uniform(1.0, 5.0) * size / 128)
    width = rng.uniform(0.7, 1.8) * size / 128
    lines = np.exp(-0.5 * (distance / width) ** 2)
    streaks = textures.band_pass(
        rng, size, rng.uniform(4, 12) * size / 128, 0.4, rng.uniform(0, np.pi), rng.uniform(1, 5)
    )
    fade = textures.smooth_step(textures.power_law(rng, size, 1.5), rng.uniform(-1.5, 0.3), 0.5)
    return _Mark(0.7 * depth * fade * (lines + 0.35 * streaks), width / 1.8, cells / 110, depth)


def _scale(rng: Rng, size: int, base: _Base) -> _Mark:
    depth, angle = _depth(rng), rng.uniform(0, np.pi)
    wavelength = float(np.exp(rng.uniform(np.log(8), np.log(40)))) * size / 128
    field = textures.band_pass(rng, size, wavelength, 0.5, angle, rng.uniform(1.0, 4.0))
    ragged = field + rng.uniform(0.2, 0.7) * textures.power_law(rng, size, 0.8)
    mask = textures.smooth_step(ragged, rng.uniform(0.7, 1.7), rng.uniform(0.08, 0.3))
    return _Mark(depth * mask, wavelength / 40, float(mask.mean()) * 3, depth)


def _stains(rng: Rng, size: int, base: _Base) -> _Mark:
    depth, count = _depth(rng) * 0.7, int(rng.integers(1, 4))
    delta = np.zeros((size, size), np.float32)
    radius = rng.uniform(0.1, 0.4) * size
    for _ in range(count):
        spot = textures.blob(rng, size, radius * rng.uniform(0.6, 1.2), rng.uniform(0.05, 0.3), rng.uniform(0.8, 1.6))
        inside = textures.smooth_step(spot, 0.0, rng.uniform(0.02, 0.15))
        border = np.exp(-0.5 * (spot / rng.uniform(0.04, 0.12)) ** 2)
        delta += inside * rng.uniform(0.3, 1.0) + border * rng.uniform(0.0, 0.7)
    return _Mark(depth * delta, radius / size * 2.5, count / 4, depth)


def _rolls(rng: Rng, size: int, base: _Base) -> _Mark:
    depth, angle = _depth(rng) * 0.7, rng.uniform(0, np.pi)
    width = rng.uniform(2.0, 14.0) * size / 128
    count = int(rng.integers(1, 4))
    delta = np.zeros((size, size), np.float32)
    for _ in range(count):
        delta += textures.ridge(rng, size, width, angle + rng.normal(0, 0.03), 3.0, rng.normal(0, 0.01))
    ragged = 1.0 + 0.5 * textures.power_law(rng, size, 1.0, angle, rng.uniform(2.0, 8.0))
    return _Mark(depth * np.clip(delta, 0, 1.3) * ragged, width / 14 * 128 / size, count / 4, depth)


def _dents(rng: Rng, size: int, base: _Base) -> _Mark:
    depth, count = rng.uniform(0.15, 0.45), int(rng.integers(1, 6))
    light = rng.uniform(0, 2 * np.pi)
    delta = np.zeros((size, size), np.float32)
    radius = float(np.exp(rng.uniform(np.log(0.05), np.log(0.22)))) * size
    for _ in range(count):
        spot = textures.blob(rng, size, radius * rng.uniform(0.7, 1.3), rng.uniform(0.0, 0.12), rng.uniform(0.8, 1.3))
        bowl = textures.blurred(np.clip(spot, 0, None), 0.12 * radius + 0.5)
        gy, gx = np.gradient(bowl)
        delta += (gx * np.cos(light) + gy * np.sin(light)) * radius
    return _Mark((depth * delta).astype(np.float32), radius / size * 4, count / 6, depth)


def _clean(rng: Rng, size: int, base: _Base) -> _Mark:
    return _Mark(np.zeros((size, size), np.float32), 0.0, 0.0, 0.0)


_DEFECTS: dict[str, tuple[str, Callable[[Rng, int, _Base], _Mark]]] = {
    "scratches": ("scratches", _scratches),
    "patches": ("patches", _patches),
    "pits": ("pits", _pits),
    "inclusions": ("inclusions", _inclusions),
    "cracks": ("cracks", _cracks),
    "crazing": ("crazing", _crazing),
    "scale": ("scale", _scale),
    "stains": ("stains", _stains),
    "rolls": ("roll marks", _rolls),
    "dents": ("dents", _dents),
    "clean": ("no marks", _clean),
}
KINDS = tuple(_DEFECTS)


def _finished(rng: Rng, grey: Field, size: int) -> tuple[npt.NDArray[np.uint8], dict[str, float]]:
    """Light, blur, sensor noise, tint and quantisation: what lies between a surface and its picture."""
    light = rng.uniform(0.0, 0.5) if rng.random() < 0.6 else 0.0
    blur = rng.uniform(0.4, 1.3) * size / 128 if rng.random() < 0.35 else 0.0
    noise = float(np.exp(rng.uniform(np.log(0.003), np.log(0.03))))
    tint = rng.uniform(0.03, 0.2) if rng.random() < 0.15 else 0.0
    image = grey * textures.illumination(rng, size, light)
    image = textures.blurred(image, blur) if blur else image
    image = image + noise * rng.standard_normal((size, size), dtype=np.float32)
    hue = rng.normal(0, 1, 3)
    colour = 1.0 + tint * (hue - hue.mean()) / (np.abs(hue - hue.mean()).max() + 1e-6)
    pixels = np.clip(image[..., None] * colour.astype(np.float32), 0.0, 1.0)
    measured = {"illumination": light * 2, "noise": noise * 33, "blur": blur * 128 / size, "tint": tint * 5}
    return np.rint(pixels * 255).astype(np.uint8), measured


def _words(base: _Base, mark: _Mark, name: str) -> str:
    """A caption: brightness, grain, direction, then the defect with its size, amount and contrast."""
    tone = "dark" if base.brightness < 0.38 else "bright" if base.brightness > 0.62 else "grey"
    grain = "fine" if base.exponent < 0.9 else "cloudy" if base.exponent > 1.7 else "rough"
    words = [tone, grain]
    if base.stretch > 1.5:
        direction = "horizontal" if min(base.angle, np.pi - base.angle) < np.pi / 4 else "vertical"
        words.append(f"{direction} brushed")
    surface = f"a photo of {' '.join(words)} metal surface with"
    if mark.contrast == 0.0:
        return f"{surface} {name}"
    size = "small" if mark.size < 0.35 else "large" if mark.size > 0.7 else "medium"
    amount = "few" if mark.amount < 0.35 else "many" if mark.amount > 0.7 else "some"
    contrast = ("faint " if abs(mark.contrast) < 0.2 else "") + ("dark" if mark.contrast < 0 else "bright")
    return f"{surface} {amount} {size} {contrast} {name}"


def draw(kind: str, rng: Rng, size: int = 128) -> Surface:
    """Draw one surface of ``kind`` (one of ``KINDS``) with side ``size`` px, every attribute random."""
    name, drawer = _DEFECTS[kind]
    base = _base(rng, size)
    mark = drawer(rng, size, base)
    pixels, measured = _finished(rng, base.field + mark.delta, size)
    directed = 1.0 if base.stretch > 1.5 else 0.0
    measured |= {
        "brightness": 2 * base.brightness - 1, "contrast": float(np.log(base.contrast / 0.045)),
        "spectral_exponent": base.exponent - 1.3, "anisotropy": float(np.log(base.stretch)) / 2,
        "angle_cos": directed * np.cos(2 * base.angle), "angle_sin": directed * np.sin(2 * base.angle),
        "defect_size": mark.size, "defect_amount": mark.amount, "defect_contrast": mark.contrast * 3,
    }  # fmt: skip
    parameters = np.array([measured[name] for name in PARAMETERS], dtype=np.float32)
    return Surface(pixels, _words(base, mark, name), kind, np.clip(parameters, -2, 2))


def draw_many(first: int, count: int, seed: int, size: int = 128) -> list[Surface]:
    """Surfaces ``first`` .. ``first + count - 1`` of the sequence named ``seed``; each depends on its index alone."""
    surfaces = []
    for index in range(first, first + count):
        rng = np.random.default_rng([seed, index])
        surfaces.append(draw(KINDS[int(rng.integers(len(KINDS)))], rng, size))
    return surfaces
