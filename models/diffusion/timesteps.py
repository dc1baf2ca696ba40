"""How many steps a strength means, at which levels of noise, and the solver that takes them."""

import math
from dataclasses import dataclass
from typing import Any

from diffusers import UniPCMultistepScheduler

from models.diffusion.base_model import BaseModel
from models.errors import InvalidSettings

#: The least noise that the last step begins with, as a share of the training steps: less is lost in rounding to 8 bit.
_LAST = 0.025


@dataclass(frozen=True)
class Schedule:
    """``num_steps`` steps from noise level ``sigma_max`` to ``sigma_min``, and from there to none at once.

    A level is noise to signal, sigma / alpha. Both are none for images from noise, whose steps are spaced as the base
    model's configuration says.
    """

    num_steps: int
    sigma_max: float | None = None
    sigma_min: float | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What ``UniPCMultistepScheduler.from_config`` is given beside the base model's configuration."""
        if self.sigma_max is None:
            return {}
        return {"use_karras_sigmas": True, "sigma_max": self.sigma_max, "sigma_min": self.sigma_min}


def denoising_steps(num_inference_steps: int, strength: float) -> int:
    """Steps taken of ``num_inference_steps`` at ``strength`` in (0, 1]: their product, rounded down exactly.

    diffusers computes ``int(num_inference_steps * strength)`` in floating point, which turns 50 x 0.58 into 28; the
    product is taken to nine decimals here, so it is 29. Raises ``InvalidSettings`` when no step is left.
    """
    if not 0 < strength <= 1 or num_inference_steps < 1:
        raise InvalidSettings(
            f"strength {strength} with {num_inference_steps} steps is out of range.",
            field="strength",
            remedy="Give a strength in (0, 1] and at least one step.",
        )
    steps = math.floor(round(num_inference_steps * strength, 9))
    if steps == 0:
        raise InvalidSettings(
            f"strength {strength} of {num_inference_steps} steps leaves nothing to denoise.",
            field="strength",
            remedy=f"Raise strength to at least {1 / num_inference_steps:.4g}, or num_inference_steps.",
        )
    return steps


def schedule(base: BaseModel, num_inference_steps: int, strength: float) -> Schedule:
    """What ``num_inference_steps`` at ``strength`` are: `denoising_steps` from the noise of that share of the training
    steps, however few they are. Raises ``InvalidSettings`` when no step is left.
    """
    num_steps = denoising_steps(num_inference_steps, strength)
    if strength == 1:
        return Schedule(num_steps)
    num_train = base.noise_scheduler.config.num_train_timesteps
    first = max(0, round(num_train * strength) - 1)
    last = min(int(_LAST * num_train), first // num_steps)
    return Schedule(num_steps, _noise_level(base, first), _noise_level(base, last))


def solver(base: BaseModel, steps: Schedule) -> Any:
    """UniPC of second order (Zhao et al. 2023), its steps at the noise levels of Karras et al. 2022 (rho 7).

    Deterministic: the noise of an image is all drawn at its start. Made as a stock pipeline's user makes it,
    ``UniPCMultistepScheduler.from_config`` with `Schedule.options`; a pipeline takes the same steps at ``strength`` 1
    with ``num_inference_steps`` of `Schedule.num_steps`.
    """
    made = UniPCMultistepScheduler.from_config(base.noise_scheduler.config, **steps.options)
    made.set_timesteps(steps.num_steps, device=base.device)
    made.set_begin_index(0)
    return made


def _noise_level(base: BaseModel, timestep: int) -> float:
    """Finite also where a schedule ends without signal (Lin et al. 2024), as diffusers' solvers have it."""
    kept = max(float(base.noise_scheduler.alphas_cumprod[timestep]), 2.0**-24)
    return math.sqrt((1 - kept) / kept)
