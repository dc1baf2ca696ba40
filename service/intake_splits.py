"""Assign splits. Groups never straddle them, and exact duplicates of a class stay together.

What is given without a split goes to ``train``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.contracts.datasets import DatasetWarning, Split
from service.errors import GroupStraddles


@dataclass(frozen=True)
class Candidate:
    """What decides one image's split."""

    class_name: str
    filename: str
    pixel_sha256: str
    split: Split | None
    group: str | None


def refuse_straddling(
    asked: Sequence[tuple[str | None, Split | None]], settled: Mapping[str, Split]
) -> dict[str, Split]:
    """The split of each group, from ``(group, split)`` pairs and groups already in the dataset.

    Raises ``GroupStraddles`` naming the group.
    """
    splits = dict(settled)
    for group, split in asked:
        if group is None or split is None:
            continue
        if splits.setdefault(group, split) is not split:
            raise GroupStraddles(
                f"group {group!r} is asked for in {splits[group].value} and in {split.value}", field="splits"
            )
    return splits


def assign(candidates: Sequence[Candidate], settled: Mapping[str, Split]) -> tuple[list[Split], list[DatasetWarning]]:
    """A split for each candidate, in their order, and a warning for each duplicate that had to move.

    Images that share a group, or a class and their pixels, form a set; a set takes the split of its group, or else
    the first split asked for in it, or else ``train``.
    """
    group_splits = refuse_straddling([(one.group, one.split) for one in candidates], settled)
    roots = _sets(candidates)
    chosen: dict[int, Split] = {}
    for root, one in zip(roots, candidates, strict=True):
        if one.group is not None and one.group in group_splits:
            _refuse_joined_groups(chosen, root, one.group, group_splits[one.group])
            chosen[root] = group_splits[one.group]
    for root, one in zip(roots, candidates, strict=True):
        if one.split is not None:
            chosen.setdefault(root, one.split)
    splits = [chosen.get(root, Split.TRAIN) for root in roots]
    return splits, _moved(candidates, splits)


def _refuse_joined_groups(chosen: Mapping[int, Split], root: int, group: str, split: Split) -> None:
    if chosen.get(root, split) is not split:
        raise GroupStraddles(
            f"an image of group {group!r} ({split.value}) is an exact duplicate of one in a group of another split",
            field="groups",
            remedy="Remove one of the duplicates, or give both groups the same split.",
        )


def _sets(candidates: Sequence[Candidate]) -> list[int]:
    """A representative for each candidate: union-find over shared groups and shared pixels within a class."""
    parents = list(range(len(candidates)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    first_with: dict[tuple[str, ...], int] = {}
    for index, one in enumerate(candidates):
        keys: list[tuple[str, ...]] = [("pixels", one.class_name, one.pixel_sha256)]
        if one.group is not None:
            keys.append(("group", one.group))
        for key in keys:
            parents[root(index)] = root(first_with.setdefault(key, index))
    return [root(index) for index in range(len(candidates))]


def _moved(candidates: Sequence[Candidate], splits: Sequence[Split]) -> list[DatasetWarning]:
    return [
        DatasetWarning(
            code="duplicate_moved",
            class_name=one.class_name,
            message=f"{one.filename} was asked for in {one.split.value} but is a duplicate of one in {split.value}",
        )
        for one, split in zip(candidates, splits, strict=True)
        if one.split is not None and one.split is not split
    ]
