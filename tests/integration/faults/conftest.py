"""What the tests of faults share."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.fakes.worker_world import World
from tests.integration.faults.attempting import Attempting, attempting_in
from tests.integration.faults.plant import Plant, Server


@pytest.fixture
def attempting(file_world: World) -> Iterator[Attempting]:
    with attempting_in(file_world) as found:
        yield found


@pytest.fixture
def plant(tmp_path: Path, registry: Path) -> Iterator[Plant]:
    port, cluster_files = servers.free_port(), servers.postgres_cluster()
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(cluster_files)
        redis = Server(lambda: servers.redis(tmp_path, port))
        stack.callback(redis.end)
        postgres = Server(lambda: servers.postgres_server(cluster, stop=signal.SIGQUIT))
        stack.callback(postgres.end)
        world = World(tmp_path / "data", registry, redis.url, postgres.url)
        stack.callback(world.close)
        plant = Plant(world, redis, postgres)
        stack.callback(plant.end)
        yield plant


def tell(request: pytest.FixtureRequest, lines: list[str]) -> None:
    """Show figures in the test run's own output, past its capture."""
    plugins = request.config.pluginmanager
    with plugins.get_plugin("capturemanager").global_and_fixture_disabled():
        for line in ["", *lines]:
            plugins.get_plugin("terminalreporter").write_line(line)
