"""Drawn surfaces: seeded, varied, labelled; and the autoencoder's standardised latents."""

import numpy as np
import torch

from models.prior import surfaces
from models.prior.recipe import Recipe, build_vae
from models.prior.samples import SAMPLE_CLASSES
from models.prior.vae_stage import standardise_latents
from models.prior.vocabulary import trained_tokenizer


def test_a_surface_depends_on_its_index_alone() -> None:
    together, alone = surfaces.draw_many(0, 4, seed=9, size=32), surfaces.draw_many(3, 1, seed=9, size=32)
    assert np.array_equal(together[3].pixels, alone[0].pixels) and together[3].caption == alone[0].caption
    assert not np.array_equal(together[2].pixels, together[3].pixels)


def test_every_kind_can_be_drawn_and_is_named_in_its_caption() -> None:
    for kind in surfaces.KINDS:
        surface = surfaces.draw(kind, np.random.default_rng(1), size=32)
        assert surface.pixels.shape == (32, 32, 3) and surface.pixels.std() > 1
        assert np.isfinite(surface.parameters).all() and len(surface.parameters) == len(surfaces.PARAMETERS)
        assert ("no marks" if kind == "clean" else kind.removesuffix("s")) in surface.caption or kind == "rolls"


def test_the_demos_classes_are_no_kinds_of_the_prior() -> None:
    assert not set(SAMPLE_CLASSES) & set(surfaces.KINDS)
    for draw in SAMPLE_CLASSES.values():
        assert draw(np.random.default_rng(0), 64).shape == (64, 64)


def test_standardising_latents_changes_no_decoded_image() -> None:
    torch.manual_seed(0)
    vae = build_vae(Recipe()).requires_grad_(False).eval()
    pixels = torch.rand(4, 3, 32, 32) * 2 - 1
    before = vae.decode(vae.encode(pixels).latent_dist.mode()).sample
    standardise_latents(vae, pixels)
    latents = vae.encode(pixels).latent_dist.mode()
    assert torch.allclose(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(latents.std((0, 2, 3)), torch.ones(4), atol=1e-3)
    assert torch.allclose(vae.decode(latents).sample, before, atol=1e-3)


def test_the_tokenizer_knows_its_words_and_spells_the_others() -> None:
    tokenizer = trained_tokenizer(["a photo of scratches"] * 5, max_tokens=32)
    assert tokenizer.tokenize("A photo of scratches") == ["a</w>", "photo</w>", "of</w>", "scratches</w>"]
    assert tokenizer.tokenize("Riß") and tokenizer.unk_token not in tokenizer.tokenize("Riß")
