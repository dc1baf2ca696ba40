"""A generation that goes on: what an earlier attempt had made is read from the job's record, and kept there."""

import time

from service.contracts.generations import GenerationSoFar
from service.errors import ArtifactMissing
from service.logs import get_logger
from worker.jobs.delivery import Delivery
from worker.jobs.judgement import SHEET_IMAGES
from worker.lifecycle import Attempt
from worker.workshop import Workshop
from worker.workspace import load_images

_log = get_logger()
#: The record of N images grows with N: it is written again after so many times what writing it took, so that keeping
#: costs a generation one part in so many at most.
_COST = 50


class EarlierImages:
    """Keeps what is delivered in the job's record; ``made_with`` names the models that it is only good for."""

    def __init__(self, attempt: Attempt, workshop: Workshop, made_with: str) -> None:
        self._attempt = attempt
        self._workshop = workshop
        self._made_with = made_with
        self._due_at = time.monotonic() + workshop.checkpoint_seconds

    def restore(self, delivery: Delivery) -> None:
        """Hand ``delivery`` what an earlier attempt made with the same models and what is still stored of it."""
        if self._attempt.job.interim is None:
            return
        so_far = GenerationSoFar.model_validate(self._attempt.job.interim)
        if so_far.made_with != self._made_with:
            return
        digests = [image.sha256 for image in so_far.images]
        try:
            rows = self._workshop.features.features(delivery.extractor, digests)
            shown = load_images(self._workshop.artifacts, digests[:SHEET_IMAGES])
        except ArtifactMissing:
            _log.warning("generation.earlier_images_missing", num_images=len(digests))
            return
        delivery.go_on(so_far, rows, shown)

    def keep(self, delivery: Delivery, *, now: bool = False) -> None:
        """Keep what is delivered; between batches only now and then. Raises what `Attempt.keep` raises."""
        started = time.monotonic()
        if started < self._due_at and not now:
            return
        self._attempt.keep(delivery.so_far(self._made_with))
        finished = time.monotonic()
        self._due_at = finished + max(self._workshop.checkpoint_seconds, _COST * (finished - started))
