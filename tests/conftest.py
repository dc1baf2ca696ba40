"""Fixtures that every kind of test may ask for."""

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from service.settings import Settings
from tests import servers
from tests.fakes.s3_server import S3Server, s3


@pytest.fixture(scope="session", autouse=True)
def nobody_s_own_settings() -> Iterator[None]:
    """The service's variables of whoever runs the tests are put away: neither tests nor their processes read them."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.upper().startswith("DEFECTSYNTH_")]:
            environment.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """Also where a shell runs the tests in the background, and has them and all they start ignore SIGINT."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real Redis server of this session's own. Skips, or fails under `CI=true`, where it is not installed."""
    with servers.redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a real PostgreSQL cluster of this session's own. Skips, or fails under `CI=true`, as `redis_server`."""
    with servers.postgres() as url:
        yield url


@pytest.fixture
def postgres_database_url(postgres_url: str) -> Iterator[str]:
    """A new, empty database of the cluster, dropped afterwards."""
    with new_database(postgres_url) as url:
        yield url


@contextmanager
def new_database(postgres_url: str) -> Iterator[str]:
    """A new, empty database of the cluster, dropped after the block."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield f"{postgres_url.rpartition('/')[0]}/{name}"
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real HTTP server that speaks S3, of this session's own."""
    with s3() as server:
        yield server


@pytest.fixture
def s3_settings(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that keep artefacts in a new, empty bucket, with credentials where boto3 looks for them."""
    for name, value in s3_server.credentials.items():
        monkeypatch.setenv(name, value)
    return Settings(
        data_dir=tmp_path / "data",
        artifacts_url=f"s3://{s3_server.new_bucket()}/plant-1",
        s3_endpoint_url=s3_server.url,
        s3_region=s3_server.region,
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of either kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_database_url"))
    return f"sqlite:///{tmp_path / 'record.db'}"
