"""Real images are put through the extractor once a process, however often they are asked for."""

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from service.store.artifacts import LocalArtifacts
from worker.feature_cache import FeatureCache


class CountingExtractor:
    """Mean and deviation of an image; counts the images it was given."""

    name, digest, resize_rule, dim = "counting", "0" * 64, "none", 2

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        self.seen += len(pixel_values)
        flat = pixel_values.flatten(1)
        return torch.stack([flat.mean(1), flat.std(1)], dim=1)


def stored(artifacts: LocalArtifacts, level: int) -> str:
    stream = BytesIO()
    Image.fromarray(np.full((8, 8), level, np.uint8)).save(stream, "PNG")
    return artifacts.put_bytes(stream.getvalue()).sha256


def test_an_image_is_computed_once_and_comes_back_in_the_order_asked_for(tmp_path: Path) -> None:
    artifacts, extractor = LocalArtifacts(tmp_path), CountingExtractor()
    digests = [stored(artifacts, level) for level in (0, 51, 102)]
    cache = FeatureCache(artifacts)
    told: list[int] = []
    first = cache.features(extractor, [*digests, digests[0]], lambda: told.append(1))
    again = cache.features(extractor, digests[::-1])
    assert extractor.seen == 3 and len(told) == 4
    assert np.allclose(first[:, 0], [-1.0, -0.6, -0.2, -1.0])
    assert np.array_equal(again, first[2::-1])


def test_what_was_used_least_recently_goes_when_there_is_no_room(tmp_path: Path) -> None:
    artifacts, extractor = LocalArtifacts(tmp_path), CountingExtractor()
    digests = [stored(artifacts, level) for level in range(4)]
    cache = FeatureCache(artifacts, max_bytes=3 * 2 * 8)
    for digest in [*digests[:3], digests[0], digests[3], digests[0]]:
        cache.features(extractor, [digest])
    assert extractor.seen == 4
    cache.features(extractor, [digests[1]])
    assert extractor.seen == 5
