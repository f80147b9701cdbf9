from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ModelError, UsageError
from engine.model.sampling import SamplingSettings, choose, filtered_probabilities, penalise

PLAIN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0}


def settings(**changes: Any) -> SamplingSettings:
    return SamplingSettings(**{**PLAIN, **changes})


def draw(logits: torch.Tensor, chosen: SamplingSettings, seed: int = 1, seen: tuple[int, ...] = ()) -> int:
    return choose(logits.clone().unsqueeze(0), [seen], chosen, [torch.Generator().manual_seed(seed)])[0]


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = torch.tensor([0.1, 3.0, 2.9, -1.0])
    assert {draw(logits, settings(temperature=0.0), seed) for seed in range(5)} == {1}


def test_the_penalty_lowers_positive_and_negative_logits() -> None:
    logits = torch.tensor([2.0, -2.0, 1.0, 0.0])
    penalise(logits, [0, 1, 1, 3], 2.0)
    assert logits.tolist() == [1.0, -4.0, 1.0, 0.0]
    assert draw(torch.tensor([2.0, 1.9]), settings(temperature=0.0, repetition_penalty=1.5), seen=(0,)) == 1
    assert draw(torch.tensor([-1.0, -1.1]), settings(temperature=0.0, repetition_penalty=1.5), seen=(0,)) == 1


def test_top_k_keeps_k() -> None:
    probabilities = filtered_probabilities(torch.tensor([[1.0, 4.0, 3.0, 2.0]]), settings(top_k=2))
    assert (probabilities > 0).tolist() == [[False, True, True, False]]


def test_top_p_keeps_the_smallest_set_that_reaches_p() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    for p, kept in ((0.4, 1), (0.5, 1), (0.51, 2), (0.8, 2), (0.81, 3), (1.0, 4)):
        assert int((filtered_probabilities(logits, settings(top_p=p)) > 0).sum()) == kept, p


def test_min_p_is_a_share_of_the_likeliest() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    probabilities = filtered_probabilities(logits, settings(min_p=0.29))
    assert (probabilities > 0).tolist() == [[True, True, True, False]]
    assert probabilities.sum().item() == pytest.approx(1.0)


def test_frequencies_are_the_probabilities() -> None:
    logits = torch.tensor([0.6, 0.3, 0.1]).log()
    generator = torch.Generator().manual_seed(0)
    counts = Counter(choose(logits.clone().unsqueeze(0), [()], settings(), [generator])[0] for _ in range(3000))
    assert [counts[token] / 3000 for token in range(3)] == pytest.approx([0.6, 0.3, 0.1], abs=0.03)


def test_the_same_seed_gives_the_same_token() -> None:
    logits = torch.zeros(50)
    assert draw(logits, settings(), 3) == draw(logits, settings(), 3)
    assert len({draw(logits, settings(), seed) for seed in range(20)}) > 5


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    logits = torch.randn(2, 30, generator=torch.Generator().manual_seed(1))
    both = choose(logits.clone(), [(), ()], settings(), [torch.Generator().manual_seed(s) for s in (4, 5)])
    assert both == [draw(logits[0], settings(), 4), draw(logits[1], settings(), 5)]


@given(
    st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=20),
    st.floats(1e-6, 100),
    st.integers(0, 30),
    st.floats(0.001, 1),
    st.floats(0, 1),
)
def test_the_likeliest_always_stays(numbers: list[float], temperature: float, k: int, p: float, floor: float) -> None:
    logits = torch.tensor([numbers])
    chosen = settings(temperature=temperature, top_k=k, top_p=p, min_p=floor)
    probabilities = filtered_probabilities(logits, chosen)
    assert probabilities.sum().item() == pytest.approx(1.0, abs=1e-4)
    best = logits == logits.max()
    assert bool((probabilities[best] > 0).any())
    assert bool((probabilities >= 0).all())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_numbers_are_an_error(bad: float) -> None:
    with pytest.raises(ModelError, match="no numbers"):
        draw(torch.tensor([0.0, bad]), settings())


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": 2.0},
        {"repetition_penalty": 0.0},
        {"max_tokens": 0},
        {"stop": ("",)},
        {"stop": "text"},
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(change))):
        settings(**change)
