"""Use case: what an adaptation would meet and take, without queueing it. Nothing is written."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from service.contracts.datasets import DatasetWarning, Split
from service.contracts.ids import TenantId, VersionId
from service.contracts.jobs import JobKind
from service.contracts.preflight import Preflight, PreflightClass, PreflightMemory, PreflightVerdict
from service.contracts.quality import MIN_VALIDATION_IMAGES
from service.contracts.requests import AdaptationRequest
from service.forecasting import OTHER, STAGES, Done, Forecast, forecast, together, units_of
from service.queueing import Queueing
from service.readiness import WORKER_SEEN_WITHIN
from service.recognising import MIN_IMAGES as MIN_RECOGNITION_IMAGES
from service.registry import BaseModelEntry, Pace
from service.store import durations, workers
from service.store.durations import FinishedAdaptation
from service.store.workers import SeenWorker
from service.submission import AdaptationPlan, Submission

#: Of a class: with fewer the gate that looks for images of the wrong class does not judge it.
MIN_CLASS_GATE_IMAGES = 8
_WARNINGS = TypeAdapter(list[DatasetWarning])
#: With these an adaptation learns something wrong, fails, or never begins.
_GRAVE = frozenset({"same_pixels_in_two_classes", "too_little_memory", "no_worker"})


@dataclass(frozen=True)
class _Learned:
    """What earlier jobs say: those of one device, the latest first."""

    device: str | None
    jobs: Sequence[FinishedAdaptation]

    @property
    def done(self) -> list[Done]:
        return [_done(one) for one in self.jobs]


class Preflights:
    """Looks ahead for one composition root."""

    def __init__(
        self,
        queueing: Queueing,
        submission: Submission,
        base_models: Mapping[str, BaseModelEntry],
        clock: Callable[[], datetime],
    ) -> None:
        self._queueing = queueing
        self._submission = submission
        self._base_models = base_models
        self._clock = clock

    def look(self, tenant_id: TenantId, request: AdaptationRequest) -> Preflight:
        """What `Submission.adapt` would do with the request. Raises what it raises."""
        with self._queueing.database.reading() as session:
            plan = self._submission.planned_adaptation(session, tenant_id, request)
            self._queueing.check(session, tenant_id, JobKind.ADAPTATION, len(plan.classes))
            seen = workers.seen(session, self._clock(), WORKER_SEEN_WITHIN)
            learned = _learned(durations.finished_adaptations(session, request.base_model), seen)
            waiting = durations.seconds_queued(session) if seen else None
        pace = self._base_models[request.base_model].pace
        forecasts = {name: _forecast(plan, name, learned, pace) for name in plan.classes}
        memory = _memory(learned, pace, seen)
        told = _WARNINGS.validate_python(plan.version.warnings)
        warnings = [one for one in told if one.class_name is None] + _about_workers(seen, memory)
        classes = [_class(plan, name, told, forecasts[name]) for name in plan.classes]
        verdict = _verdict([*warnings, *(one for of_class in classes for one in of_class.warnings)])
        known = [one for one in forecasts.values() if one is not None]
        seconds = together([one.seconds for one in known], len(seen)) if len(known) == len(plan.classes) else None
        return Preflight(
            verdict=verdict,
            sentence=_sentence(verdict, classes, warnings),
            dataset_version_id=VersionId(plan.version.id),
            base_model=request.base_model,
            settings=plan.settings,
            classes=classes,
            warnings=warnings,
            seconds=seconds,
            seconds_waiting=round(waiting / len(seen), 1) if waiting is not None else None,
            basis=known[0].basis if seconds is not None else None,
            num_earlier_jobs=len(learned.jobs),
            device=learned.device,
            num_workers=len(seen),
            memory=memory,
        )


def _learned(finished: Sequence[FinishedAdaptation], seen: Sequence[SeenWorker]) -> _Learned:
    """Of the device that workers have now; where no job ran on it, of the latest job's."""
    devices = [one.result.footprint.device for one in finished if one.result.footprint is not None]
    now = {one.device for one in seen}
    device = next((one for one in devices if one in now), devices[0] if devices else None)
    of_it = [one for one in finished if one.result.footprint is not None and one.result.footprint.device == device]
    return _Learned(device, of_it)


def _done(job: FinishedAdaptation) -> Done:
    taken = job.result.stage_seconds
    seconds = {stage: taken.get(stage, 0.0) for stage in STAGES}
    seconds[OTHER] = max(0.0, job.seconds - sum(seconds.values()))
    return Done(units_of(job.params.settings, job.result.num_train_images), seconds)


def _forecast(plan: AdaptationPlan, name: str, learned: _Learned, pace: Pace | None) -> Forecast | None:
    todo = units_of(plan.settings, plan.counts[name][Split.TRAIN])
    return forecast(todo, learned.done, pace.seconds if pace is not None else None)


def _memory(learned: _Learned, pace: Pace | None, seen: Sequence[SeenWorker]) -> PreflightMemory:
    """The most that an earlier job took, and the least that a worker has: any of them may take the job."""
    footprints = [one.result.footprint for one in learned.jobs if one.result.footprint is not None]
    taken = [one.peak_memory_bytes for one in footprints if one.peak_memory_bytes is not None]
    on_device = [one.peak_device_memory_bytes for one in footprints if one.peak_device_memory_bytes is not None]
    return PreflightMemory(
        expected_bytes=max(taken) if taken else pace.peak_memory_bytes if pace is not None else None,
        expected_device_bytes=max(on_device)
        if on_device
        else pace.peak_device_memory_bytes
        if pace is not None
        else None,
        worker_bytes=min((one.memory_bytes for one in seen if one.memory_bytes is not None), default=None),
        worker_device_bytes=min(
            (one.device_memory_bytes for one in seen if one.device_memory_bytes is not None), default=None
        ),
    )


def _class(
    plan: AdaptationPlan, name: str, told: Sequence[DatasetWarning], expected: Forecast | None
) -> PreflightClass:
    counts = plan.counts[name]
    return PreflightClass(
        class_name=name,
        num_images=counts,
        warnings=[*(one for one in told if one.class_name == name), *_too_few(name, counts)],
        seconds=expected.seconds if expected is not None else None,
        stage_seconds=expected.stage_seconds if expected is not None else {},
    )


def _too_few(name: str, counts: Mapping[Split, int]) -> list[DatasetWarning]:
    """For what comes after the adaptation; what it needs itself was looked at when the images came."""
    train, validation = counts[Split.TRAIN], counts[Split.VALIDATION]
    found: list[tuple[str, str]] = []
    if validation < MIN_VALIDATION_IMAGES:
        found.append((
            "few_validation_images",
            f"{validation} validation {'image' if validation == 1 else 'images'}, fewer than {MIN_VALIDATION_IMAGES}: "
            "search and quality report go by the train images instead, and such scores flatter",
        ))  # fmt: skip
    if train + validation < MIN_CLASS_GATE_IMAGES:
        found.append((
            "few_images_for_class_gate",
            f"of train and validation images there are {train + validation}, fewer than {MIN_CLASS_GATE_IMAGES}: "
            "whether a synthetic image shows this class will not be judged",
        ))  # fmt: skip
    short = {split: least for split, least in MIN_RECOGNITION_IMAGES.items() if counts[split] < least}
    if short:
        needed = " and ".join(f"{least} {split.value}" for split, least in short.items())
        told = "image" if list(short.values())[-1] == 1 else "images"
        found.append(("few_images_for_recognition", f"a recognition, which measures the gain, needs {needed} {told}"))
    return [DatasetWarning(code=code, class_name=name, message=text) for code, text in found]


def _about_workers(seen: Sequence[SeenWorker], memory: PreflightMemory) -> list[DatasetWarning]:
    found = []
    if not seen:
        found.append(("no_worker", "no worker was seen lately: jobs would wait until one is started"))
    for what, expected, there in (
        ("memory", memory.expected_bytes, memory.worker_bytes),
        ("device memory", memory.expected_device_bytes, memory.worker_device_bytes),
    ):
        if expected is not None and there is not None and expected > there:
            told = f"earlier jobs took {_gib(expected)} of {what}, and a worker has {_gib(there)}"
            found.append(("too_little_memory", told))
    return [DatasetWarning(code=code, class_name=None, message=text) for code, text in found]


def _verdict(warnings: Sequence[DatasetWarning]) -> PreflightVerdict:
    if any(one.code in _GRAVE for one in warnings):
        return PreflightVerdict.NOT_ADVISED
    return PreflightVerdict.READY_WITH_WARNINGS if warnings else PreflightVerdict.READY


def _sentence(verdict: PreflightVerdict, classes: Sequence[PreflightClass], general: Sequence[DatasetWarning]) -> str:
    warnings = [*general, *(one for of_class in classes for one in of_class.warnings)]
    if verdict is PreflightVerdict.READY:
        return "Nothing speaks against it."
    if verdict is PreflightVerdict.NOT_ADVISED:
        return "Not advised: " + "; ".join(one.message for one in warnings if one.code in _GRAVE) + "."
    counted = Counter(one.code for one in warnings)
    listed = ", ".join(f"{code.replace('_', ' ')} ({number})" for code, number in counted.most_common())
    return f"It can be started; look at the warnings first: {listed}."


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"
