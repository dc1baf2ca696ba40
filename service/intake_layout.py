"""Where a path puts an image: ``class/file.png`` or ``split/class/file.png``."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from service.contracts.datasets import CLASS_NAME_PATTERN, Split
from service.decoding import ImageRefusal

_SPLITS = frozenset(Split)
_MAX_FILENAME_CHARACTERS = 255


@dataclass(frozen=True)
class Placement:
    """A class, a split where the path says one, and the file's own name."""

    class_name: str
    split: Split | None
    filename: str


def parts_of(path: str) -> tuple[str, ...]:
    """A path's parts. Raises ``ImageRefusal`` for absolute paths and those that climb."""
    plain = path.replace("\\", "/")
    parts = plain.split("/")
    if plain.startswith("/") or "\0" in path or ".." in parts or (len(plain) > 1 and plain[1] == ":"):
        raise ImageRefusal(
            "unsafe_path", "its name is absolute or leads out of the folder", "Use names such as class/image.png."
        )
    return tuple(part for part in parts if part not in ("", "."))


def place(parts: tuple[str, ...]) -> Placement:
    """Class and split by the folders. Raises ``ImageRefusal`` where there is no class or too many folders."""
    if len(parts) == 2:
        return Placement(checked_class(parts[0]), None, short(parts[1]))
    if len(parts) == 3 and parts[0] in _SPLITS:
        return Placement(checked_class(parts[1]), Split(parts[0]), short(parts[2]))
    raise ImageRefusal(
        "layout",
        "its path is neither class/image nor split/class/image (splits: train, validation, test)",
        "Put it in one folder that has its class's name.",
    )


def wrapper_of(paths: list[tuple[str, ...]]) -> str | None:
    """The one folder that wraps everything, as file managers like to add; None where there is none."""
    tops = {parts[0] for parts in paths if parts}
    if len(tops) != 1 or not paths or min(len(parts) for parts in paths) < 3:
        return None
    (top,) = tops
    return None if top in _SPLITS else top


def class_of_folder(parts: tuple[str, ...]) -> str | None:
    """The class that a folder stands for, images or not; None for a split's folder and whatever is no class."""
    if len(parts) == 1 and parts[0] in _SPLITS:  # archivers write an entry for every folder on the way
        return None
    try:
        return place((*parts, "image.png")).class_name
    except ImageRefusal:
        return None


def checked_class(name: str) -> str:
    """The name of a class. Raises ``ImageRefusal``."""
    if not CLASS_NAME_PATTERN.match(name) or name != name.strip():
        raise ImageRefusal(
            "class_name",
            f"{name[:80]!r} cannot be the name of a class",
            "Use up to 64 letters, digits, spaces, dots, dashes and underscores, beginning with a letter or digit.",
        )
    return name


def short(filename: str) -> str:
    """The file's own name, cut to what the record holds."""
    return PurePosixPath(filename.replace("\\", "/").replace("\0", "")).name[-_MAX_FILENAME_CHARACTERS:]
