"""What the tests of faults share."""

from collections.abc import Iterator

import pytest

from tests.fakes.worker_world import World
from tests.integration.faults.attempting import Attempting, attempting_in


@pytest.fixture
def attempting(file_world: World) -> Iterator[Attempting]:
    with attempting_in(file_world) as found:
        yield found
