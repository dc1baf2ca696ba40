"""What polling is measured against: the least FastAPI route that reads a job's row by its primary key.

    python -m tests.benchmarks.plain_route DATA_DIR PORT

No key, no tenant, no limits, no metrics, no ETag; the same database file and engine, server and number of threads.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import uvicorn
from anyio import to_thread
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict

from service.settings import Settings
from service.store.database import Database
from service.store.tables import JobRow


class Job(BaseModel):
    """The columns that `service.api.views.JobView` is made of."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: str
    state: str
    resource_id: str
    class_name: str
    adapter_id: str | None
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    failure: dict[str, Any] | None
    attempts: int
    revision: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None


def plain_app(settings: Settings) -> FastAPI:
    database = Database(settings.sqlalchemy_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = settings.request_threads
        yield
        database.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/v1/jobs/{job_id}", response_model=Job)
    def get_job(job_id: str) -> JobRow:
        with database.reading() as session:
            row = session.get(JobRow, job_id)
        if row is None:
            raise HTTPException(404)
        return row

    return app


if __name__ == "__main__":
    app = plain_app(Settings(data_dir=Path(sys.argv[1])))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_config=None, access_log=False)
