import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from service.contracts.adaptations import AdaptationSettings
from service.registry import load_base_models, load_classifiers, load_extractors
from service.settings import Settings


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "plant.example"])
def test_a_reachable_address_without_a_key_is_refused_with_the_remedy(host: str) -> None:
    with pytest.raises(ValidationError, match=r"DEFECTSYNTH_ADMIN_KEY.*openssl rand"):
        Settings(host=host)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="shorter than 32"):
        Settings(admin_key=SecretStr("short"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.9"])
def test_loopback_needs_no_key(host: str) -> None:
    assert Settings(host=host).admin_key is None


def test_a_lease_outlives_two_heartbeats() -> None:
    with pytest.raises(ValidationError, match="LEASE_SECONDS"):
        Settings(lease_seconds=5, heartbeat_seconds=5)


def test_variables_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEFECTSYNTH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DEFECTSYNTH_MAX_QUEUED_JOBS", "7")
    settings = Settings()
    assert settings.max_queued_jobs == 7
    assert settings.sqlalchemy_url == f"sqlite:///{tmp_path}/defectsynth.db"


def test_tests_do_not_read_the_variables_of_whoever_runs_them() -> None:
    one = f"{__file__}::test_loopback_needs_no_key"
    environment = {**os.environ, "DEFECTSYNTH_ADMIN_KEY": "k" * 32, "DEFECTSYNTH_HOST": "0.0.0.0"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", one]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_mini_is_always_registered_and_the_registry_adds_others(tmp_path: Path) -> None:
    (tmp_path / "sd").mkdir()
    registry = tmp_path / "models.toml"
    registry.write_text(
        '[models.sd15]\npath = "sd"\ndtype = "float16"\n[models.sd15.adaptation.lora]\nrank = 8\n'
        "[models.mini.generation]\nstrength = 0.5\n"
    )
    entries = load_base_models(Settings(base_models=registry))
    assert set(entries) == {"mini", "sd15"}
    assert entries["sd15"].path == str(tmp_path / "sd")
    assert entries["sd15"].adaptation.lora.rank == 8
    assert entries["sd15"].adaptation.lora.steps == AdaptationSettings().lora.steps
    assert entries["mini"].path.endswith("models/prior/mini")
    assert entries["mini"].generation.strength == 0.5
    bundled = load_base_models(Settings())["mini"]
    assert entries["mini"].generation.guidance_scale == bundled.generation.guidance_scale
    assert entries["mini"].adaptation == bundled.adaptation != AdaptationSettings()


@pytest.mark.parametrize("text", ["[models.x]\n", "models = 3\n", "[models", '[models.x]\npath = "a"\nrank = 2\n'])
def test_a_registry_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    registry = tmp_path / "models.toml"
    registry.write_text(text)
    with pytest.raises(ValueError, match=r"DEFECTSYNTH_BASE_MODELS.*models\.toml"):
        load_base_models(Settings(base_models=registry))


def test_extractors_stand_in_the_same_file_and_mini_is_always_there(tmp_path: Path) -> None:
    (tmp_path / "fid.pt").touch()
    registry = tmp_path / "models.toml"
    registry.write_text(
        f'[extractors.fid]\nkind = "inception"\npath = "fid.pt"\nsha256 = "{"a" * 64}"\n'
        f'[extractors.dino]\nkind = "dinov2"\npath = "someone/dinov2"\nsha256 = "{"b" * 64}"\nrevision = "f00"\n'
    )
    entries = load_extractors(Settings(base_models=registry, extractor="fid"))
    assert list(entries) == ["mini", "fid", "dino"]
    assert entries["mini"].path.endswith("models/prior/mini/extractor")
    assert entries["fid"].path == str(tmp_path / "fid.pt")
    assert (entries["dino"].path, entries["dino"].revision) == ("someone/dinov2", "f00")
    assert set(load_base_models(Settings(base_models=registry))) == set(load_extractors(Settings())) == {"mini"}


def test_the_extractor_of_another_bundled_model_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    registry = tmp_path / "models.toml"
    registry.write_text('[models.mini]\npath = "own"\n')
    assert load_extractors(Settings(base_models=registry))["mini"].path == str(tmp_path / "own" / "extractor")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('kind = "inception"\npath = "a.pt"', "needs 'sha256'"),
        ('kind = "inception"\npath = "a.pt"\nsha256 = "abc"', "sha256"),
        ('kind = "vgg"\npath = "a.pt"', "'mini', 'inception' or 'dinov2'"),
        ('kind = "mini"', "path"),
        ('kind = "mini"\npath = ""', "path"),
    ],
)
def test_an_extractor_that_cannot_be_used_is_named_with_its_file(tmp_path: Path, table: str, said: str) -> None:
    registry = tmp_path / "models.toml"
    registry.write_text(f"[extractors.fid]\n{table}\n")
    with pytest.raises(ValueError, match=r"\[extractors\.fid\] in .*models\.toml") as raised:
        load_extractors(Settings(base_models=registry))
    assert said in str(raised.value)


def test_a_default_extractor_that_is_not_registered_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"DEFECTSYNTH_EXTRACTOR is 'fid'.*use one of mini"):
        load_extractors(Settings(extractor="fid"))


def test_classifiers_stand_in_the_same_file_and_the_small_one_is_always_there(tmp_path: Path) -> None:
    (tmp_path / "resnet").mkdir()
    registry = tmp_path / "models.toml"
    registry.write_text('[classifiers.resnet18]\npath = "resnet"\n')
    entries = load_classifiers(Settings(base_models=registry))
    assert (list(entries), entries["small_resnet"]) == (["small_resnet", "resnet18"], None)
    assert entries["resnet18"] is not None
    assert entries["resnet18"].path == str(tmp_path / "resnet")
    registry.write_text('[classifiers.small_resnet]\npath = "resnet"\n')
    with pytest.raises(ValueError, match=r"\[classifiers\.small_resnet\].*the name is taken"):
        load_classifiers(Settings(base_models=registry))


@pytest.mark.parametrize("url", ["http://bucket", "s3://", "bucket/prefix", "s3://Bucket", "s3://b/a prefix"])
def test_an_artefact_url_that_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="s3://bucket"):
        Settings(artifacts_url=url)
