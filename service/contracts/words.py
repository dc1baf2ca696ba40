"""The base of every contract: frozen, and strict about names it does not know."""

from pydantic import BaseModel, ConfigDict


class Word(BaseModel):
    """A frozen model that refuses unknown fields, and text that is no Unicode (half of a surrogate pair)."""

    # Any bound on their length has strings looked into; without one, what JSON spells "\\ud800" would pass.
    model_config = ConfigDict(frozen=True, extra="forbid", str_min_length=0)
