"""What every remote command may be given."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Options:
    """Which service, by which key, and for whom the answer is."""

    url: str | None
    key: str | None = field(repr=False)
    as_json: bool
