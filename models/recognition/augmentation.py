"""Classic augmentation, as a practitioner does anyway: mirrored, cropped, brightened or darkened."""

import torch
import torch.nn.functional as F

_SMALLEST_CROP = 0.7
_BRIGHTNESS, _CONTRAST = 0.2, 0.25


def augmented(pixels: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    """(B, C, H, W) in [-1, 1] -> the same shape and range; every image gets its own flips, crop, light and contrast."""
    count = len(pixels)
    scale = _SMALLEST_CROP + (1 - _SMALLEST_CROP) * torch.rand(count, generator=draws)
    shift = (torch.rand((count, 2), generator=draws) * 2 - 1) * (1 - scale)[:, None]
    mirror = 1.0 - 2.0 * torch.randint(0, 2, (count, 2), generator=draws)
    transform = torch.zeros((count, 2, 3))
    transform[:, 0, 0], transform[:, 1, 1] = scale * mirror[:, 0], scale * mirror[:, 1]
    transform[:, :, 2] = shift
    grid = F.affine_grid(transform.to(pixels.device), list(pixels.shape), align_corners=False)
    cropped = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    light = (torch.rand((count, 1, 1, 1), generator=draws) * 2 - 1) * _BRIGHTNESS
    contrast = 1 + (torch.rand((count, 1, 1, 1), generator=draws) * 2 - 1) * _CONTRAST
    mean = cropped.mean(dim=(1, 2, 3), keepdim=True)
    lit: torch.Tensor = (cropped - mean) * contrast.to(pixels.device) + mean + light.to(pixels.device)
    return lit.clamp(-1.0, 1.0)
