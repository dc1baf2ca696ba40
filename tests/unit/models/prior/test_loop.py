"""The recipe's training loop: its rate, and going on where it stopped."""

from pathlib import Path

import pytest
import torch
from torch import nn

from models.prior.loop import Training


def line(folder: Path, cooldown_share: float = 0.0) -> Training:
    """A line that is fitted to points drawn from the step's number."""
    torch.manual_seed(0)
    module = nn.Linear(1, 1)

    def step(number: int) -> tuple[torch.Tensor, dict[str, float]]:
        x = torch.rand(8, 1, generator=torch.Generator().manual_seed(number))
        return (module(x) - 3 * x).square().mean(), {}

    return Training("line", folder, module, step, 1e-2, 0.9, cooldown_share)


def trained(training: Training, num_steps: int) -> Training:
    for _ in range(num_steps):
        training._advance(0.0)
    training.save()
    return training


def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = trained(line(tmp_path / "whole"), 6)
    trained(line(tmp_path / "parts"), 2)
    gone_on = trained(line(tmp_path / "parts"), 4)
    assert gone_on.num_steps == whole.num_steps == 6
    assert torch.equal(gone_on.module.weight, whole.module.weight)  # type: ignore[arg-type]
    assert torch.equal(gone_on.average.shadow["weight"], whole.average.shadow["weight"])


def test_the_rate_rises_stays_and_falls_to_nothing_over_the_last_share(tmp_path: Path) -> None:
    training = line(tmp_path, cooldown_share=0.25)

    def rate(num_steps: int, share_spent: float) -> float:
        training.num_steps = num_steps
        training._advance(share_spent)
        return float(training.optimizer.param_groups[0]["lr"])

    rates = [rate(0, 0.0), rate(500, 0.5), rate(500, 0.75), rate(500, 0.75 + 0.25 / 4), rate(500, 1.0)]
    assert rates == pytest.approx([1e-2 / 200, 1e-2, 1e-2, 0.5e-2, 0.0])
