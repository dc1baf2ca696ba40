"""Use case: propose a generation for the classes that a classifier tells badly. Nothing is queued or written.

The rule. A class is weak where its recall is below the target. Of a class at the target ``ratio`` synthetic images for
each real train image are enough: the ratio that a recognition chose on validation images, of several that it tried, or
else one for one, the middle of what recognitions try. A weak class gets more, in proportion to what it lacks, up to
twice as many: all images of a class are made from the same few real ones, so that many more of them repeat what is
known. What the generation already has of the class is taken off. A recognition that concludes nothing says nothing of
weakness: from it nothing is proposed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.orm import Session

from service.contracts.datasets import Split
from service.contracts.generations import GenerationParams, GenerationSettings, Origin
from service.contracts.ids import AdaptationId, AdapterId, GenerationId, RecognitionId, TenantId
from service.contracts.jobs import JobKind
from service.contracts.recognitions import RecognitionResult
from service.contracts.requests import GenerationRequest, RecognitionRequest
from service.contracts.topup import RatioSource, TopUp, TopUpClass, TopUpRequest
from service.errors import Conflict, InvalidRequest, NotFound
from service.registry import BaseModelEntry
from service.store import adaptations, adapters, datasets, decisions, generations, jobs, recognitions
from service.store.database import Database
from service.store.tables import AdapterRow
from service.weakness import Judged, check_known, judged_by_client, judged_by_recognition

#: Synthetic images for each real one where no recognition chose.
_USUAL_RATIO: Final = 1.0


@dataclass(frozen=True)
class _Source:
    """What may be made and what is there. ``asked``: what a generation request says besides its numbers."""

    classes: frozenset[str]
    adapters: Mapping[str, AdapterRow]
    num_there: Mapping[str, int]
    asked: Mapping[str, Any]
    ratio: float = _USUAL_RATIO
    ratio_source: RatioSource = RatioSource.USUAL
    num_train: dict[str, int] = field(default_factory=dict)


class ToppingUp:
    """Proposes for one composition root; ``max_images_per_class`` is what a generation may ask for."""

    def __init__(
        self, database: Database, base_models: Mapping[str, BaseModelEntry], max_images_per_class: int
    ) -> None:
        self._database = database
        self._base_models = base_models
        self._max_images_per_class = max_images_per_class

    def propose(self, tenant_id: TenantId, request: TopUpRequest) -> TopUp:
        """The request that would top the weak classes up. Raises ``InvalidRequest``, ``NotFound`` and ``Conflict``."""
        _check_one_named(request)
        with self._database.reading() as session:
            if request.recognition_id is not None:
                generation_id, result = _recognised(session, tenant_id, request.recognition_id)
                if result.is_inconclusive:
                    return _nothing(result, request.target_recall)
                judged = judged_by_recognition(result)
                source = self._of_generation(session, tenant_id, generation_id)
            else:
                judged = judged_by_client(request)
                source = self._of_client(session, tenant_id, request)
        where = "classes" if request.recall_by_class is None else "recall_by_class"
        check_known(judged, source.classes | set(request.other_classes), where)
        wanted = [one for one in judged if one.class_name not in request.other_classes]
        told = [self._class(one, source, request.target_recall) for one in wanted]
        numbers = {one.class_name: one.num_images for one in told if one.num_images}
        return TopUp(
            request=_proposed(source, numbers),
            sentence=_sentence(told, request.target_recall),
            target_recall=request.target_recall,
            ratio=source.ratio,
            ratio_source=source.ratio_source,
            classes=told,
        )

    def _of_client(self, session: Session, tenant_id: TenantId, request: TopUpRequest) -> _Source:
        if request.generation_id is not None:
            return self._of_generation(session, tenant_id, request.generation_id)
        assert request.adaptation_id is not None
        return _of_adaptation(session, tenant_id, request.adaptation_id)

    def _of_generation(self, session: Session, tenant_id: TenantId, generation_id: GenerationId) -> _Source:
        row = generations.get(session, tenant_id, generation_id)
        params = [
            GenerationParams.model_validate(job.params)
            for job in jobs.of_resources(session, tenant_id, [generation_id])
        ]
        found = {one.class_name: _adapter(session, tenant_id, one.adapter_id) for one in params}
        there = {name: adapter for name, adapter in found.items() if adapter is not None}
        ratio = _chosen_ratio(session, tenant_id, generation_id)
        return _Source(
            frozenset(found),
            there,
            _not_rejected(session, tenant_id, generation_id),
            self._asked(GenerationSettings.model_validate(row.settings), params[0], there),
            ratio if ratio is not None else _USUAL_RATIO,
            RatioSource.RECOGNITION if ratio is not None else RatioSource.USUAL,
            _num_train(session, tenant_id, there),
        )

    def _asked(
        self, settings: GenerationSettings, params: GenerationParams, found: Mapping[str, AdapterRow]
    ) -> dict[str, Any]:
        """What the generation's client had asked for, so that the new images are made as the old ones were.

        Its settings hold the base model's defaults too; given back, these would stand above what the search found.
        Where an earlier version recorded no origins, what differs from the defaults is taken for given.
        """
        values = settings.model_dump()
        if params.origins:
            given = {name: value for name, value in values.items() if params.origins.get(name) is Origin.CLIENT}
        else:
            names = {one.base_model for one in found.values()} & set(self._base_models)
            usual = self._base_models[names.pop()].generation.model_dump() if names else values
            given = {name: value for name, value in values.items() if value != usual[name]}
        asked = {"settings": GenerationSettings.model_validate(given)} if given else {}
        return {"gates": params.gates} | asked

    def _class(self, judged: Judged, source: _Source, target: float) -> TopUpClass:
        is_weak = judged.recall is not None and judged.recall < target
        number, reason = self._number(judged, source, target) if is_weak else (0, _well(judged, target))
        return TopUpClass(
            class_name=judged.class_name,
            recall=round(judged.recall, 4) if judged.recall is not None else None,
            interval=judged.interval,
            num_judged=judged.num_judged,
            is_weak=is_weak,
            num_images=number,
            reason=reason,
        )

    def _number(self, judged: Judged, source: _Source, target: float) -> tuple[int, str]:
        """For a weak class: how many images to add, and why."""
        assert judged.recall is not None
        name = judged.class_name
        if name not in source.adapters:
            return 0, f"Weak ({_told(judged)}), but there is no adapter of it to make images with."
        lack = (target - judged.recall) / target
        enough = math.ceil(round(source.num_train[name] * source.ratio * (1 + lack), 6))
        there = source.num_there.get(name, 0)
        number = min(max(0, enough - there), self._max_images_per_class)
        rule = f"{source.num_train[name]} real images x {source.ratio:g} x {1 + lack:.2f} are {enough}"
        doubt = _doubt(judged, target)
        if number == 0:
            return 0, (
                f"Weak ({_told(judged)}{doubt}), but there are {there} synthetic images, and {rule}: more would repeat "
                "what is known. Upload more real images of the class and adapt again."
            )
        less = f", of which {there} are there" if there else ""
        return number, f"Weak ({_told(judged)}{doubt}): {rule}{less}."


def _check_one_named(request: TopUpRequest) -> None:
    named = [one for one in (request.adaptation_id, request.generation_id, request.recognition_id) if one is not None]
    if len(named) != 1:
        raise InvalidRequest(
            f"one of adaptation_id, generation_id and recognition_id must be given, and there are {len(named)}",
            field="adaptation_id",
        )
    own = (request.classes, request.confusion_matrix, request.recall_by_class)
    if request.recognition_id is not None and any(one is not None for one in own):
        raise InvalidRequest(
            "a recognition has its own matrix, and another one was sent",
            field="recognition_id",
            remedy="Name the generation in 'generation_id' to send a matrix of your own.",
        )


def _recognised(
    session: Session, tenant_id: TenantId, recognition_id: RecognitionId
) -> tuple[GenerationId, RecognitionResult]:
    """What a finished recognition was of, and what it found."""
    row = recognitions.get(session, tenant_id, recognition_id)
    (job,) = jobs.of_resources(session, tenant_id, [row.id])
    if job.result is None:
        raise Conflict(
            f"the recognition has no result: its job is {job.state}",
            code="recognition_unfinished",
            field="recognition_id",
            remedy="Wait until its job has succeeded, or send a matrix of your own.",
        )
    generation_id = RecognitionRequest.model_validate(row.request).generation_id
    return generation_id, RecognitionResult.model_validate(job.result)


def _nothing(inconclusive: RecognitionResult, target: float) -> TopUp:
    """No images for classes that may be told badly only because the classifiers, or the test, were no good."""
    return TopUp(
        request=None,
        sentence=f"Nothing is proposed, because the recognition is inconclusive. {inconclusive.sentence}",
        target_recall=target,
        ratio=_USUAL_RATIO,
        ratio_source=RatioSource.USUAL,
        classes=[],
    )


def _not_rejected(session: Session, tenant_id: TenantId, generation_id: str) -> dict[str, int]:
    """Published images for each class, less those that somebody rejected."""
    rejected = decisions.rejected(session, tenant_id, generation_id)
    published = generations.counts(session, tenant_id, generation_id)
    return {name: number - len(rejected.get(name, [])) for name, number in published.items()}


def _of_adaptation(session: Session, tenant_id: TenantId, adaptation_id: AdaptationId) -> _Source:
    adaptations.get(session, tenant_id, adaptation_id)
    classes = frozenset(job.class_name for job in jobs.of_resources(session, tenant_id, [adaptation_id]))
    found = {row.class_name: row for row in adapters.of_adaptations(session, tenant_id, [adaptation_id])}
    return _Source(classes, found, {}, {}, num_train=_num_train(session, tenant_id, found))


def _num_train(session: Session, tenant_id: TenantId, found: Mapping[str, AdapterRow]) -> dict[str, int]:
    """Of each class, the real images that its adapter learned from."""
    versions = {
        one.adaptation_id: adaptations.get(session, tenant_id, one.adaptation_id).dataset_version_id
        for one in found.values()
    }
    counts = {one: datasets.class_counts(session, tenant_id, one) for one in set(versions.values())}
    return {name: counts[versions[one.adaptation_id]][name][Split.TRAIN] for name, one in found.items()}


def _adapter(session: Session, tenant_id: TenantId, adapter_id: AdapterId) -> AdapterRow | None:
    try:
        return adapters.get(session, tenant_id, adapter_id)
    except NotFound:
        return None


def _chosen_ratio(session: Session, tenant_id: TenantId, generation_id: GenerationId) -> float | None:
    """Of the latest recognition of the generation that has succeeded, where it chose among several and concluded.

    One may be left alone because the generation has too few images for the others: that says nothing of what is enough.
    """
    found = jobs.latest_result(session, tenant_id, JobKind.RECOGNITION, "generation_id", generation_id)
    result = RecognitionResult.model_validate(found) if found is not None else None
    if result is None or result.is_inconclusive or len(result.selection) < 2:
        return None
    return result.chosen_ratio


def _proposed(source: _Source, numbers: dict[str, int]) -> GenerationRequest | None:
    if not numbers:
        return None
    used = [AdapterId(source.adapters[name].id) for name in sorted(numbers)]
    return GenerationRequest(adapter_ids=used, num_images=numbers, **source.asked)


def _told(judged: Judged) -> str:
    of = f" of {judged.num_judged} images" if judged.num_judged else ""
    return f"recall {100 * (judged.recall or 0):.0f} %{of}"


def _doubt(judged: Judged, target: float) -> str:
    interval = judged.interval
    if interval is None or interval.high < target:
        return ""
    return f"; so few images leave it between {100 * interval.low:.0f} and {100 * interval.high:.0f} %"


def _well(judged: Judged, target: float) -> str:
    if judged.recall is None:
        return "No image of it was judged."
    return f"Told well enough: {_told(judged)}, and {100 * target:.0f} % are wanted."


def _sentence(classes: Sequence[TopUpClass], target: float) -> str:
    weak = [one for one in classes if one.is_weak]
    total = sum(one.num_images for one in weak)
    if not weak:
        return f"No class is below a recall of {100 * target:.0f} %: nothing is proposed."
    named = ", ".join(one.class_name for one in weak)
    if not total:
        return f"Weak: {named}. More synthetic images are not proposed; the reasons stand with each class."
    return f"Weak: {named}. {total} images are proposed; edit the request and send it to POST /v1/generations."
