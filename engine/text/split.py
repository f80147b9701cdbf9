"""Which documents are held out: decided by what they say, so that no copy of a held-out document is ever trained on."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from engine.text.conversation import Document
from engine.text.shuffle import state_of, uniform

FEWEST_DOCUMENTS = 10
"""Different documents below which nothing is held out."""
FEWEST_HELD_OUT = 2
"""Different documents that are held out at least, when any are."""
LARGEST_SHARE = 0.25
"""A document with more than this share of all tokens is never held out."""


def text_hash(document: Document) -> int:
    """64 bits of the document's text: equal for texts that differ in case and white space, or in who speaks, alone."""
    normalised = " ".join(" ".join(turn.text for turn in document.turns).casefold().split())
    return int.from_bytes(blake2b(normalised.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The outcome of a split."""

    mask: NDArray[np.bool_]
    """For each document, whether it is held out."""
    possible: bool
    """Whether there is anything to validate on."""
    reason: str
    """In words, for the plan."""


def hold_out(hashes: NDArray[np.uint64], tokens: NDArray[np.int32], fraction: float, seed: int) -> HeldOut:
    """Hold out the documents whose hash falls into the fraction, and at least two.

    The choice for a document does not depend on the others (but to reach two), so appending data moves next to
    nothing from one side to the other.

    Args:
        hashes: `text_hash` of each document; equal hashes stay together.
        tokens: Length of each document.
        fraction: Share of the different documents, from 0 to below 1.
        seed: Another seed is another split.
    """
    nothing = np.zeros(len(hashes), dtype=np.bool_)
    if fraction <= 0:
        return HeldOut(nothing, False, "validation is switched off (data.validation = 0)")
    different, group = np.unique(hashes, return_inverse=True)
    if len(different) < FEWEST_DOCUMENTS:
        count = f"{len(different)} different document" + ("" if len(different) == 1 else "s")
        return HeldOut(nothing, False, f"{count} only: {FEWEST_DOCUMENTS} are needed to hold some out")
    draws = uniform(different, state_of("split", seed))
    largest = np.zeros(len(different), dtype=np.int64)
    np.maximum.at(largest, group, tokens)
    draws[largest > LARGEST_SHARE * int(tokens.sum(dtype=np.int64))] = 2.0
    threshold = max(fraction, float(np.partition(draws, FEWEST_HELD_OUT - 1)[FEWEST_HELD_OUT - 1]) + 2.0**-53)
    mask = (draws < min(threshold, 1.0))[group]
    held = int(mask.sum())
    reason = f"{held:,} of {len(hashes):,} documents are held out ({held / len(hashes):.1%}, asked for {fraction:.1%})"
    return HeldOut(mask, True, reason)
