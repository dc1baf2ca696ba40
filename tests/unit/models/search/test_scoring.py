"""Scoring a candidate with a tiny real base model and made-up adapters."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from models.adapter import Adapter, AdapterCard
from models.diffusion import latents, lora
from models.diffusion.base_model import BaseModel
from models.errors import Canceled
from models.evaluation.features import Features, extract
from models.evaluation.frechet import frechet_distance
from models.evaluation.kernel import squared_mmd
from models.generation.engine import Sample, encode_sources
from models.imaging.fit import FitPolicy
from models.progress import no_progress
from models.search.scoring import TrialMaterial, TrialScorer
from models.search.space import Candidate

CANDIDATE = Candidate("lora@4", 0.5, 1.5, 1.0, 6)


class Moments:
    """An extractor of three features: mean, spread and slope of the grey values."""

    name, digest, resize_rule, dim = "moments", "0" * 64, "none", 3

    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        grey = pixel_values.mean(dim=1)
        slope = (grey[:, 1:] - grey[:, :-1]).mean(dim=(1, 2))
        return torch.stack([grey.mean(dim=(1, 2)), grey.std(dim=(1, 2)), slope], dim=1)


def adapter_of(base: BaseModel, step: int) -> Adapter:
    """An adapter whose LoRA is drawn, not trained; without LoRA at step 0."""
    lora.inject(base.unet, "draft", lora.UNET_TARGETS, 2, 2, seed=step)
    names = {name: weight.shape for name, weight in lora.read(base.unet, "draft").items()}
    lora.remove(base.unet, "draft")
    rng = torch.Generator().manual_seed(step)
    weights = {name: 0.3 * torch.randn(shape, generator=rng) for name, shape in names.items()} if step else {}
    card = AdapterCard(
        base_model=base.name, base_model_revision=base.revision, placeholder_token="<pit>", prompt="A photo of <pit>",
        rank=2, lora_alpha=2.0, fit="resize", num_train_images=6, settings={"lora": {"steps": step}}, step=step,
    )  # fmt: skip
    words = base.encode_prompt("a pit").cpu()
    return Adapter(card, words[0, 1], weights, {}, words, base.encode_prompt("").cpu())


@pytest.fixture
def material(tiny_base: BaseModel, pictures: list[Image.Image]) -> TrialMaterial:
    def first_two(samples: Sequence[Sample], features: Features) -> list[bool]:
        assert [sample.index for sample in samples] == list(range(len(features)))
        return [sample.index < 2 for sample in samples]

    return TrialMaterial(
        base=tiny_base, sources=encode_sources(tiny_base, pictures, FitPolicy.RESIZE),
        adapters={f"lora@{step}": adapter_of(tiny_base, step) for step in (0, 2, 4)},
        reference=extract(Moments(), pictures), extractor=Moments(), are_copies=first_two,
        num_images=6, batch_size=2, num_examples=3,
    )  # fmt: skip


def scores(material: TrialMaterial, *candidates: Candidate) -> list[tuple[float | None, ...]]:
    scorer = TrialScorer(material, no_progress, max_trials=len(candidates))
    seen = [scorer(candidate) for candidate in candidates]
    return [(one.kid, one.kid_std, one.fid, one.share_copies) for one in seen]


def test_a_candidate_scores_the_same_after_others(material: TrialMaterial) -> None:
    weaker, other = replace(CANDIDATE, lora_scale=0.5), replace(CANDIDATE, checkpoint="lora@2")
    token_only = replace(CANDIDATE, checkpoint="lora@0", lora_scale=0.7)
    scorer = TrialScorer(material, no_progress, max_trials=6)
    tried = [CANDIDATE, weaker, other, token_only, CANDIDATE]
    seen = [scorer(candidate) for candidate in tried]
    assert seen[0].kid == seen[-1].kid and seen[0].fid == seen[-1].fid
    assert len({one.kid for one in seen}) == 4
    for candidate, one in zip(tried, seen, strict=True):
        assert scores(material, candidate) == [(one.kid, one.kid_std, one.fid, one.share_copies)]
        assert one.num_images == 6 and one.share_copies == pytest.approx(1 / 3) and one.remark is None


def test_copies_are_not_scored_unless_there_are_too_many_of_them(material: TrialMaterial) -> None:
    strict, none = replace(material, max_share_copies=0.3), replace(material, are_copies=lambda samples, _: [False] * 6)
    assert scores(strict, CANDIDATE)[0][:2] == scores(none, CANDIDATE)[0][:2]
    ((kid, _, fid, _),) = scores(material, CANDIDATE)
    drawn = TrialScorer(replace(none, num_examples=6), no_progress, max_trials=1)
    drawn(CANDIDATE)
    delivered = extract(Moments(), [one.image for one in drawn.examples[CANDIDATE][2:]])
    assert kid == pytest.approx(squared_mmd(material.reference, delivered))
    assert fid == pytest.approx(frechet_distance(material.reference, delivered[:3]))


def test_every_fid_is_of_as_many_images_and_a_trial_tells_how_many_its_kid_is_of(material: TrialMaterial) -> None:
    none = replace(material, are_copies=lambda samples, _: [False] * 6, num_examples=6)
    scorer = TrialScorer(none, no_progress, max_trials=1)
    seen = scorer(CANDIDATE)
    made = extract(Moments(), [one.image for one in scorer.examples[CANDIDATE]])
    assert seen.fid == pytest.approx(frechet_distance(material.reference, made[:3]))
    assert seen.num_scored == 6
    assert TrialScorer(material, no_progress, max_trials=1)(CANDIDATE).num_scored == 4


@pytest.mark.parametrize(("num_new", "told"), [(3, "3 images are"), (1, "1 image is")])
def test_of_three_images_that_are_no_copies_luck_cannot_be_told(
    material: TrialMaterial, num_new: int, told: str
) -> None:
    lenient = replace(
        material, max_share_copies=0.9, are_copies=lambda samples, _: [sample.index >= num_new for sample in samples]
    )
    seen = TrialScorer(lenient, no_progress, max_trials=1)(CANDIDATE)
    assert not seen.is_scored and seen.remark == f"{told} no copies, too few to tell quality from luck."


@pytest.mark.parametrize("splice_sources", [False, True])
def test_no_image_is_compared_with_what_it_began_as(material: TrialMaterial, splice_sources: bool) -> None:
    own = replace(material, are_copies=lambda samples, _: [False] * 6, reference_is_sources=True, num_examples=6)
    scorer, candidate = TrialScorer(own, no_progress, max_trials=1), replace(CANDIDATE, splice_sources=splice_sources)
    kid = scorer(candidate).kid
    samples = scorer.examples[candidate]
    x, y = own.reference, extract(Moments(), [one.image for one in samples])

    def kernel(a: Features, b: Features) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    within = [
        np.mean([kernel(a, b) for i, a in enumerate(side) for j, b in enumerate(side) if i != j]) for side in (x, y)
    ]
    across = [
        kernel(a, b)
        for i, a in enumerate(x)
        for b, made in zip(y, samples, strict=True)
        if i not in made.source_indices
    ]
    assert len(across) == len(x) * 6 - (12 if splice_sources else 6)
    assert kid == pytest.approx(sum(within) - 2 * np.mean(across))


def test_a_few_images_are_kept_to_be_shown(material: TrialMaterial, pictures: list[Image.Image]) -> None:
    scorer = TrialScorer(material, no_progress, max_trials=1)
    scorer(CANDIDATE)
    assert [one.image.size for one in scorer.examples[CANDIDATE]] == [pictures[0].size] * 3
    assert [one.index for one in scorer.examples[CANDIDATE]] == [0, 1, 2]


def test_progress_counts_images_of_all_trials_and_can_stop_the_search(material: TrialMaterial) -> None:
    told: list[tuple[str, int, int]] = []

    def listening(stage: str, step: int, total: int, **figures: float) -> None:
        told.append((stage, step, total))

    scorer = TrialScorer(material, listening, max_trials=4, num_done=1)
    scorer(CANDIDATE)
    assert {(stage, total) for stage, _, total in told} == {("search", 24)}
    assert [step for _, step, _ in told] == sorted(step for _, step, _ in told)
    assert told[-1][1] == 12

    def canceling(stage: str, step: int, total: int, **figures: float) -> None:
        raise Canceled("stop")

    with pytest.raises(Canceled):
        TrialScorer(material, canceling, max_trials=4)(CANDIDATE)


def test_a_broken_image_makes_the_trial_unusable_and_says_so(
    material: TrialMaterial, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = latents.decode

    def first_broken(base: BaseModel, clean: torch.Tensor) -> torch.Tensor:
        pixels = decode(base, clean)
        pixels[: len(pixels) - 1] = np.nan
        return pixels

    monkeypatch.setattr(latents, "decode", first_broken)
    scorer = TrialScorer(material, no_progress, max_trials=1)
    seen = scorer(CANDIDATE)
    assert [one.index for one in scorer.examples[CANDIDATE]] == [1], (
        "examples of two trials are compared by their place"
    )
    assert seen.remark == "3 of 6 images hold NaN or infinite values."
    assert not seen.is_scored and seen.num_images == 3
