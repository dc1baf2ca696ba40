"""Train the bundled base model from nothing: ``python -m models.prior.train --minutes M --device D``.

Draws the surfaces, then trains the autoencoder, its decoder further, the feature extractor, and U-Net with text
encoder; each stage takes its share of the minutes. Run again, it goes on where it stopped; with more minutes, it trains
further. The encoder is frozen when the autoencoder's share is spent, because its latents are what decoder and denoiser
learn from. Rates of these two fall to zero towards the end of their shares: more minutes raise them again first.
"""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import torch

from models.prior import decoder_stage, denoiser_stage, extractor_stage, vae_stage
from models.prior.pool import drawn_pool
from models.prior.publish import publish
from models.prior.recipe import Recipe


def main() -> None:
    """Parse the command line and run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--minutes",
        type=float,
        required=True,
        help="of training, all stages and runs together",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:0, ...")
    parser.add_argument("--folder", type=Path, default=Path(".prior"), help="checkpoints, pool, curves and samples")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: all)")
    parser.add_argument("--no-publish", action="store_true", help="leave models/prior/mini as it is")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    train(Recipe(), arguments.folder, arguments.minutes * 60, arguments.device)
    if not arguments.no_publish:
        publish(Recipe(), arguments.folder)


def train(recipe: Recipe, folder: Path, seconds: float, device: str) -> None:
    """All stages up to their share of ``seconds``, resumed from ``folder``."""
    pool = drawn_pool(recipe, folder / "pool")
    if not (folder / "vae_frozen.pt").exists():
        vae = vae_stage.training(recipe, pool, folder, device)
        vae.run(seconds * recipe.vae_share, recipe.checkpoint_seconds)
        vae_stage.freeze(recipe, pool, folder)
    decoder = decoder_stage.training(recipe, pool, folder, device)
    decoder.run(seconds * recipe.decoder_share, recipe.checkpoint_seconds)
    extractor = extractor_stage.training(recipe, pool, folder, device)
    extractor.run(seconds * recipe.extractor_share, recipe.checkpoint_seconds)
    denoiser = denoiser_stage.training(recipe, pool, folder, device)
    share = 1 - recipe.vae_share - recipe.decoder_share - recipe.extractor_share
    samples = _every(5, lambda: denoiser_stage.write_samples(recipe, pool, folder, device))
    denoiser.run(seconds * share, recipe.checkpoint_seconds, on_checkpoint=samples)
    denoiser_stage.write_samples(recipe, pool, folder, device)


def _every(count: int, action: Callable[[], None]) -> Callable[[], None]:
    """A callable that runs ``action`` at every ``count``-th call."""
    calls = itertools.count(1)

    def call() -> None:
        if next(calls) % count == 0:
            action()

    return call


if __name__ == "__main__":
    main()
