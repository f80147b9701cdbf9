"""Validation: mean loss and bits per byte on held-out documents."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.model.cross_entropy import token_nats

if TYPE_CHECKING:
    from engine.model.transformer import Decoder
    from engine.text.dataset import Corpus, EpochOrder
    from engine.training.devices import Placement


@dataclass(frozen=True, slots=True)
class Score:
    """How well a model predicts a text."""

    loss: float
    """Nats per token."""
    bits_per_byte: float
    """Bits per UTF-8 byte of the text, comparable across tokenizers."""
    tokens: int
    text_bytes: int


def evaluate(
    decoder: Decoder,
    corpora: list[Corpus],
    placement: Placement,
    *,
    sequence_length: int,
    rows: int,
    interrupted: Callable[[], bool] = lambda: False,
) -> Score | None:
    """Score the held-out documents of all corpora, every token with weight one.

    Args:
        decoder: The model; left in the mode it was in.
        corpora: Each contributes its validation rows.
        placement: Device and precision.
        sequence_length: Tokens in a row.
        rows: Rows of a batch.
        interrupted: Asked between batches; True gives the evaluation up.

    Returns:
        The score; None without held-out documents or when interrupted.
    """
    orders = [corpus.validation_rows(sequence_length) for corpus in corpora if corpus.validation_possible]
    return score(decoder, orders, placement, rows=rows, interrupted=interrupted)


def score(
    decoder: Decoder,
    orders: Iterable[EpochOrder],
    placement: Placement,
    *,
    rows: int,
    interrupted: Callable[[], bool] = lambda: False,
) -> Score | None:
    """Score every row of some orders; arguments and result as for `evaluate`."""
    nats = text_nats = 0.0
    tokens = text_bytes = 0
    with torch.no_grad():
        for order in orders:
            for first in range(0, order.rows, rows):
                if interrupted():
                    return None
                batch = order.batch(first, min(rows, order.rows - first))
                ids, targets = (torch.from_numpy(array).to(placement.device) for array in (batch.ids, batch.targets))
                weights, text = (torch.from_numpy(array).double() for array in (batch.weights, batch.text))
                with placement.autocast():
                    hidden = decoder.hidden(ids).flatten(0, 1)
                    found = token_nats(hidden, decoder.head_weight, targets.flatten()).cpu().double()
                nats += float(found @ weights.flatten())
                text_nats += float(found @ text.flatten())
                tokens += int((batch.weights > 0).sum())
                text_bytes += batch.bytes
    if not tokens or not text_bytes:
        return None
    return Score(nats / tokens, bits_per_byte(text_nats, text_bytes), tokens, text_bytes)


def bits_per_byte(nats: float, text_bytes: int) -> float:
    """Total nats as bits per byte."""
    return nats / math.log(2) / text_bytes if text_bytes else math.nan
