from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from engine.errors import ModelError
from engine.model import cross_entropy
from engine.model.architecture import Architecture, RopeScaling
from engine.model.cache import KeyValueCache
from engine.model.transformer import Decoder, grouped_attention, rotary_tables
from engine.sizes import Dimensions
from tests.engine.model.conftest import lively

WIDE = Architecture.of(Dimensions(layers=2, dim=64, heads=4, kv_heads=2, ffn=96), 300, 64)
SWITCHED = replace(WIDE, qk_norm=False, qkv_bias=True, tied=False, head_dim=16, nope_layers=(1,))


def batch(architecture: Architecture, rows: int = 3, length: int = 24) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, architecture.vocabulary, (rows, length + 1), generator=generator)
    weights = torch.rand(rows, length, generator=generator)
    weights[:, ::5] = 0
    return ids[:, :-1], ids[:, 1:], weights


def gradients(decoder: Decoder) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in decoder.named_parameters() if p.grad is not None}


def test_fresh_weights_depend_on_the_seed_alone() -> None:
    first, second, other = (Decoder(WIDE) for _ in range(3))
    first.init_weights(torch.Generator().manual_seed(5))
    torch.rand(10)
    second.init_weights(torch.Generator().manual_seed(5))
    other.init_weights(torch.Generator().manual_seed(6))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert not torch.equal(first.embed.weight, other.embed.weight)


def test_fresh_weights_have_the_documented_spread() -> None:
    architecture = Architecture.of(Dimensions(layers=3, dim=256, heads=4, kv_heads=2, ffn=768), 2048, 64)
    decoder = Decoder(architecture)
    decoder.init_weights(torch.Generator().manual_seed(1))
    state = decoder.state_dict()
    assert state["embed.weight"].std().item() == pytest.approx(0.02, rel=0.02)
    assert state["blocks.0.attention.qkv.weight"].std().item() == pytest.approx(256**-0.5, rel=0.02)
    assert state["blocks.2.feed_forward.gate_up.weight"].std().item() == pytest.approx(256**-0.5, rel=0.02)
    assert state["blocks.1.feed_forward.down.weight"].std().item() == pytest.approx(0.02 / 6**0.5, rel=0.02)
    assert torch.all(state["blocks.1.attention.q_norm.weight"] == 1.2)
    assert torch.all(state["norm.weight"] == 1)


@pytest.mark.parametrize("architecture", [WIDE, SWITCHED], ids=["qwen3", "switched"])
def test_cache_gives_the_logits_of_reading_at_once(architecture: Architecture) -> None:
    decoder = lively(architecture)
    ids, _, _ = batch(architecture, rows=2, length=40)
    with torch.no_grad():
        whole = decoder(ids)
        cache = KeyValueCache(architecture, batch=2)
        parts = [decoder(part, cache) for part in ids.split([7, 1, 1, 20, 11], dim=1)]
    assert cache.length == 40
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-4)


def test_rows_padded_on_the_left_read_as_they_do_alone() -> None:
    decoder = lively(WIDE)
    ids, _, _ = batch(WIDE, rows=1, length=30)
    short = ids[:, :11]
    padded = torch.cat([torch.zeros(1, 19, dtype=torch.int64), short], 1)
    with torch.no_grad():
        cache = KeyValueCache(WIDE, batch=2, starts=[0, 19], capacity=64)
        both = torch.cat([ids, padded])
        logits = [decoder(both[:, :16], cache), decoder(both[:, 16:], cache)]
        alone, alone_short = decoder(ids), decoder(short)
        together = torch.cat(logits, 1)
        torch.testing.assert_close(together[0], alone[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(together[1, 19:], alone_short[0], rtol=1e-4, atol=1e-4)
        cache.keep(torch.tensor([1]))
        after = decoder(torch.tensor([[5]]), cache)
        expected = decoder(torch.cat([short, torch.tensor([[5]])], 1))[:, -1:]
    assert cache.first == 19
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-4)


def test_no_position_sees_a_later_one() -> None:
    decoder = lively(WIDE)
    ids, _, _ = batch(WIDE, rows=1)
    changed = ids.clone()
    changed[0, 15] = (changed[0, 15] + 1) % WIDE.vocabulary
    with torch.no_grad():
        before, after = decoder(ids), decoder(changed)
    torch.testing.assert_close(before[:, :15], after[:, :15])
    assert not torch.allclose(before[:, 15:], after[:, 15:])


def test_more_tokens_than_the_context_are_refused() -> None:
    decoder = lively(WIDE)
    with pytest.raises(ModelError, match="context of 64"):
        decoder(torch.zeros(1, 65, dtype=torch.int64))
    cache = KeyValueCache(WIDE, capacity=8)
    with pytest.raises(ModelError, match="cache of 8"):
        decoder(torch.zeros(1, 9, dtype=torch.int64), cache)


@pytest.mark.parametrize("architecture", [WIDE, SWITCHED], ids=["qwen3", "switched"])
@pytest.mark.parametrize("slice_bytes", [8 << 20, 5 * 4 * 300, 1])
def test_loss_and_gradients_are_those_of_plain_cross_entropy(
    architecture: Architecture, slice_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cross_entropy._SLICE_BYTES, "cpu", slice_bytes)
    decoder = lively(architecture)
    ids, targets, weights = batch(architecture)
    nats = functional.cross_entropy(decoder(ids).flatten(0, 1), targets.flatten(), reduction="none")
    plain = (nats * weights.flatten()).sum()
    plain.backward()
    expected = gradients(decoder)
    decoder.zero_grad()
    loss = decoder.loss(ids, targets, weights)
    loss.backward()
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss, plain, rtol=1e-5, atol=1e-5)
    for name, gradient in gradients(decoder).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(decoder.loss(ids, targets, weights), plain.detach(), rtol=1e-5, atol=1e-5)


def test_gradients_follow_the_scale_of_the_loss() -> None:
    decoder = lively(WIDE)
    ids, targets, weights = batch(WIDE)
    decoder.loss(ids, targets, weights).backward()
    once = gradients(decoder)
    decoder.zero_grad()
    (decoder.loss(ids, targets, weights) * 0.125).backward()
    for name, gradient in gradients(decoder).items():
        torch.testing.assert_close(gradient, once[name] * 0.125)


def test_accumulated_micro_batches_equal_one_batch() -> None:
    decoder = lively(WIDE).double()
    ids, targets, weights = batch(WIDE, rows=8)
    total = weights.sum()
    (decoder.loss(ids, targets, weights) / total).backward()
    whole = gradients(decoder)
    for cuts in ([4, 4], [1, 2, 5], [1] * 8):
        decoder.zero_grad()
        mean = 0.0
        for part in zip(ids.split(cuts), targets.split(cuts), weights.split(cuts), strict=True):
            loss = decoder.loss(*part) / total
            loss.backward()
            mean += loss.item()
        assert mean == pytest.approx((decoder.loss(ids, targets, weights) / total).item(), rel=1e-6)
        for name, gradient in gradients(decoder).items():
            assert (gradient - whole[name]).abs().max() <= 1e-6 * whole[name].abs().max(), name


def test_positions_without_weight_have_no_gradient() -> None:
    decoder = lively(WIDE)
    ids, targets, weights = batch(WIDE)
    decoder.loss(ids, targets, weights).backward()
    before = gradients(decoder)
    decoder.zero_grad()
    other = torch.where(weights == 0, (targets + 1) % WIDE.vocabulary, targets)
    decoder.loss(ids, other, weights).backward()
    for name, gradient in gradients(decoder).items():
        assert torch.equal(gradient, before[name]), name
    decoder.zero_grad()
    decoder.loss(ids, targets, torch.zeros_like(weights)).backward()
    assert all(not gradient.any() for gradient in gradients(decoder).values())


def test_recomputed_activations_change_nothing() -> None:
    decoder = lively(WIDE)
    ids, targets, weights = batch(WIDE)
    decoder.loss(ids, targets, weights).backward()
    before = gradients(decoder)
    decoder.zero_grad()
    decoder.activation_checkpointing = True
    decoder.loss(ids, targets, weights).backward()
    for name, gradient in gradients(decoder).items():
        assert torch.equal(gradient, before[name]), name


def test_bfloat16_autocast_is_close_and_float16_gradients_do_not_vanish() -> None:
    decoder = lively(WIDE)
    ids, targets, weights = batch(WIDE)
    exact = decoder.loss(ids, targets, weights)
    exact.backward()
    expected = gradients(decoder)
    for dtype in (torch.bfloat16, torch.float16):
        decoder.zero_grad()
        with torch.autocast("cpu", dtype=dtype):
            loss = decoder.loss(ids, targets, weights)
        loss.backward()
        assert loss.item() == pytest.approx(exact.item(), rel=0.02)
        head = gradients(decoder)["embed.weight"]
        assert functional.cosine_similarity(head.flatten(), expected["embed.weight"].flatten(), dim=0) > 0.99


def test_positions_stay_exact_in_bfloat16_and_after_the_meta_device() -> None:
    cosine, _ = rotary_tables(WIDE, WIDE.context, "cpu")
    assert torch.equal(lively(WIDE).bfloat16().cosine, cosine)
    with torch.device("meta"):
        empty = Decoder(WIDE)
    assert torch.equal(empty.to_empty(device="cpu").cosine, cosine)


def test_a_long_context_costs_nothing_until_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.model.transformer._FIRST_POSITIONS", 16)
    decoder = lively(WIDE)
    assert decoder.cosine.shape[0] == 16
    ids, _, _ = batch(WIDE, rows=1, length=40)
    with torch.no_grad():
        late = decoder(ids)
    monkeypatch.undo()
    with torch.no_grad():
        torch.testing.assert_close(late, lively(WIDE)(ids))


def test_positions_of_llama_3_are_stretched_only_where_waves_are_long() -> None:
    stretched = replace(WIDE, rope_scaling=RopeScaling(8.0, 1.0, 4.0, 32), context=128)
    plain, _ = rotary_tables(replace(WIDE, context=128), 128, "cpu")
    cosine, _ = rotary_tables(stretched, 128, "cpu")
    assert torch.equal(cosine[:, 0], plain[:, 0])
    torch.testing.assert_close(cosine[::8, 31], plain[: 128 // 8, 31])


@pytest.mark.parametrize("causal", [True, False])
def test_shared_heads_are_the_same_read_in_place_or_repeated(causal: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    queries = torch.randn(2, 6, 9, 16, generator=generator)
    keys, values = (torch.randn(2, 2, 9, 16, generator=generator) for _ in range(2))
    mask = None if causal else torch.ones(9, 9, dtype=torch.bool).tril()
    repeated = functional.scaled_dot_product_attention(
        queries, keys.repeat_interleave(3, 1), values.repeat_interleave(3, 1), is_causal=True
    )
    torch.testing.assert_close(grouped_attention(queries, keys, values, mask, causal), repeated)
