"""How alike are two pictures, pixel by pixel, when one may be moved, mirrored, lit otherwise and noisy?

A picture becomes a pattern: grey, 64 x 64 px, lightly smoothed (noise), minus its local mean (illumination), divided by
its local contrast (exposure). Two patterns are compared by the normalised cross-correlation of where they overlap, at
every shift up to an eighth of the side and for the four mirror images of the real one; the best counts. Distance = 1 -
that correlation: 0 is the same picture, about 1 is nothing in common.

The correlation on the overlap is computed for all shifts at once by Fourier transforms (Padfield, "Masked object
registration in the Fourier domain", IEEE TIP 21:2706-2718, 2012). The masks here are full rectangles, so the sums over
each overlap come from running sums of one picture alone and are computed once a picture, not once a pair.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.imaging.arrays import eight_bit

Pixels = npt.NDArray[np.float32]

SIDE_PX = 64
MAX_SHIFT_PX = SIDE_PX // 8
_SMOOTHING_PX, _LOCAL_PX = 1.0, 7.0
#: Grey levels: local contrast below this is what a camera's noise leaves, and is not blown up.
_CONTRAST_FLOOR = 1.5
#: Mean square of a pattern below which there is no pattern: a flat picture correlates with nothing, itself included.
_FLAT = 1e-6
#: Least power of small primes at which the shifts do not wrap around.
_PERIOD = 72
_SHIFTS = np.arange(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1)
_OVERLAPS = np.outer(SIDE_PX - abs(_SHIFTS), SIDE_PX - abs(_SHIFTS)).astype(np.float64)


class Flip(StrEnum):
    """Which mirror image: none, left to right, top to bottom, both."""

    NONE = "none"
    HORIZONTAL = "h"
    VERTICAL = "v"
    BOTH = "hv"


FLIPS = tuple(Flip)


def _flipped(stack: Pixels, flip: Flip) -> Pixels:
    """That mirror image of each pattern (n, SIDE, SIDE)."""
    down, right = -1 if flip in (Flip.VERTICAL, Flip.BOTH) else 1, -1 if flip in (Flip.HORIZONTAL, Flip.BOTH) else 1
    return stack[:, ::down, ::right]


def _blur(deviation_px: float) -> Pixels:
    """(SIDE, SIDE): what a Gaussian does along one axis, the picture mirrored at its border."""
    reach = int(4 * deviation_px + 0.5)
    weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / deviation_px))
    mirrored = np.pad(np.eye(SIDE_PX), ((reach, reach), (0, 0)), mode="symmetric")
    rows = [weights @ mirrored[first : first + len(weights)] for first in range(SIDE_PX)]
    matrix: Pixels = (np.stack(rows) / weights.sum()).astype(np.float32)
    return matrix


_SMOOTH, _LOCAL = _blur(_SMOOTHING_PX), _blur(_LOCAL_PX)


def pattern(image: Image.Image) -> Pixels:
    """(SIDE, SIDE) float32 of mean 0, about unit contrast; of a picture of any size and mode."""
    small = eight_bit(image).convert("F").resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    smooth = _SMOOTH @ np.asarray(small, dtype=np.float32) @ _SMOOTH.T
    detail = smooth - _LOCAL @ smooth @ _LOCAL.T
    contrast = np.sqrt(_LOCAL @ np.square(detail) @ _LOCAL.T + np.float32(_CONTRAST_FLOOR**2))
    even = detail / contrast
    centred: Pixels = (even - even.mean()).astype(np.float32)
    return centred


@dataclass(frozen=True)
class Patterns:
    """n pictures ready to be compared.

    ``spectra`` (n, 72, 37): their transforms. ``sums`` and ``spreads`` (n, 17, 17): their sum, and their sum of squared
    deviations, over the part that overlaps a picture moved by each shift.
    """

    spectra: npt.NDArray[np.complex64]
    sums: npt.NDArray[np.float64]
    spreads: npt.NDArray[np.float64]

    @classmethod
    def of(cls, images: Iterable[Image.Image]) -> Self:
        """The patterns of ``images``, in their order; one of them is held at a time."""
        values = [pattern(image) for image in images]
        return cls.of_stack(np.stack(values) if values else np.zeros((0, SIDE_PX, SIDE_PX), np.float32))

    @classmethod
    def of_stack(cls, stack: Pixels) -> Self:
        """(n, SIDE, SIDE): each as `pattern` made it, or a mirror image of that."""
        sums = _overlap_sums(stack)
        spreads = np.maximum(_overlap_sums(np.square(stack)) - np.square(sums) / _OVERLAPS, 0.0)
        return cls(np.fft.rfft2(stack, (_PERIOD, _PERIOD)).astype(np.complex64), sums, spreads)

    def __len__(self) -> int:
        return len(self.spectra)

    def __getitem__(self, chosen: npt.NDArray[np.int64]) -> "Patterns":
        return Patterns(self.spectra[chosen], self.sums[chosen], self.spreads[chosen])


@dataclass(frozen=True)
class Mirrored:
    """Real pictures with their mirror images, in the order of `FLIPS`."""

    each: tuple[Patterns, ...]

    @classmethod
    def of(cls, images: Iterable[Image.Image]) -> Self:
        """The four mirror images of each of ``images``, of which one is held at a time, and looked at once."""
        stack = np.stack([pattern(image) for image in images])
        return cls(tuple(Patterns.of_stack(_flipped(stack, flip)) for flip in FLIPS))

    def __len__(self) -> int:
        return len(self.each[0])

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(one.spectra.nbytes + one.sums.nbytes + one.spreads.nbytes for one in self.each)


@dataclass(frozen=True)
class Likeness:
    """One picture against c real ones, each mirrored and moved so that it resembles the picture most.

    ``distances`` (c,) float64 in [0, 2], ``flips`` (c,) indices in `FLIPS`, ``shifts_px`` (c, 2) down and right, of 64.
    """

    distances: npt.NDArray[np.float64]
    flips: npt.NDArray[np.int64]
    shifts_px: npt.NDArray[np.int64]


def likeness(
    pictures: Patterns, index: int, reals: Mirrored, candidates: npt.NDArray[np.int64] | None = None
) -> Likeness:
    """Picture ``index`` of ``pictures`` against all ``reals``, or those whose indices (c,) are ``candidates``."""
    picture = pictures[np.array([index])]
    every = [_correlations(picture, each if candidates is None else each[candidates]) for each in reals.each]
    by_flip = np.stack([values.reshape(len(values), -1) for values in every])  # (4, c, 17 * 17)
    peaks = by_flip.max(axis=2)
    flips = peaks.argmax(axis=0)
    rows = np.arange(peaks.shape[1])
    down, right = np.unravel_index(by_flip[flips, rows].argmax(axis=1), _OVERLAPS.shape)
    shifts = np.stack([_SHIFTS[down], _SHIFTS[right]], axis=1).astype(np.int64)
    return Likeness(1.0 - np.minimum(peaks[flips, rows], 1.0), flips.astype(np.int64), shifts)


def _correlations(picture: Patterns, reals: Patterns) -> npt.NDArray[np.float64]:
    """(c, 17, 17) in [-1, 1]: one picture against ``reals`` moved by each shift, 0 where either is flat."""
    product = picture.spectra.conj() * reals.spectra  # of one picture, not of all real ones: hence shifts the other way
    wanted = np.fft.ifft(product, axis=1)[:, -_SHIFTS]  # the other rows are shifts that nobody asked for
    together = np.fft.irfft(wanted, _PERIOD, axis=2)[:, :, -_SHIFTS].astype(np.float64)
    other_sums, other_spreads = reals.sums[:, ::-1, ::-1], reals.spreads[:, ::-1, ::-1]
    shared = together - picture.sums * other_sums / _OVERLAPS
    enough = (picture.spreads > _FLAT * _OVERLAPS) & (other_spreads > _FLAT * _OVERLAPS)
    scale = np.sqrt(np.where(enough, picture.spreads * other_spreads, 1.0))
    return np.where(enough, shared / scale, 0.0)


def _overlap_sums(stack: Pixels) -> npt.NDArray[np.float64]:
    """(n, 17, 17): sums of (n, SIDE, SIDE) over the pixels that lie on a picture moved by each shift."""
    running = np.pad(stack.astype(np.float64).cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))
    low, high = np.maximum(0, _SHIFTS), SIDE_PX + np.minimum(0, _SHIFTS)
    upper, lower = running[:, low], running[:, high]
    sums: npt.NDArray[np.float64] = lower[:, :, high] - upper[:, :, high] - lower[:, :, low] + upper[:, :, low]
    return sums
