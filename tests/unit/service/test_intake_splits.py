import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.contracts.datasets import Split
from service.errors import GroupStraddles
from service.intake_splits import Candidate, assign


def candidate(pixels: str, split: Split | None = None, group: str | None = None, name: str = "pits") -> Candidate:
    return Candidate(name, f"{pixels}.png", pixels, split, group)


def test_what_has_no_split_goes_to_train() -> None:
    assert assign([candidate("a"), candidate("b", Split.TEST)], {}) == ([Split.TRAIN, Split.TEST], [])


def test_a_group_that_is_already_in_the_dataset_keeps_its_split() -> None:
    assert assign([candidate("a", group="coil")], {"coil": Split.TEST})[0] == [Split.TEST]
    with pytest.raises(GroupStraddles, match="coil"):
        assign([candidate("a", Split.TRAIN, "coil")], {"coil": Split.TEST})


def test_a_duplicate_follows_the_group_of_its_twin() -> None:
    splits, warnings = assign([candidate("a", Split.TRAIN), candidate("a", Split.TEST, "coil")], {})
    assert splits == [Split.TEST, Split.TEST]
    assert [warning.code for warning in warnings] == ["duplicate_moved"]


def test_two_groups_of_different_splits_that_share_a_duplicate_are_refused() -> None:
    with pytest.raises(GroupStraddles, match="exact duplicate"):
        assign([candidate("a", Split.TRAIN, "coil 1"), candidate("a", Split.TEST, "coil 2")], {})


def test_the_same_pixels_in_another_class_do_not_bind() -> None:
    splits, _ = assign([candidate("a", Split.TRAIN), candidate("a", Split.TEST, name="scale")], {})
    assert splits == [Split.TRAIN, Split.TEST]


candidates = st.lists(
    st.builds(
        candidate,
        st.sampled_from("abcdef"),
        st.none() | st.sampled_from(list(Split)),
        st.none() | st.sampled_from(["g1", "g2", "g3"]),
        st.sampled_from(["pits", "scale"]),
    ),
    max_size=12,
)


@given(candidates)
def test_no_group_and_no_duplicate_ever_straddles(given_images: list[Candidate]) -> None:
    try:
        splits, _ = assign(given_images, {})
    except GroupStraddles:
        return
    homes: dict[tuple[str, ...], set[Split]] = {}
    for one, split in zip(given_images, splits, strict=True):
        homes.setdefault(("pixels", one.class_name, one.pixel_sha256), set()).add(split)
        if one.group is not None:
            homes.setdefault(("group", one.group), set()).add(split)
    assert all(len(found) == 1 for found in homes.values())
