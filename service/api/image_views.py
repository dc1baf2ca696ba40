"""What clients get to see of images that were made, and from rows to it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from pydantic import Field
from sqlalchemy.orm import Session

from service.api.views import Links, TrialExampleView, TrialView, View
from service.contracts.adaptations import AdaptationResult
from service.contracts.generations import DecidedImage, Decision, DecisionCounts
from service.contracts.ids import TenantId
from service.contracts.search import SearchSoFar, SearchTrial, TrialExample
from service.store import datasets
from service.store.tables import JobRow


class DecisionsView(View):
    """What is decided about a generation's images now: how many of each class."""

    generation_id: str
    decisions: dict[str, DecisionCounts] = Field(examples=[{"scratches": {"keep": 12, "reject": 3, "undecided": 9}}])


class NearestRealView(View):
    """The real image that a synthetic one is most like, as the copy gate found it.

    The distances are in units of the gate's thresholds: below 1 is a copy. ``links`` (``content``, ``thumbnail``) are
    empty where the image was deleted since.
    """

    image_id: str
    feature_ratio: float | None
    pixel_ratio: float | None
    links: Links


class GeneratedImageView(View):
    """One synthetic image with its lineage; ``links.content`` is its PNG, ``links.thumbnail`` a small JPEG of it.

    ``links.source`` and ``links.source_thumbnail``: the real image that it was made from, where there is one;
    ``links.second_source`` and ``links.second_source_thumbnail``: the one that it was spliced with. A rejected image is
    neither in the archive nor seen by a recognition. ``nearest_real`` is null where the copy gate was off.
    """

    class_name: str
    number: int
    sha256: str
    size_bytes: int
    width_px: int
    height_px: int
    mode: str
    seed: int
    source_image_id: str | None
    second_source_image_id: str | None
    candidate: int | None
    nearest_image_id: str | None
    nearest_feature_ratio: float | None
    nearest_pixel_ratio: float | None
    nearest_real: NearestRealView | None
    decision: Decision | None = Field(description="null: nobody has decided.")
    decided_at: datetime | None
    decided_by: str | None = Field(examples=["QA line 3"], description="The name of the key that was sent.")
    links: Links


def generated_image_views(
    session: Session, tenant_id: TenantId, generation_id: str, images: Collection[DecidedImage]
) -> list[GeneratedImageView]:
    """Synthetic images (a page of them at most), each with the way to its source and to its nearest real image."""
    real = {one for image in images for one in image.real_image_ids}
    homes = datasets.ids_of_images(session, tenant_id, real)
    return [_generated_image_view(generation_id, image, homes) for image in images]


def _generated_image_view(generation_id: str, image: DecidedImage, homes: Mapping[str, str]) -> GeneratedImageView:
    content = f"/v1/generations/{generation_id}/images/{quote(image.class_name)}/{image.number}"
    links = {"content": content, "thumbnail": f"{content}/thumbnail"}
    for role, source in (("source", image.source_image_id), ("second_source", image.second_source_image_id)):
        for name, address in _real_links(source, homes).items():
            links[role if name == "content" else f"{role}_{name}"] = address
    nearest = None
    if image.nearest_image_id is not None:
        nearest = NearestRealView(
            image_id=image.nearest_image_id,
            feature_ratio=image.nearest_feature_ratio,
            pixel_ratio=image.nearest_pixel_ratio,
            links=_real_links(image.nearest_image_id, homes),
        )
    return GeneratedImageView(**image.model_dump(), nearest_real=nearest, links=links)


def _real_links(image_id: str | None, homes: Mapping[str, str]) -> Links:
    """To a real image, where it is still there. ``homes``: datasets by the ids of their images."""
    if image_id is None or image_id not in homes:
        return {}
    return real_image_links(homes[image_id], image_id)


def real_image_links(dataset_id: str, image_id: str) -> Links:
    """To one real image."""
    content = f"/v1/datasets/{dataset_id}/images/{image_id}"
    return {"content": content, "thumbnail": f"{content}/thumbnail"}


def trial_views(job: JobRow, examples: Sequence[TrialExample], dataset_id: str) -> list[TrialView]:
    """What the search of an adaptation job has tried so far, with examples."""
    here = f"/v1/adaptations/{job.resource_id}/classes/{quote(job.class_name)}/trials"
    shown: dict[int, list[TrialExampleView]] = {}
    for one in examples:
        content = f"{here}/{one.trial}/examples/{one.number}"
        links = {"content": content, "thumbnail": f"{content}/thumbnail"}
        for role, source in (("source", one.source_image_id), ("second_source", one.second_source_image_id)):
            if source is not None:
                links[role] = real_image_links(dataset_id, source)["content"]
        shown.setdefault(one.trial, []).append(TrialExampleView(**one.model_dump(), links=links))
    return [TrialView(**one.model_dump(), examples=shown.get(one.number, [])) for one in trials_of(job)]


def trials_of(job: JobRow) -> list[SearchTrial]:
    """What the search of an adaptation job has tried so far."""
    if job.result is not None:
        search = AdaptationResult.model_validate(job.result).search
        return search.trials if search is not None else []
    return SearchSoFar.model_validate(job.interim).trials if job.interim is not None else []
