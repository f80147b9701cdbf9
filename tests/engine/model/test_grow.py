from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.errors import ModelError, UsageError
from engine.model.architecture import Architecture, RopeScaling
from engine.model.grow import EXACT, check_growth, compare, grow, spread
from engine.model.transformer import Decoder
from engine.sizes import SIZES, Dimensions
from tests.engine.model.conftest import lively

BASE = Architecture.of(Dimensions(layers=3, dim=96, heads=4, kv_heads=2, ffn=160), 200, 64)
IDS = torch.randint(0, 200, (3, 40), generator=torch.Generator().manual_seed(2))


def grown(decoder: Decoder, target: Dimensions, seed: int = 1) -> Decoder:
    larger, architecture, proof = grow(decoder, decoder.architecture, target, torch.Generator().manual_seed(seed), IDS)
    assert proof.exact and proof.max_relative < EXACT, proof
    assert proof.tokens == IDS.numel()
    assert architecture.dimensions == target
    assert larger.architecture == architecture
    assert sum(parameter.numel() for parameter in larger.parameters()) == architecture.parameters()
    return larger


@pytest.mark.parametrize(
    "change",
    [
        {"dim": 128},
        {"dim": 160, "heads": 6, "kv_heads": 3, "ffn": 416},
        {"heads": 6},
        {"heads": 12, "kv_heads": 3},
        {"ffn": 192},
        {"layers": 4},
        {"layers": 8},
        {"layers": 5, "dim": 224, "heads": 9, "kv_heads": 3, "ffn": 640},
    ],
    ids=str,
)
def test_growth_keeps_the_function(change: dict[str, int]) -> None:
    grown(lively(BASE), replace(BASE.dimensions, **change))


def test_the_ladder_is_climbed_step_by_step_and_at_once() -> None:
    nano = lively(Architecture.of(SIZES["nano"].dimensions, 200, 64))
    decoder = nano
    for name in ("micro", "tiny", "small"):
        decoder = grown(decoder, SIZES[name].dimensions)
    straight = grown(nano, SIZES["small"].dimensions)
    for larger in (decoder, straight):
        assert compare(nano, larger, IDS).max_relative < EXACT
    assert decoder.architecture.rms_norm_eps == pytest.approx(1e-6 / 4)


def test_even_fresh_embeddings_near_eps_stay_exact() -> None:
    decoder = Decoder(BASE)
    decoder.init_weights(torch.Generator().manual_seed(1))
    with torch.no_grad():
        decoder.embed.weight.mul_(0.05)
    grown(decoder, replace(BASE.dimensions, dim=256))


@pytest.mark.parametrize(
    "foreign",
    [
        replace(BASE, qk_norm=False, qkv_bias=True, head_dim=24),
        replace(BASE, qk_norm=False, tied=False, rope_scaling=RopeScaling(8.0, 1.0, 4.0, 32)),
        replace(BASE, qk_norm=False, nope_layers=(1,)),
    ],
    ids=["qwen2", "llama", "smollm3"],
)
def test_foreign_architectures_grow_too(foreign: Architecture) -> None:
    larger = grown(lively(foreign), Dimensions(layers=5, dim=128, heads=6, kv_heads=3, ffn=192))
    switches = ("tied", "qk_norm", "qkv_bias", "head_dim", "rope_scaling", "context", "vocabulary")
    assert all(getattr(larger.architecture, name) == getattr(foreign, name) for name in switches)


def test_everything_new_can_learn() -> None:
    decoder = lively(BASE)
    larger = grown(decoder, Dimensions(layers=5, dim=160, heads=6, kv_heads=3, ffn=256)).train()
    weights = torch.ones(IDS.shape)
    optimizer = torch.optim.SGD(larger.parameters(), lr=1e-3)
    larger.loss(IDS, IDS.roll(-1, 1), weights).backward()
    first = {name: p.grad.clone() for name, p in larger.named_parameters() if p.grad is not None}
    assert first["embed.weight"][IDS[0, 0], 96:].abs().min() > 0
    for layer in range(5):
        # New channels written by the last blocks are read by the tied head alone, whose new columns wake a step later.
        rows = 160 if layer < 3 else 96
        for writer in ("attention.out", "feed_forward.down"):
            gradient = first[f"blocks.{layer}.{writer}.weight"][:rows]
            assert (gradient != 0).float().mean() > 0.99, (layer, writer)
    optimizer.step()
    optimizer.zero_grad()
    larger.loss(IDS, IDS.roll(-1, 1), weights).backward()
    for name, parameter in larger.named_parameters():
        assert parameter.grad is not None
        alive = (parameter.grad != 0).float().mean()
        assert alive > (0.3 if name == "embed.weight" else 0.99), (name, float(alive))


def test_the_small_decoder_stays_as_it_was_and_seeds_decide() -> None:
    decoder = lively(BASE)
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    target = replace(BASE.dimensions, dim=128, layers=4)
    first, second, other = (grown(decoder, target, seed) for seed in (1, 1, 2))
    assert all(torch.equal(value, before[name]) for name, value in decoder.state_dict().items())
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    name = "blocks.0.feed_forward.gate_up.weight"
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_copies_are_spread_evenly() -> None:
    assert [source for source, _ in spread(4, 6)] == [0, 1, 1, 2, 3, 3]
    assert [source for source, _ in spread(2, 6)] == [0, 0, 0, 1, 1, 1]
    assert [silent for _, silent in spread(2, 6)] == [False, True, True, False, True, True]
    assert spread(3, 3) == [(0, False), (1, False), (2, False)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dim": 64}, "dim is 96, the target has 64"),
        ({"layers": 2}, "layers is 3"),
        ({"heads": 2}, "heads is 4"),
        ({"kv_heads": 1}, "kv_heads is 2"),
        ({"ffn": 128}, "ffn is 160"),
        ({"kv_heads": 4}, "per key/value head cannot shrink: 2 now, 1"),
        ({}, "already has this size"),
        ({"heads": 5}, "multiple"),
        ({"dim": 100}, "multiple of 32"),
    ],
)
def test_what_cannot_be_reached_exactly_is_refused_with_the_rule(change: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_growth(BASE, replace(BASE.dimensions, **change))


def test_weights_that_are_not_numbers_are_refused() -> None:
    decoder = lively(BASE)
    with torch.no_grad():
        decoder.norm.weight[0] = float("nan")
    with pytest.raises(ModelError, match="no numbers"):
        grow(decoder, BASE, replace(BASE.dimensions, dim=128), torch.Generator())
