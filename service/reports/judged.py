"""How the images of a class were judged, for a reader: what was rejected and why, which gates stood, what came
closest to a real image, and whether anything was copied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.contracts.datasets import ImageRecord
from service.contracts.generations import DecisionCounts, GateReport, GeneratedImage, GenerationResult, Judging
from service.reports.thumbnails import THUMBNAIL_PX, Pictures
from service.reports.wording import counted, figure, percent

#: Closest cases shown for a class, at most.
MAX_PAIRS = 8
_GATES = {"copies": "Copies", "wrong_class": "Wrong class", "outliers": "Outliers"}
_REASONS = {
    "copy": "copies of a real image",
    "wrong_class": "taken for another class",
    "outlier": "unlike any real image",
    "not_finite": "broken",
}


@dataclass(frozen=True)
class BarPart:
    """A part of the bar of candidates. ``kind`` names its colour."""

    kind: str
    label: str
    number: int
    percent: float


@dataclass(frozen=True)
class GateLine:
    """One gate in words."""

    name: str
    on: bool
    reason: str
    figures: str


@dataclass(frozen=True)
class Candidates:
    """What became of all that was made."""

    sentence: str
    num_made: int
    parts: Sequence[BarPart]
    gates: Sequence[GateLine]


@dataclass(frozen=True)
class Pair:
    """A synthetic image beside the real one it is most like; a picture is None where it can no longer be shown.

    Ratios are distances in units of the copy gate's thresholds: below 1 is a copy.
    """

    number: int
    synthetic: str | None
    real: str | None
    real_filename: str
    feature_ratio: str
    pixel_ratio: str


def candidates(judging: Judging) -> Candidates:
    """The bar of candidates and the gates."""
    made = max(judging.num_candidates, 1)
    parts = [BarPart("accepted", "accepted", judging.num_accepted, 100 * judging.num_accepted / made)]
    for reason, number in sorted(judging.rejected.items(), key=lambda item: (-item[1], item[0])):
        kind = reason if reason in _REASONS else "other"
        parts.append(BarPart(kind, _REASONS.get(reason, reason.replace("_", " ")), number, 100 * number / made))
    sentence = (
        f"{counted(judging.num_candidates, 'image')} made (at most {judging.max_candidates} allowed), "
        f"{judging.num_accepted} accepted: {percent(judging.acceptance_rate)}."
    )
    return Candidates(sentence, judging.num_candidates, [part for part in parts if part.number > 0], _gates(judging))


def _gates(judging: Judging) -> list[GateLine]:
    return [
        GateLine(
            _GATES.get(gate.name, gate.name.replace("_", " ")),
            gate.on,
            gate.reason or "",
            _stands_on(gate),
        )
        for gate in judging.gates
    ]


def _stands_on(gate: GateReport) -> str:
    """Its figures; of the class gate how many real images its classifier recognised, not a threshold in log-odds."""
    figures = gate.figures
    if gate.name == "wrong_class" and {"recall", "num_real", "out_of_fold_accuracy", "num_classes"} <= figures.keys():
        num_real = round(figures["num_real"])
        return (
            f"recognised {round(figures['recall'] * num_real)} of {num_real} unseen real images of the class, and "
            f"{percent(figures['out_of_fold_accuracy'])} of those of all {figures['num_classes']:.0f} classes"
        )
    return ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in figures.items())


def _plain(value: float) -> str:
    """A whole number as such."""
    return f"{value:.0f}" if value.is_integer() else figure(value)


def decided_sentence(counts: DecisionCounts) -> str:
    """What people decided about the images; empty where there are none."""
    if not counts.total:
        return ""
    if counts.undecided == counts.total:
        return "Nobody has decided about these images yet."
    left = f", {counts.undecided} not decided" if counts.undecided else ""
    out = " Rejected images are left out of the archive." if counts.reject else ""
    return f"Looked through: {counts.keep} kept, {counts.reject} rejected{left}.{out}"


def copy_statement(result: GenerationResult) -> str:
    """Whether real images were copied, as far as the record tells."""
    closest = min((ratio for ratio in map(_closest_ratio, result.closest) if ratio is not None), default=None)
    if not result.num_images:
        return "Nothing was delivered."
    if _copies_were_judged(result.judging):
        rejected = result.judging.rejected.get("copy", 0) if result.judging is not None else 0
        said = (
            "No delivered image is a copy of a train image: each was checked, and "
            f"{counted(rejected, 'copy was', 'copies were')} rejected."
        )
        if closest is not None:
            said += f" The closest delivered one keeps {figure(closest)} times the distance that would make it a copy."
        if any(image.second_source_image_id is not None for image in result.closest):
            said += (
                " Images that began as two real ones spliced were compared as wholes: each part keeps its source's "
                "layout, and is redrawn."
            )
        return said
    found = result.quality.copies if result.quality is not None else None
    if found is None or found.num_checked == 0:
        return "Nothing was checked for copies of real images."
    return (
        f"The copy gate did not judge; a later count found {counted(found.num_copies, 'copy', 'copies')} of real "
        f"images among {counted(found.num_checked, 'image')}."
    )


def _copies_were_judged(judging: Judging | None) -> bool:
    return judging is not None and any(gate.name == "copies" and gate.on for gate in judging.gates)


def _closest_ratio(image: GeneratedImage) -> float | None:
    ratios = [one for one in (image.nearest_feature_ratio, image.nearest_pixel_ratio) if one is not None]
    return min(ratios, default=None)


def closest_pairs(result: GenerationResult, real: Mapping[str, ImageRecord], pictures: Pictures) -> list[Pair]:
    """The closest cases, nearest first."""
    return [_pair(image, real.get(image.nearest_image_id or ""), pictures) for image in result.closest[:MAX_PAIRS]]


def _pair(image: GeneratedImage, nearest: ImageRecord | None, pictures: Pictures) -> Pair:
    return Pair(
        number=image.number,
        synthetic=pictures(image.sha256, THUMBNAIL_PX),
        real=pictures(nearest.sha256, THUMBNAIL_PX) if nearest is not None else None,
        real_filename=nearest.filename if nearest is not None else "deleted since",
        feature_ratio=figure(image.nearest_feature_ratio),
        pixel_ratio=figure(image.nearest_pixel_ratio),
    )
