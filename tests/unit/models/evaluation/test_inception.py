import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from models.errors import ExtractorUnusable
from models.evaluation.features import extract
from models.evaluation.inception import load_inception, resize_like_tensorflow
from models.evaluation.inception_network import ConvNorm, InceptionNetwork
from tests.fakes.extractor_files import TinyGraph, inception_state, save_graph, save_inception, sha256_of


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_inception(tmp_path_factory.mktemp("inception") / "fid.safetensors")


def picture(side: int, mode: str = "L") -> Image.Image:
    shape = (side, side) if mode == "L" else (side, side, 3)
    return Image.fromarray(np.random.default_rng(side).integers(0, 256, shape, dtype=np.uint8))


def test_a_ramp_is_resized_at_multiples_of_the_step_and_flat_past_its_last_sample() -> None:
    ramp = torch.arange(5.0).expand(1, 1, 2, 5)
    wider = resize_like_tensorflow(ramp, (2, 10))
    assert wider[0, 0, 0].tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.0]
    thirds = resize_like_tensorflow(ramp.transpose(2, 3), (3, 2))
    assert thirds[0, 0, :, 0].tolist() == pytest.approx([0.0, 5 / 3, 10 / 3])


def test_shrinking_takes_two_neighbours_and_averages_no_more() -> None:
    row = torch.tensor([0.0, 8.0, 100.0, 0.0, 16.0, 100.0]).expand(1, 3, 6, 6)
    assert resize_like_tensorflow(row, (2, 2))[0, 2].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert resize_like_tensorflow(row, (6, 4))[0, 0, 0].tolist() == [0.0, 54.0, 0.0, 58.0]
    assert torch.equal(resize_like_tensorflow(row, (6, 6)), row)


def test_the_published_width_has_2048_features_and_22_million_parameters() -> None:
    with torch.device("meta"):
        network = InceptionNetwork()
        features = network(torch.zeros(1, 3, 299, 299))
    assert features.shape == (1, 2048) and network.dim == 2048
    # 23.8 million with the classifier of 1000, as its authors count, of which the classifier has 2.05.
    assert sum(one.numel() for one in network.parameters()) == 21_785_568


def test_average_pools_leave_padding_out_and_the_last_block_pools_by_maximum() -> None:
    network = InceptionNetwork(2).eval()
    seen: dict[str, torch.Tensor] = {}
    for name in ("Mixed_5b", "Mixed_6b", "Mixed_7b", "Mixed_7c"):
        block = network.get_submodule(name)
        block.get_submodule("branch_pool").register_forward_pre_hook(
            lambda _, args, name=name: seen.__setitem__(name, args[0])
        )
        channels = block.get_submodule("branch_pool.conv").in_channels
        ones = torch.ones(1, channels, 4, 4)
        ones[:, :, 0, 0] = 5.0
        block(ones)
    for name in ("Mixed_5b", "Mixed_6b", "Mixed_7b"):
        assert seen[name][0, 0, 0].tolist() == pytest.approx([2.0, 10 / 6, 1.0, 1.0])
    assert seen["Mixed_7c"][0, 0, 0].tolist() == [5.0, 5.0, 1.0, 1.0]


def test_folding_the_normalisation_changes_nothing_but_rounding() -> None:
    torch.manual_seed(0)
    layer = ConvNorm(3, 4, 3).eval()
    layer.bn.load_state_dict({
        "weight": torch.rand(4) + 1, "bias": torch.randn(4), "running_mean": torch.randn(4),
        "running_var": torch.rand(4) + 0.01, "num_batches_tracked": torch.tensor(0),
    })  # fmt: skip
    maps = torch.randn(2, 3, 8, 8)
    before = layer(maps)
    layer.fold()
    assert torch.allclose(layer(maps), before, atol=1e-5) and isinstance(layer.bn, nn.Identity)


def test_an_image_has_the_same_features_alone_and_in_company_grey_or_rgb(weights: Path) -> None:
    extractor = load_inception(weights, sha256_of(weights), name="fid")
    grey = [picture(64), picture(65), picture(64)]
    together = extract(extractor, grey)
    assert together.shape == (3, extractor.dim) == (3, 128)
    assert extract(extractor, grey, batch_size=1) == pytest.approx(together, abs=1e-4)
    assert extract(extractor, [one.convert("RGB") for one in grey]) == pytest.approx(together, abs=1e-4)
    assert np.linalg.norm(extract(extractor, [picture(64, "RGB")]) - together[0]) > 0.1
    assert (extractor.name, extractor.digest) == ("fid", sha256_of(weights))
    assert "TensorFlow 1" in extractor.resize_rule


def test_levels_are_scaled_by_128_about_128(weights: Path) -> None:
    extractor = load_inception(weights, sha256_of(weights))
    inputs = []
    extractor.network.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    levels = np.array([[0, 128, 255, 64]], dtype=np.uint8).repeat(4, axis=0)
    extract(extractor, [Image.fromarray(levels)])
    assert inputs[0].shape == (1, 3, 299, 299)
    assert inputs[0][0, 0, 0, [0, 298]].tolist() == [-1.0, -0.5]
    assert inputs[0].max() == pytest.approx(127 / 128, abs=0.01)


def test_a_picture_that_is_not_finite_is_refused_by_either_form(weights: Path, tmp_path: Path) -> None:
    graph = save_graph(tmp_path / "graph.pt", TinyGraph())
    for path in (weights, graph):
        extractor = load_inception(path, sha256_of(path))
        damaged = torch.zeros(2, 3, 32, 32)
        damaged[1, 0, 5, 5] = float("nan")
        assert torch.isfinite(extractor(damaged)).all(dim=1).tolist() == [True, False]
        with pytest.raises(ExtractorUnusable, match="not finite"):
            extract(extractor, [damaged])


def test_a_graph_is_called_with_levels_and_asked_for_features(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "graph.pt", TinyGraph())
    extractor = load_inception(path, sha256_of(path))
    image = Image.new("RGB", (20, 30), (0, 7, 255))
    assert extract(extractor, [image]).tolist() == [[0.0, 7.0, 255.0]]
    assert extractor.dim == 3 and "file itself" in extractor.resize_rule


class _Bomb:
    """A pickle that leaves a trace when it is opened."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._trace,)


def test_a_wrong_digest_names_both_and_nothing_of_the_file_is_executed(tmp_path: Path) -> None:
    path, trace = tmp_path / "graph.pt", tmp_path / "trace"
    path.write_bytes(pickle.dumps(_Bomb(trace)))
    with pytest.raises(ExtractorUnusable) as raised:
        load_inception(path, "0" * 64)
    assert sha256_of(path) in str(raised.value) and "0" * 64 in str(raised.value)
    with pytest.raises(ExtractorUnusable, match="no TorchScript file"):
        load_inception(path, sha256_of(path))
    assert not trace.exists()


class _Silent(nn.Module):
    def forward(self, img: torch.Tensor) -> torch.Tensor:
        return img.to(torch.float32).mean(dim=(2, 3))


class _Flat(nn.Module):
    def forward(self, img: torch.Tensor, return_features: bool) -> torch.Tensor:
        return img.to(torch.float32) * float("nan")


@pytest.mark.parametrize(("network", "said"), [(_Silent(), "return_features"), (_Flat(), "not finite")])
def test_a_graph_of_another_calling_convention_is_refused(tmp_path: Path, network: nn.Module, said: str) -> None:
    path = save_graph(tmp_path / "graph.pt", network)
    with pytest.raises(ExtractorUnusable, match=said):
        load_inception(path, sha256_of(path))


def test_a_missing_unknown_misshapen_or_damaged_weight_is_named(tmp_path: Path) -> None:
    whole = inception_state()
    name = "Mixed_7c.branch3x3_2b.bn.running_mean"
    cases = {
        f"it has no {name}": {key: value for key, value in whole.items() if key != name},
        "unknown entry Mixed_8a": whole | {"Mixed_8a.conv.weight": torch.zeros(1)},
        rf"{name} has the shape \(3,\)": whole | {name: torch.zeros(3)},
        "are not finite": whole | {name: torch.full_like(whole[name], float("inf"))},
        "it has no Conv2d_1a_3x3": {"weight": torch.zeros(1)},
    }
    for number, (said, state) in enumerate(cases.items()):
        path = save_inception(tmp_path / f"{number}.safetensors", state)
        with pytest.raises(ExtractorUnusable, match=said):
            load_inception(path, sha256_of(path))
    without_counters = {key: value for key, value in whole.items() if "num_batches" not in key}
    path = save_inception(tmp_path / "fine.safetensors", without_counters)
    assert load_inception(path, sha256_of(path)).dim == 128


def test_a_file_that_is_missing_cut_short_or_of_another_form_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ExtractorUnusable, match="cannot be read"):
        load_inception(tmp_path / "absent.pt", "0" * 64)
    with pytest.raises(ExtractorUnusable, match="unknown form"):
        load_inception(tmp_path / "network.pkl", "0" * 64)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ExtractorUnusable, match="does not hold"):
        load_inception(cut, sha256_of(cut))
