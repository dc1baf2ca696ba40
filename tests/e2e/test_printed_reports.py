"""Reports on paper, which cannot be scrolled."""

from service.reports.adaptation import adaptation_page
from service.reports.rendering import html_of
from tests.e2e.conftest import Watched
from tests.fakes import measured
from tests.unit.service.reports.test_pages import adaptation

#: Of A4 between the margins of the reports.
PAPER_PX = 688


def test_the_trials_fit_on_paper_with_every_column_full(watched: Watched) -> None:
    full = {
        "checkpoint": "textual_inversion@1000",
        "remark": "3 images are no copies, too few to tell quality from luck.",
    }
    trials = [one.model_copy(update=full) for one in measured.TRIALS]
    watched.page.set_viewport_size({"width": PAPER_PX, "height": 900})
    watched.page.emulate_media(media="print")
    watched.page.set_content(html_of(adaptation_page(adaptation(measured.adaptation_result(), trials))))
    table = watched.page.locator("table.trials")
    assert table.evaluate("one => one.scrollWidth") <= PAPER_PX
