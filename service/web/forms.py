"""Forms as the requests that the API takes: a field's name is its path in the request."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData

from service.api.idempotency import Once
from service.web.visits import Visit

M = TypeVar("M", bound=BaseModel)
#: A form has a field for each class, and its body has a limit of its own.
_MOST_FIELDS: Final = 10_000


@dataclass(frozen=True)
class Form:
    """What was sent; a field that was left empty counts as left out."""

    data: FormData
    path: str

    def text(self, name: str) -> str | None:
        """One value."""
        value = self.data.get(name)
        return value.strip() or None if isinstance(value, str) else None

    def typed(self, name: str) -> str:
        """One value as it came: in a table from a spreadsheet the tab that it begins with is an empty cell."""
        value = self.data.get(name)
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """Every value of a field that may come several times."""
        return [value for value in self.data.getlist(name) if isinstance(value, str) and value]

    def below(self, prefix: str) -> dict[str, object]:
        """Fields named ``prefix.a.b`` as mappings in mappings, for what a request groups."""
        found: dict[str, object] = {}
        for name, value in self.named(prefix).items():
            _put(found, name.split("."), value)
        return found

    def named(self, prefix: str) -> dict[str, str]:
        """Fields named ``prefix.name`` by their names, which may hold dots of their own, as classes' names do."""
        values = {name: self.text(name) for name in self.data if name.startswith(f"{prefix}.")}
        return {name.removeprefix(f"{prefix}."): value for name, value in values.items() if value is not None}

    def once(self, visit: Visit) -> Once:
        """A form that is sent twice, by a double click or again after a broken connection, does its work once."""
        return Once(visit.parts, visit.tenant, self.path, self.text("once"))


def _put(into: dict[str, object], path: list[str], value: str) -> None:
    *above, last = path
    for name in above:
        inner = into.setdefault(name, {})
        assert isinstance(inner, dict)
        into = inner
    into[last] = value


def request_of(model: type[M], values: Mapping[str, object]) -> M:
    """The request that the values are. Raises what FastAPI raises for a body."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from error


def new_once() -> str:
    """For the hidden field ``once`` of a form that is about to be shown."""
    return uuid.uuid4().hex


async def _form(request: Request) -> Form:
    return Form(await request.form(max_files=0, max_fields=_MOST_FIELDS), request.url.path)


FormOf = Annotated[Form, Depends(_form)]
