"""What a client gave over what a base model registers, and what each class gets from one seed."""

import hashlib
from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError

from service.contracts.words import Word
from service.errors import InvalidRequest

W = TypeVar("W", bound=Word)


def merged(defaults: W, given: W, field: str) -> W:
    """``defaults`` with every field that was set in ``given``, at any depth. Raises ``InvalidRequest``."""
    values = layered(defaults.model_dump(), given.model_dump(exclude_unset=True))
    try:
        return type(defaults).model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([field, *map(str, first["loc"])])
        raise InvalidRequest(f"{where}: {first['msg']}", field=where) from error


def layered(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """``above`` over ``below``, mapping by mapping at any depth."""
    values = dict(below)
    for name, value in above.items():
        lower = values.get(name)
        values[name] = layered(lower, value) if isinstance(lower, Mapping) and isinstance(value, Mapping) else value
    return values


def class_seed(seed: int, class_name: str) -> int:
    """A class's own seed in [0, 2**63): classes of one generation do not share their noise, and adding a class
    changes no other."""
    digest = hashlib.sha256(f"{seed}/{class_name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
