"""Two real images made one start: the second takes over along the seam where the two differ least.

A class of few, large shapes keeps its source's layout up to strengths at which the shapes themselves dissolve: what is
made is a copy or broken. A spliced start has a layout that no real image has, at strengths at which shapes hold, and
denoising heals the seam. The seam is the minimum error boundary cut of image quilting (Efros & Freeman, SIGGRAPH 2001,
section 2.1), here between latents.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from models.diffusion.seeding import generator

#: Where the seam's middle may lie, and how far it may stray from there, in shares of the side: either source keeps
#: enough of its own to matter, and not so much that the other could as well be away.
_MIDDLES, _STRAYING = (0.4, 0.6), 0.15
#: The seam is blended over so many latent pixels.
_BLENDED = 3


def partner_of(index: int, source: int, num_sources: int, seed: int) -> int:
    """Which of two or more sources is spliced with ``source`` for image ``index``: any other one, each as likely."""
    other = int(torch.randint(num_sources - 1, (), generator=generator(seed, "partner", index)))
    return other + (other >= source)


def spliced(first: torch.Tensor, second: torch.Tensor, seed: int, index: int) -> torch.Tensor:
    """The latents (C, h, w) of ``first`` on one side of a seam and of ``second`` on the other, on their device.

    Which side, whether the seam runs down or across, and about where, is drawn for image ``index``. ``second`` is first
    given the mean of ``first`` in each channel, so that no step of light or grey is left along the seam.
    """
    matched = second - second.mean(dim=(1, 2), keepdim=True) + first.mean(dim=(1, 2), keepdim=True)
    across, swapped, place = torch.rand(3, generator=generator(seed, "splice", index)).tolist()
    cost = (first - matched).square().sum(dim=0).cpu().numpy()
    before = _before_seam(cost.T, place).T if across < 0.5 else _before_seam(cost, place)
    weights = torch.from_numpy(before if swapped < 0.5 else ~before).to(first)[None, None]
    reach = _BLENDED // 2
    blended = F.avg_pool2d(F.pad(weights, (reach,) * 4, mode="replicate"), _BLENDED, stride=1)[0]
    return blended * first + (1 - blended) * matched


def _before_seam(cost: npt.NDArray[np.float32], place: float) -> npt.NDArray[np.bool_]:
    """(h, w): what lies left of the cheapest path from the top row to the bottom row; ``place`` in [0, 1) of its band.

    Dynamic programming over rows; the path moves by at most a column a row.
    """
    height, width = cost.shape
    middle = _MIDDLES[0] + place * (_MIDDLES[1] - _MIDDLES[0])
    first = round((middle - _STRAYING) * width)
    band = cost[:, first : max(first + 1, round((middle + _STRAYING) * width))].astype(np.float64)
    total = band.copy()
    for row in range(1, height):
        above = np.pad(total[row - 1], 1, constant_values=np.inf)
        total[row] += np.minimum(above[1:-1], np.minimum(above[:-2], above[2:]))
    seam = np.empty(height, dtype=np.int64)
    seam[-1] = total[-1].argmin()
    for row in range(height - 2, -1, -1):
        left = max(seam[row + 1] - 1, 0)
        seam[row] = left + total[row, left : seam[row + 1] + 2].argmin()
    before: npt.NDArray[np.bool_] = np.arange(width)[None, :] < first + seam[:, None]
    return before
