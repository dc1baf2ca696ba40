"""The report of the few-shot benchmark in markdown: the verdict, the ablation, the settings found, recognition."""

from collections.abc import Callable, Sequence
from statistics import median

from neu_findings import Cell, Findings, Mean, mean_over_splits
from neu_plan import ADAPTED, ARMS, GATED, MODES, WHOLE
from neu_verdict import REAL_AUGMENTED, lift, named, verdict
from results_page import markdown_table

_NONE = "–"
_RECOGNITION_ARMS = ("real_only", REAL_AUGMENTED, "real_plus_synthetic")


def report(findings: Findings) -> str:
    """Everything that is finished."""
    parts = [
        "## Few-shot on NEU", _how(findings), "### Is the aim met?", verdict(findings),
        "### Ablation, mean over classes", _ablation(findings), _floors(findings),
        "### Ablation, each class (mean over splits)", _each_class(findings),
        "### What the searches found", _searches(findings), "### Recognition", _recognition(findings),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def _how(findings: Findings) -> str:
    plan, facts = findings.plan, findings.facts
    return (
        f"`{facts['command']}`\n\n"
        f"Commit {facts['commits']}; {facts['machine']}; {facts['date']}; base model {facts['base_model']}. "
        f"{plan['num_train']} training and {plan['num_test']} test images a class. Every row: {plan['images']} images "
        "a class that pass the copy gate, against the test images, which adaptation, search, gates and the choice of "
        f"ratio never saw; search of at most {plan['max_trials']} trials of {plan['images_per_trial']} images for each "
        "arm, for image-oriented generation; from noise the same guidance, steps and adapter. Without adaptation: the "
        "base model prompted in words, with the settings that both stages found for the class. Figures are means over "
        "splits with a 95 % bootstrap interval over splits (for recognition: splits, then seeds); one split alone has "
        "none. No validation images: twenty images a class are all there is, so the search scores against train images "
        "and the ratio is chosen on these, whole strips held out in turn. Splits overlap: any two share a third of "
        "their test images, and a third of one's training images are tested by another, so intervals over splits are "
        "somewhat too narrow. Test images of splits 0 and 1 were looked at while the base model was made; earlier "
        "revisions were tested on all five splits, and their misses were why the search's choice, the ratio's and the "
        "share were looked into, on other images. Scores are of the extractor that the service uses by default and not "
        "comparable with other extractors'. *Copies*: of all that a row made, what the copy gate rejected and others "
        "replaced. NEU: K. Song and Y. Yan, Applied Surface Science 285, 2013; not part of this project."
    )


def _told(findings: Findings, cells: Sequence[Cell], figure: str, digits: int, factor: float = 1.0) -> str:
    values = findings.by_split(cells, figure)
    return mean_over_splits(list(values.values())).told(digits, factor) if values else _NONE


def _ablation(findings: Findings) -> str:
    rows = [
        [title, *_figures(findings, cells), str(len({cell.split for cell in cells}))]
        for title, cells in _shown(findings)
    ]
    header = [
        "row", "images", "FID", "KID", "FID at floor's n", "KID at floor's n", "density", "coverage", "copies, %",
        "splits",
    ]  # fmt: skip
    return markdown_table(header, rows)


def _shown(findings: Findings) -> list[tuple[str, list[Cell]]]:
    """The rows of the ablation, then what they are to be seen beside."""
    delivered = f"*{WHOLE}, as delivered: image oriented, gated, {findings.plan_num_synthetic} images*"
    rows = [(named(arm, mode), findings.row(arm, mode)) for arm in ARMS for mode in MODES]
    beside = [(delivered, findings.row(WHOLE, GATED)), ("*the training images themselves*", findings.reference)]
    return [(title, cells) for title, cells in [*rows, *beside] if cells]


def _figures(findings: Findings, cells: Sequence[Cell]) -> list[str]:
    counts = sorted({cell.num_images for cell in cells})
    as_many = _of_as_many(findings, cells)
    return [
        f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}",
        _told(findings, as_many, "fid", 1),
        _told(findings, cells, "kid", 3),
        _told(findings, as_many, "matched_fid", 1),
        _told(findings, cells, "matched_kid", 3),
        _told(findings, cells, "density", 2),
        _told(findings, as_many, "coverage", 2),
        _told(findings, cells, "share_copies", 0, 100),
    ]


def _of_as_many(findings: Findings, cells: Sequence[Cell]) -> list[Cell]:
    """Those of as many images as the ablation's: FID and coverage depend on their number."""
    return [cell for cell in cells if cell.num_images == findings.plan["images"]]


def _floors(findings: Findings) -> str:
    cells = findings.row(WHOLE, "image_oriented")
    if not cells:
        return ""
    return (
        f"Real floor, to be compared with the scores at the floor's n: FID {_told(findings, cells, 'floor_fid', 1)}, "
        f"KID {_told(findings, cells, 'floor_kid', 3)}. Copy floor, the sources' round trip through the autoencoder "
        f"against the training images (from the generations' own reports): KID "
        f"{_told(findings, cells, 'copy_floor_kid', 3)}. FID and coverage are told at equal counts alone, for they "
        "depend on these; KID does not."
    )


def _each_class(findings: Findings) -> str:
    tables = [
        ("KID", "kid", 3, 1.0), ("FID", "fid", 1, 1.0), ("copies, %", "share_copies", 0, 100.0),
    ]  # fmt: skip
    return "\n\n".join(_class_table(findings, *one) for one in tables)


def _class_table(findings: Findings, title: str, figure: str, digits: int, factor: float) -> str:
    classes: list[str] = findings.plan["classes"]
    shown = [(row, _of_as_many(findings, cells) if figure == "fid" else cells) for row, cells in _shown(findings)]
    rows = [
        [row, *(_class_mean(cells, name, figure, digits, factor) for name in classes)] for row, cells in shown if cells
    ]
    return markdown_table([title, *classes], rows)


def _class_mean(cells: Sequence[Cell], class_name: str, figure: str, digits: int, factor: float) -> str:
    values = [getattr(cell, figure) for cell in cells if cell.class_name == class_name]
    known = [value for value in values if value is not None]
    return f"{factor * sum(known) / len(known):.{digits}f}" if known else _NONE


def _searches(findings: Findings) -> str:
    rows = []
    for arm in ADAPTED:
        for name in findings.plan["classes"]:
            found = [one for one in findings.found if (one.arm, one.class_name) == (arm, name)]
            if found:
                spliced = f"{sum(bool(one.splice_sources) for one in found)} of {len(found)}"
                checkpoints = ", ".join(sorted({one.checkpoint or _NONE for one in found}))
                rows.append([arm, name, *(_spread([getattr(one, key) for one in found]) for key in (
                    "strength", "guidance_scale", "lora_scale", "num_inference_steps", "num_trials",
                    "training_seconds", "search_seconds",
                )), spliced, checkpoints])  # fmt: skip
    header = [
        "arm", "class", "strength", "guidance", "LoRA's scale", "steps", "trials", "training, s", "search, s",
        "spliced", "checkpoints",
    ]  # fmt: skip
    without = sum(one.strength is None for one in findings.found)
    told = f"\n\n{without} searches found no settings; there the base model's defaults were used." if without else ""
    if not rows:
        return ""
    return f"Median over splits (lowest to highest).\n\n{markdown_table(header, rows)}{told}\n\n{_spliced(findings)}"


def _spliced(findings: Findings) -> str:
    """The same adapters at the same settings, with one source an image and with two."""
    rows = []
    for name in findings.plan["classes"]:
        found = [one for one in findings.found if (one.arm, one.class_name) == (WHOLE, name)]
        tried = [[one for each in found for one in each.defaults if one.splice_sources is on] for on in (False, True)]
        copies = [[one.share_copies for one in half if one.share_copies is not None] for half in tried]
        kids = [[one.kid for one in half if one.kid is not None] for half in tried]
        if all(copies) and all(kids):
            rows.append([
                name, *(f"{100 * sum(half) / len(half):.0f}" for half in copies),
                *(f"{sum(half) / len(half):.3f}" for half in kids),
            ])  # fmt: skip
    header = ["class", "copies, one source, %", "copies, spliced, %", "KID, one source", "KID, spliced"]
    return (
        f"`{WHOLE}` at the base model's default settings, a source an image and two of them spliced, means over splits "
        "(KID to the training images, of what is no copy where half or more is none, else of all):\n\n"
        f"{markdown_table(header, rows)}"
    )


def _spread(values: Sequence[float | None]) -> str:
    known = sorted(value for value in values if value is not None)
    if not known:
        return _NONE
    middle = f"{median(known):.3g}"
    return middle if known[0] == known[-1] else f"{middle} ({known[0]:.3g} to {known[-1]:.3g})"


def _recognition(findings: Findings) -> str:
    if not findings.recognised:
        return "Not measured."
    return "\n\n".join([_arms(findings), _splits(findings), _recall(findings), _gates(findings), _notes(findings)])


def _arms(findings: Findings) -> str:
    def over_splits(of: Callable[[int], float]) -> str:
        return mean_over_splits([of(place) for place in range(len(findings.recognised))]).told(1, 100)

    rows = []
    for arm in _RECOGNITION_ARMS:
        accuracy = over_splits(lambda place, arm=arm: findings.recognised[place].accuracy[arm])  # type: ignore[misc]
        macro_f1 = over_splits(lambda place, arm=arm: findings.recognised[place].macro_f1[arm])  # type: ignore[misc]
        above = _above(lift(findings, arm)) if arm != REAL_AUGMENTED else _NONE
        rows.append([arm, accuracy, macro_f1, above])
    return markdown_table(["trained on", "accuracy, %", "macro F1, %", f"accuracy above {REAL_AUGMENTED}"], rows)


def _above(found: Mean | None) -> str:
    return f"{found.told(1, 100)} points" if found is not None else _NONE


def _splits(findings: Findings) -> str:
    rows = []
    for one in findings.recognised:
        accuracies = [f"{100 * one.accuracy[arm]:.1f}" for arm in _RECOGNITION_ARMS]
        tried = ", ".join(f"{ratio}: {100 * value:.1f}" for ratio, value in one.validation.items())
        rows.append([str(one.split), *accuracies, f"{one.chosen_ratio:g}", tried, f"{one.seconds:.0f}"])
    header = ["split", *_RECOGNITION_ARMS, "chosen ratio", "accuracy at each ratio where it was chosen, %", "s"]
    return markdown_table(header, rows)


def _recall(findings: Findings) -> str:
    classes: list[str] = findings.plan["classes"]
    rows = []
    for arm in _RECOGNITION_ARMS:
        known = [one.recall[arm] for one in findings.recognised]
        means = [100 * sum(recall[name] for recall in known) / len(known) for name in classes]
        rows.append([arm, *(f"{mean:.1f}" for mean in means)])
    return markdown_table(["recall, %", *classes], rows)


def _gates(findings: Findings) -> str:
    rows = []
    for name in findings.plan["classes"]:
        of_class = [one for one in findings.gated if one.class_name == name]
        if of_class:
            made, accepted = (sum(getattr(one, key) for one in of_class) for key in ("num_candidates", "num_images"))
            reasons = sorted({reason for one in of_class for reason in one.rejected})
            counts = [f"{reason} {sum(one.rejected.get(reason, 0) for one in of_class)}" for reason in reasons]
            asked = sum(one.num_requested for one in of_class)
            share = f"{100 * accepted / made:.0f}" if made else _NONE
            rows.append([name, f"{accepted} of {asked}", str(made), share, ", ".join(counts) or _NONE])
    return markdown_table(["images for recognition", "delivered", "made", "accepted, %", "rejected"], rows)


def _notes(findings: Findings) -> str:
    notes = sorted({note for one in findings.recognised for note in one.notes})
    said = [f"- Split {one.split}: {one.sentence}" for one in findings.recognised]
    return "\n".join([*said, *(f"- {note}" for note in notes)])
