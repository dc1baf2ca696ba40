"""What a tenant or a key may have: a rate by counters that fade, shares counted in the record.

The rate (requests) is counted in Redis where the broker is one, so that several API processes share it, else in memory;
a counter that is away lets everybody in, for a limit is no lock. Shares (queued jobs, and what `store/usage.py` counts)
are counted in the transaction that takes them, one transaction a tenant at a time, so they are exact. What does not fit
now is told when to come again; what never will is refused for good.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from anyio import to_thread
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from sqlalchemy.orm import Session

from service.contracts.ids import TenantId
from service.contracts.jobs import JobKind
from service.contracts.keys import Principal
from service.errors import BeyondLimit, QuotaExceeded, RequestTooLarge
from service.logs import get_logger
from service.reports.wording import counted
from service.settings import Settings
from service.store import jobs, usage
from service.store.database import lock_tenant
from service.store.usage import Usage

_log = get_logger()
#: By what a request of several jobs is made smaller.
_FIELD_OF_CLASSES = {JobKind.ADAPTATION: "classes", JobKind.GENERATION: "num_images"}


class RateLimits:
    """Requests a minute of a key."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        per_minute = settings.max_requests_per_minute
        self._item = RateLimitItemPerMinute(per_minute) if per_minute is not None else None
        self._clock = clock
        self._is_shared = (settings.broker_url or "").startswith(("redis://", "rediss://"))
        shared = RedisStorage(settings.broker_url or "", key_prefix="defectsynth-limits") if self._is_shared else None
        self._counters = SlidingWindowCounterRateLimiter(shared or MemoryStorage())

    async def count_request(self, principal: Principal) -> None:
        """Count one. Raises ``QuotaExceeded``."""
        if self._item is None:
            return
        who = principal.key_id or principal.tenant_id
        if self._is_shared:  # Redis is asked over the network, which would hold everybody else up here.
            await to_thread.run_sync(self._count_now, self._item, who)
        else:
            self._count_now(self._item, who)

    def _count_now(self, item: RateLimitItemPerMinute, who: str) -> None:
        try:
            if self._counters.hit(item, "requests", who):
                return
            reset_at = self._counters.get_window_stats(item, "requests", who).reset_time
        except Exception as error:  # Each storage has its own errors, and none may shut clients out.
            _log.warning("quotas.counter_away", error=str(error))
            return
        raise QuotaExceeded(f"{item.amount} requests a minute", "max_requests_per_minute", reset_at - self._clock())


@dataclass(frozen=True)
class Quotas:
    """Shares of the queue and of the day; None is no limit. What is taken is counted in any case."""

    max_queued_jobs: int | None = None
    max_images_per_day: int | None = None
    max_device_seconds_per_day: float | None = None
    max_upload_bytes_per_day: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Quotas":
        """Those of the settings."""
        return cls(
            max_queued_jobs=settings.max_queued_jobs_per_tenant,
            max_images_per_day=settings.max_images_per_day,
            max_device_seconds_per_day=settings.max_device_seconds_per_day,
            max_upload_bytes_per_day=settings.max_upload_bytes_per_day,
        )

    def check_work(
        self, session: Session, tenant_id: TenantId, kind: JobKind, now: datetime, *, num_jobs: int, num_images: int
    ) -> None:
        """Whether the tenant may queue so many jobs, for so many images; until the transaction ends it alone may ask.

        Raises ``QuotaExceeded`` and ``BeyondLimit``.
        """
        if self != NO_QUOTAS:
            lock_tenant(session, tenant_id)
        self._check_queue(session, tenant_id, kind, num_jobs)
        self._check_device(session, tenant_id, now)
        self._check_images(session, tenant_id, now, num_images)

    def take_upload(self, session: Session, tenant_id: TenantId, now: datetime, num_bytes: int) -> None:
        """Let the tenant upload so much. Raises ``QuotaExceeded`` and ``RequestTooLarge``."""
        most, setting = self.max_upload_bytes_per_day, "max_upload_bytes_per_day"
        if most is not None:
            if num_bytes > most:
                raise RequestTooLarge(f"{num_bytes} bytes were sent, and {most} are allowed in 24 hours ({setting})")
            lock_tenant(session, tenant_id)
            used = usage.of_tenant(session, tenant_id, Usage.UPLOADED_BYTES, now)
            if used.amount + num_bytes > most:
                raise QuotaExceeded(
                    f"{most} bytes may be uploaded in 24 hours, and {used.amount:.0f} were", setting,
                    used.seconds_until(lambda left: left + num_bytes <= most, now),
                )  # fmt: skip
        usage.add(session, tenant_id, Usage.UPLOADED_BYTES, num_bytes, now)

    def _check_queue(self, session: Session, tenant_id: TenantId, kind: JobKind, adding: int) -> None:
        most, setting = self.max_queued_jobs, "max_queued_jobs_per_tenant"
        if most is None:
            return
        refuse_jobs_beyond(most, setting, kind, adding)
        if jobs.num_queued(session, tenant_id) + adding > most:
            raise QuotaExceeded(f"{most} of a tenant's jobs may wait", setting, 10.0)

    def _check_images(self, session: Session, tenant_id: TenantId, now: datetime, adding: int) -> None:
        most, setting = self.max_images_per_day, "max_images_per_day"
        if most is None or not adding:
            return
        if adding > most:
            told = f"the request is for {counted(adding, 'image')}, and {most} are allowed in 24 hours ({setting})"
            raise BeyondLimit(told, field="num_images")
        used = usage.of_tenant(session, tenant_id, Usage.IMAGES, now)
        if used.amount + adding > most:
            raise QuotaExceeded(
                f"{most} images may be asked for in 24 hours, and {used.amount:.0f} were", setting,
                used.seconds_until(lambda left: left + adding <= most, now),
            )  # fmt: skip

    def _check_device(self, session: Session, tenant_id: TenantId, now: datetime) -> None:
        """What a job will take is not known before, so it is accepted while anything is left."""
        most = self.max_device_seconds_per_day
        if most is None:
            return
        used = usage.of_tenant(session, tenant_id, Usage.DEVICE_SECONDS, now)
        if used.amount >= most:
            raise QuotaExceeded(
                f"jobs may take {most:.0f} seconds of a device in 24 hours, and took {used.amount:.0f}",
                "max_device_seconds_per_day", used.seconds_until(lambda left: left < most, now),
            )  # fmt: skip


NO_QUOTAS = Quotas()


def refuse_jobs_beyond(most: int, setting: str, kind: JobKind, adding: int) -> None:
    """Refuse at once what would wait for ever. Raises ``BeyondLimit``."""
    if adding > most:
        raise BeyondLimit(
            f"{adding} classes were asked for, which are as many jobs, and {most} may wait ({setting})",
            field=_FIELD_OF_CLASSES.get(kind),
        )
