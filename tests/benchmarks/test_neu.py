"""What the few-shot benchmark says of figures whose verdict is known, and what its ledger forgets."""

from pathlib import Path

import pytest
from neu_findings import Cell, Findings, Recognised
from neu_plan import ARMS, MODES, strips
from neu_verdict import verdict
from neu_work import Ledger

BOTH, LORA = ("both", "image_oriented"), ("LoRA only", "image_oriented")
CLASSES = ("pits", "rings")


def cell(row: tuple[str, str], split: int, class_name: str, kid: float, is_complete: bool = True) -> Cell:
    return Cell(
        split, *row, class_name, num_images=48, fid=1.0, kid=kid, kid_std=0.1, matched_fid=1.0, matched_kid=kid,
        floor_fid=1.0, floor_kid=0.0, is_complete=is_complete,
    )  # fmt: skip


def findings(kids: dict[tuple[str, str], float], num_splits: int = 3) -> Findings:
    """Each row's KID, a little different by split; rows that are not named are worse than all."""
    rows = {(arm, mode): kids.get((arm, mode), 9.0) for arm in ARMS for mode in MODES}
    cells = [
        cell(row, split, name, kid + 0.01 * split)
        for row, kid in rows.items()
        for split in range(num_splits)
        for name in CLASSES
    ]
    return Findings(plan={"classes": list(CLASSES)}, cells=cells)


def recognised(split: int, lift: float) -> Recognised:
    runs = {"real_augmented": [0.8, 0.81], "real_plus_synthetic": [0.8 + lift, 0.81 + lift], "real_only": [0.7, 0.7]}
    return Recognised(split, "", 1.0, {}, {}, {}, runs, {}, [], 1.0)


def test_the_better_row_meets_the_aim_and_the_worse_one_misses_it() -> None:
    assert "**met**" in verdict(findings({BOTH: 0.2, LORA: 0.3}))
    missed = verdict(findings({BOTH: 0.3, LORA: 0.2}))
    assert "**missed**; the KID of the best other row, `LoRA only, image oriented`, is -0.100" in missed


@pytest.mark.parametrize("scored", [True, False])
def test_a_row_that_is_short_of_images_in_one_class_still_competes_with_the_rest(scored: bool) -> None:
    found = findings({BOTH: 0.3, LORA: 0.2})
    short = next(one for one in found.cells if (one.arm, one.mode) == LORA)
    found.cells.remove(short)
    if scored:
        found.cells.append(cell(LORA, short.split, short.class_name, short.kid, is_complete=False))
    told = verdict(found)
    assert "**missed**; the KID of the best other row, `LoRA only, image oriented`" in told
    assert "`LoRA only, image oriented` by 5 of 6" in told


def test_what_could_not_be_filled_itself_misses_the_aim() -> None:
    found = findings({BOTH: 0.1})
    found.cells.append(cell(BOTH, 3, "pits", 0.1, is_complete=False))
    assert "**missed**, it could not be filled itself" in verdict(found)


def test_a_gain_of_three_points_is_met_where_splits_agree() -> None:
    found = findings({BOTH: 0.2})
    for lifts, word in (((0.04, 0.05, 0.045), "met"), ((0.04, 0.05, -0.03), "missed"), ((0.01, 0.011, 0.01), "missed")):
        found.recognised = [recognised(split, lift) for split, lift in enumerate(lifts)]
        assert f"interval above 0): **{word}**" in verdict(found)


def test_neighbouring_numbers_are_of_one_strip() -> None:
    files = [Path(f"pits_{number}.jpg") for number in (7, 1, 2, 30, 13, 31)]
    found = {path.stem: strip for path, strip in strips(files).items()}
    assert found == {
        "pits_1": "pits_1", "pits_2": "pits_1", "pits_7": "pits_1", "pits_13": "pits_13", "pits_30": "pits_30",
        "pits_31": "pits_30",
    }  # fmt: skip


def test_what_failed_is_forgotten_with_what_was_made_from_it_and_nothing_else(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json", {})
    made_from = {"data": None, "both": "data", "token": "data", "images": "both", "scores": "images", "other": "token"}
    for unit, one in made_from.items():
        ledger.remember(unit, f"/v1/{unit}", one)
    assert ledger.forget("both") == ["both", "images", "scores"]
    again = Ledger(tmp_path / "ledger.json", {})
    assert [unit for unit in made_from if again.path_of(unit)] == ["data", "token", "other"]
