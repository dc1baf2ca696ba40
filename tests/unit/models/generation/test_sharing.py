"""Images of different adapters made by shared U-Net calls, against each adapter's alone; a tiny real model."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.adapter import Adapter, AdapterCard
from models.diffusion import base_model, lora
from models.diffusion.base_model import BaseModel
from models.errors import Canceled
from models.generation.config import GenerationConfig, GenerationMode
from models.generation.denoising import Conditioning, Denoiser, denoise
from models.generation.engine import Sample, Sampler, encode_sources
from models.generation.sharing import SharedDenoiser
from models.imaging.fit import FitPolicy
from models.progress import Progress, no_progress
from worker.turns import Turns

#: Everything in which jobs may differ: rank, scale of the LoRA, prompt, guidance or none, steps, strength, images.
JOBS = [
    ("A photo of a pit", 2, 1.0, GenerationConfig(strength=0.6, num_inference_steps=10), 2),
    ("A photo of a scratch", 4, 0.5, GenerationConfig(strength=0.5, num_inference_steps=6, guidance_scale=1.0), 3),
    ("A photo of a stain", 2, 1.0, GenerationConfig(strength=0.9, num_inference_steps=8, guidance_scale=4.0), 1),
    ("A photo of a crack", 0, 1.0, GenerationConfig(mode=GenerationMode.FROM_NOISE, num_inference_steps=7), 2),
]
Draw = Callable[[Denoiser, Progress], list[Sample]]


def adapter_of(base: BaseModel, words: str, rank: int) -> Adapter:
    """An adapter whose LoRA is drawn, not trained; without LoRA at rank 0."""
    names: dict[str, torch.Size] = {}
    if rank:
        lora.inject(base.unet, "draft", lora.UNET_TARGETS, rank, rank, seed=0)
        names = {name: weight.shape for name, weight in lora.read(base.unet, "draft").items()}
        lora.remove(base.unet, "draft")
    draws = torch.Generator().manual_seed(len(words))
    weights = {name: 0.3 * torch.randn(shape, generator=draws) for name, shape in names.items()}
    card = AdapterCard(
        base_model=base.name, base_model_revision=base.revision, placeholder_token="<pit>", prompt=words,
        rank=max(rank, 1), lora_alpha=2.0 * max(rank, 1), fit="resize", num_train_images=6, settings={},
    )  # fmt: skip
    embeds = base.encode_prompt(words)
    return Adapter(card, embeds[0, 1], weights, {}, embeds, base.encode_prompt(""))


@pytest.fixture
def draws(tiny_base: BaseModel, pictures: list[Image.Image]) -> list[Draw]:
    """The jobs, each to be drawn with any denoiser."""
    return draws_of(tiny_base, pictures)


def draws_of(tiny_base: BaseModel, pictures: list[Image.Image]) -> list[Draw]:
    def job(words: str, rank: int, scale: float, config: GenerationConfig, count: int) -> Draw:
        conditioning = Conditioning.of_adapter(adapter_of(tiny_base, words, rank), tiny_base, scale)
        sources = encode_sources(tiny_base, pictures, FitPolicy.RESIZE)

        def draw(denoiser: Denoiser, progress: Progress) -> list[Sample]:
            return Sampler(tiny_base, conditioning, sources, config, 7, progress, denoiser).draw(range(count))

        return draw

    return [job(*one) for one in JOBS]


def together(draws: Sequence[Draw], max_rows: int = 64) -> list[list[Sample] | Exception]:
    """What each job makes, or why not, in a thread of its own; all are there before the first begins."""
    turns = Turns()
    denoiser = SharedDenoiser(max_rows, turns.pass_on)

    def run(draw: Draw) -> list[Sample] | Exception:
        with turns.turn():
            try:
                return draw(denoiser, no_progress)
            except Exception as error:
                return error

    with ThreadPoolExecutor(len(draws)) as threads:
        with turns.turn():
            running = []
            for number, draw in enumerate(draws, start=1):
                running.append(threads.submit(run, draw))
                while len(turns._line) < number:
                    time.sleep(0.001)
        return [one.result(timeout=60) for one in running]


def alone(draw: Draw) -> list[Sample]:
    return draw(denoise, no_progress)


def assert_alike(made: list[Sample] | Exception, expected: list[Sample], grey_levels: int = 1) -> None:
    assert not isinstance(made, Exception)
    for one, other in zip(made, expected, strict=True):
        assert (one.index, one.seed, one.source_index) == (other.index, other.seed, other.source_index)
        pair = (np.asarray(sample.image, dtype=np.int16) for sample in (one, other))
        assert int(np.abs(np.subtract(*pair)).max()) <= grey_levels


@pytest.fixture
def rows(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each U-Net call had."""
    counted: list[int] = []
    forward = tiny_base.unet.forward

    def counting(sample: torch.Tensor, *arguments: object, **options: object) -> object:
        counted.append(len(sample))
        return forward(sample, *arguments, **options)

    monkeypatch.setattr(tiny_base.unet, "forward", counting)
    return counted


def test_jobs_of_different_adapters_share_calls_and_make_the_images_that_each_makes_alone(
    draws: list[Draw], rows: list[int]
) -> None:
    expected = [alone(draw) for draw in draws]
    steps_alone = len(rows)
    rows.clear()
    for made, one in zip(together(draws), expected, strict=True):
        assert_alike(made, one)
    assert len({np.asarray(one[0].image).tobytes() for one in expected}) == len(JOBS)
    assert rows[0] == 2 * 2 + 3 + 2 * 1 + 2 * 2, "guided images take two rows, and one without guidance"
    assert (steps_alone, len(rows)) == (6 + 3 + 7 + 7, 7)


def test_a_call_is_never_larger_than_it_may_be_and_everybody_comes_to_an_end(
    draws: list[Draw], rows: list[int]
) -> None:
    expected = [alone(draw) for draw in draws]
    rows.clear()
    for made, one in zip(together(draws, max_rows=7), expected, strict=True):
        assert_alike(made, one)
    assert max(rows) == 7


def test_a_run_larger_than_a_call_may_be_goes_alone(draws: list[Draw], rows: list[int]) -> None:
    together(draws[:2], max_rows=1)
    assert set(rows) == {4, 3}


def test_a_canceled_job_leaves_the_others_their_images(draws: list[Draw]) -> None:
    expected = [alone(draw) for draw in draws]

    def canceled_at_the_second_step(denoiser: Denoiser, progress: Progress) -> list[Sample]:
        def told(stage: str, step: int, total: int, **figures: float) -> None:
            if step == 2:
                raise Canceled("stop")

        return draws[1](denoiser, told)

    made = together([draws[0], canceled_at_the_second_step, *draws[2:]])
    assert isinstance(made[1], Canceled)
    for place in (0, 2, 3):
        assert_alike(made[place], expected[place])


def test_what_breaks_a_shared_call_is_the_error_of_its_own_job(
    draws: list[Draw], tiny_base: BaseModel, pictures: list[Image.Image]
) -> None:
    expected = [alone(draw) for draw in draws]

    def broken(denoiser: Denoiser, progress: Progress) -> list[Sample]:
        conditioning = Conditioning.of_words("a pit", tiny_base)
        short, empty = (one[..., :-1] for one in (conditioning.conditional, conditioning.unconditional))
        unfit = replace(conditioning, conditional=short, unconditional=empty)
        sources = encode_sources(tiny_base, pictures, FitPolicy.RESIZE)
        return Sampler(tiny_base, unfit, sources, JOBS[0][3], 7, progress, denoiser).draw(range(2))

    made = together([draws[0], broken, *draws[2:]])
    assert isinstance(made[1], RuntimeError)
    for place in (0, 2, 3):
        assert_alike(made[place], expected[place])


def test_a_call_too_large_for_the_memory_is_taken_job_by_job(
    draws: list[Draw], tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [alone(draw) for draw in draws]
    forward = tiny_base.unet.forward

    def small(sample: torch.Tensor, *arguments: object, **options: object) -> object:
        if len(sample) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(sample, *arguments, **options)

    monkeypatch.setattr(tiny_base.unet, "forward", small)
    for made, one in zip(together(draws), expected, strict=True):
        assert_alike(made, one)


def test_the_u_net_is_left_as_it_was(draws: list[Draw], tiny_base: BaseModel) -> None:
    before = {name: weight.clone() for name, weight in tiny_base.unet.state_dict().items()}
    together(draws)
    assert not any(layer._forward_hooks for layer in tiny_base.unet.modules())
    after = tiny_base.unet.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_in_bfloat16_images_are_alike_to_its_rounding(
    tiny_folder: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounded to eight bits, a sum depends on the order of its terms, and so on how many rows a call has."""
    monkeypatch.setattr(base_model, "has_bfloat16", lambda device: True)
    draws = draws_of(base_model.load_base_model(str(tiny_folder), bfloat16_on_cpu=True), pictures)
    for made, draw in zip(together(draws), draws, strict=True):
        assert_alike(made, alone(draw), grey_levels=3)
