import pytest

from service.reports.closeness import Answer, closeness
from tests.fakes.measured import quality


@pytest.mark.parametrize(
    ("kid", "seen", "answer"),
    [
        (0.012, False, Answer.YES),
        (0.0159, False, Answer.YES),
        (0.0161, False, Answer.UNKNOWN),
        (0.0199, False, Answer.UNKNOWN),
        (0.0201, False, Answer.NO),
        (0.003, False, Answer.YES),
        (0.012, True, Answer.UNKNOWN),
        (0.0201, True, Answer.NO),
    ],
)
def test_one_spread_above_the_floor_is_as_close_and_two_are_not(kid: float, seen: bool, answer: Answer) -> None:
    """The floor is 0.012 and the spread 0.004. On images the adapter was trained on, only a no stands."""
    assert closeness(quality(kid, seen=seen)).answer is answer


def test_a_comparison_of_few_images_says_nothing_whatever_its_scores() -> None:
    assert closeness(quality(0.9, compared=7)).answer is Answer.UNKNOWN
    assert closeness(quality(0.9, compared=8)).answer is Answer.NO


def test_scores_that_flatter_are_cautioned_against_and_others_are_not() -> None:
    assert "trained on" in (closeness(quality(seen=True)).caution or "")
    assert closeness(quality()).caution is None


def test_without_scores_there_is_no_answer() -> None:
    assert closeness(None).answer is Answer.UNKNOWN
