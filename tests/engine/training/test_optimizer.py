"""Muon and AdamW: what is grouped where, that the update is what it should be, and that state returns bit for bit."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from engine.model.architecture import Architecture
from engine.model.transformer import Decoder
from engine.sizes import Dimensions
from engine.training import muon
from engine.training.devices import Placement, Precision
from engine.training.muon import orthogonalise
from engine.training.optimizer import Optimizer, Rule
from engine.training.recipe import Recipe

ARCHITECTURE = Architecture.of(Dimensions(layers=2, dim=64, heads=2, kv_heads=1, ffn=96), 300, 32)
PLACEMENT = Placement("cpu", "fp32", 1, "", "", "")
SCALER = torch.amp.GradScaler(enabled=False)


def make(rule: Rule, seed: int = 0) -> tuple[Decoder, Optimizer]:
    decoder = Decoder(ARCHITECTURE)
    decoder.init_weights(torch.Generator().manual_seed(seed))
    return decoder, Optimizer(decoder, ARCHITECTURE, rule, weight_decay=0.1, placement=PLACEMENT, embedding_share=0.5)


def train(decoder: Decoder, optimizer: Optimizer, steps: int, rate: float) -> list[float]:
    losses = []
    for step in range(steps):
        ids = torch.randint(0, 300, (2, 16), generator=torch.Generator().manual_seed(step % 3))
        loss = decoder.loss(ids, ids.roll(-1, 1), torch.ones(2, 16)) / 32
        torch.autograd.backward(loss)
        optimizer.set_rate(rate)
        optimizer.step(SCALER)
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("shape", [(64, 64), (32, 64), (96, 64), (24, 96)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, int]) -> None:
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    before, after = torch.linalg.svdvals(matrices), torch.linalg.svdvals(orthogonalise(matrices))
    length = before.pow(4).sum(-1, keepdim=True) ** 0.25
    assert after.max() < 1.28 and after[before > 0.01 * length].min() > 0.72
    alone = torch.cat([orthogonalise(matrix[None]) for matrix in matrices])
    assert torch.allclose(orthogonalise(matrices), alone, atol=1e-4)


@pytest.mark.parametrize("shape", [(64, 64), (96, 64), (24, 96), (128, 384)])
def test_in_bfloat16_they_are_nearly_as_near(shape: tuple[int, int]) -> None:
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    rounded, exact = orthogonalise(matrices, torch.bfloat16), orthogonalise(matrices)
    assert rounded.dtype is torch.float32
    values = torch.linalg.svdvals(rounded)
    length = torch.linalg.svdvals(matrices).pow(4).sum(-1, keepdim=True) ** 0.25
    assert values.max() < 1.45 and values[torch.linalg.svdvals(matrices) > 0.02 * length].min() > 0.7
    assert (rounded - exact).norm() < 0.15 * exact.norm()
    assert torch.equal(orthogonalise(torch.zeros(2, 16, 16), torch.bfloat16), torch.zeros(2, 16, 16))


@pytest.mark.parametrize(("precision", "products"), [("fp32", torch.float32), ("bf16", torch.bfloat16),
                                                     ("fp16", torch.float32)])  # fmt: skip
def test_muon_multiplies_as_the_run_does(
    precision: Precision, products: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def watched(matrices: torch.Tensor, products: torch.dtype) -> torch.Tensor:
        asked.append(products)
        return orthogonalise(matrices, products)

    monkeypatch.setattr(muon, "orthogonalise", watched)
    decoder, _ = make("muon")
    recipe = Recipe(1, "muon", 0.01, 2, 1, 16, 0.1, 0.0, 0.0, 0.0, 0.0, 1, 1.0)
    optimizer = Optimizer.of(decoder, ARCHITECTURE, recipe, replace(PLACEMENT, precision=precision))
    losses = train(decoder, optimizer, 6, 0.01)
    assert set(asked) == {products} and losses[-1] < losses[0]
    assert all(value.dtype is torch.float32 for value in optimizer.tensors().values())


def test_no_gradient_is_no_update_and_a_tiny_one_is_as_good_as_any() -> None:
    assert torch.equal(orthogonalise(torch.zeros(2, 16, 16)), torch.zeros(2, 16, 16))
    matrix = torch.randn(1, 24, 16, generator=torch.Generator().manual_seed(4))
    assert torch.allclose(orthogonalise(matrix * 1e-4), orthogonalise(matrix), atol=2e-2)


@pytest.mark.parametrize("smallest", [1e-1, 1e-4, 1e-8])
def test_long_matrices_take_a_shorter_way_to_the_same(smallest: float) -> None:
    long = torch.randn(3, 24, 72, generator=torch.Generator().manual_seed(2))
    left, values, right = torch.linalg.svd(long, full_matrices=False)
    values = torch.logspace(0, math.log10(smallest), 24).expand_as(values)
    long = left @ torch.diag_embed(values) @ right
    long = long / long.norm(dim=(1, 2), keepdim=True)
    assert torch.allclose(muon._by_gram(long), muon._directly(long), atol=2e-3)
    scaled = long / (long.norm(dim=(1, 2), keepdim=True) + 1e-7)
    assert torch.equal(orthogonalise(long), muon._by_gram(scaled))


def test_orthogonalising_keeps_the_directions() -> None:
    matrix = torch.randn(1, 32, 48, generator=torch.Generator().manual_seed(2))
    left, _, right = torch.linalg.svd(matrix[0], full_matrices=False)
    cosine = torch.nn.functional.cosine_similarity((left @ right).flatten(), orthogonalise(matrix).flatten(), dim=0)
    assert cosine > 0.95


def update_of(weight: torch.Tensor, optimizer: Optimizer, gradient: torch.Tensor) -> torch.Tensor:
    """What one step at rate 0.1 adds to a weight, weight decay aside, for a rate of one."""
    before = weight.detach().clone()
    weight.grad = gradient
    optimizer.set_rate(0.1)
    optimizer.step(SCALER)
    return (before * (1 - 0.1 * 0.1) - weight.detach()) / 0.1


def test_fused_matrices_are_orthogonalised_apart_and_keep_their_length() -> None:
    decoder, optimizer = make("muon")
    weight = decoder.blocks[0].attention.qkv.weight
    gradient = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    update = update_of(weight, optimizer, gradient)
    for part, one in zip(update.split([128, 64, 64]), gradient.split([128, 64, 64]), strict=True):
        expected = orthogonalise(one[None])[0] * max(1.0, part.shape[0] / part.shape[1]) ** 0.5
        across = 1 if part.shape[0] >= part.shape[1] else 0
        lines = orthogonalise(one[None])[0].square().mean(across, keepdim=True)
        even = (
            expected / (0.95 / max(part.shape) + 0.05 * lines).sqrt()
        )  # the mean squares begin as those of even lines
        assert torch.allclose(part, even * expected.norm() / even.norm(), atol=1e-3)
        assert torch.allclose(part.norm(), expected.norm(), rtol=1e-4)


@pytest.mark.parametrize(("name", "parts", "across"), [("gate_up", [96, 96], 1), ("down", [64], 0)])
def test_lines_along_the_longer_side_become_alike(name: str, parts: list[int], across: int) -> None:
    """Rows of the tall gate and up, columns of the wide down; plain Muon leaves weak neurons with short steps."""
    decoder, optimizer = make("muon")
    weight = getattr(decoder.blocks[0].feed_forward, name).weight
    gradient = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    loudness = torch.logspace(-1, 0, weight.shape[1 - across]).unsqueeze(across)
    for _ in range(80):
        update = update_of(weight, optimizer, gradient * loudness)
    for part, one in zip(update.split(parts), (gradient * loudness).split(parts), strict=True):
        plain, even = orthogonalise(one[None])[0].norm(dim=across), part.norm(dim=across)
        assert plain.max() > 1.5 * plain.min()
        assert even.max() < 1.05 * even.min()


def test_a_matrix_without_any_gradient_stays_and_wakes_without_a_leap() -> None:
    decoder, optimizer = make("muon")
    weight = decoder.blocks[0].feed_forward.down.weight
    for _ in range(50):
        assert not update_of(weight, optimizer, torch.zeros_like(weight)).any()
    gradient = torch.zeros_like(weight)
    gradient[:, :3] = torch.randn(64, 3, generator=torch.Generator().manual_seed(3))
    update = update_of(weight, optimizer, gradient)
    assert torch.isfinite(update).all()
    assert update.norm() < 1.3 * 3**0.5


@pytest.mark.parametrize(("rule", "rate"), [("muon", 0.02), ("adamw", 0.003)])
def test_the_loss_falls(rule: Rule, rate: float) -> None:
    losses = train(*make(rule), 12, rate)
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest() -> None:
    decoder, optimizer = make("muon")
    muon, adamw = optimizer.parts
    taken = {id(p) for group in muon.param_groups for p in group["params"]}
    for name, parameter in decoder.named_parameters():
        assert (id(parameter) in taken) == (name.startswith("blocks.") and parameter.ndim == 2), name
    optimizer.set_rate(0.02)
    assert muon.param_groups[0]["lr"] == 0.02
    assert adamw.param_groups[0]["lr"] == 0.02 * 0.5


@pytest.mark.parametrize("rule", ["muon", "adamw"])
def test_state_returns_bit_for_bit(rule: Rule) -> None:
    decoder, optimizer = make(rule)
    train(decoder, optimizer, 4, 0.01)
    other, fresh = make(rule, seed=9)
    other.load_state_dict(decoder.state_dict())
    fresh.load_tensors({name: value.clone() for name, value in optimizer.tensors().items()})
    assert train(decoder, optimizer, 4, 0.01) == train(other, fresh, 4, 0.01)
    for one, two in zip(decoder.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_state_of_another_rule_is_refused() -> None:
    _, muon = make("muon")
    _, adamw = make("adamw")
    with pytest.raises(ValueError, match="another"):
        muon.load_tensors(adamw.tensors())
