"""Can this installation take work and do it? One finding a part, in words that say what to do."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.bounded import Bounded
from service.logs import get_logger
from service.settings import Settings
from service.store import backlog, workers
from service.store.artifacts import ArtifactStore
from service.store.database import Database

_log = get_logger()
OK: Final = "ok"
#: A worker writes its row every few seconds; see `Settings.heartbeat_seconds`.
WORKER_SEEN_WITHIN: Final = timedelta(seconds=30)
#: Maintenance that missed so many sweeps in a row is believed dead.
_SWEEPS_MISSED: Final = 6
#: All checks together; they run side by side.
LIMIT_SECONDS: Final = 1.0
_REMEMBERED_SECONDS: Final = 3.0
#: Without these no request can be answered; without the others work is accepted and waits.
VITAL: Final = frozenset({"database", "files"})


@dataclass(frozen=True)
class Finding:
    """What a check tells: ``ok``, or what is wrong and what to do about it."""

    told: str = OK
    remedy: str | None = None


FINE: Final = Finding()
_NO_WORKER = Finding(
    "none seen lately", "Start a worker (`defectsynth worker`); if one runs, see its log. Jobs wait meanwhile."
)
_STUCK = Finding(
    "idle while jobs wait",
    "Restart the worker and see in its log whether it reaches the broker; see that maintenance runs, which sends "
    "lost wake-ups again.",
)
_NO_MAINTENANCE = Finding(
    "none seen lately",
    "Start maintenance (`defectsynth worker --maintenance`), or see in its log why it cannot sweep: lost wake-ups, "
    "webhooks, retention and lost workers' jobs wait for it.",
)
_NOT_SWEPT = Finding(
    "leases overdue",
    "Start maintenance (`defectsynth worker --maintenance`): nobody gives back what lost workers held.",
)
_FAILED: Mapping[str, Finding] = {
    "database": Finding("failed", "See that the database of DEFECTSYNTH_DATABASE_URL runs and answers."),
    "files": Finding("failed", "See that the artefact store can be written and has room."),
    "broker": Finding(
        "failed",
        "See that the broker of DEFECTSYNTH_BROKER_URL runs or, without one, that DEFECTSYNTH_DATA_DIR can be written. "
        "Jobs are accepted and wait meanwhile.",
    ),
}
_UNKNOWN = Finding("unknown", "The database did not answer; mend that first.")


class Readiness:
    """Asks every part, each bounded in time. ``check_broker`` raises where no wake-up can be sent."""

    def __init__(
        self,
        database: Database,
        artifacts: ArtifactStore,
        check_broker: Callable[[], None],
        settings: Settings,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._lately: tuple[float, Mapping[str, Finding] | None] = (0.0, None)
        self._stuck = timedelta(seconds=settings.stuck_seconds)
        self._overdue = timedelta(seconds=2 * settings.lease_seconds + 3 * settings.sweep_seconds)
        self._silent = timedelta(seconds=_SWEEPS_MISSED * settings.sweep_seconds + LIMIT_SECONDS)
        self._checks: Mapping[str, Bounded[Finding]] = {
            "database": Bounded(_passing(database.ping)),
            "files": Bounded(_passing(artifacts.check_writable)),
            "broker": Bounded(_passing(check_broker)),
            "worker": Bounded(self._worker),
            "maintenance": Bounded(self._maintenance),
        }

    def findings(self) -> dict[str, Finding]:
        """Every part by name, within `LIMIT_SECONDS`."""
        give_up_at = time.monotonic() + LIMIT_SECONDS
        asked = {name: check.begin() for name, check in self._checks.items()}
        found = {}
        for name, answer in asked.items():
            try:
                found[name] = answer.result(max(0.0, give_up_at - time.monotonic()))
            except Exception as error:  # whatever a database, disk or broker raises, the answer is the same
                # What went wrong stays in the log: it may name hosts and paths.
                _log.warning("health.failed", check=name, error=str(error) or type(error).__name__)
                found[name] = _FAILED.get(name, _UNKNOWN)
        return found

    def lately(self) -> Mapping[str, Finding]:
        """As ``findings``, a few seconds old at most: open pages ask all the time, and a check may cost a request."""
        asked_at, found = self._lately
        if found is None or self._monotonic() - asked_at > _REMEMBERED_SECONDS:
            found = self.findings()
            self._lately = (self._monotonic(), found)
        return found

    def _worker(self) -> Finding:
        now = self._clock()
        with self._database.reading() as session:
            seen = workers.seen(session, now, WORKER_SEEN_WITHIN)
            oldest_queued_at = backlog.oldest_queued_at(session)
        if not seen:
            return _NO_WORKER
        if oldest_queued_at is None or oldest_queued_at > now - self._stuck:
            return FINE
        # The sweep wakes somebody every half minute while jobs wait, so that one who is free has looked since.
        deaf = [one for one in seen if not one.is_busy and (one.looked_at is None or one.looked_at < now - self._stuck)]
        return _STUCK if deaf else FINE

    def _maintenance(self) -> Finding:
        now = self._clock()
        with self._database.reading() as session:
            swept_at = backlog.swept_at(session)
            overdue = backlog.num_expired_leases(session, now - self._overdue)
        if overdue:
            return _NOT_SWEPT
        return FINE if swept_at is not None and swept_at > now - self._silent else _NO_MAINTENANCE


def _passing(check: Callable[[], None]) -> Callable[[], Finding]:
    def passing() -> Finding:
        check()
        return FINE

    return passing
