"""What the command line prints of a report: KID first, whether it is close enough, and when not to believe it."""

from typing import Any

from rich.console import Console, RenderableType

from defectsynth_client import GenerationReport
from defectsynth_client.quality import Quality
from service.cli_remote import scores
from tests.fakes import measured


def printed(shown: RenderableType, width: int = 120) -> str:
    console = Console(width=width)
    with console.capture() as taken:
        console.print(shown)
    return taken.get()


def scored(**others: Any) -> dict[str, Any]:
    return {**measured.quality().model_dump(mode="json"), **others}


def report(quality: dict[str, Any]) -> GenerationReport:
    result = measured.generation_result(quality=quality).model_dump(mode="json")
    answer = {"as_close": "cannot be said", "reason": "Few.", "caution": None, "copies": "None."}
    told = {"results": {"pits": result}, "answers": {"pits": answer}, "failures": {}}
    return GenerationReport.model_validate({"generation_id": "gen_1", "state": "succeeded", "links": {}, **told})


def test_kid_and_its_floor_stand_before_fid_and_the_answer_before_both() -> None:
    text = printed(scores.generation_report(report(scored())))
    (head,) = (line for line in text.splitlines() if "KID" in line and "coverage" in line)
    places = [head.index(name) for name in ("as close?", "KID", "FID", "coverage")]
    assert places == sorted(places)
    (row,) = (line for line in text.splitlines() if "cannot be said" in line)
    assert "0.013 (0.007 to 0.023)" in row and "0.006" in row and "flatter" not in text


def test_a_narrow_terminal_folds_the_table_and_cuts_nothing_off() -> None:
    text = printed(scores.generation_report(report(scored())), width=80)
    assert "…" not in text and {"0.013", "0.006", "11.7", "10.8"} <= set(text.split())


def test_scores_that_flatter_are_said_to() -> None:
    for field, why in (("seen_by_search", "chose the settings"), ("seen_by_adaptation", "trained on")):
        text = printed(scores.quality([Quality.model_validate(scored(**{field: True}))]))
        assert "Scores against validation images flatter" in text and why in text and "as close" not in text
