"""Adapters kept along the way, for a search to choose from: how far the training should have gone is its question."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import torch

from models.adaptation.config import AdaptationConfig
from models.adaptation.placeholder import ClassPrompt
from models.adaptation.stages import LoraStage, Stage
from models.adapter import Adapter, AdapterCard, save_adapter
from models.diffusion.base_model import BaseModel


@dataclass
class Keeper:
    """Writes adapters of what has been trained so far: into ``folder`` on the way, into ``out_dir`` at the end.

    ``kept``: their folders by name, such as ``lora@250``, in the order of their training.
    """

    base: BaseModel
    prompt: ClassPrompt
    config: AdaptationConfig
    num_images: int
    folder: Path
    out_dir: Path
    kept: dict[str, Path] = field(default_factory=dict)

    def passed(self, stage: Stage, step: int, *, resumed: bool = False) -> None:
        """``step`` of ``stage`` was taken, or had been before the run was taken up again: its adapter is there."""
        is_last = step == stage.steps and (stage.name == LoraStage.name or not self.config.lora.steps)
        if step not in stage.kept_steps(self.config.num_kept) or is_last:
            return
        name = f"{stage.name}@{step}"
        self.kept[name] = self.folder / name
        if not resumed:
            save_adapter(self._adapter(stage, step), self.kept[name])

    def finish(self, stage: Stage) -> None:
        """``stage`` is over and was the last: write the adapter itself."""
        save_adapter(self._adapter(stage, stage.steps), self.out_dir)
        self.kept[f"{stage.name}@{stage.steps}"] = self.out_dir

    @torch.no_grad()
    def _adapter(self, stage: Stage, step: int) -> Adapter:
        text_encoder_lora, unet_lora = stage.weights()
        card = AdapterCard(
            base_model=self.base.name,
            base_model_revision=self.base.revision,
            placeholder_token=self.prompt.placeholder_token,
            prompt=self.prompt.prompt,
            rank=self.config.lora.rank,
            lora_alpha=self.config.lora.lora_alpha,
            fit=str(self.config.fit),
            num_train_images=self.num_images,
            settings=dataclasses.asdict(self.config),
            stage=stage.name,
            step=step,
            precision=self.base.precision,
        )
        learned = self.prompt.embedding.vector.detach().cpu().clone()
        prompt_embeds, empty_embeds = self.prompt.embeds().cpu(), self.prompt.empty_embeds().cpu()
        return Adapter(card, learned, unet_lora, text_encoder_lora, prompt_embeds, empty_embeds)
