"""What the few-shot benchmark does: the arms of the ablation, the rows of its table, and how much of each."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

#: Each adapted arm with what it leaves out of the two stages. Each has a search of its own, of the same budget.
ADAPTED: dict[str, dict[str, Any]] = {
    "token only": {"lora": {"steps": 0}},
    "LoRA only": {"textual_inversion": {"steps": 0}},
    "both": {},
}
UNADAPTED = "no adaptation"
ARMS = (UNADAPTED, *ADAPTED)
MODES = ("from_noise", "image_oriented")
#: The images for recognition, judged by all gates: what the service delivers. Shown, and no row of the ablation.
GATED = "gated"
#: What the unadapted rows take their settings from, and what recognition uses.
WHOLE = "both"


@dataclass(frozen=True)
class Plan:
    """How much is done. None: the base model's registered default. Units of one folder share one plan."""

    classes: tuple[str, ...]
    base_model: str
    num_train: int
    num_test: int
    images: int
    seeds: int
    ratios: tuple[float, ...]
    max_trials: int
    images_per_trial: int
    token_steps: int | None = None
    lora_steps: int | None = None
    recognition_steps: int | None = None

    @property
    def num_synthetic(self) -> int:
        """Images a class for recognition: enough for the largest ratio."""
        return round(max(self.ratios) * self.num_train)

    def adaptation_settings(self, arm: str) -> dict[str, Any]:
        """The settings of one adapted arm."""
        steps = {"textual_inversion": self.token_steps, "lora": self.lora_steps}
        stages = {stage: {"steps": count} for stage, count in steps.items() if count is not None}
        search = {"max_trials": self.max_trials, "images_per_trial": self.images_per_trial}
        return stages | ADAPTED[arm] | {"search": search}

    def recognition_settings(self) -> dict[str, Any]:
        """The protocol of recognition; what is left out is the service's default."""
        steps = {} if self.recognition_steps is None else {"steps": self.recognition_steps}
        return {"ratios": list(self.ratios), "num_seeds": self.seeds} | steps

    def as_json(self) -> dict[str, Any]:
        """Plain values, as they come back from a JSON file."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


#: Images whose numbers are at most so far apart may show one strip.
NEIGHBOURS = 5


@dataclass(frozen=True)
class Split:
    """One few-shot split: files of each class."""

    seed: int
    train: dict[str, list[Path]]
    test: dict[str, list[Path]]


def number(path: Path) -> int:
    """Images are numbered along their strips."""
    return int(path.stem.rpartition("_")[2])


def strips(files: Sequence[Path]) -> dict[Path, str]:
    """A name of each file's strip: neighbours show the same one."""
    named: dict[Path, str] = {}
    before: Path | None = None
    for path in sorted(files, key=number):
        begins = before is None or number(path) - number(before) > NEIGHBOURS
        named[path] = path.stem if begins or before is None else named[before]
        before = path
    return named


def read_splits(data: Path, classes: Sequence[str], num_train: int, num_test: int, seeds: Sequence[int]) -> list[Split]:
    """The first images of each class in the splits of ``data``/splits.json.

    Ends the program where a split or class does not exist.
    """
    known = {one["seed"]: one for one in json.loads((data / "splits.json").read_text(encoding="utf-8"))["splits"]}
    if missing := [seed for seed in seeds if seed not in known]:
        raise SystemExit(f"--splits {missing}: {data / 'splits.json'} holds {sorted(known)}.")

    def files(of: dict[str, list[str]], at_most: int) -> dict[str, list[Path]]:
        if unknown := sorted(set(classes) - set(of)):
            raise SystemExit(f"--classes {unknown}: the splits hold {sorted(of)}.")
        return {name: [data / "images" / name / file for file in of[name][:at_most]] for name in classes}

    return [Split(seed, files(known[seed]["train"], num_train), files(known[seed]["test"], num_test)) for seed in seeds]


def untested(splits: list[Split], split: Split, data: Path) -> dict[str, list[Path]]:
    """By class: images that no split tests with and that show none of the strips that this one trains on.

    Neighbours of test images are among them, and most of them are so in every split: they choose, and prove nothing.
    """
    found = {}
    for name in split.train:
        tested = {path for one in splits for path in one.test[name]}
        found[name] = [path for path in spare(split, name, data) if path not in tested]
    return found


def spare(split: Split, name: str, data: Path) -> list[Path]:
    """Images of class ``name`` that the split does not test with, and that are not near its training images."""
    known = [number(path) for path in split.train[name]]
    rest = set((data / "images" / name).glob("*.jpg")) - set(split.test[name])
    return sorted(path for path in rest if min(abs(number(path) - one) for one in known) > NEIGHBOURS)


def all_classes(data: Path) -> tuple[str, ...]:
    """Every class of the splits, sorted."""
    first = json.loads((data / "splits.json").read_text(encoding="utf-8"))["splits"][0]
    return tuple(sorted(first["train"]))
