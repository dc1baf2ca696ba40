"""What stays in memory between jobs: base models, adapters and feature extractors.

Nothing is loaded before a job needs it. Of each the least recently used go.
"""

import tempfile
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

import torch

from models.adapter import Adapter, load_adapter
from models.diffusion.base_model import BaseModel, load_base_model
from models.errors import AdapterUnusable, BaseModelUnusable, ExtractorUnusable
from models.evaluation.extractors import open_extractor
from models.evaluation.features import FeatureExtractor
from models.generation.denoising import Conditioning
from models.generation.low_rank import forget
from service.contracts.ids import AdapterId
from service.logs import get_logger
from service.registry import BUNDLED_EXTRACTOR, BaseModelEntry, ExtractorEntry
from service.store.artifacts import ArtifactStore
from worker.metrics import Observe, What, unobserved
from worker.workspace import unpack, whole

_log = get_logger()
T = TypeVar("T")


@dataclass(frozen=True)
class StoredAdapter:
    """Where an adapter's archive lies."""

    id: AdapterId
    archive_sha256: str


@dataclass
class _Resident:
    """One base model, and the adapter that was asked for with it last."""

    base: BaseModel
    adapter_id: AdapterId | None = None


class _Recent(Generic[T]):
    """At most ``limit`` values; the least recently used goes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[str, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str, make: Callable[[], T]) -> T:
        """The value of ``key``, made where it is not there (after room was made for it)."""
        if key not in self._values:
            while len(self._values) >= self._limit:
                self._values.popitem(last=False)
            self._values[key] = make()
        self._values.move_to_end(key)
        return self._values[key]


class Residents:
    """One process's models. Not for use by several threads."""

    def __init__(
        self,
        entries: Mapping[str, BaseModelEntry],
        artifacts: ArtifactStore,
        *,
        device: str = "auto",
        extractors: Mapping[str, ExtractorEntry] = MappingProxyType({}),
        extractor: str = BUNDLED_EXTRACTOR,
        max_base_models: int = 1,
        max_adapters: int = 16,
        max_extractors: int = 2,
        observe: Observe = unobserved,
    ) -> None:
        self.device = resolved_device(device)
        self._entries = entries
        self._artifacts = artifacts
        self._extractor_entries = extractors
        self._default_extractor = extractor
        self._bases: _Recent[_Resident] = _Recent(max_base_models)
        self._adapters: _Recent[Adapter] = _Recent(max_adapters)
        self._extractors: _Recent[FeatureExtractor] = _Recent(max_extractors)
        self._last: _Resident | None = None
        self._observe = observe

    @property
    def adapter_id(self) -> AdapterId | None:
        """The adapter that was used last, with the base model used last."""
        return self._last.adapter_id if self._last is not None else None

    def bare(self, base_model: str) -> BaseModel:
        """The base model by its registered name, with nothing merged beside it. Raises `BaseModelUnusable`."""
        forget()
        resident = self._resident(base_model)
        resident.adapter_id = None
        return resident.base

    def adapted(self, base_model: str, stored: StoredAdapter, lora_scale: float) -> tuple[BaseModel, Conditioning]:
        """The base model, and what the adapter adds to it. Raises `BaseModelUnusable`, `AdapterUnusable`."""
        adapter = self._adapters.get(stored.id, lambda: self._load_adapter(stored))
        self._observe(What.RESIDENT, len(self._adapters), "adapter")
        resident = self._resident(base_model)
        started = time.monotonic()
        conditioning = Conditioning.of_adapter(adapter, resident.base, lora_scale)
        self._observe(What.SWAP, time.monotonic() - started)
        resident.adapter_id = stored.id
        return resident.base, conditioning

    def extractor(self, name: str | None = None) -> FeatureExtractor:
        """The feature extractor by its registered name, that of the settings if none. Raises `ExtractorUnusable`."""
        name = name or self._default_extractor
        entry = self._extractor_entries.get(name)
        if entry is None:
            raise ExtractorUnusable(
                f"The feature extractor {name!r} is not registered on this worker.",
                field="extractor",
                remedy="Give API and workers the same DEFECTSYNTH_BASE_MODELS file.",
            )
        opened = self._extractors.get(name, lambda: self._open_extractor(entry))
        self._observe(What.RESIDENT, len(self._extractors), "extractor")
        return opened

    def _open_extractor(self, entry: ExtractorEntry) -> FeatureExtractor:
        opened = open_extractor(
            entry.kind, entry.path, name=entry.name, sha256=entry.sha256, revision=entry.revision, device=self.device
        )
        _log.info("extractor.loaded", extractor=entry.name, kind=entry.kind.value, digest=opened.digest, dim=opened.dim)
        return opened

    def _resident(self, base_model: str) -> _Resident:
        if base_model not in self._entries:
            raise BaseModelUnusable(
                f"The base model {base_model!r} is not registered on this worker.",
                field="base_model",
                remedy="Give API and workers the same DEFECTSYNTH_BASE_MODELS file.",
            )
        self._last = None
        self._last = self._bases.get(base_model, lambda: self._load_base(self._entries[base_model]))
        self._observe(What.RESIDENT, len(self._bases), "base_model")
        return self._last

    def _load_base(self, entry: BaseModelEntry) -> _Resident:
        forget()  # The weights of a base model that has just gone are held there, too.
        started = time.monotonic()
        base = load_base_model(
            entry.path, revision=entry.revision, device=self.device, dtype=entry.dtype, name=entry.name,
            bfloat16_on_cpu=entry.bfloat16_on_cpu, gradient_checkpointing=entry.gradient_checkpointing,
        )  # fmt: skip
        self._observe(What.LOAD, time.monotonic() - started)
        _log.info(
            "base_model.loaded", base_model=entry.name, revision=base.revision, device=self.device,
            precision=base.precision,
        )  # fmt: skip
        return _Resident(base)

    def _load_adapter(self, stored: StoredAdapter) -> Adapter:
        archive = whole(self._artifacts, stored.archive_sha256)
        try:
            with tempfile.TemporaryDirectory(prefix="adapter-") as folder:
                unpack(archive, Path(folder))
                return load_adapter(Path(folder))
        except zipfile.BadZipFile as error:
            raise AdapterUnusable("The adapter's archive is damaged.", remedy="Adapt the class again.") from error


def resolved_device(device: str) -> str:
    """``auto`` is the GPU where there is one."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"
