"""The protocol on tiny pictures: it shows a gain where there is one, none where there is none, and never peeks."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from models.diffusion.seeding import derived_seed
from models.errors import Canceled, DatasetUnusable
from models.progress import no_progress
from models.recognition.config import ClassifierConfig, ProtocolConfig, TrainingConfig
from models.recognition.data import Development, Labelled, RecognitionData
from models.recognition.outcome import RatioChoice, RecognitionOutcome, concluded
from models.recognition.protocol import run_protocol
from models.recognition.records import Arm, Purpose, Run, RunRecord, of_arm
from models.recognition.verdict import Verdict

NAMES = ("upright", "lying")
CONFIG = ProtocolConfig(
    ratios=(1.0, 8.0),
    num_seeds=3,
    num_selection_seeds=1,
    num_replicates=400,
    # These synthetic images are as good as real ones, so nothing need hold them back.
    training=TrainingConfig(steps=90, batch_size=16, learning_rate=3e-3, image_size_px=16, max_synthetic_share=0.9),
    classifier=ClassifierConfig(hidden_sizes=(8, 16), depths=(1, 1), embedding_size=8),
)

#: For what does not depend on how well a classifier has learned.
SHORT = replace(CONFIG, training=replace(CONFIG.training, steps=5))


def picture(label: int, rng: np.random.Generator) -> Image.Image:
    """A bar on noise, upright or lying: mirroring, which augmentation does, leaves it what it is."""
    pixels = rng.normal(110, 25, (16, 16))
    row, column = rng.integers(2, 14), rng.integers(1, 7)
    pixels[row - 1 : row + 1, column : column + 9] += 60
    return Image.fromarray(np.clip(pixels if label else pixels.T, 0, 255).astype(np.uint8))


def pictures(number: int, seed: int, flipped: float = 0.0) -> Labelled:
    rng = np.random.default_rng(seed)
    labels = [index % 2 for index in range(number)]
    drawn = [label if rng.random() >= flipped else 1 - label for label in labels]
    return Labelled([picture(label, rng) for label in drawn], labels)


def data(synthetic: Labelled, validation: int = 20, num_train: int = 6) -> RecognitionData:
    train = pictures(num_train, 1)
    development = Development(
        NAMES, train, pictures(validation, 2), synthetic, [()] * len(synthetic), [None] * len(train)
    )
    return RecognitionData(development, lambda: pictures(80, 3))


def run(
    given: RecognitionData, config: ProtocolConfig = CONFIG, done: dict[str, RunRecord] | None = None,
    on_run: Callable[[RunRecord], None] = lambda record: None,
) -> RecognitionOutcome:  # fmt: skip
    return run_protocol(given, config, done=done, on_run=on_run, progress=no_progress)


def accuracy_of(outcome: RecognitionOutcome, arm: Arm) -> float:
    return next(one.accuracy.value for one in outcome.arms if one.arm is arm)


@pytest.fixture(scope="module")
def helped() -> RecognitionOutcome:
    return run(data(pictures(60, 4)))


def test_synthetic_images_of_the_true_distribution_show_a_gain_and_the_larger_ratio_is_chosen(
    helped: RecognitionOutcome,
) -> None:
    assert helped.verdict is Verdict.GAIN_SHOWN, helped.sentence
    assert helped.telling and not helped.is_inconclusive
    assert helped.choice.ratio == 8.0
    gain = next(one for one in helped.lifts if (one.over, one.metric) == (Arm.REAL_AUGMENTED, "accuracy")).measured
    assert gain.value == pytest.approx(
        accuracy_of(helped, Arm.REAL_PLUS_SYNTHETIC) - accuracy_of(helped, Arm.REAL_AUGMENTED)
    )
    assert 0 < gain.low <= gain.value <= gain.high
    assert "help" in helped.sentence
    for arm in helped.arms:
        confusion = np.asarray(arm.confusion)
        assert confusion.sum(axis=1).tolist() == [40 * CONFIG.num_seeds] * 2
        assert arm.accuracy.value == pytest.approx(np.trace(confusion) / confusion.sum())


def test_wrongly_labelled_synthetic_images_show_no_gain() -> None:
    outcome = run(data(pictures(60, 4, flipped=0.5)))
    assert outcome.verdict in (Verdict.NO_GAIN_SHOWN, Verdict.HARM_SHOWN)
    assert "help" not in outcome.sentence


def test_test_images_are_asked_for_once_and_only_after_every_run_of_the_choice() -> None:
    purposes: list[Purpose] = []
    asked_after: list[list[Purpose]] = []
    given = data(pictures(60, 4))

    def test_images() -> Labelled:
        asked_after.append(list(purposes))
        return given.test()

    run(
        RecognitionData(given.development, test_images),
        SHORT,
        on_run=lambda record: purposes.append(record.run.purpose),
    )
    assert asked_after == [[Purpose.SELECTION] * 2]
    assert purposes[2:] == [Purpose.FINAL] * (3 * CONFIG.num_seeds)


def test_an_interrupted_protocol_goes_on_and_finds_the_same(helped: RecognitionOutcome) -> None:
    kept: dict[str, RunRecord] = {}

    def keep(record: RunRecord) -> None:
        kept[record.run.key] = record
        if len(kept) in (1, 4, 7):
            raise Canceled("stop")

    for _ in range(3):
        with pytest.raises(Canceled):
            run(data(pictures(60, 4)), done=kept, on_run=keep)
    counted: list[RunRecord] = []
    assert run(data(pictures(60, 4)), done=kept, on_run=counted.append) == helped
    assert len(counted) == 2 + 3 * CONFIG.num_seeds - 7


def test_arms_take_equal_steps_share_their_seeds_and_differ_in_their_images(helped: RecognitionOutcome) -> None:
    records: list[RunRecord] = []
    run(data(pictures(60, 4)), replace(SHORT, ratios=(2.0,)), on_run=records.append)
    final = [record for record in records if record.run.purpose is Purpose.FINAL]
    assert {record.steps for record in records} == {SHORT.training.steps}
    assert {(record.run.arm, record.run.seed) for record in final} == {(arm, seed) for arm in Arm for seed in range(3)}
    assert {(record.run.arm, record.num_real, record.num_synthetic) for record in final} == {
        (Arm.REAL_ONLY, 6, 0), (Arm.REAL_AUGMENTED, 6, 0), (Arm.REAL_PLUS_SYNTHETIC, 6, 12),
    }  # fmt: skip


def test_without_validation_images_every_train_image_is_held_out_once_and_its_children_with_it() -> None:
    train = pictures(16, 1)
    sources = [(index % 16,) for index in range(32)]
    groups = [f"strip {index // 4}" for index in range(16)]
    development = Development(NAMES, train, Labelled([], []), pictures(32, 4), sources, groups)
    all_held_out: list[int] = []
    for fold in development.folds(4, seed=0):
        kept = {train.images.index(image) for image in fold.train.images}
        out = {train.images.index(image) for image in fold.validation.images}
        assert kept | out == set(range(16)) and not kept & out and len(out) == 4
        for label in (0, 1):  # Within a class, a strip is on one side.
            assert not {groups[i] for i in kept if i % 2 == label} & {groups[i] for i in out if i % 2 == label}
        parents = [train.images.index(fold.train.images[source]) for (source,) in fold.sources]
        assert parents == [index % 16 for index in range(32) if index % 16 in kept]
        all_held_out += out
    assert sorted(all_held_out) == list(range(16))


def test_the_choice_without_validation_images_is_by_what_each_classifier_told_of_its_own_part() -> None:
    development = Development(NAMES, pictures(16, 1), Labelled([], []), pictures(8, 4), [()] * 8, [None] * 16)
    config = replace(SHORT, ratios=(0.25, 0.5), num_selection_seeds=6)
    kept: list[RunRecord] = []
    outcome = run(RecognitionData(development, lambda: pictures(20, 3)), config, on_run=kept.append)
    folds = development.folds(6, derived_seed(config.seed, "held out"))
    for tried in outcome.choice.tried:
        records = of_arm({one.run.key: one for one in kept}, Purpose.SELECTION, Arm.REAL_PLUS_SYNTHETIC, tried.ratio)
        right = [
            label == told
            for seed, one in enumerate(records)
            for label, told in zip(folds[seed].validation.labels, one.told, strict=True)
        ]
        assert len(right) == 16 and tried.validation_accuracy == pytest.approx(np.mean(right))
    assert any("chosen on 16 train images, held out in turn" in note for note in outcome.notes)
    assert all(arm.num_real == 16 for arm in outcome.arms)


def test_a_ratio_that_is_short_of_images_only_in_the_choice_is_told() -> None:
    sources = [(index % 12, (index + 2) % 12) for index in range(24)]  # Spliced: lost with either of them.
    development = Development(NAMES, pictures(12, 1), Labelled([], []), pictures(24, 4), sources, [None] * 12)
    outcome = run(RecognitionData(development, lambda: pictures(20, 3)), replace(SHORT, ratios=(0.5, 2.0)))
    short = [note for note in outcome.notes if "fewer synthetic" in note]
    assert len(short) == 1 and short[0].endswith("at ratio 2.")


def test_what_proves_nothing_is_refused() -> None:
    given = data(pictures(60, 4))
    leaked = given.development.train.taken([0, 1])
    with pytest.raises(DatasetUnusable, match="2 test images are also among the train"):
        run(RecognitionData(given.development, lambda: leaked), replace(SHORT, ratios=(1.0,)))
    alone = replace(given.development, train=given.development.train.taken([0, 1, 3]))
    with pytest.raises(DatasetUnusable, match="'upright' has 1 train"):
        run(RecognitionData(alone, given.test))


def test_more_synthetic_images_than_there_are_cannot_be_asked_for_twice() -> None:
    outcome = run(data(pictures(12, 4), num_train=6), replace(SHORT, ratios=(2.0, 4.0, 8.0), num_seeds=2))
    assert [tried.ratio for tried in outcome.choice.tried] == [2.0]
    assert any("Ratio 8 was left out" in note for note in outcome.notes)


def test_pictures_of_one_class_that_stand_in_another_too_are_told_and_a_classifier_that_cannot_learn_is_said() -> None:
    noise = [Image.fromarray(np.random.default_rng(n).integers(0, 255, (16, 16), dtype=np.uint8)) for n in range(60)]
    train = Labelled([noise[0], noise[0], noise[1], noise[1]], [0, 1, 0, 1])
    synthetic = Labelled(noise[2:6], [0, 1, 0, 1])
    development = Development(NAMES, train, Labelled(noise[6:10], [0, 1, 0, 1]), synthetic, [()] * 4, [None] * 4)
    outcome = run(
        RecognitionData(development, lambda: Labelled(noise[10:50], [0, 1] * 20)), replace(CONFIG, ratios=(1.0,))
    )
    assert any("stand in several classes" in note for note in outcome.notes)
    assert outcome.verdict is Verdict.NO_GAIN_SHOWN
    assert "some pictures stand in several classes" in outcome.sentence
    assert outcome.is_inconclusive and not outcome.telling


@pytest.mark.parametrize(("wrong_with_synthetic", "verdict"), [(0, "no_gain_shown"), (30, "harm_shown")])
def test_at_the_ceiling_no_gain_can_be_seen_but_harm_can(wrong_with_synthetic: int, verdict: str) -> None:
    truth = np.repeat(np.arange(2), 30)
    worse = np.where(np.arange(60) % 30 < wrong_with_synthetic // 2, 1 - truth, truth)
    records = {}
    for arm, seed in itertools.product(Arm, range(4)):
        told = tuple(int(one) for one in (worse if arm is Arm.REAL_PLUS_SYNTHETIC else truth))
        one = Run(Purpose.FINAL, arm, 1.0, seed)
        records[one.key] = RunRecord(one, told, 0.1, 0.01, 90, 6, 6, 1.0)
    outcome = concluded(records, truth, 2, replace(CONFIG, num_seeds=4), RatioChoice(1.0, (), False, ()), ())
    assert outcome.verdict == verdict
    assert outcome.is_inconclusive == (wrong_with_synthetic == 0)
    assert ("every test image was told right already" in outcome.sentence) == outcome.is_inconclusive
    assert outcome.arms[0].accuracy.low == pytest.approx(0.94, abs=0.005)


def test_every_step_is_told_in_one_count_and_a_word_to_stop_stops_within_a_classifier() -> None:
    told: list[tuple[str, int, int]] = []

    def telling(stage: str, step: int, total: int, **figures: float) -> None:
        told.append((stage, step, total))

    def stopping(stage: str, step: int, total: int, **figures: float) -> None:
        if step == 7:
            raise Canceled("stop")

    short = replace(CONFIG, ratios=(2.0, 8.0), num_seeds=2, training=replace(CONFIG.training, steps=10))
    given, kept = data(pictures(12, 4)), list[RunRecord]()
    run_protocol(given, short, on_run=kept.append, progress=telling)
    steps = 10 * (1 + 3 * 2)  # One ratio is tried, because both use all twelve images.
    assert told == [("selection" if step <= 10 else "recognition", step, steps) for step in range(1, steps + 1)]
    kept.clear()
    with pytest.raises(Canceled):
        run_protocol(given, short, on_run=kept.append, progress=stopping)
    assert kept == []


def test_a_perfect_score_on_a_test_of_one_image_a_class_concludes_nothing() -> None:
    given = data(pictures(60, 4))
    outcome = run(RecognitionData(given.development, lambda: pictures(2, 3)), replace(SHORT, ratios=(8.0,)))
    assert outcome.verdict is Verdict.NO_GAIN_SHOWN
    assert "too few test images (2 of 2 classes)" in outcome.sentence
    assert outcome.is_inconclusive and not outcome.telling
