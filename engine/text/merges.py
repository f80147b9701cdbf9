"""The merges of a tokenizer as a table: what each token was put together from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Merges:
    """What each token was merged from; arrays have one entry a token id."""

    left: NDArray[np.int32]
    """Id of the first part; -1 where the token is none of two."""
    right: NDArray[np.int32]
    """Id of the second part."""

    @classmethod
    def of(cls, model: dict[str, Any], vocabulary: int, single: Iterable[int] = ()) -> Merges:
        """From the `model` of a tokenizer.json; nothing can be split where it has no merges.

        Args:
            model: Checked.
            vocabulary: Number of token ids.
            single: Tokens that are none of two, whatever the merges say: control tokens and tags.
        """
        left, right = np.full(vocabulary, -1, dtype=np.int32), np.full(vocabulary, -1, dtype=np.int32)
        ids = model.get("vocab", {})
        for merge in model.get("merges", []):
            first, second = merge.split(" ") if isinstance(merge, str) else merge
            whole = ids.get(first + second)
            if whole is not None and left[whole] < 0 and first in ids and second in ids:
                left[whole], right[whole] = ids[first], ids[second]
        for token in single:
            left[token] = right[token] = -1
        return cls(left, right)
