import pytest

from service.decoding import ImageRefusal
from service.intake_budget import Budget, UploadLimits


class Processor:
    """A clock that stands until somebody works."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_pixels_are_admitted_to_the_last_and_then_nothing_more() -> None:
    budget = Budget(UploadLimits(max_pixels=100, max_seconds=1), Processor())
    budget.take_pixels(60)
    budget.take_pixels(40)
    budget.check()
    with pytest.raises(ImageRefusal, match="max_upload_pixels"):
        budget.take_pixels(1)


def test_after_the_first_image_that_does_not_fit_the_smallest_is_not_even_read() -> None:
    budget = Budget(UploadLimits(max_pixels=100, max_seconds=1), Processor())
    with pytest.raises(ImageRefusal):
        budget.take_pixels(101)
    with pytest.raises(ImageRefusal, match="max_upload_pixels") as refused:
        budget.check()
    assert refused.value.code == "upload_too_costly"


def test_seconds_count_from_the_upload_s_beginning() -> None:
    processor = Processor()
    budget = Budget(UploadLimits(max_pixels=100, max_seconds=20), processor)
    processor.seconds += 20
    budget.check()
    processor.seconds += 1
    with pytest.raises(ImageRefusal, match=r"max_upload_seconds"):
        budget.check()
