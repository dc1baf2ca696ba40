"""Synthetic images to look through: each beside the real one it is most like, with what was decided about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from service.api.image_views import GeneratedImageView
from service.api.views import GenerationView
from service.contracts.generations import DecisionState
from service.contracts.ids import DEFAULT_TENANT
from service.reports.wording import figure
from service.web.pictures import Picture, sized

DECISIONS = (
    ("", "All"),
    (DecisionState.UNDECIDED.value, "Undecided"),
    (DecisionState.KEEP.value, "Kept"),
    (DecisionState.REJECT.value, "Rejected"),
)


@dataclass(frozen=True)
class Cell:
    """One image in the gallery. ``nearest``: the real image beside it, where it is known and still there."""

    class_name: str
    number: int
    decision: str
    detail: str
    synthetic: Picture
    nearest: Picture | None


@dataclass(frozen=True)
class Filter:
    """Which images are shown; empty is all of them."""

    class_name: str = ""
    decision: str = ""

    def query(self, **more: str) -> str:
        """As a part of an address."""
        given = {"class_name": self.class_name, "decision": self.decision, **more}
        return urlencode({name: value for name, value in given.items() if value})


@dataclass(frozen=True)
class Gallery:
    """Some of the images. ``more``: where the next ones are."""

    generation_id: str
    cells: Sequence[Cell]
    more: str | None


@dataclass(frozen=True)
class Detail:
    """One image with its lineage. ``pictures``: it, the nearest real one, and those that it was made from."""

    class_name: str
    number: int
    decision: str
    decided: str
    pictures: Sequence[tuple[str, str, Picture | None]]
    facts: Sequence[tuple[str, str]]
    download: str


def gallery(generation_id: str, images: Sequence[GeneratedImageView], shown: Filter, cursor: str | None) -> Gallery:
    """A page of the gallery."""
    path = f"/generations/{generation_id}/gallery"
    more = f"{path}?{shown.query(cursor=cursor)}" if cursor is not None else None
    return Gallery(generation_id, [_cell(generation_id, image) for image in images], more)


def _cell(generation_id: str, image: GeneratedImageView) -> Cell:
    return Cell(
        class_name=image.class_name,
        number=image.number,
        decision=image.decision.value if image.decision is not None else "",
        detail=f"/generations/{generation_id}/images/{quote(image.class_name)}/{image.number}",
        synthetic=_synthetic(image, 256),
        nearest=_nearest(image, 256, {}),
    )


def _synthetic(image: GeneratedImageView, longest_px: int) -> Picture:
    alt = f"Synthetic image {image.number} of {image.class_name}"
    return Picture(sized(image.links["thumbnail"], longest_px), image.links["content"], alt, "")


def _nearest(image: GeneratedImageView, longest_px: int, names: Mapping[str, str]) -> Picture | None:
    links = image.nearest_real.links if image.nearest_real is not None else {}
    if not links:
        return None
    alt = f"The real image nearest to image {image.number}"
    name = names.get(image.nearest_image_id or "", "")
    return Picture(sized(links["thumbnail"], longest_px), links["content"], alt, name)


def _sources(image: GeneratedImageView, names: Mapping[str, str]) -> list[tuple[str, str, Picture | None]]:
    """What it was made from: one real image, two that were spliced, or nothing but noise."""
    roles = (
        ("source", "Made from", image.source_image_id, "source"),
        ("second", "Spliced with", image.second_source_image_id, "second_source"),
    )
    return [(kind, told, _source(image, told, role, names.get(one, ""))) for kind, told, one, role in roles if one]


def _source(image: GeneratedImageView, told: str, role: str, name: str) -> Picture | None:
    if role not in image.links:
        return None
    alt = f"The real image that image {image.number} was {told.lower()}"
    return Picture(sized(image.links[f"{role}_thumbnail"], 512), image.links[role], alt, name)


def detail(view: GenerationView, image: GeneratedImageView, names: Mapping[str, str]) -> Detail:
    """One image with all that is known of it. ``names``: files of real images by their ids."""
    return Detail(
        class_name=image.class_name,
        number=image.number,
        decision=image.decision.value if image.decision is not None else "",
        decided=f"by {image.decided_by}" if image.decided_by not in (None, DEFAULT_TENANT) else "",
        pictures=[
            ("synthetic", "Synthetic", _synthetic(image, 512)),
            ("real", "Nearest real image", _nearest(image, 512, names)),
            *_sources(image, names),
        ],
        facts=_facts(view, image),
        download=image.links["content"],
    )


def _facts(view: GenerationView, image: GeneratedImageView) -> list[tuple[str, str]]:
    facts = [("seed", str(image.seed)), ("size", f"{image.width_px} × {image.height_px} px")]
    near = image.nearest_real
    if near is not None:
        told = f"{_times(near.feature_ratio)} in features, {_times(near.pixel_ratio)} in pixels"
        facts.insert(0, ("distance to the nearest", f"{told}; below 1 × would be a copy"))
    for one in view.classes:
        if one.class_name == image.class_name:
            used = one.settings
            facts += [
                ("strength", f"{used.strength:.2f}" if used.mode.value == "image_oriented" else "from noise"),
                ("guidance, steps", f"{used.guidance_scale:.3g}, {used.num_inference_steps}"),
                ("adapter", one.adapter_id),
            ]
    return [*facts, ("SHA-256", image.sha256)]


def _times(ratio: float | None) -> str:
    return f"{figure(ratio)} ×" if ratio is not None else "not measured"
