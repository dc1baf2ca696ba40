"""Everything `models/` raises on purpose, as one tree.

::

    ModelError                  code = "model_error"
    ├── BaseModelUnusable       code = "base_model_unusable"    the checkpoint does not open, or is no Stable Diffusion
    ├── InvalidSettings         code = "invalid_settings"       a setting is out of range or contradicts another
    ├── NonFiniteLoss           code = "non_finite_loss"        a loss or a computed image is NaN or infinite
    ├── DatasetUnusable         code = "dataset_unusable"       too few images, unreadable images, duplicates only
    ├── AdapterUnusable         code = "adapter_unusable"       the artefact is damaged or made for another base model
    ├── ExtractorUnusable       code = "extractor_unusable"     the feature extractor cannot be opened or gives nonsense
    ├── Interrupted             code = "interrupted"            raised by a progress callback: stop here, go on later
    └── Canceled                code = "canceled"               raised by a progress callback: stop here, keep nothing

The worker maps each of them at one border to what a client sees. Wrong calls by our own code (shapes that do not fit)
stay `ValueError`.
"""

from typing import ClassVar


class ModelError(Exception):
    """Base of the tree. The message says what is wrong; ``remedy`` what to do; ``field`` which setting is at fault.

    ``detail`` is for logs alone: paths of the machine, and what a library said. As text an error is message and remedy.
    """

    code: ClassVar[str] = "model_error"

    def __init__(
        self, message: str, *, field: str | None = None, remedy: str | None = None, detail: str | None = None
    ) -> None:
        super().__init__(message if remedy is None else f"{message} {remedy}")
        self.message = message
        self.field = field
        self.remedy = remedy
        self.detail = detail


class BaseModelUnusable(ModelError):
    """The base model's folder is missing, incomplete, unsafe (not safetensors) or of an unknown kind."""

    code: ClassVar[str] = "base_model_unusable"


class InvalidSettings(ModelError):
    """A setting is out of its range or contradicts another one."""

    code: ClassVar[str] = "invalid_settings"


class NonFiniteLoss(ModelError):
    """A loss, or an image computed from one, is NaN or infinite; nothing made after it is worth keeping."""

    code: ClassVar[str] = "non_finite_loss"


class DatasetUnusable(ModelError):
    """The images given cannot serve the purpose: too few, unreadable, or all the same."""

    code: ClassVar[str] = "dataset_unusable"


class AdapterUnusable(ModelError):
    """The adapter's folder is missing or damaged, or it was trained for another base model."""

    code: ClassVar[str] = "adapter_unusable"


class ExtractorUnusable(ModelError):
    """The feature extractor's folder is missing or damaged, or its features are not finite."""

    code: ClassVar[str] = "extractor_unusable"


class Interrupted(ModelError):
    """A progress callback asks to stop. Work keeps where it stands, for the run that goes on, and unwinds at once."""

    code: ClassVar[str] = "interrupted"


class Canceled(ModelError):
    """A progress callback asks to stop. Work unwinds at once; it is no failure."""

    code: ClassVar[str] = "canceled"
