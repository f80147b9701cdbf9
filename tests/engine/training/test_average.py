"""The averaged weights: their arithmetic, what is computed with them, and what a checkpoint keeps of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.training.average import Average


def module(value: float = 0.0) -> nn.Linear:
    made = nn.Linear(3, 2, bias=False)
    nn.init.constant_(made.weight, value)
    return made


def test_after_a_half_life_a_step_counts_half() -> None:
    layer = module()
    average = Average(layer, half_life=50.0)
    nn.init.constant_(layer.weight, 1.0)
    for step in range(10_000, 10_050):
        average.update(step)
    assert average.tensors()["weight"][0, 0].item() == pytest.approx(0.5, abs=1e-3)


def test_the_first_steps_forget_the_untrained_weights_quickly() -> None:
    layer = module()
    average = Average(layer, half_life=1000.0)
    nn.init.constant_(layer.weight, 1.0)
    for step in range(1, 31):
        average.update(step)
    assert average.tensors()["weight"][0, 0].item() > 0.99


def test_inside_the_module_computes_with_the_average_and_afterwards_as_before() -> None:
    layer = module()
    average = Average(layer, half_life=5.0)
    nn.init.constant_(layer.weight, 1.0)
    identity = layer.weight
    with average.applied():
        assert layer(torch.ones(3))[0].item() == 0.0 and layer.weight is identity
    assert layer(torch.ones(3))[0].item() == 3.0
    with pytest.raises(RuntimeError, match="inside"), average.applied():
        raise RuntimeError("inside")
    assert layer.weight[0, 0].item() == 1.0


def test_saved_averages_come_back_bit_for_bit_and_others_are_refused() -> None:
    layer = module(0.3)
    average = Average(layer, half_life=7.0)
    nn.init.constant_(layer.weight, 1.0)
    average.update(3)
    saved = {name: tensor.clone() for name, tensor in average.tensors().items()}
    other = Average(module(9.0), half_life=7.0)
    other.load_tensors(saved)
    assert torch.equal(other.tensors()["weight"], saved["weight"])
    with pytest.raises(ValueError, match="another model"):
        other.load_tensors({"bias": saved["weight"]})
    with pytest.raises(ValueError, match="shape"):
        other.load_tensors({"weight": torch.zeros(1, 2)})


def test_without_a_half_life_there_is_nothing_but_the_weights() -> None:
    layer = module(2.0)
    average = Average(layer, half_life=0.0)
    average.update(1)
    assert not average.differs and average.tensors()["weight"][0, 0].item() == 2.0
    with average.applied():
        assert layer.weight[0, 0].item() == 2.0
