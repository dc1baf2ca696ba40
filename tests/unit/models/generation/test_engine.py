"""Generation, and its interchange with stock diffusers, on a tiny real model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline, UniPCMultistepScheduler
from PIL import Image

from models.adaptation.config import AdaptationConfig, LoraTrainingConfig, TextualInversionConfig
from models.adaptation.trainer import adapt
from models.adapter import Adapter, load_adapter
from models.diffusion import latents
from models.diffusion.base_model import BaseModel, load_base_model
from models.diffusion.timesteps import Schedule, schedule
from models.errors import AdapterUnusable, InvalidSettings, NonFiniteLoss
from models.generation.config import MIN_SPLICED_STRENGTH, GenerationConfig, GenerationMode
from models.generation.denoising import Conditioning, Run, denoise
from models.generation.engine import Sample, Sampler, encode_sources, source_of
from models.imaging.fit import FitPolicy
from models.progress import no_progress
from service.contracts import generations as contracts

CONFIG = GenerationConfig(strength=0.6, num_inference_steps=10, guidance_scale=2.0)


@pytest.fixture(scope="module")
def adapter_folder(tiny_folder: Path, pictures: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter whose text-encoder LoRA is far from zero and whose alpha is not its rank."""
    folder = tmp_path_factory.mktemp("adapter")
    config = AdaptationConfig(
        TextualInversionConfig(steps=5, batch_size=2),
        LoraTrainingConfig(
            steps=12, batch_size=2, rank=4, lora_alpha=8, learning_rate=1e-2, text_encoder_learning_rate=2e-2
        ),
        variants_per_image=1,
    )
    base = load_base_model(str(tiny_folder), name="tiny")
    adapt(base, pictures, config, placeholder_token="<pit-1>", out_dir=folder, checkpoint_dir=folder / "checkpoints",
          progress=no_progress)  # fmt: skip
    return folder


@pytest.fixture
def adapter(adapter_folder: Path) -> Adapter:
    return load_adapter(adapter_folder)


def made(
    base: BaseModel, adapter: Adapter | None, pictures: list[Image.Image], config: GenerationConfig = CONFIG,
    num_images: int = 5, first_index: int = 0,
) -> list[Sample]:  # fmt: skip
    prompts = Conditioning.of_words("a pit", base) if adapter is None else Conditioning.of_adapter(adapter, base)
    sources = encode_sources(base, pictures, FitPolicy.RESIZE)
    return list(Sampler(base, prompts, sources, config, 7, no_progress).samples(range(first_index, num_images)))


def denoised(
    base: BaseModel, adapter: Adapter, starts: torch.Tensor | None, seeds: list[int], steps: Schedule,
    guidance_scale: float,
) -> torch.Tensor:  # fmt: skip
    run = Run(base, Conditioning.of_adapter(adapter, base), starts, seeds, steps, guidance_scale)
    denoise(base, run, no_progress)
    return run.latents


def pixels(sample: Sample) -> np.ndarray:
    return np.asarray(sample.image, dtype=np.int16)


def stock(kind: type, tiny_folder: Path, adapter_folder: Path, steps: Schedule) -> object:
    pipeline = kind.from_pretrained(tiny_folder, safety_checker=None)
    pipeline.scheduler = UniPCMultistepScheduler.from_config(pipeline.scheduler.config, **steps.options)
    pipeline.load_textual_inversion(str(adapter_folder / "learned_embeds.safetensors"))
    pipeline.load_lora_weights(str(adapter_folder), weight_name="pytorch_lora_weights.safetensors")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_stock_img2img_gives_the_same_images(
    tiny_base: BaseModel, tiny_folder: Path, adapter_folder: Path, adapter: Adapter, pictures: list[Image.Image]
) -> None:
    source_latents = latents.encode(tiny_base, latents.fitted(tiny_base, pictures[:3], FitPolicy.RESIZE))
    seeds = [11, 12, 13]
    steps = schedule(tiny_base, 10, 0.6)
    clean = denoised(tiny_base, adapter, source_latents, seeds, steps, 2.0)
    ours = (latents.decode(tiny_base, clean) / 2 + 0.5).clamp(0, 1)
    pipeline = stock(StableDiffusionImg2ImgPipeline, tiny_folder, adapter_folder, steps)
    theirs = pipeline(
        prompt=[adapter.card.prompt] * 3, image=source_latents, strength=1.0, num_inference_steps=6,
        guidance_scale=2.0, generator=[torch.Generator().manual_seed(seed) for seed in seeds], output_type="pt",
    ).images  # fmt: skip
    assert float((ours - theirs).abs().max()) <= 1 / 255
    # The check has teeth only if the text encoder's LoRA matters: without it the prompt is another one.
    pipeline.text_encoder.disable_adapters()
    without, _ = pipeline.encode_prompt(adapter.card.prompt, "cpu", 1, True)
    assert float((without - adapter.prompt_embeds).abs().max()) > 0.01


def test_stock_text_to_image_gives_the_same_images(
    tiny_base: BaseModel, tiny_folder: Path, adapter_folder: Path, adapter: Adapter
) -> None:
    steps = schedule(tiny_base, 8, 1.0)
    clean = denoised(tiny_base, adapter, None, [4], steps, 3.0)
    ours = (latents.decode(tiny_base, clean) / 2 + 0.5).clamp(0, 1)
    pipeline = stock(StableDiffusionPipeline, tiny_folder, adapter_folder, steps)
    theirs = pipeline(
        prompt=adapter.card.prompt, num_inference_steps=8, guidance_scale=3.0, output_type="pt",
        generator=torch.Generator().manual_seed(4),
    ).images  # fmt: skip
    assert float((ours - theirs).abs().max()) <= 1 / 255


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_an_image_does_not_depend_on_the_batch_it_was_made_in(
    tiny_base: BaseModel, adapter: Adapter, pictures: list[Image.Image], mode: GenerationMode
) -> None:
    def by_batches_of(size: int) -> list[Sample]:
        return made(tiny_base, adapter, pictures, GenerationConfig(mode=mode, num_inference_steps=6, batch_size=size))

    alone, together = by_batches_of(1), by_batches_of(4)
    for one, other in zip(alone, together, strict=True):
        assert (one.index, one.seed, one.source_index) == (other.index, other.seed, other.source_index)
        assert int(np.abs(pixels(one) - pixels(other)).max()) <= 1
    assert int(np.abs(pixels(alone[0]) - pixels(alone[1])).max()) > 1


def test_a_spliced_image_has_two_sources_and_depends_on_its_index_alone(
    tiny_base: BaseModel, adapter: Adapter, pictures: list[Image.Image]
) -> None:
    config = replace(CONFIG, splice_sources=True, strength=0.4)
    whole, rest = (made(tiny_base, adapter, pictures, config, first_index=first) for first in (0, 3))
    assert all(len(set(sample.source_indices)) == 2 for sample in whole)
    assert [sample.source_indices for sample in whole[3:]] == [sample.source_indices for sample in rest]
    assert all(int(np.abs(pixels(a) - pixels(b)).max()) <= 1 for a, b in zip(whole[3:], rest, strict=True))
    plain = made(tiny_base, adapter, pictures, replace(config, splice_sources=False))
    assert [sample.source_index for sample in plain] == [sample.source_index for sample in whole]
    assert all(int(np.abs(pixels(a) - pixels(b)).max()) > 1 for a, b in zip(plain, whole, strict=True))


def test_a_collage_is_refused_and_the_service_knows_the_same_bound() -> None:
    assert MIN_SPLICED_STRENGTH == contracts.MIN_SPLICED_STRENGTH
    GenerationConfig(strength=MIN_SPLICED_STRENGTH, splice_sources=True)
    with pytest.raises(InvalidSettings, match="hardly redrawn"):
        GenerationConfig(strength=0.39, splice_sources=True)


@pytest.mark.parametrize("change", [{"mode": GenerationMode.FROM_NOISE}, {}], ids=["from noise", "one source"])
def test_what_cannot_be_spliced_is_made_as_if_it_were_not_asked_for(
    tiny_base: BaseModel, adapter: Adapter, pictures: list[Image.Image], change: dict[str, GenerationMode]
) -> None:
    plain = replace(CONFIG, **change)
    given = pictures if change else pictures[:1]
    asked, unasked = (made(tiny_base, adapter, given, one) for one in (replace(plain, splice_sources=True), plain))
    assert all(sample.second_source_index is None for sample in asked)
    assert all((pixels(a) == pixels(b)).all() for a, b in zip(asked, unasked, strict=True))


def test_a_generation_taken_up_in_the_middle_makes_the_same_rest(
    tiny_base: BaseModel, adapter: Adapter, pictures: list[Image.Image]
) -> None:
    whole, rest = made(tiny_base, adapter, pictures), made(tiny_base, adapter, pictures, first_index=3)
    assert [sample.index for sample in rest] == [3, 4]
    assert all(int(np.abs(pixels(a) - pixels(b)).max()) <= 1 for a, b in zip(whole[3:], rest, strict=True))


def test_images_have_the_size_and_mode_of_their_source(
    tiny_base: BaseModel, adapter: Adapter, pictures: list[Image.Image]
) -> None:
    mixed = [pictures[0], pictures[1].convert("RGB").resize((30, 52))]
    for sample in made(tiny_base, adapter, mixed):
        assert sample.source_index is not None
        assert (sample.image.size, sample.image.mode) == (
            mixed[sample.source_index].size, mixed[sample.source_index].mode,
        )  # fmt: skip


def test_low_strength_stays_near_its_source(
    tiny_base: BaseModel, adapter: Adapter, pictures: list[Image.Image]
) -> None:
    source = latents.encode(tiny_base, latents.fitted(tiny_base, pictures[:1], FitPolicy.RESIZE))

    def change(strength: float) -> float:
        clean = denoised(tiny_base, adapter, source, [1], schedule(tiny_base, 20, strength), 1.0)
        return float((clean - source).square().mean().sqrt())

    assert change(0.05) < 0.25 * change(0.5)


def test_an_adapter_of_another_base_model_is_refused(tiny_base: BaseModel, adapter: Adapter) -> None:
    tiny_base.revision = "another"
    with pytest.raises(AdapterUnusable, match="not on tiny"):
        Conditioning.of_adapter(adapter, tiny_base)


def test_every_source_is_used_once_before_any_is_used_twice() -> None:
    order = [source_of(index, 5, seed=3) for index in range(15)]
    assert [sorted(order[start : start + 5]) for start in (0, 5, 10)] == [[0, 1, 2, 3, 4]] * 3
    assert order[:5] != order[5:10] or order[5:10] != order[10:]


def test_an_image_that_is_not_finite_is_left_out_and_a_whole_batch_of_them_is_an_error(
    tiny_base: BaseModel, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = latents.decode

    def broken_at(*places: int) -> None:
        def broken(base: BaseModel, clean: torch.Tensor) -> torch.Tensor:
            pixels = decode(base, clean)
            pixels[list(places)] = float("nan")
            return pixels

        monkeypatch.setattr(latents, "decode", broken)

    broken_at(1)
    assert [sample.index for sample in made(tiny_base, None, pictures, num_images=3)] == [0, 2]
    broken_at(0, 1, 2)
    with pytest.raises(NonFiniteLoss, match="Every image"):
        made(tiny_base, None, pictures, num_images=3)
