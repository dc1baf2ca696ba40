"""What is proposed to make more of, as a form that may be changed before it is sent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.contracts.requests import GenerationRequest
from service.contracts.topup import TopUp, TopUpRequest
from service.errors import InvalidRequest
from service.reports.wording import counted
from service.web.forms import Form, new_once, request_of
from service.web.pasting import judged


@dataclass(frozen=True)
class TopUpLine:
    """One weak class: how many images, and why so many."""

    class_name: str
    num_images: int
    reason: str


@dataclass(frozen=True)
class TopUpForm:
    """The proposal; no ``lines`` where nothing is proposed. ``hidden``: fields that come along."""

    sentence: str
    once: str
    hidden: Sequence[tuple[str, str]]
    lines: Sequence[TopUpLine]


def top_up_form(found: TopUp) -> TopUpForm:
    """A proposal as a form."""
    if found.request is None:
        return TopUpForm(found.sentence, "", [], [])
    asked = found.request.num_images
    numbers = asked if isinstance(asked, dict) else {}
    lines = [
        TopUpLine(one.class_name, numbers[one.class_name], one.reason)
        for one in found.classes
        if one.class_name in numbers
    ]
    told = f"{counted(sum(numbers.values()), 'image')} for what is still told badly; change the numbers as you like."
    return TopUpForm(told, new_once(), _hidden(found.request), lines)


def top_up_request(form: Form) -> TopUpRequest:
    """What a person's own classifier gets wrong. Raises as FastAPI does for a body, and ``InvalidRequest``."""
    values = {name: form.text(name) for name in ("adaptation_id", "generation_id")}
    given: dict[str, object] = {**values, **judged(form.typed("judged"))}
    others = [name.strip() for name in (form.text("other_classes") or "").split(",") if name.strip()]
    if others:
        given["other_classes"] = others
    percent = form.text("target_percent")
    if percent is not None:
        given["target_recall"] = _share(percent)
    return request_of(TopUpRequest, given)


def _share(percent: str) -> float:
    try:
        value = float(percent)
    except ValueError:
        value = math.nan
    if not 0 < value <= 100:
        raise InvalidRequest(
            f"{percent!r} is no recall in percent",
            field="target_percent",
            remedy="Type a number of at most 100, such as 90.",
        )
    return value / 100


def _hidden(request: GenerationRequest) -> list[tuple[str, str]]:
    gates = [("gates", name) for name, is_on in request.gates.model_dump().items() if is_on is True]
    given = request.settings.model_dump(mode="json", exclude_unset=True)
    adapters = [("adapter_ids", str(one)) for one in request.adapter_ids or []]
    return [*adapters, *gates, *((f"settings.{name}", str(value)) for name, value in given.items())]
