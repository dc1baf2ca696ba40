import io

import numpy as np
from PIL import Image

from models.evaluation.class_gate import ClassGate
from models.evaluation.copies import CopyGate
from models.evaluation.features import Features
from models.evaluation.gates import Gates, RejectReason
from models.evaluation.outliers import OutlierGate
from tests.fakes.pictures import encoded, noise


def features(n: int, center: float, seed: int) -> Features:
    values = np.random.default_rng(seed).normal(size=(n, 16))
    values[:, 0] += center
    return values


REAL = features(20, 0.0, 0)
PICTURES = [noise(seed) for seed in range(20)]


def gates() -> Gates:
    return Gates(
        copy=CopyGate.fit(PICTURES, REAL),
        klass=ClassGate.fit({"pit": REAL, "crack": features(20, 8.0, 1)}),
        outlier=OutlierGate.fit(REAL),
        class_name="pit",
    )


def test_each_gate_rejects_with_its_own_reason_and_a_sound_image_is_accepted() -> None:
    far = features(1, 0.0, 2)
    far[:, 5:] += 20.0
    rows = np.concatenate([features(1, 0.0, 3), REAL[4:5] + 1e-3, features(1, 8.0, 4), far])
    images = [noise(100), noise(101), noise(102), noise(103)]
    verdicts = gates().judge(images, rows, [(), (4,), (), ()])
    assert [verdict.reason for verdict in verdicts] == [
        None, RejectReason.COPY, RejectReason.WRONG_CLASS, RejectReason.OUTLIER
    ]  # fmt: skip
    assert [verdict.accepted for verdict in verdicts] == [True, False, False, False]
    assert verdicts[1].copy is not None and verdicts[1].copy.nearest_index == 4
    assert all(verdict.class_probability is not None and verdict.outlier_distance is not None for verdict in verdicts)


def test_broken_images_are_rejected_and_the_others_judged_all_the_same() -> None:
    rows = features(4, 0.0, 3)
    rows[0, 3], rows[1, 0] = np.nan, np.inf
    cut_off = Image.open(io.BytesIO(encoded(noise(5, (128, 128)))[:2000]))
    verdicts = gates().judge([noise(1), noise(2), cut_off, PICTURES[6]], rows, [(), (), (), (6,)])
    assert [verdict.reason for verdict in verdicts] == [RejectReason.NOT_FINITE] * 3 + [RejectReason.COPY]


def test_a_batch_of_broken_images_alone_and_an_empty_batch_are_judged() -> None:
    assert gates().judge([], np.zeros((0, 16)), []) == []
    (verdict,) = gates().judge([noise(1)], np.full((1, 16), np.nan), [()])
    assert (verdict.accepted, verdict.reason) == (False, RejectReason.NOT_FINITE)


def test_what_is_on_and_why_something_is_off_is_told() -> None:
    on = gates().describe()
    assert [(state.name, state.on, state.reason) for state in on] == [
        ("copies", True, None), ("wrong_class", True, None), ("outliers", True, None)
    ]  # fmt: skip
    assert {"feature_threshold", "pixel_threshold"} <= set(on[0].figures)
    assert on[1].figures["recall"] == 1.0 and on[2].figures["num_real"] == 20.0
    few = Gates(None, ClassGate.fit({"pit": REAL[:5]}), OutlierGate.fit(REAL[:5]), "pit").describe()
    assert [state.on for state in few] == [False, False, False]
    assert ["asked for" in (few[0].reason or ""), "only class" in (few[1].reason or "")] == [True, True]
    assert "5 different" in (few[2].reason or "")


def test_no_gates_accept_everything_that_is_not_broken() -> None:
    none = Gates(None, None, None, "pit")
    verdicts = none.judge(PICTURES[:2], np.stack([REAL[0], np.full(16, np.nan)]), [(0,), (1,)])
    assert [verdict.accepted for verdict in verdicts] == [True, False]
