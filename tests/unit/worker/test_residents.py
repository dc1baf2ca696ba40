"""Resident models, with a tiny real base model and adapters that were really trained, for a step."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.adaptation.config import AdaptationConfig, LoraTrainingConfig, TextualInversionConfig
from models.adaptation.trainer import adapt
from models.errors import BaseModelUnusable, ExtractorUnusable
from models.evaluation.extractors import OPENERS
from models.evaluation.mini import MiniConfig, MiniNetwork, save_mini
from models.progress import no_progress
from service.contracts.ids import AdapterId
from service.registry import BaseModelEntry, ExtractorEntry, ExtractorKind
from service.store.artifacts import LocalArtifacts
from tests.fakes.extractor_files import save_inception, sha256_of
from tests.fakes.tiny_base_model import build_tiny_base_model
from worker.residents import Residents, StoredAdapter
from worker.workspace import pack


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_base_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def artifacts(tmp_path: Path) -> LocalArtifacts:
    return LocalArtifacts(tmp_path / "artifacts")


@pytest.fixture
def residents(folder: Path, artifacts: LocalArtifacts) -> Residents:
    entries = {name: BaseModelEntry(name=name, path=str(folder)) for name in ("mini", "other")}
    return Residents(entries, artifacts, device="cpu", max_adapters=1)


def trained(residents: Residents, artifacts: LocalArtifacts, folder: Path, name: str, seed: int) -> StoredAdapter:
    images = [Image.fromarray(np.full((32, 32), 40 * number, np.uint8)) for number in range(4)]
    config = AdaptationConfig(
        TextualInversionConfig(steps=1, batch_size=1), LoraTrainingConfig(steps=2, batch_size=1, rank=2), seed=seed
    )
    out_dir = folder / name
    adapt(
        residents.bare("mini"), images, config, placeholder_token=f"<{name}>", out_dir=out_dir,
        checkpoint_dir=folder / f"{name}-checkpoints", progress=no_progress,
    )  # fmt: skip
    pack(out_dir, folder / f"{name}.zip")
    return StoredAdapter(AdapterId(name), artifacts.put_file(folder / f"{name}.zip").sha256)


def test_adapters_take_turns_with_one_base_model_and_leave_it_as_it_is(
    residents: Residents, artifacts: LocalArtifacts, tmp_path: Path
) -> None:
    one, two = (trained(residents, artifacts, tmp_path, f"adp-{seed}", seed) for seed in (1, 2))
    base, first = residents.adapted("mini", one, 1.0)
    assert residents.adapter_id == one.id
    same_base, second = residents.adapted("mini", two, 0.5)
    assert same_base is base
    assert residents.adapter_id == two.id
    assert not torch.equal(first.conditional, second.conditional)
    assert residents.bare("mini") is base
    assert residents.adapter_id is None
    assert not any("lora" in name for name, _ in base.unet.named_parameters())


def test_the_least_recently_used_base_model_makes_room(residents: Residents) -> None:
    first = residents.bare("mini")
    assert residents.bare("mini") is first
    residents.bare("other")
    assert residents.bare("mini") is not first


def test_what_is_not_registered_is_refused_by_name(residents: Residents) -> None:
    with pytest.raises(BaseModelUnusable, match="'absent' is not registered"):
        residents.bare("absent")
    with pytest.raises(ExtractorUnusable, match="'fid' is not registered"):
        residents.extractor("fid")


@pytest.fixture
def registered(tmp_path: Path) -> dict[str, ExtractorEntry]:
    save_mini(MiniNetwork(MiniConfig(channels=(8, 8, 8, 8), input_px=32)), tmp_path / "mini")
    kind, path = ExtractorKind.MINI, str(tmp_path / "mini")
    entries = {name: ExtractorEntry(name=name, kind=kind, path=path) for name in ("mini", "one", "two")}
    fid = save_inception(tmp_path / "fid.safetensors")
    return entries | {
        "fid": ExtractorEntry(name="fid", kind=ExtractorKind.INCEPTION, path=str(fid), sha256=sha256_of(fid)),
        "wrong": ExtractorEntry(name="wrong", kind=ExtractorKind.INCEPTION, path=str(fid), sha256="0" * 64),
    }


def test_extractors_are_kept_by_name_and_the_least_recently_used_makes_room(
    artifacts: LocalArtifacts, registered: dict[str, ExtractorEntry]
) -> None:
    residents = Residents({}, artifacts, device="cpu", extractors=registered, extractor="one", max_extractors=2)
    default = residents.extractor()
    assert default.name == "one" and residents.extractor("one") is default
    assert residents.extractor("fid").dim == 128
    assert residents.extractor() is default
    residents.extractor("two")
    assert residents.extractor() is default


def test_a_wrong_digest_is_met_at_the_first_use_and_leaves_the_others_usable(
    artifacts: LocalArtifacts, registered: dict[str, ExtractorEntry]
) -> None:
    residents = Residents({}, artifacts, device="cpu", extractors=registered)
    with pytest.raises(ExtractorUnusable, match="SHA-256"):
        residents.extractor("wrong")
    assert residents.extractor().name == "mini"


def test_every_kind_that_can_be_registered_can_be_opened() -> None:
    assert set(ExtractorKind) == set(OPENERS)
