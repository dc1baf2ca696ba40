"""The one resident LoRA of a base model's U-Net, whose weights are swapped in place."""

from models.adapter import Adapter, check_base
from models.diffusion import lora
from models.diffusion.base_model import BaseModel

ADAPTER_NAME = "resident"


class LoraSlot:
    """Low-rank layers put into the U-Net once; adapters of one rank take turns in them by copying.

    Fusing would drift over many swaps and loading anew would leak; a copy does neither and takes milliseconds. The
    layers are made anew only when the rank changes.
    """

    def __init__(self, base: BaseModel) -> None:
        self._base = base
        self._rank: int | None = None
        self._scaling = 0.0

    def swap_in(self, adapter: Adapter, lora_scale: float = 1.0) -> None:
        """Make ``adapter`` what the U-Net computes with. Raises ``AdapterUnusable`` if it is not of this base model.

        An adapter without LoRA (stage 2 skipped) leaves the frozen U-Net.
        """
        check_base(adapter, self._base)
        if not adapter.unet_lora:
            self.clear()
            return
        if self._rank != adapter.card.rank:
            self._make(adapter.card.rank)
        lora.write(self._base.unet, ADAPTER_NAME, adapter.unet_lora)
        self._scaling = adapter.card.lora_alpha / adapter.card.rank
        self.set_lora_scale(lora_scale)

    def set_lora_scale(self, lora_scale: float) -> None:
        """Weigh the U-Net's LoRA by ``lora_scale`` (1 = as trained, 0 = the frozen U-Net)."""
        lora.set_scale(self._base.unet, ADAPTER_NAME, self._scaling * lora_scale)

    def clear(self) -> None:
        """Take the slot away: the U-Net is the frozen one, layer for layer."""
        lora.remove(self._base.unet, ADAPTER_NAME)
        self._rank = None

    def _make(self, rank: int) -> None:
        lora.remove(self._base.unet, ADAPTER_NAME)
        lora.inject(self._base.unet, ADAPTER_NAME, lora.UNET_TARGETS, rank, rank, seed=0)
        self._base.unet.requires_grad_(False)
        self._rank = rank
