"""The attention of processors with bfloat16: the same as torch's, forward and backward, at every length."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.model import transformer
from engine.model.architecture import Architecture
from engine.model.causal_attention import BLOCK, KEEP_UP_TO, causal_attention
from engine.model.transformer import Decoder, grouped_attention
from engine.sizes import Dimensions


def heads(count: int, length: int, seed: int, width: int = 64) -> Tensor:
    """As the decoder makes them: [B, T, H, head_dim], seen as [B, H, T, head_dim]."""
    drawn = torch.randn(2, length, count, width, generator=torch.Generator().manual_seed(seed))
    return drawn.to(torch.bfloat16).transpose(1, 2)


def gradients(attention, inputs: list[Tensor], slope: Tensor) -> list[Tensor]:  # type: ignore[no-untyped-def]
    leaves = [one.clone().requires_grad_() for one in inputs]
    mixed = attention(*leaves)
    torch.autograd.backward(mixed, slope.to(mixed.dtype))
    return [mixed.detach().float(), *(leaf.grad.float() for leaf in leaves if leaf.grad is not None)]


@pytest.mark.parametrize("length", [1, 7, BLOCK, BLOCK + 1, 3 * BLOCK, KEEP_UP_TO + 1])
@pytest.mark.parametrize(("count", "shared", "width"), [(2, 2, 64), (4, 2, 64), (3, 1, 24)])
def test_it_is_attention(length: int, count: int, shared: int, width: int) -> None:
    inputs = [heads(count, length, 0, width), heads(shared, length, 1, width), heads(shared, length, 2, width)]
    slope = heads(count, length, 3, width)
    exact = gradients(
        lambda *exact: functional.scaled_dot_product_attention(*exact, is_causal=True, enable_gqa=True),
        [one.float() for one in inputs],
        slope,
    )
    for ours, expected in zip(gradients(causal_attention, inputs, slope), exact, strict=True):
        assert torch.isfinite(ours).all()
        assert (ours - expected).norm() < 0.01 * expected.norm() + 1e-6


def test_nothing_later_is_looked_at() -> None:
    length = BLOCK + 40
    inputs = [heads(2, length, seed) for seed in range(3)]
    before = causal_attention(*inputs)
    for changed in range(1, 3):
        inputs[changed] = inputs[changed].clone()
        inputs[changed][:, :, BLOCK + 1 :] += 1
    after = causal_attention(*inputs)
    assert torch.equal(before[:, :, : BLOCK + 1], after[:, :, : BLOCK + 1])
    assert not torch.equal(before, after)


def test_what_is_kept_and_what_is_computed_again_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [heads(4, 300, 0), heads(2, 300, 1), heads(2, 300, 2)]
    kept = gradients(causal_attention, inputs, heads(4, 300, 3))
    monkeypatch.setattr("engine.model.causal_attention.KEEP_UP_TO", 0)
    again = gradients(causal_attention, inputs, heads(4, 300, 3))
    assert all(torch.equal(*pair) for pair in zip(kept, again, strict=True))


def test_it_is_used_where_the_processor_trains_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []

    def watched(*inputs: Tensor) -> Tensor:
        used.append(inputs[0].dtype)
        return causal_attention(*inputs)

    monkeypatch.setattr(transformer, "causal_attention", watched)
    decoder = Decoder(Architecture.of(Dimensions(layers=2, dim=64, heads=2, kv_heads=1, ffn=96), 300, 32))
    decoder.init_weights(torch.Generator().manual_seed(0))
    ids = torch.arange(32)[None]
    plain = decoder(ids)
    assert not used
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = decoder(ids)
    assert used == [torch.bfloat16] * 2
    assert (rounded - plain).norm() < 0.02 * plain.norm()
    some = heads(2, 8, 0)
    grouped_attention(some, some, some, torch.ones(8, 8, dtype=torch.bool), causal=False)
    assert len(used) == 2
