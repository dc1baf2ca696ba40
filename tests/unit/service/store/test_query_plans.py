"""What is asked all the time reads rows by an index that finds few, so that a million stored jobs cost nothing more."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from service.contracts.ids import DEFAULT_TENANT as ME
from service.contracts.jobs import JobKind, JobState
from service.store import (
    adaptations,
    adapters,
    datasets,
    evaluations,
    generations,
    glances,
    jobs,
    recognitions,
)
from service.store.database import Database
from service.store.jobs import JobFilter
from service.store.pages import PageRequest, encode_cursor
from tests.fakes.query_plans import query_plans

LATER = PageRequest(encode_cursor("2026-01-02T03:04:05+00:00", "job_1"))
Ask = Callable[[Session, PageRequest], object]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Empty: SQLite keeps no statistics, so its plans are those of a million rows."""
    database = Database(f"sqlite:///{Path(tmp_path_factory.mktemp('record')) / 'record.db'}")
    database.migrate()
    yield database
    database.close()


LISTS: dict[str, tuple[str, Ask]] = {
    "jobs": ("job_of_tenant", lambda session, page: jobs.page(session, ME, JobFilter(), page)),
    "jobs in a state": (
        "job_of_tenant_by_state",
        lambda session, page: jobs.page(session, ME, JobFilter(state=JobState.FAILED), page),
    ),
    "jobs of a kind": (
        "job_of_tenant_by_kind",
        lambda session, page: jobs.page(session, ME, JobFilter(kind=JobKind.RECOGNITION), page),
    ),
    "jobs of a class": (
        "job_of_tenant_by_class",
        lambda session, page: jobs.page(session, ME, JobFilter(class_name="pits"), page),
    ),
    "datasets": ("dataset_of_tenant", lambda session, page: datasets.page(session, ME, page)),
    "adaptations": ("adaptation_of_tenant", lambda session, page: adaptations.page(session, ME, page)),
    "adapters": ("adapter_of_tenant", lambda session, page: adapters.page(session, ME, None, page)),
    "generations": ("generation_of_tenant", lambda session, page: generations.page(session, ME, page)),
    "evaluations": ("evaluation_of_tenant", lambda session, page: evaluations.page(session, ME, page)),
    "recognitions": ("recognition_of_tenant", lambda session, page: recognitions.page(session, ME, page)),
}


@pytest.mark.parametrize("name", LISTS)
def test_every_page_of_a_list_is_read_in_its_order_from_an_index(database: Database, name: str) -> None:
    index, ask = LISTS[name]
    for page in (PageRequest(), LATER):
        (plan,) = query_plans(database, lambda session, page=page: ask(session, page))
        assert f"USING INDEX {index} (tenant_id=?" in plan and "TEMP B-TREE" not in plan, plan


MEMBERS: dict[str, Callable[[Session], object]] = {
    "jobs of resources": lambda session: jobs.of_resources(session, ME, ["gen_1", "gen_2"]),
    "jobs of lines": lambda session: glances.jobs_of(session, ME, ["gen_1", "gen_2"]),
    "images asked for": lambda session: glances.num_asked(session, ME, ["gen_1", "gen_2"]),
    "images made": lambda session: glances.num_published(session, ME, ["gen_1", "gen_2"]),
    "verdicts": lambda session: glances.verdicts(session, ME, ["rec_1", "rec_2"]),
    "latest versions": lambda session: glances.latest_versions(session, ME, ["ds_1", "ds_2"]),
    "sizes of versions": lambda session: glances.sizes_of_versions(session, ME, ["dsv_1", "dsv_2"]),
    "images of a version": lambda session: datasets.images_of(session, ME, "dsv_1"),
    "images of a generation": lambda session: generations.images_of(session, ME, "gen_1"),
    "adapters of adaptations": lambda session: adapters.of_adaptations(session, ME, ["adn_1", "adn_2"]),
    "adaptations of a dataset": lambda session: adaptations.of_dataset(session, ME, "ds_1"),
    "live jobs of a kind": lambda session: jobs.live_of_kind(session, ME, JobKind.GENERATION),
    "running jobs": lambda session: glances.running(session, ME, 20),
    "waiting jobs": lambda session: glances.next_queued(session, ME, 20),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_what_belongs_to_a_few_resources_is_not_looked_for_among_all_that_a_tenant_has(
    database: Database, name: str
) -> None:
    plans = query_plans(database, MEMBERS[name])
    assert plans
    for plan in plans:
        assert "SEARCH" in plan and "SCAN" not in plan and "(tenant_id=?)" not in plan, plan
