import errno
from collections.abc import Iterator

import pytest

from models.errors import Canceled, Interrupted, InvalidSettings, ModelError
from service.errors import ArtifactMissing, StorageFull
from worker.failures import MODEL_ERRORS, failure_of, is_unexpected


def tree(root: type[ModelError]) -> Iterator[type[ModelError]]:
    yield root
    for branch in root.__subclasses__():
        yield from tree(branch)


def test_every_error_of_the_models_is_in_the_border_map() -> None:
    """These two are no failures: the lifecycle ends such a job as canceled, or gives it back."""
    assert set(tree(ModelError)) - set(MODEL_ERRORS) == {Canceled, Interrupted}


@pytest.mark.parametrize("kind", sorted(MODEL_ERRORS, key=lambda kind: kind.code))
def test_a_models_error_keeps_its_code_and_has_a_remedy(kind: type[ModelError]) -> None:
    failure = failure_of(kind("Something is wrong."))
    assert (failure.code, failure.message) == (kind.code, "Something is wrong.")
    assert failure.remedy


def test_the_error_s_own_remedy_comes_first() -> None:
    failure = failure_of(InvalidSettings("strength is 0.", field="strength", remedy="Give more than 0."))
    assert (failure.message, failure.remedy) == ("strength is 0.", "Give more than 0."), "each is told once"


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (MemoryError(), "out_of_memory", True),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory", True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"), "out_of_memory", True),
        (OSError(errno.ENOSPC, "No space left on device"), "storage_full", True),
        (StorageFull("the disk is full"), "storage_full", True),
        (ArtifactMissing("the bytes are gone"), "artifact_missing", False),
    ],
)
def test_what_the_machine_lacks_is_told_apart(error: Exception, code: str, retryable: bool) -> None:
    failure = failure_of(error)
    assert (failure.code, failure.retryable) == (code, retryable)


def test_an_unforeseen_error_shows_a_client_nothing_of_its_text() -> None:
    failure = failure_of(ZeroDivisionError("/secret/path"))
    assert failure.code == "internal_error"
    assert "secret" not in failure.message + failure.remedy
    assert is_unexpected(failure)
