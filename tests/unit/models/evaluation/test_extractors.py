from pathlib import Path

import pytest
import torch

from models.errors import ExtractorUnusable
from models.evaluation.extractors import open_extractor
from models.evaluation.mini import MiniConfig, MiniNetwork, save_mini
from tests.fakes.extractor_files import save_dinov2, save_inception, sha256_of


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """The path of each kind, and its weights file."""
    folder = tmp_path_factory.mktemp("extractors")
    save_mini(MiniNetwork(MiniConfig(channels=(8, 8, 8, 8), input_px=32)), folder / "mini")
    inception, dinov2 = save_inception(folder / "fid.safetensors"), save_dinov2(folder / "dinov2")
    return {
        "mini": (folder / "mini", folder / "mini" / "model.safetensors"),
        "inception": (inception, inception),
        "dinov2": (dinov2, dinov2 / "model.safetensors"),
    }


@pytest.mark.parametrize("kind", ["mini", "inception", "dinov2"])
def test_each_kind_opens_under_its_registered_name_with_its_digest(
    kind: str, files: dict[str, tuple[Path, Path]]
) -> None:
    path, weights = files[kind]
    extractor = open_extractor(kind, path, name="plant", sha256=sha256_of(weights).upper())
    assert (extractor.name, extractor.digest) == ("plant", sha256_of(weights))
    assert extractor(torch.zeros(2, 3, 40, 40)).shape == (2, extractor.dim)
    assert extractor.resize_rule
    with pytest.raises(ExtractorUnusable, match="registered is " + "a" * 64):
        open_extractor(kind, path, sha256="a" * 64)


def test_only_the_bundled_kind_opens_without_a_digest(files: dict[str, tuple[Path, Path]]) -> None:
    assert open_extractor("mini", files["mini"][0]).name == "mini"
    for kind in ("inception", "dinov2"):
        with pytest.raises(ExtractorUnusable, match="no digest is registered"):
            open_extractor(kind, files[kind][0])


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ExtractorUnusable, match="'vgg'") as raised:
        open_extractor("vgg", "somewhere")
    assert "dinov2" in (raised.value.remedy or "")
