"""What counts as the same picture, and as too few of them."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from models.errors import DatasetUnusable
from models.recognition.data import Development, Labelled, as_tensor, checked_test, twins
from models.recognition.protocol import shortages, synthetic_of, usable_ratios

NAMES = ("pits", "scale")


def pictures(number: int, seed: int) -> Labelled:
    draws = np.random.default_rng(seed)
    made = [Image.fromarray(draws.integers(0, 255, (8, 8), dtype=np.uint8)) for _ in range(number)]
    return Labelled(made, [index % 2 for index in range(number)])


def development(num_synthetic: int = 6) -> Development:
    return Development(
        NAMES, pictures(6, 0), pictures(4, 1), pictures(num_synthetic, 2), [()] * num_synthetic, [None] * 6
    )


def test_a_grey_test_picture_is_known_again_in_its_copy_with_three_equal_channels() -> None:
    given = development()
    copies = Labelled([image.convert("RGB") for image in given.validation.images], given.validation.labels)
    with pytest.raises(DatasetUnusable, match="4 test images") as refused:
        checked_test(copies, given)
    assert refused.value.field == "test"


def test_a_synthetic_image_that_equals_a_test_image_is_a_leak_too() -> None:
    given = development()
    with pytest.raises(DatasetUnusable, match="1 test images"):
        checked_test(Labelled([given.synthetic.images[0], *pictures(3, 9).images], given.synthetic.labels[:4]), given)


def test_a_test_of_unseen_images_is_taken_as_it_is_and_one_without_a_class_is_refused() -> None:
    unseen = pictures(4, 9)
    assert checked_test(unseen, development()) is unseen
    with pytest.raises(DatasetUnusable, match="'scale' has 0 test"):
        checked_test(unseen.taken([0, 2]), development())


def test_one_class_cannot_be_told_apart_from_anything() -> None:
    with pytest.raises(DatasetUnusable, match="There are 1 classes; 2 are needed"):
        replace(development(), class_names=("pits",)).checked()


def test_a_class_of_two_images_gives_one_of_them_to_the_choice() -> None:
    given = replace(development(), train=pictures(4, 0), groups=["a", "a", "a", "a"])
    folds = given.folds(4, seed=3)
    assert [(len(fold.train), len(fold.validation)) for fold in folds] == [(3, 1)] * 4
    assert all({0, 1} == set(fold.train.labels) for fold in folds)


def test_a_coil_with_two_kinds_of_defects_is_on_one_side_and_no_class_is_lost() -> None:
    train = Labelled(pictures(24, 0).images, [0] * 12 + [1] * 12)
    coils = [f"coil {index % 12 // 2}" for index in range(24)]
    folds = replace(development(), train=train, groups=coils).folds(4, seed=1)
    assert sorted(len(fold.validation) for fold in folds) == [4, 4, 8, 8]
    for fold in folds:
        out = {coils[train.images.index(image)] for image in fold.validation.images}
        assert not out & {coils[train.images.index(image)] for image in fold.train.images}
    alone = replace(development(), train=train, groups=["one coil"] * 14 + [f"coil {index}" for index in range(10)])
    assert all({0, 1} == set(fold.train.labels) for fold in alone.folds(4, seed=1))
    assert sum(0 in fold.validation.labels for fold in alone.folds(4, seed=1)) == 4, "its only coil is divided"


def test_images_from_noise_stay_in_the_choice_and_sources_are_renumbered() -> None:
    given = replace(development(), sources=[[0], [1], [2], [3, 0], [], []])
    held = given.folds(3, seed=0)[0]
    out = [given.train.images.index(image) for image in held.validation.images]
    expected = [own for own in given.sources if not set(own) & set(out)]
    found = [[given.train.images.index(held.train.images[source]) for source in own] for own in held.sources]
    assert found == expected and [] in found


def test_an_image_spliced_of_a_kept_and_a_held_out_source_is_left_out() -> None:
    given = replace(development(), sources=[[first, second] for first in (0, 1, 2) for second in (3, 4)])
    held = given.folds(3, seed=0)[0]
    out = {given.train.images.index(image) for image in held.validation.images}
    assert len(held.sources) == sum(not {*own} & out for own in given.sources) < len(given.sources)


def test_an_imbalanced_set_keeps_its_ratio_in_each_class() -> None:
    train = Labelled(pictures(8, 0).images, [0] * 6 + [1] * 2)
    given = replace(development(20), train=train, groups=[None] * 8)
    assert [len(own) for own in synthetic_of(given, 1.5)] == [9, 3]
    assert all(given.synthetic.labels[index] == label for label in (0, 1) for index in synthetic_of(given, 1.5)[label])


def test_ratios_that_use_the_same_images_are_tried_once_and_a_shortage_is_told_in_figures() -> None:
    ratios, left_out = usable_ratios(development(6), (1.0, 0.5, 2.0, 4.0))
    assert ratios == [0.5, 1.0]
    assert left_out == [f"Ratio {ratio} was left out: it uses the same images as ratio 1." for ratio in (2, 4)]
    assert shortages(development(6), ratios) == []
    assert shortages(development(6), [2.0]) == [
        "For ratio 2 there are too few synthetic images; all are used: pits 3 of 6, scale 3 of 6."
    ]


def test_pictures_of_two_classes_are_told_with_their_split() -> None:
    one, other = pictures(2, 0).images
    assert twins(Labelled([one, other, one], [0, 0, 1]), NAMES, "test") == [
        "1 test image stands in several classes (pits, scale): nobody can tell which is right."
    ]
    assert twins(Labelled([one, other, one], [0, 1, 0]), NAMES, "train") == []


def test_grey_becomes_three_equal_channels_in_minus_one_to_one() -> None:
    black_and_white = Labelled([Image.new("L", (5, 9), 0), Image.new("L", (9, 5), 255)], [0, 1])
    pixels = as_tensor(black_and_white, 16)
    assert pixels.shape == (2, 3, 16, 16)
    assert pixels[0].unique().tolist() == [-1] and pixels[1].unique().tolist() == [1]
    assert as_tensor(Labelled([], []), 16).shape == (0, 3, 16, 16)
