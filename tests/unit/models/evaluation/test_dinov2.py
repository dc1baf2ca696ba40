import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Dinov2Model

from models.errors import ExtractorUnusable
from models.evaluation.dinov2 import load_dinov2, normalised
from models.evaluation.features import extract
from models.evaluation.weights_file import digest_of
from tests.fakes.extractor_files import save_dinov2, sha256_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_dinov2(tmp_path / "dinov2")


def rewritten(folder: Path, state: dict[str, torch.Tensor]) -> str:
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    return sha256_of(folder / "model.safetensors")


def test_features_are_the_class_token_of_the_stock_model(folder: Path) -> None:
    digest = sha256_of(folder / "model.safetensors")
    extractor = load_dinov2(str(folder), digest, name="dino")
    pixel_values = torch.rand(3, 3, 60, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1
    stock = Dinov2Model.from_pretrained(folder).eval()
    expected = stock(pixel_values=normalised(pixel_values)).pooler_output.detach()
    assert torch.allclose(extractor(pixel_values), expected, atol=1e-6)
    assert (extractor.name, extractor.digest, extractor.dim) == ("dino", digest, 16)
    one_by_one = torch.cat([extractor(one[None]) for one in pixel_values])
    assert torch.allclose(one_by_one, expected, atol=1e-5)


def test_black_and_white_become_the_ends_of_the_normalised_range_at_224_px() -> None:
    ends = normalised(torch.stack([torch.full((3, 50, 70), -1.0), torch.full((3, 50, 70), 1.0)]))
    assert ends.shape == (2, 3, 224, 224)
    assert ends[0, :, 9, 9].tolist() == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], abs=1e-5)
    assert ends[1, :, 9, 9].tolist() == pytest.approx([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225], abs=1e-5)


def test_grey_and_rgb_agree_and_a_picture_that_is_not_finite_is_refused(folder: Path) -> None:
    extractor = load_dinov2(str(folder), sha256_of(folder / "model.safetensors"))
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8))
    assert extract(extractor, [grey]) == pytest.approx(extract(extractor, [grey.convert("RGB")]))
    with pytest.raises(ExtractorUnusable, match="not finite"):
        extract(extractor, [torch.full((1, 3, 32, 32), float("nan"))])


def test_several_files_have_one_digest_whatever_their_order(folder: Path) -> None:
    whole = folder / "model.safetensors"
    assert digest_of([whole]) == sha256_of(whole)
    Dinov2Model.from_pretrained(folder).save_pretrained(folder / "parts", max_shard_size="10KB")
    parts = sorted((folder / "parts").glob("*.safetensors"))
    assert len(parts) > 1
    digest = digest_of(reversed(parts))
    pixel_values = torch.zeros(1, 3, 32, 32)
    opened = load_dinov2(str(folder / "parts"), digest)
    assert torch.equal(opened(pixel_values), load_dinov2(str(folder), sha256_of(whole))(pixel_values))


def test_a_wrong_digest_is_refused_before_the_folder_is_opened(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ExtractorUnusable, match=f"{sha256_of(folder / 'model.safetensors')}.*{'f' * 64}"):
        load_dinov2(str(folder), "f" * 64)


def test_weights_that_transformers_would_fill_with_random_numbers_are_refused(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    lacking = rewritten(folder, {name: value for name, value in state.items() if name != "layernorm.weight"})
    with pytest.raises(ExtractorUnusable, match=r"layernorm\.weight"):
        load_dinov2(str(folder), lacking)
    damaged = rewritten(folder, state | {"layernorm.weight": torch.full((16,), float("nan"))})
    with pytest.raises(ExtractorUnusable, match="not finite"):
        load_dinov2(str(folder), damaged)


def test_another_architecture_an_empty_folder_and_a_missing_one_are_refused(folder: Path, tmp_path: Path) -> None:
    digest = sha256_of(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "vit"}))
    with pytest.raises(ExtractorUnusable, match="'vit', not 'dinov2'"):
        load_dinov2(str(folder), digest)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExtractorUnusable, match=r"no \.safetensors"):
        load_dinov2(str(tmp_path / "empty"), digest)
    with pytest.raises(ExtractorUnusable, match="is no folder") as raised:
        load_dinov2("someone/dinov2", digest)
    assert "revision" in (raised.value.remedy or "")
