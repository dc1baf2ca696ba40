"""Opening a feature extractor by its kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from models.errors import ExtractorUnusable
from models.evaluation.dinov2 import load_dinov2
from models.evaluation.features import FeatureExtractor
from models.evaluation.inception import load_inception
from models.evaluation.mini import load_mini
from models.evaluation.weights_file import check_digest, unusable


@dataclass(frozen=True)
class _Wanted:
    path: str
    name: str
    sha256: str | None
    revision: str | None
    device: torch.device | str

    @property
    def pinned(self) -> str:
        """The registered digest. Raises `ExtractorUnusable` where there is none."""
        if self.sha256 is None:
            raise unusable(self.name, "no digest is registered for it", "Register its 'sha256'.", self.path)
        return self.sha256


def _mini(wanted: _Wanted) -> FeatureExtractor:
    extractor = load_mini(Path(wanted.path), wanted.device, wanted.name)
    if wanted.sha256 is not None:
        check_digest(extractor.digest, wanted.sha256, Path(wanted.path), wanted.name)
    return extractor


def _inception(wanted: _Wanted) -> FeatureExtractor:
    return load_inception(Path(wanted.path), wanted.pinned, name=wanted.name, device=wanted.device)


def _dinov2(wanted: _Wanted) -> FeatureExtractor:
    return load_dinov2(
        wanted.path, wanted.pinned, name=wanted.name, revision=wanted.revision, device=wanted.device
    )  # fmt: skip


#: What opens each kind.
OPENERS: Mapping[str, Callable[[_Wanted], FeatureExtractor]] = {
    "mini": _mini, "inception": _inception, "dinov2": _dinov2,
}  # fmt: skip


def open_extractor(
    kind: str,
    path: str | Path,
    *,
    name: str | None = None,
    sha256: str | None = None,
    revision: str | None = None,
    device: torch.device | str = "cpu",
) -> FeatureExtractor:
    """The extractor of ``kind`` (``mini``, ``inception``, ``dinov2``) at ``path``, called ``name`` (else its kind).

    ``sha256`` pins the weights and may be left out for ``mini`` alone; ``revision`` is for a hub id (``dinov2``).
    Raises `ExtractorUnusable` for an unknown kind, a wrong digest and whatever does not open.
    """
    if kind not in OPENERS:
        raise ExtractorUnusable(
            f"There is no feature extractor of kind {kind!r}.",
            field="extractor",
            remedy=f"Kinds: {', '.join(OPENERS)}.",
        )
    return OPENERS[kind](_Wanted(str(path), name or kind, sha256, revision, device))
