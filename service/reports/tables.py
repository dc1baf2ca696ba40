"""CSV tables: one fact a row, for spreadsheets and programs (RFC 4180)."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from service.contracts.datasets import ImageRecord
from service.contracts.generations import GeneratedImage, GenerationMode
from service.contracts.quality import Estimate
from service.contracts.recognitions import ArmResult, RecognitionResult
from service.exports.folders import folders_of
from service.reports.records import GenerationClass, GenerationRecord
from service.reports.wording import verdict_words

_GENERATION_COLUMNS = (
    "generation_id", "class_name", "number", "file", "sha256", "width_px", "height_px", "mode", "seed", "candidate",
    "source_image_id", "source_filename", "second_source_image_id", "second_source_filename", "nearest_image_id",
    "nearest_filename", "nearest_feature_ratio", "nearest_pixel_ratio", "decision", "decided_at", "decided_by",
    "adapter_id", "base_model", "generation_mode", "strength", "guidance_scale", "lora_scale", "num_inference_steps",
    "splice_sources",
)  # fmt: skip
_RECOGNITION_COLUMNS = (
    "recognition_id", "kind", "split", "arm", "over", "ratio", "metric", "class_name", "told_class", "run", "value",
    "low", "high",
)  # fmt: skip
#: A spreadsheet would take a cell that begins so for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

Cell = str | int | float | None


def generation_csv(record: GenerationRecord, images: Iterable[GeneratedImage], real: Mapping[str, ImageRecord]) -> str:
    """One row an image: its file in the plain archive, its lineage, its nearest real image and how near (below 1 is a
    copy)."""
    of_class = {one.params.class_name: one for one in record.classes}
    folders = folders_of(of_class)
    rows: list[dict[str, Cell]] = []
    for image in images:
        one = of_class.get(image.class_name)
        row: dict[str, Cell] = {
            "generation_id": record.id,
            "file": f"{folders.get(image.class_name, image.class_name)}/{image.number:06d}.png",
            "source_filename": _filename(real, image.source_image_id),
            "second_source_filename": _filename(real, image.second_source_image_id),
            "nearest_filename": _filename(real, image.nearest_image_id),
            **image.model_dump(mode="json", exclude={"size_bytes"}),
        }
        if one is not None:
            row |= _used(one)
        rows.append(row)
    return _text(_GENERATION_COLUMNS, rows)


def _used(one: GenerationClass) -> dict[str, Cell]:
    """Adapter and settings as the PNG's own lineage tells them: noise alone is a strength of 1."""
    settings = one.params.settings
    used = settings.model_dump(mode="json", exclude={"unadapted", "mode"})
    if settings.mode is GenerationMode.FROM_NOISE:
        used["strength"] = 1.0
    return {
        "adapter_id": None if settings.unadapted else one.params.adapter_id,
        "base_model": one.adapter.base_model if one.adapter is not None else None,
        "generation_mode": settings.mode.value,
        **used,
    }


def _filename(real: Mapping[str, ImageRecord], image_id: str | None) -> str | None:
    found = real.get(image_id) if image_id is not None else None
    return found.filename if found is not None else None


def recognition_csv(recognition_id: str, result: RecognitionResult | None) -> str:
    """The verdict, then one row a measurement: an arm's estimates, each run, recalls, confusions, lifts, ratios tried.

    Only the column names where the job has no result yet; no intervals and lifts where nothing can be concluded.
    """
    rows: list[dict[str, Cell]] = []
    if result is not None:
        rows += _verdict_rows(result)
        for arm in result.arms:
            rows += _arm_rows(arm, result.classes, not result.is_inconclusive)
        rows += [
            {
                "kind": "lift", "split": "test", "arm": lift.arm.value, "over": lift.over.value, "metric": lift.metric,
                "value": lift.value, "low": lift.interval.low, "high": lift.interval.high,
            }
            for lift in result.lifts
            if not result.is_inconclusive
        ]  # fmt: skip
        rows += [
            {"kind": "selection", "split": result.selection_split.value, "arm": "real_plus_synthetic",
             "ratio": one.ratio, "metric": "accuracy", "value": one.validation_accuracy}
            for one in result.selection
        ]  # fmt: skip
    return _text(_RECOGNITION_COLUMNS, [{"recognition_id": recognition_id, **row} for row in rows])


def _verdict_rows(result: RecognitionResult) -> list[dict[str, Cell]]:
    common: dict[str, Cell] = {"split": "test", "arm": "real_plus_synthetic", "over": "real_augmented"}
    told = {
        "verdict": verdict_words(result.verdict, result.is_inconclusive),
        "is_inconclusive": str(result.is_inconclusive).lower(),
    }
    return [{"kind": kind, **common, "metric": "accuracy", "value": value} for kind, value in told.items()]


def _arm_rows(arm: ArmResult, classes: Sequence[str], conclusive: bool) -> list[dict[str, Cell]]:
    common: dict[str, Cell] = {"split": "test", "arm": arm.arm.value, "ratio": arm.ratio}
    rows = [
        _estimate_row("accuracy", arm.accuracy, conclusive),
        _estimate_row("macro_f1", arm.macro_f1, conclusive),
    ]
    for run, value in enumerate(arm.runs_accuracy):
        rows.append({"kind": "run", "metric": "accuracy", "run": run, "value": value})
    for name, value in arm.recall.items():
        rows.append({"kind": "recall", "metric": "recall", "class_name": name, "value": value})
    for name, counts in zip(classes, arm.confusion, strict=True):
        for told, count in zip(classes, counts, strict=True):
            rows.append(
                {"kind": "confusion", "metric": "count", "class_name": name, "told_class": told, "value": count}
            )
    return [{**common, **row} for row in rows]


def _estimate_row(metric: str, estimate: Estimate, conclusive: bool) -> dict[str, Cell]:
    interval = estimate.interval.model_dump(include={"low", "high"}) if conclusive else {}
    return {"kind": "estimate", "metric": metric, "value": estimate.value, **interval}


def _text(columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _safe(value) for name, value in row.items()})
    return stream.getvalue()


def _safe(value: Cell) -> Cell:
    """Text that a spreadsheet would run is quoted with an apostrophe, which spreadsheets do not show."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
