"""The page's own curves: values come to the right places, and every one is told in words."""

import re

from service.contracts.adaptations import CurvePoint
from service.web.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, loss_charts, quality_chart
from tests.fakes.measured import TRIALS, score, trial


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.e-]+) (-?[\d.e-]+)", path)]


def test_a_loss_that_falls_goes_down_from_left_to_right() -> None:
    points = [CurvePoint(stage="lora", step=step, loss=2.0 - step / 100) for step in range(1, 101)]
    (chart,) = loss_charts(points)
    drawn = dict(chart.lines)
    each = places(drawn["each"])
    assert len(each) == 100
    assert [x for x, _ in each] == sorted(x for x, _ in each)
    assert [y for _, y in each] == sorted(y for _, y in each)
    assert each[-1][0] == WIDTH - RIGHT
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in each)
    assert "at step 1 " in chart.text and "at step 100" in chart.text


def test_a_long_curve_stays_short_and_keeps_its_ends() -> None:
    points = [CurvePoint(stage="lora", step=step, loss=1 / step) for step in range(1, 5001)]
    (chart,) = loss_charts(points)
    each = places(dict(chart.lines)["each"])
    assert len(each) <= 201
    assert each[-1][0] == WIDTH - RIGHT


def test_a_loss_that_is_no_number_is_left_out() -> None:
    points = [CurvePoint(stage="lora", step=1, loss=float("nan")), CurvePoint(stage="lora", step=2, loss=0.5)]
    (chart,) = loss_charts(points)
    assert len(places(dict(chart.lines)["each"])) == 1


def test_trials_stand_at_their_strength_between_the_floors() -> None:
    chart = quality_chart(TRIALS, 1, score(0.012), score(0.006))
    assert chart is not None
    by_name = {dot.name: dot for dot in chart.dots}
    assert set(by_name) == {"trial-0", "trial-1", "trial-2"}
    assert [by_name[f"trial-{number}"].kind for number in range(3)] == ["copying", "best", "good"]
    assert by_name["trial-0"].x < by_name["trial-1"].x < by_name["trial-2"].x
    assert by_name["trial-2"].y < by_name["trial-1"].y
    assert {band.kind for band in chart.bands} == {"real", "copied"}
    assert "chosen is trial 1" in chart.text
    assert {"best": "ring: chosen", "shown": "dashed: pictures shown"}.items() <= dict(chart.legend).items()


def test_spliced_trials_are_told_from_the_others() -> None:
    spliced = trial(4, 0.6, 0.009).model_copy(update={"splice_sources": True})
    charts = [quality_chart(trials, 1, None, None) for trials in (TRIALS, [*TRIALS, spliced])]
    drawn = [[dot.name for dot in chart.dots if dot.is_spliced] for chart in charts if chart is not None]
    assert drawn == [[], ["trial-4"]]
    assert ["spliced" in dict(chart.legend) for chart in charts if chart is not None] == [False, True]


def test_a_line_joins_the_trials_that_differ_in_strength_alone() -> None:
    other = trial(4, 0.6, 0.009).model_copy(update={"guidance_scale": 4.0})
    chart, alone = quality_chart([other, *reversed(TRIALS)], 1, None, None), quality_chart([other], 4, None, None)
    assert chart is not None and alone is not None
    by_name = {dot.name: dot for dot in chart.dots}
    joined = [(by_name[f"trial-{number}"].x, by_name[f"trial-{number}"].y) for number in range(3)]
    assert places(dict(chart.lines)["sweep"]) == [(round(x, 2), round(y, 2)) for x, y in joined]
    assert "sweep" in dict(chart.legend) and not alone.lines


def test_nothing_is_drawn_before_the_first_score_and_one_score_is_enough() -> None:
    assert quality_chart([trial(0, 0.5, None)], None, None, None) is None
    chart = quality_chart([trial(0, 0.5, 0.01)], 0, None, None)
    assert chart is not None
    assert 3 <= len(chart.up_ticks) <= 12
