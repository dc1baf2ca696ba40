from service.exports.folders import folders_of


def test_a_plain_name_is_its_own_folder() -> None:
    assert folders_of(["rolled-in scale", "pits_2", "a.b"]) == {
        "rolled-in scale": "rolled-in scale", "pits_2": "pits_2", "a.b": "a.b",
    }  # fmt: skip


def test_names_that_windows_reserves_or_shortens_are_changed() -> None:
    names = ["CON", "nul.txt", "com1 .old", "pits.", "pits..", "console"]
    assert folders_of(names) == {
        "CON": "CON_", "nul.txt": "nul_.txt", "com1 .old": "com1 _.old", "pits.": "pits_", "pits..": "pits__",
        "console": "console",
    }  # fmt: skip


def test_names_that_differ_by_case_alone_get_folders_of_their_own_in_whatever_order_they_come() -> None:
    folders = folders_of(["pits", "Pits", "PITS", "pits-2"])
    assert len({folder.casefold() for folder in folders.values()}) == 4
    assert folders == folders_of(["pits-2", "PITS", "pits", "Pits"])
