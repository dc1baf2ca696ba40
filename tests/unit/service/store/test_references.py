from datetime import UTC, datetime

from service.contracts.ids import DEFAULT_TENANT, JobId
from service.contracts.jobs import JobKind
from service.contracts.words import Word
from service.store import jobs
from service.store.database import Database
from service.store.references import contact_sheets


def test_a_contact_sheet_is_cited_by_its_jobs_result(database: Database) -> None:
    with database.transaction() as session:
        at = datetime.now(UTC)
        row = jobs.insert(session, DEFAULT_TENANT, JobId("job_1"), JobKind.GENERATION, "gen_1", "pits", Word(), at)
        row.result = {"contact_sheet": "a" * 64}
    with database.reading() as session:
        assert contact_sheets(session) == {"a" * 64}
