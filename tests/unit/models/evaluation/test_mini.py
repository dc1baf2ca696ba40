from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import ExtractorUnusable
from models.evaluation.features import FeatureExtractor, extract
from models.evaluation.mini import MiniConfig, MiniNetwork, load_mini, save_mini

TINY = MiniConfig(channels=(8, 8, 16, 16), input_px=32)


@pytest.fixture
def extractor(tmp_path: Path) -> FeatureExtractor:
    torch.manual_seed(0)
    save_mini(MiniNetwork(TINY), tmp_path)
    return load_mini(tmp_path)


def test_what_is_saved_is_what_is_loaded_and_its_bytes_depend_on_the_weights_alone(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = MiniNetwork(TINY).eval()
    save_mini(network, tmp_path / "a")
    save_mini(network, tmp_path / "b")
    first, second = load_mini(tmp_path / "a"), load_mini(tmp_path / "b")
    pixel_values = torch.rand(2, 3, 32, 32) * 2 - 1
    assert first.digest == second.digest and len(first.digest) == 64
    assert torch.equal(first(pixel_values), network.features(pixel_values).detach())


def test_the_same_texture_at_another_contrast_or_grain_has_other_features(extractor: FeatureExtractor) -> None:
    grain = np.random.default_rng(0).normal(size=(32, 32))
    smooth = np.asarray(Image.fromarray(grain).resize((8, 8)).resize((32, 32)))
    variants = [grain * 10, grain * 40, smooth / smooth.std() * 10]
    drawn = [Image.fromarray(np.clip(128 + v, 0, 255).astype(np.uint8)) for v in variants]
    plain, contrasted, smoothed = extract(extractor, drawn)
    assert np.linalg.norm(plain - contrasted) > 0.1 and np.linalg.norm(plain - smoothed) > 0.1


def test_calibration_brings_features_to_mean_zero_and_unit_size() -> None:
    torch.manual_seed(2)
    network = MiniNetwork(TINY).eval()
    pixel_values = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    before = network(pixel_values)[0].detach()
    network.calibrate(pixel_values, batch_size=16)
    features = network.features(pixel_values).detach()
    assert features.mean(dim=0).abs().max() < 1e-3
    assert features.std(dim=0).max() < 1.01 and features.std(dim=0).median() == pytest.approx(1.0, abs=0.01)
    assert torch.equal(network(pixel_values)[0].detach(), before)


def test_the_default_network_has_256_features_and_both_heads() -> None:
    network = MiniNetwork()
    parameters, kinds = network(torch.zeros(1, 3, 128, 128))
    assert network.features(torch.zeros(1, 3, 200, 180)).shape == (1, 256)
    assert parameters.shape == (1, 13) and kinds.shape == (1, 11)


def test_a_missing_damaged_or_mismatched_folder_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ExtractorUnusable, match=r"config\.json"):
        load_mini(tmp_path)
    save_mini(MiniNetwork(TINY), tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    with pytest.raises(ExtractorUnusable, match="cannot be opened"):
        load_mini(tmp_path)
    weights.write_bytes(whole)
    (tmp_path / "config.json").write_text('{"channels": [8, 8, 16, 32], "input_px": 32}')
    with pytest.raises(ExtractorUnusable, match="cannot be opened") as raised:
        load_mini(tmp_path)
    assert raised.value.detail is not None and "size mismatch" in raised.value.detail
