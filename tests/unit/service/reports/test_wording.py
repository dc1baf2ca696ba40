import math

import pytest

from service.reports.wording import duration, figure, percent, points


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, "0.0123"), (38.14, "38.1"), (912.6, "913"), (0, "0"), (-0.00051, "-0.000510"), (None, "–"),
     (math.nan, "–"), (math.inf, "–"), (1e-9, "0.000000")],
)  # fmt: skip
def test_figures_have_three_digits_that_count_and_no_powers_of_ten(value: float | None, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.24, "0.2 s"),
        (59.4, "59 s"),
        (59.7, "1 min 0 s"),
        (61, "1 min 1 s"),
        (3599.7, "1 h 0 min"),
        (7260, "2 h 1 min"),
        (None, "–"),
    ],
)
def test_durations_are_said_as_a_person_says_them(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_share_is_a_percentage() -> None:
    assert (percent(0.2308), percent(0.9051, 1), percent(None)) == ("23 %", "90.5 %", "–")


def test_a_difference_has_a_sign_unless_it_rounds_to_nothing() -> None:
    assert [points(one) for one in (0.0516, -0.0516, 0.0004, -0.0004)] == ["+5.2", "-5.2", "0.0", "0.0"]
