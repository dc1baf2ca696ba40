"""The class's own text encoder: the base model's weights, with one more token beside them."""

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from models.diffusion.base_model import BaseModel
from models.errors import InvalidSettings


class PlaceholderEmbedding(nn.Module):
    """A frozen token table with one trainable row beside it: the gradient reaches that row and nothing else."""

    def __init__(self, table: nn.Embedding, placeholder_id: int, vector: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table.weight.detach())
        self.placeholder_id = placeholder_id
        self.vector = nn.Parameter(vector.detach().float().clone())

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """(..., L) int64 -> (..., L, D)."""
        table = torch.as_tensor(self.table)
        known = input_ids.clamp(max=len(table) - 1)
        embedded = F.embedding(known, table)
        is_placeholder = (input_ids == self.placeholder_id)[..., None]
        return torch.where(is_placeholder, self.vector.to(table.dtype), embedded)


class ClassPrompt:
    """The prompt "A photo of <token>" of one class, over a text encoder that shares the base model's frozen weights.

    The base model keeps its own tokenizer and text encoder untouched.
    """

    def __init__(self, base: BaseModel, placeholder_token: str, initializer_text: str) -> None:
        self.placeholder_token = placeholder_token
        self.prompt = f"A photo of {placeholder_token}"
        tokenizer: CLIPTokenizer = copy.deepcopy(base.tokenizer)
        if tokenizer.add_tokens(placeholder_token) != 1:
            raise InvalidSettings(
                f"The token {placeholder_token} is in the base model's vocabulary already.",
                field="placeholder_token",
                remedy="Choose another token.",
            )
        self.text_encoder: CLIPTextModel = _with_the_weights_of(base.text_encoder)
        table = self.text_encoder.get_input_embeddings()
        assert isinstance(table, nn.Embedding)
        vector = initial_vector(base, table, initializer_text)
        placeholder_id = int(tokenizer.convert_tokens_to_ids(placeholder_token))
        self.embedding = PlaceholderEmbedding(table, placeholder_id, vector).to(base.device)
        self.text_encoder.embeddings.token_embedding = self.embedding
        #: (1, L) ids -> an answer whose first part is (1, L, D); the second stage of training puts its own here.
        self.encode: Callable[..., Any] = self.text_encoder
        self._prompt_ids = base.token_ids(self.prompt, tokenizer)
        self._empty_ids = base.token_ids("", tokenizer)

    def embeds(self) -> torch.Tensor:
        """The prompt's embedding, differentiable: (1, L, D) float32."""
        return torch.as_tensor(self.encode(self._prompt_ids)[0]).float()

    @torch.no_grad()
    def empty_embeds(self) -> torch.Tensor:
        """The empty prompt's embedding under the same text encoder: (1, L, D) float32."""
        return torch.as_tensor(self.encode(self._empty_ids)[0]).float()


def _with_the_weights_of(encoder: CLIPTextModel) -> CLIPTextModel:
    """Modules of its own, whose layers may be exchanged, over the same tensors: half a gigabyte in Stable Diffusion."""
    shared = {id(tensor): tensor for tensor in (*encoder.parameters(), *encoder.buffers())}
    return copy.deepcopy(encoder, shared)


def initial_vector(base: BaseModel, table: nn.Embedding, text: str) -> torch.Tensor:
    """The mean embedding of the words of ``text``: (D,) float32. Raises ``InvalidSettings`` if it has no word."""
    ids = base.tokenizer(text, add_special_tokens=False).input_ids
    if not ids:
        raise InvalidSettings(
            "initializer_text holds no word.", field="textual_inversion.initializer_text", remedy="Name the defect."
        )
    return table.weight.detach()[torch.tensor(ids, device=table.weight.device)].float().mean(dim=0)
