"""Rows of one length out of documents of all lengths: every token once, next to no padding, the same every time."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.text.packing import PADDING, Packing, pack, rows_for

LENGTHS = st.lists(st.one_of(st.integers(1, 40), st.integers(1, 700)), min_size=1, max_size=120)


def lengths_of(values: list[int]) -> NDArray[np.int32]:
    return np.array(values, dtype=np.int32)


def row_of_piece(packing: Packing) -> NDArray[np.int64]:
    return np.repeat(np.arange(packing.rows), np.diff(packing.row_start))


def predicted(packing: Packing) -> int:
    """Tokens that some row predicts: all but those that a row begins with."""
    begins = packing.first[packing.row_start[:-1]] == 0
    return int(packing.tokens.sum()) - int(begins.sum())


@given(LENGTHS, st.sampled_from([2, 3, 16, 64, 256, 512]), st.one_of(st.none(), st.integers(1, 513)))
@settings(max_examples=300)
def test_every_token_of_every_document_once(values: list[int], length: int, phase: int | None) -> None:
    packing = pack(lengths_of(values), length, phase)
    for document, total in enumerate(values):
        mine = packing.document == document
        order = np.argsort(packing.first[mine])
        first, tokens = packing.first[mine][order], packing.tokens[mine][order]
        assert first[0] == 0
        assert np.array_equal(first[1:], np.cumsum(tokens)[:-1])
        assert tokens.sum() == total


@given(LENGTHS, st.sampled_from([2, 3, 16, 64, 256, 512]), st.one_of(st.none(), st.integers(1, 513)))
@settings(max_examples=300)
def test_rows_are_full_enough_never_too_full_and_as_many_as_foretold(
    values: list[int], length: int, phase: int | None
) -> None:
    packing = pack(lengths_of(values), length, phase)
    assert packing.rows == rows_for(sum(values), max(values), length)
    starts = packing.row_start[:-1]
    assert (np.diff(packing.row_start) > 0).all()
    context = packing.first[starts] > 0
    used = np.add.reduceat(packing.tokens.astype(np.int64), starts) + context
    assert used.max() <= length + 1
    inside = np.ones(len(packing.first), dtype=bool)
    inside[starts] = False
    assert (packing.first[inside] == 0).all(), "a continuation stands in the middle of a row, behind another document"


@given(st.lists(st.integers(5, 900), min_size=200, max_size=400), st.sampled_from([64, 128, 256, 512]))
@settings(max_examples=60, deadline=None)
def test_padding_is_below_two_percent(values: list[int], length: int) -> None:
    packing = pack(lengths_of(values), length)
    wasted = packing.rows * length - predicted(packing)
    assert (
        wasted <= 0.02 * packing.rows * length + 2 * length
    )  # the last row, and the first when long documents are cut


@pytest.mark.parametrize("length", [128, 512, 2048])
@pytest.mark.parametrize("kind", ["pairs", "dialogues", "constant", "books", "mixed"])
def test_padding_on_the_shapes_that_data_has(kind: str, length: int) -> None:
    chance = np.random.default_rng(5)
    values = {
        "pairs": np.clip(chance.lognormal(4.0, 0.6, 20_000), 5, 4000),
        "dialogues": np.clip(chance.lognormal(5.6, 0.5, 8000), 5, 4000),
        "constant": np.full(6000, 300),
        "books": chance.integers(20_000, 200_000, 20),
        "mixed": np.concatenate([chance.integers(5, 60, 10_000), chance.integers(5000, 50_000, 30)]),
    }[kind].astype(np.int32)
    packing = pack(values, length, 7)
    assert 1 - predicted(packing) / (packing.rows * length) < 0.02


def test_short_documents_stay_whole() -> None:
    values = np.random.default_rng(1).integers(10, 120, 20_000).astype(np.int32)
    packing = pack(values, 512)
    assert (packing.first > 0).mean() < 0.001


def test_order_is_kept_but_for_the_gaps() -> None:
    values = np.random.default_rng(2).integers(10, 60, 5000).astype(np.int32)
    packing = pack(values, 512)
    middle = np.abs(packing.document - np.arange(len(packing.document)) * 5000 / len(packing.document))
    assert np.median(middle) < 1100


def test_a_phase_moves_the_cuts_of_a_long_document() -> None:
    cuts = {phase: set(pack(lengths_of([5000]), 256, phase).first.tolist()) for phase in (1, 100, 257)}
    assert not (cuts[1] & cuts[100]) - {0}
    assert not (cuts[100] & cuts[257]) - {0}


def test_it_depends_on_nothing_but_its_arguments() -> None:
    values = lengths_of([300, 20, 5, 900, 77, 41, 300] * 30)
    one, two = pack(values, 128, 3), pack(values, 128, 3)
    assert all(
        np.array_equal(getattr(one, name), getattr(two, name)) for name in ("document", "first", "tokens", "row_start")
    )


def test_nothing_to_pack() -> None:
    assert pack(lengths_of([]), 512).rows == 0


def test_a_million_documents_in_seconds() -> None:
    values = np.random.default_rng(3).integers(5, 150, 1_000_000).astype(np.int32)
    begin = time.process_time()
    packing = pack(values, 512, 1)
    assert time.process_time() - begin < 20
    assert packing.rows <= values.sum() / (1 - PADDING) / 512 + 1
