"""The recipe's training loop: resumable, seeded by step, with an averaged copy of the weights and a curve on disk."""

import csv
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

Step = Callable[[int], tuple[torch.Tensor, dict[str, float]]]

#: A process that was stopped for a while, or a machine that slept, has not trained meanwhile.
_LONGEST_STEP_SECONDS = 60.0


class AveragedWeights:
    """Exponential moving average of a module's parameters (decay warms up with the number of steps)."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow = {name: value.detach().clone().float() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move the average towards ``module`` after optimiser step ``step`` (0-based)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            self.shadow[name].lerp_(value.float(), 1 - decay)


class Training:
    """One stage: ``module`` is optimised by ``step`` until its seconds are spent; stops and resumes at any step.

    The batch of a step is a function of the step's number alone, so a resumed run sees what an uninterrupted run
    would have seen. ``step(number)`` returns a scalar loss and figures for the curve. ``lr`` rises over 200 steps,
    stays, and falls to 0 over the last ``cooldown_share`` of the seconds (Haegele et al., arXiv 2405.18392).
    """

    def __init__(
        self, name: str, folder: Path, module: nn.Module, step: Step, lr: float, ema_decay: float,
        cooldown_share: float = 0.0,
    ) -> None:  # fmt: skip
        self.name, self.folder, self.module, self.step_fn = name, folder, module, step
        self.lr, self.cooldown_share = lr, cooldown_share
        self.optimizer = torch.optim.AdamW(module.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=1e-3)
        self.average = AveragedWeights(module, ema_decay)
        self.num_steps, self.seconds = 0, 0.0
        self.path = folder / f"{name}.pt"
        if self.path.exists():
            self._load()

    def _load(self) -> None:
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        device = next(self.module.parameters()).device
        self.average.shadow = {name: value.to(device) for name, value in state["average"].items()}
        self.num_steps, self.seconds = state["num_steps"], state["seconds"]

    def save(self) -> None:
        """Write the checkpoint by atomic rename."""
        state = {
            "module": self.module.state_dict(), "optimizer": self.optimizer.state_dict(),
            "average": self.average.shadow, "num_steps": self.num_steps, "seconds": self.seconds,
        }  # fmt: skip
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.path)

    def run(self, seconds: float, checkpoint_seconds: float, on_checkpoint: Callable[[], None] | None = None) -> None:
        """Train until ``seconds`` in all have been spent on this stage, over all runs."""
        self.module.train()
        saved_at = time.monotonic()
        bar = tqdm(total=round(seconds), initial=round(self.seconds), desc=self.name, unit="s")
        while self.seconds < seconds:
            started = time.monotonic()
            figures = self._advance(self.seconds / seconds)
            self.seconds += min(time.monotonic() - started, _LONGEST_STEP_SECONDS)
            bar.n = min(round(self.seconds), round(seconds))
            bar.set_postfix(
                step=self.num_steps, **{key: f"{value:.4f}" for key, value in figures.items()}, refresh=False
            )
            bar.update(0)
            if time.monotonic() - saved_at > checkpoint_seconds:
                self.save()
                self._log(figures)
                if on_checkpoint:
                    on_checkpoint()
                saved_at = time.monotonic()
        bar.close()
        self.save()

    def _advance(self, share_spent: float) -> dict[str, float]:
        rate = min(1.0, (self.num_steps + 1) / 200)
        if self.cooldown_share:
            # 1 - sqrt falls faster at first than a line, which that paper found better.
            cooled = max(0.0, 1 - (1 - share_spent) / self.cooldown_share)
            rate *= 1 - cooled**0.5
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * rate
        loss, figures = self.step_fn(self.num_steps)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"{self.name}: loss is {loss.item()} at step {self.num_steps}")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self.average.update(self.module, self.num_steps)
        self.num_steps += 1
        return {"loss": loss.item(), **figures}

    def _log(self, figures: dict[str, float]) -> None:
        path = self.folder / f"{self.name}_curve.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["num_steps", "seconds", *figures])
            writer.writerow([self.num_steps, round(self.seconds), *(f"{value:.5f}" for value in figures.values())])
