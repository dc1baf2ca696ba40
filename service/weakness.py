"""How well classes are told apart, from what a client or a recognition says. Pure; refuses what cannot be a matrix."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from service.contracts.datasets import Split
from service.contracts.quality import Interval
from service.contracts.recognitions import Arm, RecognitionResult
from service.contracts.topup import TopUpRequest
from service.errors import InvalidRequest

_Z95: Final = 1.96


@dataclass(frozen=True)
class Judged:
    """A class by its recall, None where no image of it was judged. ``num_judged`` None: nobody said of how many."""

    class_name: str
    recall: float | None
    num_judged: int | None

    @property
    def interval(self) -> Interval | None:
        """Wilson's, at 95 %; it is right for few images and for recalls of 0 and 1."""
        if self.recall is None or not self.num_judged:
            return None
        n, share = self.num_judged, self.recall
        centre = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
        half = _Z95 / (1 + _Z95**2 / n) * math.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n))
        return Interval(low=round(max(0.0, centre - half), 4), high=round(min(1.0, centre + half), 4))


def judged_by_client(request: TopUpRequest) -> list[Judged]:
    """What the request's matrix or recalls say. Raises ``InvalidRequest``."""
    if (request.confusion_matrix is None) == (request.recall_by_class is None):
        raise InvalidRequest(
            "either confusion_matrix or recall_by_class must be given, and not both",
            field="confusion_matrix",
            remedy="Send the matrix of counts with 'classes', or one recall a class.",
        )
    if request.recall_by_class is not None:
        return [Judged(name, recall, None) for name, recall in request.recall_by_class.items()]
    assert request.confusion_matrix is not None
    return _of_matrix(request.classes or [], request.confusion_matrix)


def judged_by_recognition(result: RecognitionResult) -> list[Judged]:
    """Of the classifiers that learned from real and synthetic images, on the test images."""
    arm = next(one for one in result.arms if one.arm is Arm.REAL_PLUS_SYNTHETIC)
    numbers = {name: counts.get(Split.TEST, 0) for name, counts in result.num_images.items()}
    return [Judged(name, arm.recall.get(name), numbers.get(name)) for name in result.classes]


def check_known(judged: Sequence[Judged], known: Collection[str], field: str) -> None:
    """A misspelt class must not pass for one that is well told apart. Raises ``InvalidRequest``."""
    unknown = [one.class_name for one in judged if one.class_name not in known]
    if unknown:
        raise InvalidRequest(
            f"class {unknown[0]!r} was not adapted; there are {', '.join(sorted(known))}",
            code="unknown_class",
            field=field,
            remedy="Write the class as the adaptation does, or name it in 'other_classes' where it is no defect of it.",
        )


def _of_matrix(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> list[Judged]:
    if len(set(classes)) < len(classes):
        raise InvalidRequest("classes holds a name twice", field="classes")
    if len(classes) != len(matrix):
        raise InvalidRequest(
            f"{len(classes)} classes are named and the matrix has {len(matrix)} rows",
            field="classes",
            remedy="Name each row's class, in the order of the rows.",
        )
    for number, row in enumerate(matrix):
        if len(row) != len(matrix):
            raise InvalidRequest(
                f"the matrix is not square: it has {len(matrix)} rows, and row {number} has {len(row)} columns",
                field=f"confusion_matrix.{number}",
                remedy="Rows are true classes, columns are told ones, both in the order of 'classes'.",
            )
    return [
        Judged(name, row[place] / sum(row) if sum(row) else None, sum(row))
        for place, (name, row) in enumerate(zip(classes, matrix, strict=True))
    ]
