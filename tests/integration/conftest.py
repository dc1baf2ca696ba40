"""What real worker processes need."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.fakes.worker_world import World, build_registry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_registry(tmp_path_factory.mktemp("models"))


def emptied(url: str) -> str:
    """The same server without what an earlier test left in it."""
    with Redis.from_url(url) as connection:
        connection.flushall()
    return url


@pytest.fixture(params=["files", "redis"])
def world(request: pytest.FixtureRequest, tmp_path: Path, registry: Path) -> Iterator[World]:
    """A world for each broker."""
    url = emptied(request.getfixturevalue("redis_server")) if request.param == "redis" else None
    world = World(tmp_path / "data", registry, url)
    yield world
    world.close()


@pytest.fixture
def file_world(tmp_path: Path, registry: Path) -> Iterator[World]:
    """A world whose broker is a folder."""
    world = World(tmp_path / "data", registry)
    yield world
    world.close()


@pytest.fixture
def redis_world(redis_server: str, tmp_path: Path, registry: Path) -> Iterator[World]:
    """A world whose broker is a real Redis."""
    world = World(tmp_path / "data", registry, emptied(redis_server))
    yield world
    world.close()
