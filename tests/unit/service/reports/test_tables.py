import csv
import io
from dataclasses import replace

from service.contracts.datasets import ImageRecord
from service.contracts.recognitions import Verdict
from service.reports.tables import generation_csv, recognition_csv
from tests.fakes import measured
from tests.unit.service.reports.test_pages import generation, real_image


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def images_table(real: ImageRecord) -> list[dict[str, str]]:
    images = [measured.generated(0), measured.generated(1, nearest=None)]
    return rows(generation_csv(generation(None), images, {"img_real": real}))


def test_a_generation_s_table_has_a_row_an_image_with_its_lineage_and_its_nearest_real_image() -> None:
    first, second = images_table(real_image())
    assert (first["file"], first["seed"], first["candidate"]) == ("pits/000000.png", "0", "0")
    assert (first["source_filename"], first["nearest_filename"]) == ("coil_7.png", "coil_7.png")
    assert (first["nearest_feature_ratio"], first["adapter_id"], first["strength"]) == ("1.25", "adp_1", "0.55")
    assert (second["nearest_image_id"], second["nearest_filename"]) == ("", "")


def test_a_file_name_cannot_become_a_formula_or_a_row_of_its_own() -> None:
    first, _ = images_table(real_image('=HYPERLINK("//evil")\n,x'))
    assert first["source_filename"] == '\'=HYPERLINK("//evil")\n,x'
    assert len(images_table(real_image("a\r\nb,c"))) == 2


def test_an_image_of_a_class_without_a_job_still_has_a_row() -> None:
    text = generation_csv(replace(generation(None), classes=[]), [measured.generated()], {})
    assert rows(text)[0]["adapter_id"] == ""


def test_a_recognition_s_table_has_a_row_a_measurement() -> None:
    table = rows(recognition_csv("rec_1", measured.recognition_result()))
    kinds = [row["kind"] for row in table]
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    assert counts == {
        "verdict": 1,
        "is_inconclusive": 1,
        "estimate": 6,
        "run": 6,
        "recall": 6,
        "confusion": 12,
        "lift": 2,
        "selection": 2,
    }
    lift = next(row for row in table if row["kind"] == "lift")
    assert (lift["arm"], lift["over"], lift["value"], lift["low"]) == (
        "real_plus_synthetic", "real_augmented", "0.15", "0.05",
    )  # fmt: skip
    assert {row["split"] for row in table if row["kind"] == "selection"} == {"validation"}
    assert [row["value"] for row in table[:2]] == ["Gain shown", "false"]
    assert rows(recognition_csv("rec_1", None)) == []


def test_the_table_of_an_inconclusive_recognition_says_so_and_has_no_lift_and_no_interval() -> None:
    result = measured.recognition_result().model_copy(
        update={"is_inconclusive": True, "verdict": Verdict.NO_GAIN_SHOWN}
    )
    table = rows(recognition_csv("rec_1", result))
    assert [(row["kind"], row["value"]) for row in table[:2]] == [
        ("verdict", "Nothing can be concluded"), ("is_inconclusive", "true"),
    ]  # fmt: skip
    assert not any(row["kind"] == "lift" or row["low"] or row["high"] for row in table)
    assert next(row["value"] for row in table if row["kind"] == "estimate") == "0.65"
