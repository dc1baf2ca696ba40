"""The base of every contract: frozen, and strict about names it does not know."""

from pydantic import BaseModel, ConfigDict


class Word(BaseModel):
    """A frozen model that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
