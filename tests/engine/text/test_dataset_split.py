"""Held-out documents: enough of them, none leaked, and the same ones tomorrow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.text.conversation import Document, Turn
from engine.text.split import FEWEST_DOCUMENTS, HeldOut, hold_out, text_hash
from tests.engine.text.token_samples import pair, pairs


def split(documents: list[Document], fraction: float = 0.05, seed: int = 0, tokens: list[int] | None = None) -> HeldOut:
    hashes = np.array([text_hash(document) for document in documents], dtype=np.uint64)
    lengths = np.array(tokens or [10] * len(documents), dtype=np.int32)
    return hold_out(hashes, lengths, fraction, seed)


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_the_share_is_about_what_was_asked_for(fraction: float) -> None:
    assert abs(split(pairs(4000, words=1), fraction).mask.mean() - fraction) < 0.02


def test_at_least_two_where_there_are_few() -> None:
    for seed in range(30):
        found = split(pairs(FEWEST_DOCUMENTS), 0.01, seed)
        assert found.possible
        assert found.mask.sum() == 2


@pytest.mark.parametrize("count", [0, 1, 2, FEWEST_DOCUMENTS - 1])
def test_too_few_documents_are_all_trained_on_and_it_is_said(count: int) -> None:
    found = split(pairs(count), 0.3)
    assert not found.possible
    assert not found.mask.any()
    assert f"{count} different" in found.reason


def test_copies_do_not_count_as_documents() -> None:
    assert not split(pairs(3) * 50, 0.5).possible


def test_switched_off() -> None:
    found = split(pairs(100), 0.0)
    assert (found.possible, found.mask.any()) == (False, False)
    assert "off" in found.reason


@given(st.integers(0, 200), st.integers(20, 200), st.integers(0, 5))
@settings(deadline=None)
def test_appending_data_moves_nothing_across(more: int, few: int, seed: int) -> None:
    documents = pairs(few + more)
    before, after = split(documents[:few], 0.5, seed).mask, split(documents, 0.5, seed).mask
    assert np.array_equal(before, after[:few])


@given(st.lists(st.integers(0, 30), min_size=40, max_size=80), st.integers(0, 5))
@settings(deadline=None)
def test_copies_stay_on_one_side(numbers: list[int], seed: int) -> None:
    variants = (str, lambda n: f"  {n}\n", lambda n: f"{n}\t ")
    documents = [
        Document(
            (
                Turn(
                    "text",
                    f"The QUICK{variants[k % 3](n)} fox".swapcase() if k % 2 else f"The QUICK{variants[k % 3](n)} fox",
                ),
            )
        )
        for k, n in enumerate(numbers)
    ]
    tokens = [10 + k % 7 for k in range(len(numbers))]
    mask = split(documents, 0.4, seed, tokens).mask
    normalised = [" ".join(document.turns[0].text.casefold().split()) for document in documents]
    held_out = {text for text, held in zip(normalised, mask, strict=True) if held}
    trained = {text for text, held in zip(normalised, mask, strict=True) if not held}
    assert not held_out & trained


def test_the_hash_is_of_what_is_said() -> None:
    assert text_hash(pair("What?", "That.")) == text_hash(Document((Turn("text", "WHAT? \n\n that."),)))
    assert text_hash(pair("What?", "That.")) != text_hash(pair("What?", "This."))
    assert text_hash(pair("Stra\u00dfe", "")) == text_hash(pair("STRASSE", ""))
    text_hash(pair("\ud800", ""))


def test_a_document_that_is_most_of_the_data_is_trained_on() -> None:
    documents = pairs(20)
    for seed in range(40):
        found = split(documents, 0.3, seed, tokens=[1000, *[10] * 19])
        assert found.possible
        assert not found.mask[0]


def test_another_seed_is_another_split() -> None:
    documents = pairs(300)
    assert not np.array_equal(split(documents, 0.2, 0).mask, split(documents, 0.2, 1).mask)
