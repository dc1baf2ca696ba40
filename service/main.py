"""The API's one composition root: settings in, application out."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI

from service import queue
from service.api import openapi, problems, reference
from service.api.dependencies import Parts, tenant_of_key
from service.api.hosts import KnownHosts
from service.api.measuring import Measured
from service.api.middleware import BodyLimit, RequestIds
from service.api.routes import (
    adaptations,
    adapters,
    archives,
    datasets,
    evaluations,
    events,
    generations,
    health,
    jobs,
    metrics,
    recognitions,
    registered,
    reports,
    webhooks,
    workers,
)
from service.api.streams import StreamLimits, Streams, read_changes
from service.api.uploads import image_limits
from service.contracts.ids import new_id
from service.decoding import bound_pillow
from service.fair_slots import FairSlots
from service.intake import Intake
from service.intake_budget import UploadLimits
from service.keys import KeyRing
from service.logs import configure_logs
from service.lookups import Lookups
from service.metrics import ApiMetrics, read_record
from service.outbound import Resolve, resolve_by_system
from service.preflight import Preflights
from service.queueing import Queueing, Send
from service.quotas import Quotas, RateLimits
from service.readiness import Readiness
from service.recognising import Recognising
from service.registry import Registry, load_registry
from service.settings import Settings
from service.store.artifacts import ArtifactStore
from service.store.database import Database
from service.store.placement import artifact_store
from service.submission import Submission, SubmissionLimits
from service.thumbnails import Thumbnails
from service.topping_up import ToppingUp
from service.web import site
from service.webhooks import Webhooks


def create_app(
    settings: Settings,
    *,
    database: Database | None = None,
    artifacts: ArtifactStore | None = None,
    send: Send | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    resolve: Resolve = resolve_by_system,
) -> FastAPI:
    """The application. A database that is given must have been migrated; one that is not is opened and migrated.

    ``send`` wakes workers, over the broker of the settings unless given; ``resolve`` finds the addresses of webhooks'
    hosts. Raises ``ValueError`` for a registry that
    cannot be read, and for a default extractor that is not in it.
    """
    registry = load_registry(settings)
    if database is None:
        database = Database(settings.sqlalchemy_url)
        database.migrate()
    wakeups = queue.configure(settings)
    parts = _parts(settings, registry, database, artifacts, send or wakeups.send, wakeups, clock, resolve)
    app = FastAPI(
        title="defectsynth",
        version=version("defectsynth"),
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(database, wakeups, parts.streams, settings.request_threads),
    )
    app.state.parts = parts
    # Jobs first: they are asked for most, and routes are tried in this order.
    works = (adaptations, generations, archives, evaluations, recognitions)
    resources = (datasets, adapters, *works, reports, webhooks, workers)
    # Whatever a route asks for itself, none is open that should not be.
    for one in (jobs, events, *resources, registered):
        app.include_router(one.router, dependencies=[Depends(tenant_of_key)])
    for one in (health, metrics):
        app.include_router(one.router)
    site.install(app)
    problems.install(app)
    openapi.install(app, asks_for_key=settings.demands_keys)
    reference.install(app)
    app.add_middleware(BodyLimit, max_upload_bytes=settings.max_request_bytes, max_json_bytes=settings.max_json_bytes)
    app.add_middleware(KnownHosts, settings=settings)
    app.add_middleware(RequestIds)
    app.add_middleware(Measured, metrics=parts.metrics)
    return app


def from_environment() -> FastAPI:
    """For ``uvicorn --factory service.main:from_environment``; `service.serving.Server` ends it without waiting."""
    settings = Settings()
    configure_logs(settings.log_level)
    return create_app(settings)


def _parts(
    settings: Settings,
    registry: Registry,
    database: Database,
    artifacts: ArtifactStore | None,
    send: Send,
    wakeups: queue.Queue,
    clock: Callable[[], datetime],
    resolve: Resolve,
) -> Parts:
    store = artifacts or artifact_store(settings)
    limits = image_limits(settings)
    upload_limits = UploadLimits(settings.max_upload_pixels, settings.max_upload_seconds)
    bound_pillow(limits)
    accepted = SubmissionLimits(settings.max_images_per_class_generation, settings.min_train_images)
    following = StreamLimits(
        settings.max_event_streams, settings.max_event_streams_per_key, settings.max_event_stream_seconds
    )
    measured = ApiMetrics(read_record(database, clock), settings.data_dir)
    quotas = Quotas.of(settings)
    queueing = Queueing(database, send, clock, new_id, settings.max_queued_jobs, quotas)
    submission = Submission(queueing, registry.base_models, registry.extractors, accepted)
    return Parts(
        settings=settings,
        database=database,
        artifacts=store,
        intake=Intake(
            database, store, limits, upload_limits, settings.min_train_images, clock, new_id, measured.uploaded
        ),
        submission=submission,
        topping_up=ToppingUp(database, registry.base_models, settings.max_images_per_class_generation),
        preflights=Preflights(queueing, submission, registry.base_models, clock),
        recognising=Recognising(queueing, registry.classifiers),
        webhooks=Webhooks(
            database, settings.webhook_allow_list, resolve, clock, new_id, settings.max_webhooks, Lookups()
        ),
        registry=registry,
        clock=clock,
        upload_slots=_upload_slots(settings),
        thumbnails=Thumbnails(store.path_of, settings.thumbnail_cache_bytes),
        thumbnail_slots=CapacityLimiter(settings.max_concurrent_thumbnails),
        keys=KeyRing(settings, database, clock),
        rates=RateLimits(settings),
        quotas=quotas,
        readiness=Readiness(database, store, wakeups.check, settings, clock),
        metrics=measured,
        streams=Streams(read_changes(database), following, measured.event_streams.set),
    )


def _upload_slots(settings: Settings) -> FairSlots:
    """Where there are tenants, none may hold all slots; without keys there is one."""
    total = settings.max_concurrent_uploads
    return FairSlots(total, of_one=max(1, total - 1) if settings.demands_keys else total)


def _lifespan(
    database: Database, wakeups: queue.Queue, streams: Streams, request_threads: int
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = request_threads
        yield
        streams.close()
        wakeups.close()
        database.close()

    return lifespan
