"""How many steps a strength means, and the solver that takes them."""

import math
from typing import Any

from diffusers import DPMSolverMultistepScheduler

from models.diffusion.base_model import BaseModel
from models.errors import InvalidSettings


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


def equivalent_strength(num_inference_steps: int, steps: int) -> float:
    """The strength with which stock diffusers takes exactly ``steps`` of ``num_inference_steps``."""
    return 1.0 if steps >= num_inference_steps else (steps + 0.5) / num_inference_steps


def solver(base: BaseModel, num_inference_steps: int, steps: int) -> Any:
    """DPM-Solver++ (2M) (Lu et al. 2022) on the base model's noise schedule, set to its last ``steps`` steps.

    Deterministic: the noise of an image is all drawn at its start. Made as a stock pipeline's user makes it,
    ``DPMSolverMultistepScheduler.from_config``, so that both take the same steps.
    """
    made = DPMSolverMultistepScheduler.from_config(base.noise_scheduler.config)
    made.set_timesteps(num_inference_steps, device=base.device)
    made.set_begin_index(num_inference_steps - steps)
    return made
