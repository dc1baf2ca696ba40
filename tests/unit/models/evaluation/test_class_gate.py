from dataclasses import replace

import numpy as np
import pytest

from models.evaluation.class_gate import ClassGate
from models.evaluation.features import Features


def of_class(center: float, n: int = 20, seed: int = 0, d: int = 24) -> Features:
    rng = np.random.default_rng(seed + int(center * 100))
    values = rng.normal(size=(n, d)) * np.linspace(0.1, 3.0, d)
    values[:, :3] += center
    return values


def three_classes(n: int = 20) -> dict[str, Features]:
    return {name: of_class(center, n) for name, center in (("crack", 0.0), ("pit", 2.0), ("stain", 4.0))}


def share_passing(gate: ClassGate, features: Features, name: str) -> float:
    return float(np.mean([verdict.passes for verdict in gate.judge(features, name)]))


def test_unseen_images_of_the_class_pass_and_those_of_another_do_not() -> None:
    gate = ClassGate.fit(three_classes())
    assert gate.out_of_fold_accuracy == pytest.approx(1.0, abs=0.05)
    assert all(gate.supports(name) and gate.reason(name) is None for name in ("crack", "pit", "stain"))
    assert share_passing(gate, of_class(2.0, 200, seed=5), "pit") >= 0.93
    assert share_passing(gate, of_class(0.0, 200, seed=5), "pit") <= 0.05
    likely, unlikely = gate.judge(np.stack([of_class(2.0, 1, seed=7)[0], of_class(0.0, 1, seed=7)[0]]), "pit")
    assert likely.probability is not None and unlikely.probability is not None
    assert likely.probability > 0.9 > 0.1 > unlikely.probability


def test_it_holds_with_many_more_features_than_images() -> None:
    gate = ClassGate.fit({"a": of_class(0.0, 12, d=300), "b": of_class(3.0, 12, d=300)})
    assert gate.supports("a") and share_passing(gate, of_class(0.0, 60, seed=3, d=300), "a") > 0.9


def test_two_classes_with_the_same_images_are_not_supported_and_reject_nothing() -> None:
    same = of_class(0.0)
    gate = ClassGate.fit({"a": same, "b": same.copy(), "c": of_class(4.0)})
    reason = gate.reason("a")
    assert not gate.supports("a") and not gate.supports("b") and gate.supports("c")
    assert reason is not None and "recognises only" in reason
    assert share_passing(gate, of_class(4.0), "a") == 1.0


def test_a_class_is_judged_from_the_recall_that_is_promised_on() -> None:
    gate = replace(ClassGate.fit(three_classes()), recalls={"crack": 0.79, "pit": 0.8, "stain": 1.0})
    assert "only 79%" in (gate.reason("crack") or "") and "from 80% on" in (gate.reason("crack") or "")
    assert share_passing(gate, of_class(4.0), "crack") == 1.0, "not judged"
    assert gate.supports("pit") and share_passing(gate, of_class(0.0), "pit") <= 0.05


@pytest.mark.parametrize("same", [True, False])
def test_a_class_whose_images_are_all_the_same_does_not_crash(same: bool) -> None:
    one = np.repeat(of_class(0.0, 1), 10, axis=0)
    other = one if same else one + 1.0
    gate = ClassGate.fit({"a": one, "b": other})
    assert gate.supports("a") is not same
    assert np.isfinite([gate.judge(one[:1], "a")[0].probability or 0.0]).all()


def test_a_single_class_is_not_supported_and_says_why() -> None:
    gate = ClassGate.fit({"only": of_class(0.0), "empty": np.zeros((0, 24))})
    assert gate.out_of_fold_accuracy is None and "only class" in (gate.reason("only") or "")
    assert gate.judge(of_class(0.0, 2), "only")[0].probability is None
    assert "no real image" in (gate.reason("empty") or "")


@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_a_small_class_is_not_judged_but_others_are_told_from_it(count: int) -> None:
    gate = ClassGate.fit({"small": of_class(3.0, count), "large": of_class(0.0, 30)})
    assert f"has {count} real images" in (gate.reason("small") or "")
    assert gate.supports("large")


def test_images_of_one_group_are_never_on_both_sides() -> None:
    """Each strip has a signature; only when strips are kept whole does it show that the class cannot be told."""
    rng = np.random.default_rng(0)
    strips = np.repeat(np.arange(10), 4)
    rows = {name: rng.normal(size=(10, 24))[strips] * 5 + rng.normal(size=(40, 24)) * 0.1 for name in ("a", "b")}
    groups = {name: [f"{name}{strip}" for strip in strips] for name in rows}
    apart, mixed = (ClassGate.fit(rows, known).out_of_fold_accuracy for known in (groups, None))
    assert mixed is not None and apart is not None
    assert mixed > 0.95 and apart < 0.75


def test_groups_may_be_unknown_for_some_images_and_must_match_in_number() -> None:
    gate = ClassGate.fit(three_classes(), {"pit": [None, "x"] * 10})
    assert gate.supports("pit")
    with pytest.raises(ValueError, match="2 groups for 20 images of pit"):
        ClassGate.fit(three_classes(), {"pit": [None, "x"]})


def test_the_same_seed_gives_the_same_gate() -> None:
    first, again = (ClassGate.fit({"a": of_class(0.0), "b": of_class(0.5)}, seed=3) for _ in range(2))
    assert (first.recalls, first.thresholds) == (again.recalls, again.thresholds)


def test_one_image_of_each_class_is_not_judged_and_does_not_crash() -> None:
    gate = ClassGate.fit({"a": of_class(0.0, 1), "b": of_class(3.0, 1)})
    assert gate.recalls == {"a": 0.0, "b": 0.0} and not gate.supports("a")
    assert gate.judge(of_class(0.0, 1), "a")[0].passes
