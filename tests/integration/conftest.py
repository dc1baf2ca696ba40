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


@pytest.fixture
def file_world(tmp_path: Path, registry: Path) -> Iterator[World]:
    """What `defectsynth serve` has: a folder as broker and SQLite."""
    world = World(tmp_path / "data", registry)
    yield world
    world.close()


@pytest.fixture
def compose_world(redis_server: str, postgres_database_url: str, tmp_path: Path, registry: Path) -> Iterator[World]:
    """What docker-compose.yml has: Redis and PostgreSQL."""
    world = World(tmp_path / "data", registry, emptied(redis_server), postgres_database_url)
    yield world
    world.close()


@pytest.fixture(params=["file_world", "compose_world"])
def world(request: pytest.FixtureRequest) -> World:
    """Each of the two."""
    world: World = request.getfixturevalue(request.param)
    return world
