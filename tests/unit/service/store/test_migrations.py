"""Every migration, up and down, on both databases, with rows in every table."""

from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from service.store.database import Database, migration_config
from tests.fakes.full_record import contents, fill

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def revisions(connection: Connection) -> list[str]:
    """From the first to the newest."""
    found = ScriptDirectory.from_config(migration_config(connection)).walk_revisions()
    return [one.revision for one in found][::-1]


def up(database: Database, revision: str) -> None:
    with database.migrating() as connection:
        command.upgrade(migration_config(connection), revision)


def down(database: Database, revision: str) -> None:
    with database.migrating() as connection:
        command.downgrade(migration_config(connection), revision)


def rows(database: Database) -> Rows:
    with database.engine.connect() as connection:
        return contents(connection)


def survives(before: Rows, after: Rows) -> bool:
    """Whether every row is there still, with its values in the columns that both schemas know."""
    common = before.keys() & after.keys()
    return all(len(before[name]) == len(after[name]) for name in common) and all(
        old[column] == new[column]
        for name in common
        for old, new in zip(before[name], after[name], strict=True)
        for column in old.keys() & new.keys()
    )


def test_rows_of_every_revision_survive_the_way_to_the_newest_and_back_and_up_again(database: Database) -> None:
    with database.engine.connect() as connection:
        chain = revisions(connection)
    assert len(chain) >= 4
    for start in range(len(chain)):
        up(database, chain[start])
        with database.migrating() as connection:
            fill(connection)
        first = rows(database)
        assert all(len(found) == 2 for found in first.values())
        for revision in chain[start + 1 :]:
            up(database, revision)
            assert survives(first, rows(database)), revision
        for revision in chain[-2::-1]:
            down(database, revision)
            assert survives(first, rows(database)), revision
        known = rows(database)
        up(database, "head")
        assert survives(known, rows(database))
        down(database, "base")
        assert rows(database) == {}


def test_there_is_one_newest_revision(database: Database) -> None:
    with database.engine.connect() as connection:
        assert len(ScriptDirectory.from_config(migration_config(connection)).get_heads()) == 1
