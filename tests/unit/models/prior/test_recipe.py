"""The recipe of the bundled base model, in seconds: every stage is run, gone on with, and published."""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from models.diffusion.base_model import load_base_model
from models.prior import denoiser_stage, loop
from models.prior.decoder_stage import evenness, finished_vae, frame, lattice
from models.prior.publish import publish
from models.prior.recipe import Recipe
from models.prior.train import train
from models.prior.vae_stage import frozen_vae, window_power

SMALL = replace(
    Recipe(), num_surfaces=64, vae_batch=2, decoder_batch=2, extractor_batch=8, denoiser_batch=2, vae_share=0.2,
    decoder_share=0.2, extractor_share=0.2,
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _short_sheet_and_even_steps() -> Iterator[None]:
    """The sheet of samples has one row instead of eight, and a step takes a tenth of a second on any machine."""
    ticks = itertools.count(step=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(denoiser_stage, "_SAMPLED_PROMPTS", ("a photo of scratches",))
        patch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
        yield


def steps(folder: Path) -> dict[str, int]:
    stages = ("vae", "decoder", "extractor", "denoiser")
    return {stage: torch.load(folder / f"{stage}.pt", weights_only=True)["num_steps"] for stage in stages}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of checkpoints of two seconds of training."""
    folder = tmp_path_factory.mktemp("prior")
    train(SMALL, folder, 2.0, "cpu")
    return folder


def test_more_time_trains_all_but_the_frozen_encoder_further_and_the_result_opens(
    trained: Path, tmp_path: Path
) -> None:
    before = steps(trained)
    train(SMALL, trained, 4.0, "cpu")
    after = steps(trained)
    assert all(before.values()) and after["vae"] == before["vae"]
    assert all(after[stage] > before[stage] for stage in ("decoder", "extractor", "denoiser"))
    publish(SMALL, trained, tmp_path / "mini")
    assert load_base_model(str(tmp_path / "mini")).latent_shape == (4, 32, 32)


def test_the_decoder_is_trained_on_latents_that_stay_as_they_are(trained: Path) -> None:
    frozen, finished = (maker(SMALL, trained, "cpu").state_dict() for maker in (frozen_vae, finished_vae))
    changed = {name for name in frozen if not torch.equal(frozen[name], finished[name])}
    assert changed and all(name.startswith(("decoder.", "post_quant_conv.")) for name in changed)


def test_surfaces_and_latents_of_another_recipe_are_not_trained_on(trained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained, tmp_path / "prior")
    with pytest.raises(ValueError, match="another recipe's surfaces"):
        train(replace(SMALL, seed=SMALL.seed + 1), folder, 4.0, "cpu")
    np.save(folder / "latents.npy", 1 + np.load(folder / "latents.npy"))
    with pytest.raises(ValueError, match="not of this autoencoder"):
        train(SMALL, folder, 4.0, "cpu")


def test_window_power_tells_decibels() -> None:
    grain = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.2
    louder = window_power(2 * grain, 16) - window_power(grain, 16)
    assert torch.allclose(louder, torch.full_like(louder, 2.0).log(), atol=2e-2)


def test_a_dot_in_every_latent_is_told_from_grain() -> None:
    grain = torch.randn(2, 1, 96, 96, generator=torch.Generator().manual_seed(0)) * 0.2
    dotted = grain.clone()
    dotted[:, :, 1::4, 2::4] += 0.2
    plain, regular = (lattice(grey).abs().unflatten(1, (2, 16))[:, 0] for grey in (grain, dotted))
    assert plain.max() < 0.15 < 0.5 < regular.max()
    assert (regular.argmax(1) == 1 * 4 + 2).all()


def test_sparse_dots_are_told_from_grain_of_the_same_power() -> None:
    draws = torch.Generator().manual_seed(0)
    grain = torch.randn(1, 1, 96, 96, generator=draws) * 0.2
    dots = (torch.rand(1, 1, 96, 96, generator=draws) < 0.02) * 0.2 / 0.02**0.5
    assert evenness(dots).item() < 0.4 < 0.78 < evenness(grain).item() < 0.82


def test_a_dull_frame_is_told_ring_by_ring() -> None:
    grain = torch.randn(2, 1, 96, 96, generator=torch.Generator().manual_seed(0)) * 0.2
    dulled = grain.clone()
    dulled[..., 0] = dulled[..., -1] = dulled[..., 0, :] = dulled[..., -1, :] = 0
    fallen = frame(grain) - frame(dulled)
    assert (fallen[:, 0] > 0.5).all() and (fallen[:, 1:].abs() < 0.1).all()
