"""Names of folders that every file system takes, also where class names differ by case alone."""

from collections.abc import Iterable

_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))})


def folders_of(class_names: Iterable[str]) -> dict[str, str]:
    """A folder for each class: its name where that is safe, and no two that Windows or macOS take for the same.

    Class names are ASCII without slashes (``CLASS_NAME_PATTERN``); what is left are trailing dots and spaces, names of
    devices, and case. Classes are taken in their order by name, so that equal classes give equal folders.
    """
    folders: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(class_names)):
        wanted = _safe(name)
        folder, again = wanted, 2
        while folder.casefold() in taken:
            folder, again = f"{wanted}-{again}", again + 1
        taken.add(folder.casefold())
        folders[name] = folder
    return folders


def _safe(name: str) -> str:
    bare = name.rstrip(". ")
    safe = bare + "_" * (len(name) - len(bare))
    stem, dot, rest = safe.partition(".")
    return f"{stem}_{dot}{rest}" if stem.rstrip().casefold() in _RESERVED else safe
