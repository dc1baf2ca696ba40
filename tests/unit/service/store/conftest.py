"""A record at its newest schema, in either kind of database."""

from collections.abc import Iterator

import pytest

from service.store.database import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    database.migrate()
    yield database
    database.close()
