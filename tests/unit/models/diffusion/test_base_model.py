"""Opening base models, and refusing what is none."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from models.diffusion import lora
from models.diffusion.base_model import BaseModel, load_base_model
from models.errors import BaseModelUnusable


def test_a_folder_tells_its_native_size_and_latent_shape(tiny_base: BaseModel) -> None:
    assert (tiny_base.native_size_px, tiny_base.latent_shape) == (32, (4, 16, 16))


def test_pickled_weights_are_never_opened(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "pickled")
    weights = next((folder / "unet").glob("*.safetensors"))
    weights.unlink()
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(BaseModelUnusable, match="pickled"):
        load_base_model(str(folder), name="pickled")


def test_an_inpainting_model_is_refused_by_its_channels(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "other")
    config_path = folder / "vae" / "config.json"
    config = json.loads(config_path.read_text()) | {"latent_channels": 8}
    config_path.write_text(json.dumps(config))
    with pytest.raises(BaseModelUnusable):
        load_base_model(str(folder), name="other")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BaseModelUnusable, match="nowhere"):
        load_base_model(str(tmp_path / "nowhere"), name="nowhere")


def test_an_untrained_lora_changes_nothing_and_leaves_no_trace(tiny_base: BaseModel) -> None:
    latents, prompt = torch.randn(1, *tiny_base.latent_shape), tiny_base.encode_prompt("a pit")
    with torch.no_grad():
        before = tiny_base.unet(latents, 5, prompt).sample
        layers = [type(module) for module in tiny_base.unet.modules()]
        lora.inject(tiny_base.unet, "new", lora.UNET_TARGETS, rank=2, lora_alpha=2, seed=0)
        assert torch.equal(tiny_base.unet(latents, 5, prompt).sample, before)
        lora.remove(tiny_base.unet, "new")
    assert [type(module) for module in tiny_base.unet.modules()] == layers
