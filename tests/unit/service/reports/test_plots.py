import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from service.contracts.quality import Estimate, Interval
from service.reports import plots
from service.reports.svg import drawn
from service.reports.sweep import swept
from tests.fakes import measured


def test_a_plot_is_an_element_of_a_page_with_the_page_s_colours_and_nothing_of_its_own() -> None:
    svg = plots.score_against_floors(measured.quality())
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")
    for absent in ("http", "<metadata", "<style", "<?xml", "DOCTYPE", "font-family", 'id="figure', "#06060"):
        assert absent not in svg
    assert "var(--synthetic)" in svg
    assert ">synthetic to real</text>" in svg


def test_threads_draw_the_same_as_one() -> None:
    strengths = [trial.strength for trial in measured.TRIALS]
    alone = [plots.kid_by_strength(measured.TRIALS, best, None, None) for best in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda best: plots.kid_by_strength(measured.TRIALS, best, None, None), range(4)))
    assert together == alone
    assert len(set(strengths)) == len(strengths)


def test_words_in_a_plot_are_neither_markup_nor_mathematics() -> None:
    svg = drawn(lambda axes: axes.set_xlabel("<script> & $x^2$"))
    assert "&lt;script&gt; &amp; $x^2$" in svg


def test_trials_without_a_score_are_left_out_and_an_estimate_outside_its_interval_is_drawn() -> None:
    assert plots.kid_by_strength([measured.trial(0, 0.5, None)], None, None, None)
    lift = measured.recognition_result().lifts[0].model_copy(update={"value": 0.9})
    assert plots.lifts([lift])


def test_no_axis_of_percent_runs_past_a_hundred() -> None:
    result = measured.recognition_result()
    perfect = Estimate(value=1.0, interval=Interval(low=0.94, high=1.0))
    arms = [arm.model_copy(update={"accuracy": perfect, "runs_accuracy": [1.0, 1.0]}) for arm in result.arms]
    tried = [one.model_copy(update={"validation_accuracy": 1.0}) for one in result.selection]
    lift = result.lifts[0].model_copy(update={"value": 0.95, "interval": Interval(low=0.5, high=1.0)})
    for svg in (plots.accuracy_of_arms(arms), plots.ratio_sweep(tried, 1.0), plots.lifts([lift])):
        ticks = [float(tick) for tick in re.findall(r">(\d+(?:\.\d+)?)</text>", svg)]
        assert ticks and max(ticks) <= 100, ticks


def test_every_mark_is_in_the_legend_and_only_trials_that_differ_in_strength_alone_are_joined() -> None:
    apart = [
        measured.trial(4, 0.4, 0.03).model_copy(update={"guidance_scale": 4.0}),
        measured.trial(5, 0.5, 0.02).model_copy(update={"splice_sources": True}),
        measured.trial(6, 0.6, 0.02, copies=0.9).model_copy(update={"splice_sources": True}),
    ]
    svg = plots.kid_by_strength([*measured.TRIALS, *apart], 1, measured.score(0.01), measured.score(0.02))
    told = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    for name in (
        "few copies", "too many copies", "few copies, spliced", "too many copies, spliced", "strength alone", "chosen",
        "real against real", "copies of real",
    ):  # fmt: skip
        assert name in told, name
    assert [trial.number for trial in swept([*apart, *reversed(measured.TRIALS)])] == [0, 1, 3, 2]
    assert "strength alone" not in plots.kid_by_strength([measured.TRIALS[0], *apart[:2]], None, None, None)


def test_the_api_starts_without_matplotlib() -> None:
    code = (
        "import sys, service.main, service.api.routes.reports;"
        "print([name for name in ('matplotlib', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
