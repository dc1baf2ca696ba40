"""Two ways to train low-rank matrices, which are one function of weights and inputs."""

import pytest
import torch

from models.adaptation.low_rank import Beside, LowRank, Merged, low_rank
from models.diffusion import lora
from models.diffusion.base_model import BaseModel

RANK, ALPHA, SEED = 4, 8.0, 3


def of(kind: type[Merged] | type[Beside], base: BaseModel) -> LowRank:
    """Matrices of the U-Net that are no longer untrained, the same for both kinds."""
    made = kind(base.unet, lora.UNET_TARGETS, RANK, ALPHA, SEED)
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for matrix in made.parameters:
            matrix.add_(0.1 * torch.randn(matrix.shape, generator=draws))
    return made


def test_merged_and_beside_answer_and_learn_alike(tiny_base: BaseModel) -> None:
    noisy, prompt = torch.randn(2, *tiny_base.latent_shape), tiny_base.encode_prompt("a pit").expand(2, -1, -1)
    answers, gradients, names = [], [], []
    for kind in (Merged, Beside):
        matrices = of(kind, tiny_base)
        answer = matrices(noisy, torch.tensor([5, 900]), prompt, return_dict=False)[0]
        answer.square().mean().backward()
        answers.append(answer.detach())
        gradients.append([matrix.grad for matrix in matrices.parameters])
        names.append(list(matrices.read()))
        matrices.remove()
    torch.testing.assert_close(*answers, rtol=1e-4, atol=1e-5)
    for merged, beside in zip(*gradients, strict=True):
        torch.testing.assert_close(merged, beside, rtol=1e-3, atol=1e-6)
    assert names[0] == names[1]


def test_gradient_checkpointing_keeps_less_and_learns_the_same(tiny_base: BaseModel) -> None:
    noisy, prompt = torch.randn(2, *tiny_base.latent_shape), tiny_base.encode_prompt("a pit").expand(2, -1, -1)
    gradients, kept = [], []
    for is_checkpointed in (False, True):
        if is_checkpointed:
            tiny_base.unet.enable_gradient_checkpointing()
        matrices = low_rank(tiny_base.unet, lora.UNET_TARGETS, RANK, ALPHA, SEED, spare_memory=is_checkpointed)
        num_bytes = 0

        def counted(saved: torch.Tensor) -> torch.Tensor:
            nonlocal num_bytes
            num_bytes += saved.nbytes
            return saved

        with torch.autograd.graph.saved_tensors_hooks(counted, lambda saved: saved):
            answer = matrices(noisy, torch.tensor([5, 900]), prompt, return_dict=False)[0]
        answer.square().mean().backward()
        kept.append(num_bytes)
        gradients.append([matrix.grad for matrix in matrices.parameters])
        matrices.remove()
    assert kept[1] < 0.5 * kept[0]
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed, rtol=1e-3, atol=1e-6)


def test_what_fails_while_matrices_are_put_in_leaves_the_network_as_it_was(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [type(layer) for layer in tiny_base.unet.modules()]

    def out_of_memory(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(lora, "drawn", out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        low_rank(tiny_base.unet, lora.UNET_TARGETS, RANK, ALPHA, SEED, spare_memory=True)
    assert [type(layer) for layer in tiny_base.unet.modules()] == before
    assert not hasattr(tiny_base.unet, "peft_config")


def test_untrained_matrices_change_nothing(tiny_base: BaseModel) -> None:
    noisy, prompt = torch.randn(1, *tiny_base.latent_shape), tiny_base.encode_prompt("a pit")
    untrained = low_rank(tiny_base.unet, lora.UNET_TARGETS, RANK, ALPHA, SEED)
    with torch.no_grad():
        expected = tiny_base.unet(noisy, 5, prompt, return_dict=False)[0]
        assert torch.equal(untrained(noisy, 5, prompt, return_dict=False)[0], expected)


def test_a_change_too_small_for_weights_in_half_precision_is_still_felt(tiny_base: BaseModel) -> None:
    tiny_base.unet.to(torch.bfloat16)
    matrices = low_rank(tiny_base.unet, lora.UNET_TARGETS, RANK, ALPHA, SEED)
    assert isinstance(matrices, Beside)
    assert all(matrix.dtype is torch.float32 for matrix in matrices.parameters)
    weight = tiny_base.unet.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn1.to_q").weight
    assert torch.equal(weight + 1e-3 * weight, weight)  # what merging would leave of it
