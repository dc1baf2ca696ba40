"""Stage 3: the `mini` feature extractor, which learns to tell surface parameters and kinds apart."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from models.evaluation.mini import MiniConfig, MiniNetwork
from models.prior.loop import Training
from models.prior.pool import Pool
from models.prior.recipe import Recipe
from models.prior.surfaces import KINDS, PARAMETERS

_CALIBRATION_IMAGES = 2048


def network(recipe: Recipe) -> MiniNetwork:
    """The network with this recipe's heads."""
    return MiniNetwork(MiniConfig(num_parameters=len(PARAMETERS), num_kinds=len(KINDS), input_px=recipe.resolution_px))


def batch(pool: Pool, recipe: Recipe, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Batch of step ``step``: pixels (B, 3, H, W) float32 in [-1, 1], parameters (B, P), kinds (B,).

    Images are mirrored at random; a mirror image has the other diagonal, so ``angle_sin`` changes its sign.
    """
    rng = np.random.default_rng([recipe.seed, 2, step])
    chosen = np.sort(rng.choice(len(pool.captions), recipe.extractor_batch, replace=False))
    pixels = (
        torch.from_numpy(np.stack([pool.pixels[index] for index in chosen])).permute(0, 3, 1, 2).float() / 127.5 - 1
    )
    parameters = torch.from_numpy(pool.parameters[chosen].copy())
    if rng.random() < 0.5:
        pixels = pixels.flip(3)
        parameters[:, PARAMETERS.index("angle_sin")] *= -1
    return pixels, parameters, torch.from_numpy(pool.kinds[chosen])


def training(recipe: Recipe, pool: Pool, folder: Path, device: str) -> Training:
    """The extractor's training, resumed from ``folder`` if it was begun there."""
    torch.manual_seed(recipe.seed + 2)
    module = network(recipe).to(device)

    def step(number: int) -> tuple[torch.Tensor, dict[str, float]]:
        pixels, parameters, kinds = (tensor.to(device) for tensor in batch(pool, recipe, number))
        with torch.autocast(device.split(":")[0], torch.bfloat16):
            predicted, logits = module(pixels)
        error, entropy = F.mse_loss(predicted.float(), parameters), F.cross_entropy(logits.float(), kinds)
        accuracy = (logits.argmax(1) == kinds).float().mean().item()
        return error + entropy, {"error": error.item(), "entropy": entropy.item(), "accuracy": accuracy}

    return Training("extractor", folder, module, step, recipe.extractor_lr, 0.998)


def trained_extractor(recipe: Recipe, pool: Pool, folder: Path) -> MiniNetwork:
    """The averaged network of the checkpoint in ``folder``, its features standardised on drawn surfaces."""
    state = torch.load(folder / "extractor.pt", map_location="cpu", weights_only=True)
    module = network(recipe)
    module.load_state_dict(state["average"])
    module.requires_grad_(False).eval()
    pixels = torch.from_numpy(np.array(pool.pixels[:_CALIBRATION_IMAGES])).permute(0, 3, 1, 2)
    module.calibrate(pixels.float() / 127.5 - 1)
    return module
