"""Tokens split at random into the two that they were merged from: text that is seen often never looks the same twice.

After BPE-dropout (arXiv 1910.13267), done to tokens instead of to merges as in StochasTok (arXiv 2506.01687): a text is
tokenised once, a split is a look into a table, and where it falls is a pure function of the key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.text.chat_template import TokenKind
from engine.text.epoch import Documents
from engine.text.merges import Merges
from engine.text.shuffle import sequence, state_of, uniform
from engine.text.token_cache import TokenFile

ROUNDS = 3
"""How often what is left of a token may be split again."""
CHUNK = 1 << 20
"""Tokens that are worked on at once."""
DEVIATIONS = 5
"""Times the root of the expected number of splits, by which there may be more."""


def counted(documents: Documents, which: NDArray[Any], merges: Merges) -> NDArray[np.int64]:
    """How often each token id that can be split comes in these documents: [vocabulary]."""
    total = np.zeros(len(merges.left), dtype=np.int64)
    for tokens, kinds, _ in _chunks(documents, which):
        total += np.bincount(tokens[_divisible(tokens, kinds, merges)], minlength=len(total))
    return total


def most_splits(counts: NDArray[np.int64], merges: Merges, share: float) -> float:
    """How many splits `split_documents` makes at most, but for once in a great many epochs.

    Args:
        counts: As from `counted`.
        merges: Of the tokenizer.
        share: Of the tokens that are split.
    """
    expected = np.zeros(len(merges.left))
    for _ in range(ROUNDS):
        # Where there are no parts, -1 reads some other token's, which is not used.
        of_parts = expected[merges.left] + expected[merges.right]
        expected = np.where(merges.left >= 0, share * (1 + of_parts), 0.0)
    total = float((counts * expected).sum())
    return total + DEVIATIONS * math.sqrt(total)


def split_documents(
    documents: Documents, which: NDArray[Any], merges: Merges, share: float, *key: int | str
) -> Documents:
    """The documents `which`, in this order, each token split with the probability `share`, and its parts again.

    Args:
        documents: All of them.
        which: Indices; one may come several times and is split differently each time.
        merges: Of the tokenizer.
        share: From 0 to 1. Role headers, control tokens and tool tags are never split.
        key: Of the randomness.

    Returns:
        They and nothing else, in memory: three bytes a token, six for a moment (more with a vocabulary above 65,536).
    """
    tokens, kinds, lengths = [], [], []
    for number, (ids, whose, counts) in enumerate(_chunks(documents, which)):
        fresh = np.ones(len(ids), dtype=np.bool_)
        for again in range(ROUNDS):
            chance = uniform(sequence(len(ids)), state_of("splits", *key, number, again))
            chosen = fresh & _divisible(ids, whose, merges) & (chance < share)
            ids, whose, counts, fresh = _once(ids, whose, counts, chosen, merges)
        tokens.append(ids)
        kinds.append(whose)
        lengths.append(counts)
    sizes = np.concatenate(lengths)
    ends = np.cumsum(sizes, dtype=np.int64)
    nothing = np.zeros(0, dtype=np.int64)
    file = TokenFile(
        key="", tokens=np.concatenate(tokens), kinds=np.concatenate(kinds), starts=nothing,
        hashes=nothing.astype(np.uint64), text_bytes=nothing, skipped={},
    )  # fmt: skip
    return Documents((file,), np.zeros(len(sizes), dtype=np.int32), ends - sizes, sizes.astype(np.int32))


def _divisible(tokens: NDArray[Any], kinds: NDArray[np.uint8], merges: Merges) -> NDArray[np.bool_]:
    divisible: NDArray[np.bool_] = (merges.left[tokens] >= 0) & (kinds != TokenKind.TEMPLATE)
    return divisible


def _once(
    tokens: NDArray[Any],
    kinds: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    merges: Merges,
) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Tokens, kinds and the documents' lengths after the chosen tokens have been split, and which are their parts."""
    copies = 1 + chosen.astype(np.int64)
    split = np.repeat(tokens, copies)
    first = (np.cumsum(copies) - copies)[chosen]
    split[first], split[first + 1] = merges.left[tokens[chosen]], merges.right[tokens[chosen]]
    before = np.concatenate([[0], np.cumsum(chosen, dtype=np.int64)])
    ends = np.cumsum(lengths)
    lengths = lengths + before[ends] - before[ends - lengths]
    return split, np.repeat(kinds, copies), lengths, np.repeat(chosen, copies)


def _chunks(
    documents: Documents, which: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.int64]]]:
    """Tokens, kinds and lengths of some documents at a time: at least one, else about CHUNK tokens."""
    lengths = documents.tokens[which].astype(np.int64)
    ends = np.cumsum(lengths)
    begin = 0
    while begin < len(which):
        limit = (ends[begin - 1] if begin else 0) + CHUNK
        end = max(begin + 1, int(np.searchsorted(ends, limit, side="right")))
        tokens, kinds = [], []
        for document in which[begin:end].tolist():
            file, start = documents.files[int(documents.file[document])], int(documents.start[document])
            stretch = slice(start, start + int(documents.tokens[document]))
            tokens.append(file.tokens[stretch])
            kinds.append(file.kinds[stretch])
        yield np.concatenate(tokens), np.concatenate(kinds), lengths[begin:end]
        for file in documents.files:
            file.release()
        begin = end
