"""Features of stored images, computed once a process: trials, gates and reports ask for the same real images again."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from models.evaluation.features import FeatureExtractor, Features, extract
from service.store.artifacts import ArtifactStore
from worker.workspace import load_images

_BATCH = 32


class FeatureCache:
    """Features by extractor and image digest; the least recently used go once they take more than ``max_bytes``."""

    def __init__(self, artifacts: ArtifactStore, max_bytes: int = 128 * 2**20) -> None:
        self._artifacts = artifacts
        self._max_bytes = max_bytes
        self._rows: OrderedDict[tuple[str, str], Features] = OrderedDict()

    def features(
        self, extractor: FeatureExtractor, digests: Sequence[str], each: Callable[[], None] = lambda: None
    ) -> Features:
        """(N, d) float64 of the stored images; ``each`` is called for every image.

        Raises `ArtifactMissing`, `DatasetUnusable` and `ExtractorUnusable`.
        """
        found: list[Features] = []
        for first in range(0, len(digests), _BATCH):
            found.extend(self._batch(extractor, digests[first : first + _BATCH]))
            for _ in digests[first : first + _BATCH]:
                each()
        return np.stack(found) if found else np.zeros((0, extractor.dim))

    def _batch(self, extractor: FeatureExtractor, digests: Sequence[str]) -> list[Features]:
        missing = [digest for digest in dict.fromkeys(digests) if (extractor.digest, digest) not in self._rows]
        computed = extract(extractor, load_images(self._artifacts, missing))
        rows = dict(zip(missing, computed, strict=True))
        for digest in digests:
            key = (extractor.digest, digest)
            self._rows[key] = rows[digest] if digest in rows else self._rows[key]
            self._rows.move_to_end(key)
        batch = [self._rows[extractor.digest, digest] for digest in digests]
        self._forget(keep=len(batch))
        return batch

    def _forget(self, keep: int) -> None:
        while len(self._rows) > keep and len(self._rows) * next(iter(self._rows.values())).nbytes > self._max_bytes:
            self._rows.popitem(last=False)
