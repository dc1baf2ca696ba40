import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from service.reports import plots
from service.reports.svg import drawn
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


def test_the_api_starts_without_matplotlib() -> None:
    code = (
        "import sys, service.main, service.api.routes.reports;"
        "print([name for name in ('matplotlib', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
