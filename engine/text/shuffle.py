"""Random numbers as a pure function of their key: the same on every machine and with every version of numpy."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0x9E3779B97F4A7C15


def state_of(*key: int | str) -> int:
    """64 bits that depend on every part of the key."""
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), "little")


def mix(values: NDArray[np.uint64], state: int = 0) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014) over each value: 64 well-mixed bits."""
    mixed: NDArray[np.uint64] = values + np.uint64(state)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def uniform(values: NDArray[np.uint64], state: int = 0) -> NDArray[np.float64]:
    """A number from 0 (inclusive) to 1 (exclusive) for each value."""
    return (mix(values, state) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def sequence(size: int) -> NDArray[np.uint64]:
    """As many values that are all different and far apart, for `mix` and `uniform`."""
    return np.arange(size, dtype=np.uint64) * np.uint64(_GOLDEN)


def permutation(size: int, state: int) -> NDArray[np.int64]:
    """The numbers below `size` in random order."""
    return np.argsort(mix(sequence(size), state), kind="stable")
