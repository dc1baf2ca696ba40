"""What a person should know about accepted images."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from service.contracts.datasets import DatasetWarning, Split
from service.sharpness import blurred
from service.store.tables import ImageRow

FEW_IMAGES = 8
_SHOWN = 5
_CONVERSIONS = {
    "wrong_extension": "have an extension that is not of the format; the content decided",
    "exif_rotated": "were turned upright as the EXIF data say",
    "16_bit_to_8_bit": "were scaled from 16 to 8 bits a channel",
    "alpha_dropped": "had transparency, which was dropped",
    "bilevel_to_grey": "were bilevel and became grey",
    "cmyk_to_rgb": "were CMYK and became RGB",
    "p_to_rgb": "had a palette and became RGB",
}
_SINGULAR = {"have": "has", "were": "was", "are": "is"}


def about_images(images: Sequence[ImageRow], class_names: Iterable[str], min_train_images: int) -> list[DatasetWarning]:
    """Warnings about a version's images, class by class; ``class_names`` may hold classes that stayed empty.

    ``min_train_images``: with fewer an adaptation is refused.
    """
    by_class: dict[str, list[ImageRow]] = {name: [] for name in sorted(class_names)}
    for image in images:
        by_class.setdefault(image.class_name, []).append(image)
    warnings: list[DatasetWarning] = []
    for name, members in by_class.items():
        warnings += _about_class(name, members, min_train_images)
    return warnings + _shared_between_classes(images)


def about_conversions(conversions: Sequence[tuple[str, str, str]]) -> list[DatasetWarning]:
    """One warning a class and kind of conversion, from ``(class_name, filename, conversion)``."""
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for class_name, filename, conversion in conversions:
        grouped[class_name, conversion].append(filename)
    return [
        DatasetWarning(
            code="wrong_extension" if kind == "wrong_extension" else "converted",
            class_name=name,
            message=f"{_counted(len(files), 'image', _converted(kind))}: {_some(files)}",
        )
        for (name, kind), files in sorted(grouped.items())
    ]


def _converted(kind: str) -> str:
    return _CONVERSIONS.get(kind, f"were converted ({kind})")


def _about_class(name: str, images: Sequence[ImageRow], min_train_images: int) -> list[DatasetWarning]:
    if not images:
        return [DatasetWarning(code="empty_class", class_name=name, message="no image of this class was accepted")]
    found = []
    num_train = sum(image.split == Split.TRAIN for image in images)
    if len(images) == 1:
        found.append(("one_image", "there is one image only: the class can be kept but not adapted"))
    elif num_train < min_train_images:
        has = "1 train image" if num_train == 1 else f"{num_train or 'no'} train images"
        found.append(("few_images", f"{has}: the class can be kept, but to be adapted it needs {min_train_images}"))
    elif num_train < FEW_IMAGES:
        found.append(("few_images", f"{num_train} train images are few; {FEW_IMAGES} or more adapt better"))
    sizes = Counter(f"{image.width_px}x{image.height_px}" for image in images)
    if len(sizes) > 1:
        found.append(("mixed_sizes", f"images differ in size: {_some([size for size, _ in sizes.most_common()])} px"))
    modes = {image.mode for image in images}
    if len(modes) > 1:
        found.append(("mixed_modes", "some images are grey (L) and others coloured (RGB)"))
    unsharp = [images[place].filename for place in blurred([image.sharpness for image in images])]
    if unsharp:
        told = _counted(len(unsharp), "image", "are far less sharp than the others")
        found.append(("blurred", f"{told}: {_some(unsharp)}"))
    return [DatasetWarning(code=code, class_name=name, message=text) for code, text in found] + _duplicates(
        name, images
    )


def _duplicates(name: str, images: Sequence[ImageRow]) -> list[DatasetWarning]:
    same: dict[str, list[str]] = defaultdict(list)
    for image in images:
        same[image.pixel_sha256].append(image.filename)
    groups = [files for files in same.values() if len(files) > 1]
    if not groups:
        return []
    told = "1 set of images has" if len(groups) == 1 else f"{len(groups)} sets of images have"
    text = "; ".join(" = ".join(files[:_SHOWN]) for files in groups[:_SHOWN])
    return [
        DatasetWarning(
            code="exact_duplicates",
            class_name=name,
            message=f"{told} the same pixels; each set is kept in one split: {text}",
        )
    ]


def _shared_between_classes(images: Sequence[ImageRow]) -> list[DatasetWarning]:
    """One warning for each set of classes that share pictures."""
    owners: dict[str, dict[str, str]] = defaultdict(dict)
    for image in images:
        owners[image.pixel_sha256].setdefault(image.class_name, image.filename)
    shared: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for files in owners.values():
        if len(files) > 1:
            shared[tuple(sorted(files))].append(" = ".join(f"{name}/{file}" for name, file in sorted(files.items())))
    return [
        DatasetWarning(
            code="same_pixels_in_two_classes",
            class_name=None,
            message=f"{_counted(len(pairs), 'picture', 'have different labels')} ({', '.join(names)}): {_some(pairs)}",
        )
        for names, pairs in sorted(shared.items())
    ]


def _counted(number: int, noun: str, told: str) -> str:
    """``1 image was ...``, ``2 images were ...``; ``told`` begins with its verb, in the plural."""
    if number != 1:
        return f"{number} {noun}s {told}"
    verb, _, rest = told.partition(" ")
    return f"1 {noun} {_SINGULAR.get(verb, verb)} {rest}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
