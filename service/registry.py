"""The registry: base models, feature extractors and classifiers that the operator registers and clients name.

One TOML file, ``DEFECTSYNTH_BASE_MODELS``, with tables ``[models.NAME]``, ``[extractors.NAME]`` and
``[classifiers.NAME]``. What the project bundles is always there.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from service.contracts.adaptations import AdaptationSettings
from service.contracts.generations import GenerationSettings
from service.contracts.recognitions import SMALL_RESNET
from service.contracts.words import Word
from service.merging import layered
from service.settings import Settings

BUNDLED_MODEL = "mini"
BUNDLED_EXTRACTOR = "mini"
_BUNDLED_REGISTRY = Path(__file__).resolve().parent / "base_models.toml"
_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class Pace(Word):
    """Seconds that an adaptation's units of work took where they were measured: what a pre-flight goes by until jobs of
    the installation's own are finished."""

    caching_seconds: float = Field(gt=0, description="Of a train image.")
    textual_inversion_seconds: float = Field(gt=0, description="Of an image of the batch, in one step.")
    lora_seconds: float = Field(gt=0, description="Of an image of the batch, in one step.")
    search_seconds: float = Field(gt=0, description="Of an image of a trial.")
    other_seconds: float = Field(gt=0, description="Of loading and publishing.")
    peak_memory_bytes: int | None = Field(default=None, ge=1)
    peak_device_memory_bytes: int | None = Field(default=None, ge=1)

    @property
    def seconds(self) -> dict[str, float]:
        """By the names that forecasts use."""
        return {
            "caching_latents": self.caching_seconds,
            "textual_inversion": self.textual_inversion_seconds,
            "lora": self.lora_seconds,
            "search": self.search_seconds,
            "other": self.other_seconds,
        }


class BaseModelEntry(Word):
    """A base model as the operator registers it: a folder or hub id, and the settings that suit it."""

    name: str = Field(pattern=_NAME_PATTERN)
    path: str = Field(description="A diffusers folder or a hub id; only the operator names paths.")
    revision: str | None = None
    dtype: str = Field(default="float32", pattern="^(float32|float16|bfloat16)$")
    bfloat16_on_cpu: bool = Field(
        default=False,
        description="With dtype float32: compute in bfloat16 on CPUs that have instructions for it, else as ever.",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Adapt in less memory and more time: the U-Net's blocks are computed twice a step."
    )
    adaptation: AdaptationSettings = AdaptationSettings()
    generation: GenerationSettings = GenerationSettings()
    pace: Pace | None = None


class ExtractorKind(StrEnum):
    """Which network makes the features that scores are computed in."""

    MINI = "mini"
    INCEPTION = "inception"
    DINOV2 = "dinov2"


class ExtractorEntry(Word):
    """A feature extractor as the operator registers it; only the operator names paths."""

    name: str = Field(pattern=_NAME_PATTERN)
    kind: ExtractorKind
    path: str = Field(
        min_length=1, description="mini: folder; inception: .pt or .safetensors file; dinov2: folder or hub id."
    )
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-fA-F]{64}$", description="Of the weights; only mini may leave it out."
    )
    revision: str | None = Field(default=None, description="Of a hub id, pinned.")

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        """Weights from elsewhere are opened only when they are the ones the operator meant."""
        if self.kind is not ExtractorKind.MINI and self.sha256 is None:
            raise ValueError(f"kind {self.kind.value!r} needs 'sha256', the SHA-256 of its weights file")
        return self


class ClassifierEntry(Word):
    """A pretrained classifier that recognition may start from; only the operator names paths."""

    name: str = Field(pattern=_NAME_PATTERN)
    path: str = Field(min_length=1, description="A transformers folder of a ResNetForImageClassification.")


Entry = TypeVar("Entry", BaseModelEntry, ExtractorEntry, ClassifierEntry)


@dataclass(frozen=True)
class Registry:
    """All of it, by name. A classifier without an entry starts from random weights."""

    base_models: Mapping[str, BaseModelEntry]
    extractors: Mapping[str, ExtractorEntry]
    classifiers: Mapping[str, ClassifierEntry | None]


def load_registry(settings: Settings) -> Registry:
    """Read it whole. Raises ``ValueError`` naming the file and the entry, or the setting that names none of them."""
    return Registry(load_base_models(settings), load_extractors(settings), load_classifiers(settings))


def load_base_models(settings: Settings) -> dict[str, BaseModelEntry]:
    """Every registered base model by name; the bundled ``mini`` is always there.

    The file holds one table a model: ``[models.sd15]`` with ``path``, ``revision``, ``dtype``, ``adaptation`` and
    ``generation``. A table named ``mini`` changes the bundled model's defaults. Relative folders are relative to the
    file. Raises ``ValueError`` naming the file and the entry.
    """
    registries = [_BUNDLED_REGISTRY, *([settings.base_models] if settings.base_models else [])]
    tables: dict[str, dict[str, object]] = {}
    entries: dict[str, BaseModelEntry] = {}
    for registry in registries:
        for name, table in _read_registry(registry, "models").items():
            tables[name] = layered(tables.get(name, {}), _located(table, registry))
            entries[name] = _entry(BaseModelEntry, "models", name, tables[name], registry)
    return entries


def load_extractors(settings: Settings) -> dict[str, ExtractorEntry]:
    """Every registered feature extractor by name; ``mini``, the folder beside the bundled base model, is always there.

    They stand in the same file as base models: ``[extractors.fid]`` with ``kind``, ``path``, ``sha256`` and, for a hub
    id, ``revision``. Relative paths are relative to the file. Raises ``ValueError`` naming the file and the entry, or
    the setting ``DEFECTSYNTH_EXTRACTOR`` where it names none of them.
    """
    bundled = str(Path(load_base_models(settings)[BUNDLED_MODEL].path) / "extractor")
    entries = {BUNDLED_EXTRACTOR: ExtractorEntry(name=BUNDLED_EXTRACTOR, kind=ExtractorKind.MINI, path=bundled)}
    if registry := settings.base_models:
        for name, table in _read_registry(registry, "extractors").items():
            entries[name] = _entry(ExtractorEntry, "extractors", name, _located(table, registry), registry)
    if settings.extractor not in entries:
        raise ValueError(
            f"DEFECTSYNTH_EXTRACTOR is {settings.extractor!r}, which is not registered: use one of "
            f"{', '.join(entries)}, or add a table [extractors.{settings.extractor}] to the file that "
            "DEFECTSYNTH_BASE_MODELS names"
        )
    return entries


def load_classifiers(settings: Settings) -> dict[str, ClassifierEntry | None]:
    """Every classifier by name; ``small_resnet``, which starts from random weights, is always there and has no entry.

    Pretrained ones stand in the same file as base models: ``[classifiers.resnet18]`` with ``path``. Raises
    ``ValueError`` naming the file and the entry.
    """
    entries: dict[str, ClassifierEntry | None] = {SMALL_RESNET: None}
    if registry := settings.base_models:
        for name, table in _read_registry(registry, "classifiers").items():
            if name == SMALL_RESNET:
                raise ValueError(f"DEFECTSYNTH_BASE_MODELS: [classifiers.{name}] in {registry}: the name is taken")
            entries[name] = _entry(ClassifierEntry, "classifiers", name, _located(table, registry), registry)
    return entries


def _read_registry(path: Path, section: str) -> dict[str, dict[str, object]]:
    """The tables ``[section.NAME]`` of the file."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get(section, {})
    except (OSError, ValueError) as error:
        raise ValueError(f"DEFECTSYNTH_BASE_MODELS: cannot read {path}: {error}") from error
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ValueError(f"DEFECTSYNTH_BASE_MODELS: {path} must hold tables [{section}.NAME], one for each")
    return tables


def _located(table: dict[str, object], registry: Path) -> dict[str, object]:
    """``table`` with a relative path that exists beside the file made absolute; a hub id stays as it is."""
    local = registry.parent / str(table.get("path", ""))
    return table | {"path": str(local.resolve())} if table.get("path") and local.exists() else table


def _entry(kind: type[Entry], section: str, name: str, table: dict[str, object], registry: Path) -> Entry:
    try:
        return kind.model_validate({"name": name, **table})
    except ValidationError as error:
        raise ValueError(f"DEFECTSYNTH_BASE_MODELS: [{section}.{name}] in {registry}: {error}") from error
