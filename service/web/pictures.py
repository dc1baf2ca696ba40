"""Pictures as the page shows them: a small one, the whole one, and what is told of it."""

from dataclasses import dataclass

from service.api.image_views import real_image_links
from service.store.tables import ImageRow


@dataclass(frozen=True)
class Picture:
    """One picture. ``small`` and ``whole`` are addresses; ``alt`` is what it shows, in words."""

    small: str
    whole: str
    alt: str
    caption: str


def real_picture(image: ImageRow) -> Picture:
    """A real image."""
    links = real_image_links(image.dataset_id, image.id)
    told = f"{image.split}, {image.filename}"
    alt = f"Real image {image.filename} of {image.class_name}"
    return Picture(sized(links["thumbnail"]), links["content"], alt, told)


def sized(thumbnail: str, longest_px: int = 256) -> str:
    """A thumbnail in one of the sizes there are."""
    return f"{thumbnail}?size_px={longest_px}"
