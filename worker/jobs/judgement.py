"""How a generation is judged: which real images it is measured by, the floors, and the contact sheet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from models.diffusion.base_model import BaseModel
from models.errors import DatasetUnusable
from models.evaluation.features import Features
from models.imaging.contact_sheet import contact_sheet
from models.imaging.fit import FitPolicy
from models.progress import Progress
from service.contracts.datasets import Split
from service.contracts.quality import MIN_VALIDATION_IMAGES, CopySummary, QualityReport
from worker.scoring import Comparison, score
from worker.workshop import Workshop

#: Images of each kind that a contact sheet shows at most.
SHEET_IMAGES = 24
#: The copy floor is computed from at most so many sources: their round trip costs as much as generating does.
ROUND_TRIP_IMAGES = 100


@dataclass(frozen=True)
class Made:
    """The synthetic images of a class: features (N, d) of all of them, and the first few to look at.

    ``adapted``: by an adapter of the class. ``searched``: one whose settings were searched for. ``from_sources``: each
    began as train images. ``copies``: how many of them are copies of these.
    """

    class_name: str
    features: Features
    shown: Sequence[Image.Image]
    adapted: bool
    searched: bool
    from_sources: bool
    copies: CopySummary


@dataclass(frozen=True)
class RealImages:
    """The class's real images: digests of both splits."""

    train: Sequence[str]
    validation: Sequence[str]


def judge(
    made: Made, real: RealImages, workshop: Workshop, base: BaseModel, fit: FitPolicy, progress: Progress
) -> tuple[QualityReport | None, list[str]]:
    """The report and warnings; no report, with the reason as a warning, where there are too few images."""
    extractor, train, validation = workshop.residents.extractor(), real.train, real.validation
    unseen = len(validation) >= MIN_VALIDATION_IMAGES
    sources = train[:ROUND_TRIP_IMAGES]
    total = len(train) + len(sources) + (len(validation) if unseen else 0)
    count = _counter(progress, total)
    try:
        train_features = workshop.features.features(extractor, train, count)
        reference = workshop.features.features(extractor, validation, count) if unseen else train_features
        copied = workshop.features.round_trips(extractor, base, fit, sources, count)
        comparison = Comparison(
            class_name=made.class_name,
            real=reference,
            other=made.features,
            reference_split=Split.VALIDATION if unseen else Split.TRAIN,
            seen_by_adaptation=made.adapted and not unseen,
            seen_by_search=made.searched,
            seen_as_sources=made.from_sources and not unseen,
            round_trip=copied if len(copied) >= 2 else None,
            copies=made.copies,
            notes=_notes(made, unseen, len(validation)),
        )
        return score(comparison, extractor), []
    except DatasetUnusable as error:
        return None, [f"No quality report: {error}"]


def _counter(progress: Progress, total: int) -> Callable[[], None]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress("quality", done, total)

    return count


def _notes(made: Made, unseen: bool, num_validation: int) -> list[str]:
    if unseen or not (made.adapted or made.from_sources):
        return []
    why = "which the adapter was trained on" if made.adapted else "which the images began as"
    has = "1 validation image" if num_validation == 1 else f"{num_validation} validation images"
    return [
        f"The class has {has}, fewer than {MIN_VALIDATION_IMAGES}: it is measured by the train images, {why}. Such "
        "scores flatter."
    ]


def sheet(made: Made, train: Sequence[Image.Image], caption: str) -> Image.Image:
    """Real images above synthetic ones."""
    return contact_sheet(train[:SHEET_IMAGES], made.shown, f"{made.class_name}: real above synthetic", caption)
