"""`defectsynth keys`: make, show and revoke API keys. They work on the database; no service need run."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console

from service.contracts.ids import DEFAULT_TENANT, TenantId
from service.contracts.keys import Scope
from service.errors import NotFound
from service.keys import REMEMBERED_SECONDS, mint, server_secret
from service.settings import Settings
from service.store import keys
from service.store.database import Database
from service.store.tables import ApiKeyRow

app = typer.Typer(help="API keys: create, list, revoke.", no_args_is_help=True)
_MAX_NAME = 100


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what uses it, such as 'line 3 camera'.")],
    tenant: Annotated[str, typer.Option(help="Whose data it reaches; a new name is a new tenant.")] = DEFAULT_TENANT,
    scope: Annotated[list[Scope] | None, typer.Option(help="read, write (implies read) or admin.")] = None,
    expires_days: Annotated[float | None, typer.Option(min=0.001, help="Never, when left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Make a key and show it, once: it is not kept."""
    if not 1 <= len(name) <= _MAX_NAME or not 1 <= len(tenant) <= _MAX_NAME:
        raise typer.BadParameter(f"a name and a tenant have 1 to {_MAX_NAME} characters")
    settings, now = Settings(), datetime.now(UTC)
    expires_at = now + timedelta(days=expires_days) if expires_days is not None else None
    with _database(settings) as database:
        key, row = mint(
            database, server_secret(settings), tenant_id=TenantId(tenant), name=name,
            scopes=scope or [Scope.WRITE], now=now, expires_at=expires_at,
        )  # fmt: skip
    if as_json:
        _write({"key": key, **_told(row)})
        return
    Console().print(key, markup=False, highlight=False, soft_wrap=True)
    note = Console(stderr=True)
    note.print(f"Key {row.id} of tenant {tenant}. Keep it now: it cannot be shown again.", highlight=False)
    if not settings.demands_keys:
        note.print("The service asks for keys once DEFECTSYNTH_REQUIRE_KEYS=true is set for it.", highlight=False)


@app.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Of one tenant only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show every key, without its secret."""
    with _database(Settings()) as database, database.reading() as session:
        rows = keys.all_of(session, TenantId(tenant) if tenant is not None else None)
    if as_json:
        _write([_told(row) for row in rows])
        return
    if not rows:
        Console(stderr=True).print("There is no key: defectsynth keys create makes one.", highlight=False)
    console = Console()
    for row in rows:
        console.print(_card(row), markup=False, highlight=False, soft_wrap=True)


def _card(row: ApiKeyRow) -> str:
    """A few short lines: a table of so much is not to be read on a terminal of 80 columns."""
    return (
        f"{row.id}  {_state(row)}\n"
        f"  {row.name} (tenant {row.tenant_id}; {', '.join(row.scopes)})\n"
        f"  begins with dsk_{row.prefix}, created {_date(row.created_at)}, last used {_date(row.last_used_at)}\n"
    )


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="From `defectsynth keys list`.")]) -> None:
    """Revoke a key for good."""
    with _database(Settings()) as database:
        try:
            with database.transaction() as session:
                keys.revoke(session, key_id, datetime.now(UTC))
        except NotFound as error:
            Console(stderr=True).print(f"{error.detail}. {error.remedy}", style="red", markup=False)
            raise typer.Exit(1) from None
    Console().print(f"{key_id} is revoked; running services know it within {REMEMBERED_SECONDS:.0f} seconds.")


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    try:
        yield database
    finally:
        database.close()


def _state(row: ApiKeyRow) -> str:
    if row.revoked_at is not None:
        return "revoked"
    if row.expires_at is None:
        return "active"
    return f"until {_date(row.expires_at)}" if row.expires_at > datetime.now(UTC) else "expired"


def _told(row: ApiKeyRow) -> dict[str, object]:
    moments = (row.created_at, row.expires_at, row.revoked_at, row.last_used_at)
    created, expires, revoked, used = (one.isoformat() if one is not None else None for one in moments)
    return {
        "id": row.id, "tenant": row.tenant_id, "name": row.name, "prefix": row.prefix, "scopes": row.scopes,
        "state": _state(row), "created_at": created, "expires_at": expires, "revoked_at": revoked,
        "last_used_at": used,
    }  # fmt: skip


def _date(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment is not None else "never"


def _write(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))
