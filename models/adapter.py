"""The adapter: what adaptation makes of a defect class, as a folder that stock diffusers opens too.

::

    adapter.json                         what it is: base model, prompt, settings
    learned_embeds.safetensors           the placeholder token's embedding      -> load_textual_inversion
    pytorch_lora_weights.safetensors     LoRA of text encoder and U-Net         -> load_lora_weights
    prompt_embeds.safetensors            the prompt's and the empty prompt's embedding, computed once

Generation reads the last file and the U-Net's LoRA only: a class has one fixed prompt, so the text encoder (whose LoRA
diffusers cannot swap in place) has nothing left to do.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from models.diffusion.base_model import BaseModel
from models.diffusion.lora import TEXT_ENCODER_TARGETS, UNET_TARGETS, LoraWeights
from models.errors import AdapterUnusable
from models.tensor_file import read_tensors, write_tensors

_LORA_FILE, _EMBEDS_FILE, _PROMPTS_FILE = (
    "pytorch_lora_weights.safetensors", "learned_embeds.safetensors", "prompt_embeds.safetensors",
)  # fmt: skip


@dataclass(frozen=True)
class AdapterCard:
    """``adapter.json``: nothing in it depends on when or where the adapter was trained, but for ``precision``.

    ``fit``: how images were brought to the native size; ``settings``: the adaptation's, whole. ``stage`` and ``step``:
    how far the training had gone, for an adapter may be one that was kept on the way. ``precision``: of the arithmetic.
    """

    base_model: str
    base_model_revision: str
    placeholder_token: str
    prompt: str
    rank: int
    lora_alpha: float
    fit: str
    num_train_images: int
    settings: dict[str, Any]
    stage: str = "lora"
    step: int = 0
    precision: str = "float32"
    format_version: int = 1

    @property
    def has_lora(self) -> bool:
        """Whether low-rank matrices belong to it; without, it is a token alone."""
        return self.stage == "lora" and int(self.settings["lora"]["steps"]) > 0


@dataclass(frozen=True)
class Adapter:
    """A trained adapter in memory, all float32 on the CPU.

    ``learned_embeds``: (D,); ``prompt_embeds``, ``negative_prompt_embeds``: (1, L, D), under the text encoder's LoRA.
    ``unet_lora`` is empty when stage 2 was skipped or not yet reached.
    """

    card: AdapterCard
    learned_embeds: torch.Tensor
    unet_lora: LoraWeights
    text_encoder_lora: LoraWeights
    prompt_embeds: torch.Tensor
    negative_prompt_embeds: torch.Tensor


def save_adapter(adapter: Adapter, folder: Path) -> None:
    """Write the folder; equal adapters give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / _EMBEDS_FILE, {adapter.card.placeholder_token: adapter.learned_embeds})
    prompts = {"prompt_embeds": adapter.prompt_embeds, "negative_prompt_embeds": adapter.negative_prompt_embeds}
    write_tensors(folder / _PROMPTS_FILE, prompts)
    if adapter.unet_lora:
        write_tensors(folder / _LORA_FILE, *_lora_for_diffusers(adapter))
    text = json.dumps(asdict(adapter.card), indent=2, sort_keys=True) + "\n"
    (folder / "adapter.json").write_text(text, encoding="utf-8")


def _lora_for_diffusers(adapter: Adapter) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Keys and metadata as ``load_lora_weights`` wants them.

    transformers 5 dropped ``text_model.`` from the text encoder's module paths; files keep it, and loaders of either
    age accept that. Without the metadata, a lora_alpha that differs from the rank would be lost.
    """
    tensors = {f"unet.{path}": weight for path, weight in adapter.unet_lora.items()}
    for path, weight in adapter.text_encoder_lora.items():
        tensors[f"text_encoder.text_model.{path.removeprefix('text_model.')}"] = weight
    metadata: dict[str, Any] = {}
    for component, targets in (("unet", UNET_TARGETS), ("text_encoder", TEXT_ENCODER_TARGETS)):
        config = {"r": adapter.card.rank, "lora_alpha": adapter.card.lora_alpha, "target_modules": targets}
        metadata |= {f"{component}.{key}": value for key, value in config.items()}
    return tensors, {"lora_adapter_metadata": json.dumps(metadata, indent=2, sort_keys=True)}


def load_adapter(folder: Path) -> Adapter:
    """Read the folder. Raises ``AdapterUnusable`` when a file is missing or damaged, or the format is not known."""
    card = _read_card(folder / "adapter.json")
    prompts, _ = read_tensors(folder / _PROMPTS_FILE)
    embeds, _ = read_tensors(folder / _EMBEDS_FILE)
    lora_path = folder / _LORA_FILE
    lora = read_tensors(lora_path)[0] if card.has_lora else {}
    try:
        return Adapter(
            card=card,
            learned_embeds=embeds[card.placeholder_token],
            unet_lora=_under("unet.", lora),
            text_encoder_lora=_under("text_encoder.text_model.", lora),
            prompt_embeds=prompts["prompt_embeds"],
            negative_prompt_embeds=prompts["negative_prompt_embeds"],
        )
    except KeyError as error:
        raise AdapterUnusable(f"The adapter lacks {error}.", remedy="Adapt the class again.") from error


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> LoraWeights:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _read_card(path: Path) -> AdapterCard:
    try:
        card = AdapterCard(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise AdapterUnusable(f"{path.name} cannot be read ({error}).", remedy="Adapt the class again.") from error
    if card.format_version != 1:
        raise AdapterUnusable(
            f"Adapter format {card.format_version} is not known to this version.", remedy="Update defectsynth."
        )
    return card


def check_base(adapter: Adapter, base: BaseModel) -> None:
    """Raise ``AdapterUnusable`` unless ``adapter`` was trained on exactly this base model."""
    trained_on = (adapter.card.base_model, adapter.card.base_model_revision)
    if trained_on != (base.name, base.revision):
        raise AdapterUnusable(
            f"The adapter was trained on {trained_on[0]} ({trained_on[1]}), not on {base.name} ({base.revision}).",
            field="adapter_id",
            remedy="Adapt the class again on this base model.",
        )
