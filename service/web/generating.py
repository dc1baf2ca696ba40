"""The form that asks for images: how many of each class, the rest as the search found it."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.api.views import AdaptationView
from service.contracts.adaptations import AdaptationResult
from service.contracts.generations import GateSettings, GenerationMode
from service.contracts.requests import GenerationRequest
from service.web.adapting import Setting
from service.web.forms import Form, new_once, request_of

_GATES = (
    ("copies", "Copies of real images"),
    ("wrong_class", "Images of another class"),
    ("outliers", "Images unlike any real one"),
)


@dataclass(frozen=True)
class ClassToMake:
    """A class with an adapter. ``num_images``: what is proposed."""

    name: str
    num_images: int


@dataclass(frozen=True)
class GenerateForm:
    """The whole form; ``waiting``: classes that have no adapter yet."""

    adaptation_id: str
    once: str
    classes: Sequence[ClassToMake]
    waiting: Sequence[str]
    is_final: bool
    modes: Sequence[tuple[str, str]]
    splicing: Sequence[tuple[str, str]]
    settings: Sequence[Setting]
    gates: Sequence[tuple[str, str]]

    @property
    def seen(self) -> str:
        """Changes when a class is ready, or never will be."""
        return f"generate {len(self.classes)} {len(self.waiting)}"


_MODES = (
    (GenerationMode.IMAGE_ORIENTED.value, "From real images, partly noised"),
    (GenerationMode.FROM_NOISE.value, "From noise alone"),
)
_SPLICING = (
    ("", "as found"),
    ("false", "One real image each"),
    ("true", "Two real images, spliced where they differ least"),
)
_SETTINGS = (
    Setting("settings.strength", "Strength", "How far from its real image each one goes.", "as found", 0.05, 1, "0.01"),
    Setting("settings.guidance_scale", "Guidance", "How strongly the class is asked for.", "as found", 1, 30, "0.1"),
    Setting("settings.num_inference_steps", "Denoising steps", "More are finer, and slower.", "as found", 1, 1000),
    Setting("settings.lora_scale", "LoRA scale", "How much of what was learned is used.", "as found", 0, 2, "0.05"),
    Setting("seed", "Seed", "The same seed gives the same images.", "drawn", 0, 2**63 - 1),
)


def generate_form(view: AdaptationView) -> GenerateForm:
    """The form for an adaptation; of each class as many images are proposed as its adapter was trained on."""
    results = ((job.class_name, job.result) for job in view.jobs)
    trained = {name: result.num_train_images for name, result in results if isinstance(result, AdaptationResult)}
    ready = sorted({one.class_name for one in view.adapters})
    return GenerateForm(
        adaptation_id=view.id,
        once=new_once(),
        classes=[ClassToMake(name, max(trained.get(name, 1), 1)) for name in ready],
        waiting=[job.class_name for job in view.jobs if not job.state.is_final],
        is_final=all(job.state.is_final for job in view.jobs),
        modes=_MODES,
        splicing=_SPLICING,
        settings=_SETTINGS,
        gates=_GATES,
    )


def generation_request(form: Form) -> GenerationRequest:
    """What was asked for: a number a class; a class without one is left out. Raises as FastAPI does for a body."""
    asked = form.named("num_images")
    values: dict[str, object] = {
        "adaptation_id": form.text("adaptation_id"),
        "adapter_ids": form.texts("adapter_ids") or None,
        "num_images": {name: _number(value) for name, value in asked.items() if _number(value) != 0},
        "settings": form.below("settings"),
        "gates": {name: name in form.texts("gates") for name in GateSettings.model_fields if name in dict(_GATES)},
    }
    seed = form.text("seed")
    return request_of(GenerationRequest, values if seed is None else {**values, "seed": seed})


def _number(value: str) -> int | str:
    """A number as the request wants it; what is none is told by the request itself."""
    return int(value) if value.isdecimal() else value
