"""The form that starts an adaptation: good defaults, the rest folded away."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.api.views import DatasetView
from service.contracts.adaptations import AdaptationSettings, FitPolicy
from service.contracts.datasets import Split
from service.contracts.preflight import Basis, ExpectedSeconds, Preflight, PreflightVerdict
from service.contracts.requests import AdaptationRequest
from service.errors import UnknownBaseModel
from service.reports.wording import counted, duration
from service.web.forms import Form, new_once, request_of
from service.web.visits import Visit


@dataclass(frozen=True)
class ClassChoice:
    """A class that may be adapted; ``reason`` says why it may not."""

    name: str
    num_train: int
    reason: str | None


@dataclass(frozen=True)
class Setting:
    """One number that may be given. ``placeholder``: what is used where it is not."""

    name: str
    label: str
    told: str
    placeholder: str
    least: float
    most: float
    step: str = "1"


@dataclass(frozen=True)
class AdaptForm:
    """The whole form. ``once``: makes a form that is sent twice do its work once."""

    dataset_id: str
    once: str
    classes: Sequence[ClassChoice]
    base_models: Sequence[str]
    fits: Sequence[tuple[str, str]]
    splicing: Sequence[tuple[str, str]]
    settings: Sequence[Setting]

    @property
    def is_possible(self) -> bool:
        """Whether there is anything to adapt."""
        return any(choice.reason is None for choice in self.classes)


_FITS = (
    (FitPolicy.RESIZE.value, "Resize the whole image"),
    (FitPolicy.CENTER_CROP.value, "Cut out the middle square"),
)
_SPLICING = (
    ("true", "May begin as two real images, spliced"),
    ("false", "Always begin as one real image: the defect's place on the part has a meaning"),
)


def adapt_form(visit: Visit, view: DatasetView) -> AdaptForm:
    """The form for a data set."""
    models = visit.parts.registry.base_models
    default = AdaptationRequest.model_fields["base_model"].default
    names = sorted(models, key=lambda name: (name != default, name))
    return AdaptForm(
        dataset_id=view.id,
        once=new_once(),
        classes=[_choice(visit, name, counts[Split.TRAIN]) for name, counts in view.classes.items()],
        base_models=names,
        fits=_FITS,
        splicing=_SPLICING,
        settings=_settings(models[names[0]].adaptation),
    )


def _choice(visit: Visit, name: str, num_train: int) -> ClassChoice:
    least = visit.parts.settings.min_train_images
    return ClassChoice(name, num_train, None if num_train >= least else f"needs {counted(least, 'train image')}")


def adapt_settings(visit: Visit, base_model: str) -> list[Setting]:
    """What may be set, with what one base model does where nothing is. Raises ``UnknownBaseModel``."""
    models = visit.parts.registry.base_models
    if base_model not in models:
        raise UnknownBaseModel(f"there is no base model {base_model!r}", field="base_model")
    return _settings(models[base_model].adaptation)


def _settings(used: AdaptationSettings) -> list[Setting]:
    inversion, lora, search = used.textual_inversion, used.lora, used.search
    return [
        Setting("settings.textual_inversion.steps", "Textual inversion, steps", "Learns a word for the class.",
                str(inversion.steps), 0, 20_000),
        Setting("settings.lora.steps", "LoRA, steps", "Learns how the class looks. More takes longer.",
                str(lora.steps), 0, 50_000),
        Setting("settings.lora.rank", "LoRA, rank", "How much it can learn.", str(lora.rank), 1, 256),
        Setting("settings.search.max_trials", "Search, trials at most", "0 leaves the search out.",
                str(search.max_trials), 0, 200),
        Setting("settings.search.images_per_trial", "Search, images a trial", "More tell trials apart better.",
                str(search.images_per_trial), 8, 500),
        Setting("settings.seed", "Seed", "The same seed gives the same adapter.", str(used.seed), 0, 2**63 - 1),
    ]  # fmt: skip


@dataclass(frozen=True)
class LookedAhead:
    """What the start button would do. ``kind``: how the verdict is coloured; ``classes``: how long each one takes.

    ``warnings``: class and text; no class where it is about all.
    """

    kind: str
    sentence: str
    warnings: Sequence[tuple[str | None, str]]
    facts: Sequence[tuple[str, str]]
    classes: Sequence[tuple[str, str]]


def looked_ahead(found: Preflight) -> LookedAhead:
    """A pre-flight in words."""
    kinds = {PreflightVerdict.READY: "yes", PreflightVerdict.READY_WITH_WARNINGS: "unknown"}
    of_classes = [one for of_class in found.classes for one in of_class.warnings]
    return LookedAhead(
        kind=kinds.get(found.verdict, "no"),
        sentence=found.sentence,
        warnings=[
            (one.class_name, one.message) for one in (*found.warnings, *of_classes) if one.message not in found.sentence
        ],
        facts=[*_times(found), *_needs(found)],
        classes=[(one.class_name, _time(one.seconds)) for one in found.classes if one.seconds is not None],
    )


def _times(found: Preflight) -> list[tuple[str, str]]:
    facts = []
    if found.seconds is not None:
        facts.append(("expected time", f"{_time(found.seconds)} nine times in ten"))
    if found.basis is Basis.EARLIER_JOBS:
        facts.append(("learned from", counted(found.num_earlier_jobs, "earlier job")))
    elif found.basis is not None:
        facts.append(("learned from", "what is registered for this base model; no earlier job yet"))
    if found.seconds_waiting:
        facts.append(("wait before it", duration(found.seconds_waiting)))
    return facts


def _time(seconds: ExpectedSeconds) -> str:
    return f"{duration(seconds.expected)}, {duration(seconds.low)} to {duration(seconds.high)}"


def _needs(found: Preflight) -> list[tuple[str, str]]:
    needs = found.memory
    told = [
        ("memory", _of(needs.expected_bytes, needs.worker_bytes)),
        ("device memory", _of(needs.expected_device_bytes, needs.worker_device_bytes)),
        ("device", found.device),
    ]
    return [(name, text) for name, text in told if text is not None]


def _of(expected_bytes: int | None, there_bytes: int | None) -> str | None:
    if expected_bytes is None:
        return None
    return _gigabytes(expected_bytes) + (f" of {_gigabytes(there_bytes)}" if there_bytes is not None else "")


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"


def adaptation_request(form: Form) -> AdaptationRequest:
    """What was asked for. Raises as FastAPI does for a body."""
    values: dict[str, object] = {
        "dataset_id": form.text("dataset_id"),
        "classes": form.texts("classes"),
        "settings": form.below("settings"),
    }
    base_model = form.text("base_model")
    return request_of(AdaptationRequest, values if base_model is None else {**values, "base_model": base_model})
