import pytest

from service.reports.closeness import Answer, closeness
from tests.fakes.measured import quality


@pytest.mark.parametrize(
    ("kid", "seen", "answer"),
    [
        (0.012, False, Answer.YES),
        (0.0149, False, Answer.YES),
        (0.0151, False, Answer.UNKNOWN),
        (0.0179, False, Answer.UNKNOWN),
        (0.0181, False, Answer.NO),
        (0.003, False, Answer.YES),
        (0.012, True, Answer.UNKNOWN),
        (0.0181, True, Answer.NO),
    ],
)
def test_an_interval_above_zero_is_no_and_a_standard_error_is_yes(kid: float, seen: bool, answer: Answer) -> None:
    """The floor is 0.012, and the interval of the difference reaches 0.006 down. On images the adapter was trained on,
    only a no stands."""
    assert closeness(quality(kid, seen=seen)).answer is answer


def test_the_reason_tells_the_difference_with_its_interval() -> None:
    assert "a difference of 0.00800 (95 %: 0.00200 to 0.0180)" in closeness(quality(0.02)).reason


@pytest.mark.parametrize(("kid", "answer"), [(0.0159, Answer.YES), (0.0161, Answer.UNKNOWN), (0.0201, Answer.NO)])
def test_a_report_of_an_earlier_version_goes_by_the_spread_between_splits(kid: float, answer: Answer) -> None:
    earlier = quality(kid).model_copy(update={"kid_above_floor": None})
    assert closeness(earlier).answer is answer
    assert "a spread of 0.0040 between random splits" in closeness(earlier).reason


def test_a_comparison_of_few_images_says_nothing_whatever_its_scores() -> None:
    assert closeness(quality(0.9, compared=7)).answer is Answer.UNKNOWN
    assert closeness(quality(0.9, compared=8)).answer is Answer.NO


def test_scores_that_flatter_are_cautioned_against_and_others_are_not() -> None:
    assert "trained on" in (closeness(quality(seen=True)).caution or "")
    assert closeness(quality()).caution is None


def test_without_scores_there_is_no_answer() -> None:
    assert closeness(None).answer is Answer.UNKNOWN
