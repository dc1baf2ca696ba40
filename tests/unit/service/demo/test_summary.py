import json
from pathlib import Path

from service.contracts.adaptations import AdaptationResult
from service.contracts.datasets import DatasetWarning, RefusedImage
from service.contracts.generations import GenerationResult
from service.contracts.ids import AdapterId, Sha256
from service.contracts.quality import CopySummary, Extractor, QualityReport, Score
from service.demo.summary import ClassOutcome, Report, write


def score(fid: float, num_real: int = 10) -> Score:
    return Score(fid=fid, kid=fid / 100, kid_std=0.001, num_real=num_real, num_other=10)


def outcome(name: str, judged: bool = True) -> ClassOutcome:
    quality = QualityReport(
        class_name=name, extractor=Extractor(name="mini", digest="d", resize_rule="r"), score=score(41.25, 20),
        matched=score(52.5), real_floor=score(17.75), copy_floor=score(3.25),
        copies=CopySummary(threshold=0.1, num_checked=24, num_copies=2), reference_split="train",
        seen_by_adaptation=True, notes=["Such scores flatter."],
    )  # fmt: skip
    return ClassOutcome(
        class_name=name,
        adaptation=AdaptationResult(
            adapter_id=AdapterId("adp_1"), num_train_images=20, stage_seconds={"lora": 60.0, "publishing": 1.5},
            loss_curve=[],
        ),
        generation=GenerationResult(
            num_images=24, stage_seconds={"denoising": 9.5}, denoising_steps=12, contact_sheet=Sha256("c"),
            quality=quality if judged else None, warnings=[] if judged else ["No quality report: too few images."],
        ),
    )  # fmt: skip


def report(classes: list[ClassOutcome]) -> Report:
    return Report(
        software="defectsynth 0", base_model="mini", dataset_id="ds_1", generation_id="gen_1", num_images_a_class=24,
        classes=classes,
        refused=[
            RefusedImage(filename=f"[b]{n}.png", code="c", reason="it is empty", remedy="Redo.") for n in range(30)
        ],
        warnings=[DatasetWarning(code="duplicates", class_name="pits", message="2 images are the same.")],
        seconds={"adapting": 62.0}, files={"images": "/out/images"},
    )  # fmt: skip


def written(given: Report, folder: Path) -> str:
    write(given, folder / "report.json", folder / "summary.txt")
    return (folder / "summary.txt").read_text()


def cells(summary: str, label: str) -> list[str]:
    line = next(line for line in summary.splitlines() if line.startswith("│") and label in line)
    return [cell.strip() for cell in line.strip("│").split("│")[1:]]


def test_the_table_holds_every_score_with_its_floors_and_every_stage(tmp_path: Path) -> None:
    text = written(report([outcome("pits"), outcome("rust", judged=False)]), tmp_path)
    assert cells(text, "measured against") == ["20 train, seen", "-"]
    assert cells(text, "FID ") == ["41.25", "-"]
    assert cells(text, "KID ") == ["0.412 ± 0.001", "-"]
    assert cells(text, "FID at equal counts") == ["52.50 (n=10)", "-"]
    assert cells(text, "real floor") == ["17.75 (n=10)", "-"]
    assert cells(text, "copy floor") == ["3.25", "-"]
    assert cells(text, "copies found") == ["2 of 24", "-"]
    assert cells(text, "adapting, seconds") == ["61.5", "61.5"]
    assert cells(text, "  lora") == ["60.0", "60.0"]
    assert cells(text, "  denoising") == ["9.5", "9.5"]
    assert text.count("Features: mini (d), r.") == 1


def test_warnings_notes_and_refused_files_are_told_as_they_are(tmp_path: Path) -> None:
    text = written(report([outcome("pits"), outcome("rust", judged=False)]), tmp_path)
    assert "Warning: pits: 2 images are the same." in text
    assert "Note: pits: Such scores flatter." in text
    assert "Note: rust: No quality report" in text
    assert "[b]0.png: it is empty. Redo." in text
    assert "and 10 more" in text
    assert "/out/images" in text


def test_three_classes_fit_a_terminal_of_eighty_characters(tmp_path: Path) -> None:
    import io

    from rich.console import Console

    from service.demo.summary import render

    stream = io.StringIO()
    names = ["chatter_marks", "weld_spatter", "corrosion_rings"]
    Console(file=stream, width=80).print(render(report([outcome(name) for name in names]), 80))
    (header,) = [line for line in stream.getvalue().splitlines() if "chatter_marks" in line and "┃" in line]
    assert "corrosion_rings" in header


def test_the_report_is_complete_json_and_says_whether_a_class_failed(tmp_path: Path) -> None:
    failed = ClassOutcome(class_name="rare", failure="2 images are too few.")
    given = report([outcome("pits"), failed])
    text = written(given, tmp_path)
    assert "FAILED rare: 2 images are too few." in text
    assert Report.model_validate(json.loads((tmp_path / "report.json").read_text())) == given
    assert not given.complete
    assert report([outcome("pits")]).complete
