"""The classifier: reproducible from its seed, fair to small classes, and plain about what goes wrong."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import ResNetForImageClassification

from models.errors import InvalidSettings, NonFiniteLoss
from models.progress import no_progress
from models.recognition import classifier
from models.recognition.augmentation import augmented
from models.recognition.classifier import TrainingSet, build, probabilities, train
from models.recognition.config import ClassifierConfig, ProtocolConfig, TrainingConfig

SMALL = ClassifierConfig(hidden_sizes=(8, 16), depths=(1, 1), embedding_size=8)
QUICK = TrainingConfig(steps=25, batch_size=16, learning_rate=1e-2, image_size_px=16)


def grain(counts: tuple[int, ...], augment: bool = True) -> TrainingSet:
    """Grain about a grey that is the class's own."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.tensor([label for label, count in enumerate(counts) for _ in range(count)])
    middle = (labels / max(1, len(counts) - 1) - 0.5)[:, None, None, None]
    pixels = (middle + 0.1 * torch.randn((len(labels), 1, 16, 16), generator=draws)).expand(-1, 3, -1, -1)
    return TrainingSet(pixels.clamp(-1, 1), labels, torch.zeros(len(labels), dtype=torch.bool), augment)


def trained_on(given: TrainingSet, config: TrainingConfig = QUICK, seed: int = 1) -> tuple[torch.Tensor, float]:
    found = train(given, 2, SMALL, config, seed, "cpu", no_progress)
    return probabilities(found.model, given.pixels, "cpu"), found.loss


def test_a_seed_gives_the_same_classifier_whatever_was_drawn_before_and_leaves_the_global_draws_alone() -> None:
    given = grain((4, 4))
    first, _ = trained_on(given)
    torch.rand(1000)
    state = torch.random.get_rng_state()
    second, _ = trained_on(given)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first, second)
    assert not torch.equal(first, trained_on(given, seed=2)[0])


def test_a_class_of_two_among_forty_is_learnt_because_classes_are_drawn_equally_often() -> None:
    given = grain((40, 2))
    told, loss = trained_on(given, replace(QUICK, steps=60))
    assert loss < 0.5 * math.log(2)
    assert torch.allclose(told.sum(dim=1), torch.ones(42), atol=1e-5)
    assert told.argmax(dim=1).tolist() == given.labels.tolist()


@pytest.mark.parametrize(("num_synthetic", "share"), [(0, 0.0), (5, 0.2), (180, 0.4)])
def test_synthetic_images_take_their_part_of_the_draws_and_never_more_than_is_allowed(
    num_synthetic: int, share: float
) -> None:
    num_real, batch = 20, 20_000
    data = TrainingSet(
        torch.zeros((num_real + num_synthetic, 3, 1, 1)), torch.zeros(num_real + num_synthetic, dtype=torch.long),
        torch.arange(num_real + num_synthetic) >= num_real, augment=False,
    )  # fmt: skip
    images = classifier._ImagesOfClass.of(data, 0, max_share=0.4)
    drawn = classifier._drawn([images], batch, torch.Generator().manual_seed(0))
    deviation = math.sqrt(0.25 / batch)
    assert float(data.is_synthetic[drawn].float().mean()) == pytest.approx(share, abs=5 * deviation)
    assert len(set(drawn.tolist())) == num_real + num_synthetic


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_learning_rate() -> None:
    given = grain((2, 2))
    broken = replace(given, pixels=torch.full_like(given.pixels, math.nan))
    with pytest.raises(NonFiniteLoss, match="nan at step 1") as refused:
        train(broken, 2, SMALL, QUICK, 0, "cpu", no_progress)
    assert refused.value.field == "learning_rate"


def test_a_registered_folder_is_opened_with_its_weights_and_a_new_head(tmp_path: Path) -> None:
    original = build(SMALL, 5, seed=0)
    assert isinstance(original, ResNetForImageClassification)
    original.save_pretrained(tmp_path / "five")
    config = replace(SMALL, pretrained_path=tmp_path / "five")
    opened, again = build(config, 2, seed=3), build(config, 2, seed=3)
    kept, head = original.state_dict(), opened.state_dict()["classifier.1.weight"]
    assert all(
        torch.equal(value, kept[name]) for name, value in opened.state_dict().items() if "classifier" not in name
    )
    assert head.shape == (2, 16)
    assert torch.equal(head, again.state_dict()["classifier.1.weight"])
    told = probabilities(opened.eval(), grain((3, 3)).pixels, "cpu")
    assert told.shape == (6, 2)


def test_a_folder_that_holds_no_classifier_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="cannot be opened") as refused:
        build(replace(SMALL, pretrained_path=tmp_path / "nothing"), 2, seed=0)
    assert refused.value.field == "classifier"


def test_augmentation_is_a_function_of_its_draws_keeps_range_and_grey_and_treats_each_image_by_itself() -> None:
    pixels = grain((6, 6)).pixels

    def drawn(seed: int) -> torch.Tensor:
        return augmented(pixels, torch.Generator().manual_seed(seed))

    assert torch.equal(drawn(1), drawn(1)) and not torch.equal(drawn(1), drawn(2))
    assert drawn(1).shape == pixels.shape and drawn(1).abs().max() <= 1
    assert torch.equal(drawn(1)[:, 0], drawn(1)[:, 2])
    twice = augmented(pixels[:1].expand(2, -1, -1, -1), torch.Generator().manual_seed(1))
    assert not torch.equal(twice[0], twice[1])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_seeds", 1),
        ("num_selection_seeds", 0),
        ("num_replicates", 0),
        ("confidence", 95.0),
    ],
)
def test_settings_that_make_no_protocol_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InvalidSettings) as refused:
        ProtocolConfig(**{field: value})  # type: ignore[arg-type]
    assert refused.value.field == field
