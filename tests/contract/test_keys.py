"""API keys over HTTP: who may do what, for how long, and what is written of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.contracts.ids import TenantId
from service.contracts.keys import Scope
from service.keys import REMEMBERED_SECONDS, KeyRing, mint, server_secret
from service.main import create_app
from service.settings import Settings
from service.store import keys
from service.store.database import Database
from service.store.tables import ApiKeyRow

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Gate:
    """An API that asks for keys, at a time that a test sets."""

    settings: Settings
    database: Database
    client: TestClient
    now: datetime = START
    ids: dict[str, str] = field(default_factory=dict)

    def key(self, *scopes: Scope, tenant: str = "a", days: float | None = None) -> str:
        key, row = mint(
            self.database, server_secret(self.settings), tenant_id=TenantId(tenant), name="test", scopes=list(scopes),
            now=self.now, expires_at=self.now + timedelta(days=days) if days is not None else None,
        )  # fmt: skip
        self.ids[key] = row.id
        return key

    def status(self, key: str, method: str = "GET", path: str = "/v1/jobs") -> int:
        return self.client.request(method, path, headers={"X-API-Key": key}).status_code

    def row(self, key: str) -> ApiKeyRow:
        with self.database.reading() as session:
            return session.get_one(ApiKeyRow, self.ids[key])


@pytest.fixture
def gate(tmp_path: Path, database_url: str) -> Iterator[Gate]:
    settings = Settings(data_dir=tmp_path, database_url=database_url, require_keys=True, host="0.0.0.0")
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    made: list[Gate] = []
    app = create_app(settings, database=database, send=lambda *_: True, clock=lambda: made[0].now)
    with TestClient(app) as client:
        made.append(Gate(settings, database, client))
        yield made[0]
    database.close()


def test_a_key_does_what_its_scope_says_and_no_more(gate: Gate) -> None:
    reader, writer = gate.key(Scope.READ), gate.key(Scope.WRITE)
    assert (gate.status(reader), gate.status(writer)) == (200, 200)
    refused = gate.client.post("/v1/jobs/job_0/cancel", headers={"X-API-Key": reader})
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert gate.status(writer, "POST", "/v1/jobs/job_0/cancel") == 404


@pytest.mark.parametrize("damage", [lambda key: key[:-1] + "~", lambda key: key.lower(), lambda key: f"{key}x"])
def test_a_key_that_is_not_quite_right_is_refused(gate: Gate, damage: Callable[[str], str]) -> None:
    assert gate.status(damage(gate.key(Scope.READ))) == 401


def test_an_expired_key_is_told_so_to_who_has_it(gate: Gate) -> None:
    key = gate.key(Scope.READ, days=1)
    assert gate.status(key) == 200
    gate.now += timedelta(days=2)
    ring = KeyRing(gate.settings, gate.database, lambda: gate.now)
    with pytest.raises(Exception, match="expired"):
        ring.authenticate(key)


def test_a_revoked_key_is_refused_as_soon_as_it_is_forgotten(gate: Gate) -> None:
    seconds = [0.0]
    ring = KeyRing(gate.settings, gate.database, lambda: gate.now, lambda: seconds[0])
    key = gate.key(Scope.READ)
    ring.authenticate(key)
    with gate.database.transaction() as session:
        keys.revoke(session, gate.ids[key], gate.now)
    assert ring.remembered(key) is not None
    seconds[0] += REMEMBERED_SECONDS
    assert ring.remembered(key) is None
    with pytest.raises(Exception, match="revoked"):
        ring.authenticate(key)


def test_the_record_holds_no_key_and_the_last_use_is_written_once_a_minute(gate: Gate) -> None:
    key = gate.key(Scope.READ)
    row = gate.row(key)
    assert key not in str([getattr(row, column.key) for column in ApiKeyRow.__table__.columns])
    ring = KeyRing(gate.settings, gate.database, lambda: gate.now)
    written = []
    for seconds in (0, 30, 31, 62):
        gate.now = START + timedelta(seconds=seconds)
        ring.authenticate(key)
        written.append(gate.row(key).last_used_at)
    assert written == [START, START, START, START + timedelta(seconds=62)]


def test_the_server_s_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    first = server_secret(settings)
    assert server_secret(settings) == first and len(first) == 64
    (path,) = (tmp_path / "data").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
