"""Both stages on a tiny real model: what moves, what stays, what survives a kill."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from models.adaptation import trainer
from models.adaptation.config import AdaptationConfig, LoraTrainingConfig, TextualInversionConfig
from models.adaptation.placeholder import ClassPrompt
from models.adaptation.trainer import AdaptationOutcome, adapt
from models.adapter import Adapter, load_adapter
from models.diffusion.base_model import BaseModel
from models.errors import Canceled, DatasetUnusable, Interrupted, NonFiniteLoss
from models.progress import Progress, no_progress

CONFIG = AdaptationConfig(
    textual_inversion=TextualInversionConfig(steps=6, batch_size=2),
    lora=LoraTrainingConfig(steps=8, batch_size=2, rank=4, lora_alpha=8, text_encoder_learning_rate=1e-2),
    variants_per_image=2,
    num_kept=3,
)
Folders = tuple[Path, Path]


def run(
    base: BaseModel, pictures: list[Image.Image], folder: Path, config: AdaptationConfig = CONFIG,
    progress: Progress = no_progress, checkpoint_seconds: float = 10.0,
) -> AdaptationOutcome:  # fmt: skip
    return adapt(
        base, pictures, config, placeholder_token="<pit-1>", out_dir=folder / "adapter",
        checkpoint_dir=folder / "checkpoints", progress=progress, checkpoint_seconds=checkpoint_seconds,
    )  # fmt: skip


def bytes_of(folder: Path) -> dict[str, bytes]:
    paths = [*(folder / "adapter").iterdir(), *(folder / "checkpoints/kept").rglob("*.*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(paths) if path.is_file()}


def test_adaptation_leaves_the_base_model_as_it_found_it(
    tiny_base: BaseModel, pictures: list[Image.Image], tmp_path: Path
) -> None:
    parts = (tiny_base.unet, tiny_base.text_encoder, tiny_base.vae)
    before = [{name: tensor.clone() for name, tensor in part.state_dict().items()} for part in parts]
    vocabulary = len(tiny_base.tokenizer)
    run(tiny_base, pictures, tmp_path)
    for part, expected in zip(parts, before, strict=True):
        found = part.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert len(tiny_base.tokenizer) == vocabulary


def test_both_text_encoder_and_unet_are_trained(
    tiny_base: BaseModel, pictures: list[Image.Image], tmp_path: Path
) -> None:
    run(tiny_base, pictures, tmp_path)
    adapter = load_adapter(tmp_path / "adapter")
    for weights in (adapter.text_encoder_lora, adapter.unet_lora):
        ups = [tensor for name, tensor in weights.items() if name.endswith("lora_B.weight")]
        assert ups and all(bool(tensor.abs().max() > 0) for tensor in ups)
    assert any(".attn2.to_k." in name for name in adapter.unet_lora)


def test_stage_one_moves_the_placeholder_and_nothing_else(tiny_base: BaseModel) -> None:
    prompt = ClassPrompt(tiny_base, "<pit-1>", "pit")
    prompt.embeds().square().mean().backward()
    moved = [name for name, parameter in prompt.text_encoder.named_parameters() if parameter.grad is not None]
    assert moved == ["embeddings.token_embedding.vector"]
    known = prompt.embedding(torch.tensor([[3, 5]]))
    assert torch.equal(known, tiny_base.text_encoder.get_input_embeddings()(torch.tensor([[3, 5]])))


def test_a_class_takes_no_memory_for_weights_that_it_does_not_train(tiny_base: BaseModel) -> None:
    frozen = {tensor.data_ptr() for tensor in tiny_base.text_encoder.parameters()}
    prompt = ClassPrompt(tiny_base, "<pit-1>", "pit")
    own = {name for name, tensor in prompt.text_encoder.named_parameters() if tensor.data_ptr() not in frozen}
    assert own == {"embeddings.token_embedding.vector"}
    assert prompt.embedding.get_buffer("table").data_ptr() in frozen


def test_gradient_checkpointing_trains_the_same_adapter(
    tiny_base: BaseModel, pictures: list[Image.Image], tmp_path: Path
) -> None:
    run(tiny_base, pictures, tmp_path / "plain")
    tiny_base.unet.enable_gradient_checkpointing()
    run(tiny_base, pictures, tmp_path / "checkpointed")
    plain, checkpointed = (load_adapter(tmp_path / name / "adapter") for name in ("plain", "checkpointed"))
    assert plain.unet_lora.keys() == checkpointed.unet_lora.keys()
    for name, tensor in {**plain.unet_lora, **plain.text_encoder_lora}.items():
        other = {**checkpointed.unet_lora, **checkpointed.text_encoder_lora}[name]
        torch.testing.assert_close(other, tensor, rtol=1e-2, atol=1e-4)


def test_a_run_stopped_anywhere_and_resumed_gives_the_same_bytes(
    tiny_base: BaseModel, pictures: list[Image.Image], tmp_path: Path
) -> None:
    run(tiny_base, pictures, tmp_path / "whole")
    calls = 0

    def stop_at_every_fourth(stage: str, step: int, total: int, **figures: float) -> None:
        nonlocal calls
        calls += 1
        if calls % 4 == 0:
            raise Canceled("stop")

    for _ in range(40):
        try:
            run(tiny_base, pictures, tmp_path / "stopped", CONFIG, stop_at_every_fourth, checkpoint_seconds=0)
            break
        except Canceled:
            continue
    assert calls > 14
    assert bytes_of(tmp_path / "stopped") == bytes_of(tmp_path / "whole")


def test_a_run_that_is_interrupted_goes_on_with_the_very_next_step(
    tiny_base: BaseModel, pictures: list[Image.Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_CURVE_POINTS", 2)  # Each point is a mean over several steps.
    whole = run(tiny_base, pictures, tmp_path / "whole")
    reported: list[tuple[str, int]] = []

    def interrupt_at_every_third(stage: str, step: int, total: int, **figures: float) -> None:
        if stage != "caching_latents":
            reported.append((stage, step))
            if len(reported) % 3 == 0:
                raise Interrupted("stop")

    for _ in range(10):
        try:
            outcome = run(tiny_base, pictures, tmp_path / "stopped", CONFIG, interrupt_at_every_third)
            break
        except Interrupted:
            continue
    steps = [("textual_inversion", step) for step in range(1, 7)] + [("lora", step) for step in range(1, 9)]
    assert reported == steps
    assert outcome.loss_curve == whole.loss_curve
    assert bytes_of(tmp_path / "stopped") == bytes_of(tmp_path / "whole")


def test_what_was_begun_in_one_precision_is_not_gone_on_with_in_another(
    tiny_base: BaseModel, pictures: list[Image.Image], tmp_path: Path
) -> None:
    reported: list[tuple[str, int]] = []

    def interrupt_once(stage: str, step: int, total: int, **figures: float) -> None:
        reported.append((stage, step))
        if reported.count((stage, step)) == 1 and (stage, step) == ("lora", 2):
            raise Interrupted("stop")

    with pytest.raises(Interrupted):
        run(tiny_base, pictures, tmp_path, CONFIG, interrupt_once)
    elsewhere = replace(tiny_base, autocast=torch.bfloat16)
    run(elsewhere, pictures, tmp_path, CONFIG, interrupt_once)
    assert reported.count(("textual_inversion", 1)) == 2
    assert load_adapter(tmp_path / "adapter").card.precision == "bfloat16 autocast"


def test_adapters_are_kept_along_both_stages_and_the_last_is_the_adapter(
    tiny_base: BaseModel, pictures: list[Image.Image], tmp_path: Path
) -> None:
    kept = run(tiny_base, pictures, tmp_path).kept
    assert list(kept) == [
        "textual_inversion@2", "textual_inversion@4", "textual_inversion@6", "lora@3", "lora@6", "lora@8",
    ]  # fmt: skip
    assert kept["lora@8"] == tmp_path / "adapter"
    adapters = {name: load_adapter(folder) for name, folder in kept.items()}
    token = adapters["textual_inversion@6"]
    assert not token.unet_lora and not token.text_encoder_lora
    assert torch.equal(token.learned_embeds, adapters["lora@8"].learned_embeds)
    assert not torch.equal(token.learned_embeds, adapters["textual_inversion@2"].learned_embeds)
    assert not torch.equal(token.prompt_embeds, adapters["lora@8"].prompt_embeds)
    assert adapters["lora@3"].unet_lora.keys() == adapters["lora@8"].unet_lora.keys()
    # What was kept half-way is what a run of the same schedule had then, not a copy of its end.
    assert not torch.equal(*(next(iter(adapters[name].unet_lora.values())) for name in ("lora@3", "lora@8")))


def test_a_diverging_loss_stops_the_run_and_names_the_setting(
    tiny_base: BaseModel, pictures: list[Image.Image], tmp_path: Path
) -> None:
    with torch.no_grad():
        tiny_base.unet.conv_out.bias.fill_(float("nan"))
    with pytest.raises(NonFiniteLoss) as error:
        run(tiny_base, pictures, tmp_path)
    assert error.value.field == "textual_inversion.learning_rate"
    assert error.value.remedy == "Lower settings.textual_inversion.learning_rate."
    assert not (tmp_path / "adapter").exists()


def test_too_few_images_are_refused_with_the_minimum(
    tiny_base: BaseModel, pictures: list[Image.Image], tmp_path: Path
) -> None:
    with pytest.raises(DatasetUnusable, match="at least 4"):
        run(tiny_base, pictures[:3], tmp_path)


@pytest.mark.parametrize(("skipped", "has_lora"), [("textual_inversion", True), ("lora", False)])
def test_either_stage_can_be_left_out(
    tiny_base: BaseModel, pictures: list[Image.Image], tmp_path: Path, skipped: str, has_lora: bool
) -> None:
    config = AdaptationConfig(
        textual_inversion=TextualInversionConfig(steps=0 if skipped == "textual_inversion" else 4, batch_size=2),
        lora=LoraTrainingConfig(steps=0 if skipped == "lora" else 4, batch_size=2, rank=2, lora_alpha=2),
        variants_per_image=1,
    )
    run(tiny_base, pictures, tmp_path, config)
    adapter: Adapter = load_adapter(tmp_path / "adapter")
    assert bool(adapter.unet_lora) is has_lora
    start = ClassPrompt(tiny_base, "<pit-1>", "defect").embedding.vector
    assert torch.equal(adapter.learned_embeds, start) is (skipped == "textual_inversion")
