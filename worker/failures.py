"""The border map: what a job raised becomes what a client reads. Every error of the models' tree is in it."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from models.errors import (
    AdapterUnusable,
    BaseModelUnusable,
    DatasetUnusable,
    ExtractorUnusable,
    InvalidSettings,
    ModelError,
    NonFiniteLoss,
)
from service.contracts.jobs import JobFailure
from service.errors import ArtifactMissing, ServiceError, StorageFull, StorageUnavailable
from worker.bounds import OutOfBounds

E = TypeVar("E", bound=Exception)


@dataclass(frozen=True)
class Border:
    """What to advise where the error itself has no remedy, and whether the same job may succeed another time."""

    remedy: str
    retryable: bool = False


MODEL_ERRORS: dict[type[ModelError], Border] = {
    ModelError: Border("See the message; if it does not help, give the operator the job's id."),
    BaseModelUnusable: Border("Ask the operator to check the base model's registered folder and revision."),
    InvalidSettings: Border("Correct the named setting and submit the job again."),
    NonFiniteLoss: Border("Lower the learning rate, or use dtype float32, and submit the job again."),
    DatasetUnusable: Border("Add images of this class and submit the job again."),
    AdapterUnusable: Border("Adapt the class again on this base model."),
    ExtractorUnusable: Border("Ask the operator to install the feature extractor again."),
}

SERVICE_ERRORS: dict[type[ServiceError], Border] = {
    StorageFull: Border(StorageFull.remedy, retryable=True),
    StorageUnavailable: Border(StorageUnavailable.remedy, retryable=True),
    ArtifactMissing: Border(ArtifactMissing.remedy),
    ServiceError: Border("See the message, correct what it names, and submit the job again."),
}

_OUT_OF_MEMORY = JobFailure(
    code="out_of_memory",
    message="The worker ran out of memory.",
    remedy="Submit the job with a smaller batch_size, or give the worker more memory.",
    retryable=True,
)
_STORAGE_FULL = JobFailure(
    code=StorageFull.code,
    message="The worker's disk is full; nothing half written was kept.",
    remedy=StorageFull.remedy,
    retryable=True,
)
_UNEXPECTED = JobFailure(
    code="internal_error",
    message="An error that was not foreseen ended the job.",
    remedy="Give the operator the job's id: the worker's log has the details.",
    retryable=False,
)
#: How torch says that memory is short: `torch.OutOfMemoryError` by name, or a RuntimeError with one of these.
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "cudaerrormemoryallocation")


def failure_of(error: BaseException) -> JobFailure:
    """The failure that a client reads. The text of unforeseen errors stays in the log."""
    if is_out_of_memory(error):
        return _OUT_OF_MEMORY
    if isinstance(error, OutOfBounds):
        return JobFailure(code=error.code, message=str(error), remedy=error.remedy)
    if isinstance(error, ModelError):
        border = _nearest(MODEL_ERRORS, type(error))
        return _failure(error.code, error.message, error.remedy, border)
    if isinstance(error, ServiceError):
        return _failure(error.code, error.detail, error.remedy, _nearest(SERVICE_ERRORS, type(error)))
    if is_storage_full(error):
        return _STORAGE_FULL
    return _UNEXPECTED


def is_out_of_memory(error: BaseException) -> bool:
    """Whether host or device memory ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _MEMORY_WORDS)


def is_storage_full(error: BaseException) -> bool:
    """Whether a disk had no room."""
    return isinstance(error, StorageFull) or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    )


def is_unexpected(failure: JobFailure) -> bool:
    """Whether the log must hold the traceback."""
    return failure.code == _UNEXPECTED.code


def _failure(code: str, message: str, remedy: str | None, border: Border) -> JobFailure:
    return JobFailure(code=code, message=message, remedy=remedy or border.remedy, retryable=border.retryable)


def _nearest(table: Mapping[type[E], Border], kind: type[E]) -> Border:
    return next(table[ancestor] for ancestor in kind.__mro__ if ancestor in table)
