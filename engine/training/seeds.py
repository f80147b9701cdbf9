"""Randomness as a function of (seed, purpose, step): nothing random needs to be saved or restored."""

from __future__ import annotations

import hashlib

import torch


def mix(seed: int, *parts: int | str) -> int:
    """A 63-bit number that depends on all arguments and on nothing else, on every machine."""
    text = ":".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *parts: int | str) -> torch.Generator:
    """A CPU generator seeded by `mix`."""
    return torch.Generator().manual_seed(mix(seed, *parts))
