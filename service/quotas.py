"""What a tenant or a key may have: rates by counters that fade, shares counted in the record.

Rates (requests, uploaded bytes) are counted in Redis where the broker is one, so that several API processes share them,
else in memory; a counter that is away lets everybody in, for a limit is no lock. Shares (queued jobs, images, device
seconds) are counted in the transaction that takes them, one transaction a tenant at a time, so they are exact.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from anyio import to_thread
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from sqlalchemy.orm import Session

from service.contracts.ids import TenantId
from service.contracts.keys import Principal
from service.errors import QuotaExceeded
from service.logs import get_logger
from service.settings import Settings
from service.store import jobs
from service.store.database import lock_tenant

_log = get_logger()
_DAY = timedelta(days=1)


class RateLimits:
    """Requests a minute of a key, and bytes a day of a tenant."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        per_minute, per_day = settings.max_requests_per_minute, settings.max_upload_bytes_per_day
        self._requests = RateLimitItemPerMinute(per_minute) if per_minute is not None else None
        self._bytes = RateLimitItemPerDay(per_day) if per_day is not None else None
        self._clock = clock
        self._is_shared = (settings.broker_url or "").startswith(("redis://", "rediss://"))
        shared = RedisStorage(settings.broker_url or "", key_prefix="defectsynth-limits") if self._is_shared else None
        self._counters = SlidingWindowCounterRateLimiter(shared or MemoryStorage())

    async def count_request(self, principal: Principal) -> None:
        """Count one. Raises ``QuotaExceeded``."""
        if self._requests is not None:
            who = principal.key_id or principal.tenant_id
            await self._count(self._requests, ("requests", who), 1, "max_requests_per_minute")

    async def count_upload(self, tenant_id: TenantId, num_bytes: int) -> None:
        """Count an upload's bytes. Raises ``QuotaExceeded``."""
        if self._bytes is not None:
            await self._count(self._bytes, ("bytes", tenant_id), num_bytes, "max_upload_bytes_per_day")

    async def _count(self, item: RateLimitItem, who: Sequence[str], cost: int, setting: str) -> None:
        if self._is_shared:  # Redis is asked over the network, which would hold everybody else up here.
            await to_thread.run_sync(self._count_now, item, who, cost, setting)
        else:
            self._count_now(item, who, cost, setting)

    def _count_now(self, item: RateLimitItem, who: Sequence[str], cost: int, setting: str) -> None:
        try:
            if self._counters.hit(item, *who, cost=cost):
                return
            reset_at = self._counters.get_window_stats(item, *who).reset_time
        except Exception as error:  # Each storage has its own errors, and none may shut clients out.
            _log.warning("quotas.counter_away", error=str(error))
            return
        what = "requests" if who[0] == "requests" else "uploaded bytes"
        raise QuotaExceeded(f"{item.amount} {what} a {item.GRANULARITY.name}", setting, reset_at - self._clock())


@dataclass(frozen=True)
class Quotas:
    """Shares of the queue and of the day; None is no limit."""

    max_queued_jobs: int | None = None
    max_images_per_day: int | None = None
    max_device_seconds_per_day: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Quotas":
        """Those of the settings."""
        return cls(
            settings.max_queued_jobs_per_tenant, settings.max_images_per_day, settings.max_device_seconds_per_day
        )

    def check(
        self, session: Session, tenant_id: TenantId, now: datetime, *, num_jobs: int, num_images: int = 0
    ) -> None:
        """Whether the tenant may queue so many more. Raises ``QuotaExceeded``."""
        if self == NO_QUOTAS:
            return
        lock_tenant(session, tenant_id)
        self._check_queue(session, tenant_id, num_jobs)
        if num_images:
            self._check_images(session, tenant_id, now, num_images)
        self._check_device(session, tenant_id, now)

    def _check_queue(self, session: Session, tenant_id: TenantId, adding: int) -> None:
        most = self.max_queued_jobs
        if most is not None and jobs.num_queued(session, tenant_id) + adding > most:
            raise QuotaExceeded(f"{most} of a tenant's jobs may wait", "max_queued_jobs_per_tenant", 10.0)

    def _check_images(self, session: Session, tenant_id: TenantId, now: datetime, adding: int) -> None:
        most = self.max_images_per_day
        if most is None:
            return
        asked = jobs.images_asked_for(session, tenant_id, now - _DAY)
        if asked.amount + adding > most:
            raise QuotaExceeded(
                f"{most} images may be asked for in 24 hours, and {round(asked.amount)} were", "max_images_per_day",
                asked.seconds_until_less(now, _DAY),
            )  # fmt: skip

    def _check_device(self, session: Session, tenant_id: TenantId, now: datetime) -> None:
        most = self.max_device_seconds_per_day
        if most is None:
            return
        taken = jobs.device_seconds(session, tenant_id, now - _DAY)
        if taken.amount >= most:
            raise QuotaExceeded(
                f"jobs may take {most:.0f} seconds of a device in 24 hours, and took {taken.amount:.0f}",
                "max_device_seconds_per_day", taken.seconds_until_less(now, _DAY),
            )  # fmt: skip


NO_QUOTAS = Quotas()
