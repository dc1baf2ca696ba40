import pytest

from service.reports.closeness import Answer, closeness
from tests.fakes.measured import quality


@pytest.mark.parametrize(
    ("kid", "seen", "answer"),
    [
        (0.0139, False, Answer.YES),
        (0.0141, False, Answer.UNKNOWN),
        (0.0179, False, Answer.UNKNOWN),
        (0.0181, False, Answer.NO),
        (0.003, False, Answer.YES),
        (0.012, True, Answer.UNKNOWN),
        (0.0181, True, Answer.NO),
    ],
)
def test_an_interval_above_zero_is_no_and_one_below_the_margin_is_yes(kid: float, seen: bool, answer: Answer) -> None:
    """The floor is 0.012, the interval of the difference reaches 0.006 down and 0.01 up, and the margin is 0.012. On
    images the adapter was trained on, only a no stands."""
    assert closeness(quality(kid, seen=seen)).answer is answer


def test_the_reason_tells_the_difference_with_its_interval_and_what_is_not_excluded() -> None:
    assert "a difference of 0.00800 (95 %: 0.00200 to 0.0180)" in closeness(quality(0.02)).reason
    assert "up to 6 % of the real images' own spread" in closeness(quality(0.0164)).reason


def test_images_that_began_as_the_reference_earn_no_yes() -> None:
    """Of an unadapted generation: exact copies would score as well."""
    began = closeness(quality(0.012).model_copy(update={"seen_as_sources": True}))
    assert began.answer is Answer.UNKNOWN and "that they began as" in began.reason
    assert "the synthetic ones began as" in (began.caution or "")


def test_a_report_of_an_earlier_version_is_to_be_made_again() -> None:
    earlier = closeness(quality(0.012).model_copy(update={"real_spread": None}))
    assert earlier.answer is Answer.UNKNOWN and "evaluate again" in earlier.reason


def test_a_comparison_of_few_images_says_nothing_whatever_its_scores() -> None:
    assert closeness(quality(0.9, compared=7)).answer is Answer.UNKNOWN
    assert closeness(quality(0.9, compared=8)).answer is Answer.NO


def test_scores_that_flatter_are_cautioned_against_and_others_are_not() -> None:
    assert "trained on" in (closeness(quality(seen=True)).caution or "")
    assert closeness(quality()).caution is None


def test_without_scores_there_is_no_answer() -> None:
    assert closeness(None).answer is Answer.UNKNOWN
