"""Features of stored images, computed once a process: trials, gates and reports ask for the same real images again."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from models.diffusion.base_model import BaseModel
from models.diffusion.latents import round_trip
from models.evaluation.features import FeatureExtractor, Features, extract
from models.imaging.fit import FitPolicy
from service.store.artifacts import ArtifactStore
from worker.workspace import StoredImages

_BATCH = 32
#: What an image was seen through, and its digest.
_Key = tuple[str, ...]
_Altered = Callable[[Sequence[Image.Image]], Sequence[Image.Image]]


class FeatureCache:
    """Features by extractor, what an image was altered by before, and its digest.

    The least recently used go once they take more than ``max_bytes``.
    """

    def __init__(self, artifacts: ArtifactStore, max_bytes: int = 128 * 2**20) -> None:
        self._artifacts = artifacts
        self._max_bytes = max_bytes
        self._rows: OrderedDict[_Key, Features] = OrderedDict()

    def features(
        self, extractor: FeatureExtractor, digests: Sequence[str], each: Callable[[], None] = lambda: None
    ) -> Features:
        """(N, d) float64 of the stored images; ``each`` is called for every image.

        Raises `ArtifactMissing`, `DatasetUnusable` and `ExtractorUnusable`.
        """
        return self._of(extractor, (extractor.digest,), digests, lambda images: images, each)

    def round_trips(
        self, extractor: FeatureExtractor, base: BaseModel, fit: FitPolicy, digests: Sequence[str],
        each: Callable[[], None] = lambda: None,
    ) -> Features:  # fmt: skip
        """The same of what ``base``'s autoencoder leaves of the images: what plain copying would deliver."""
        seen_through = (extractor.digest, base.identity, fit)
        return self._of(extractor, seen_through, digests, lambda images: round_trip(base, images, fit), each)

    def _of(
        self, extractor: FeatureExtractor, seen_through: _Key, digests: Sequence[str], altered: _Altered,
        each: Callable[[], None],
    ) -> Features:  # fmt: skip
        found: list[Features] = []
        for first in range(0, len(digests), _BATCH):
            found.extend(self._batch(extractor, seen_through, digests[first : first + _BATCH], altered))
            for _ in digests[first : first + _BATCH]:
                each()
        return np.stack(found) if found else np.zeros((0, extractor.dim))

    def _batch(
        self, extractor: FeatureExtractor, seen_through: _Key, digests: Sequence[str], altered: _Altered
    ) -> list[Features]:
        missing = [digest for digest in dict.fromkeys(digests) if (*seen_through, digest) not in self._rows]
        computed = extract(extractor, altered(StoredImages(self._artifacts, missing)) if missing else [])
        rows = dict(zip(missing, computed, strict=True))
        for digest in digests:
            key = (*seen_through, digest)
            self._rows[key] = rows[digest] if digest in rows else self._rows[key]
            self._rows.move_to_end(key)
        batch = [self._rows[*seen_through, digest] for digest in digests]
        self._forget(keep=len(batch))
        return batch

    def _forget(self, keep: int) -> None:
        while len(self._rows) > keep and len(self._rows) * next(iter(self._rows.values())).nbytes > self._max_bytes:
            self._rows.popitem(last=False)
