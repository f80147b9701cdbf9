"""The keys and values of tokens already read, so that each new token costs one step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.model.architecture import Architecture


class KeyValueCache:
    """Room for the keys and values of every block, allocated once.

    Rows of a batch may start at different columns: a prompt shorter than the longest is padded on the left, and
    `starts` says how many columns of padding each row has.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        batch: int = 1,
        capacity: int | None = None,
        starts: Sequence[int] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Allocate.

        Args:
            architecture: of the decoder that will fill it.
            batch: rows.
            capacity: most tokens a row; the context when None.
            starts: columns of left padding per row; None when there is none.
            device: where the decoder is.
            dtype: of keys and values.
        """
        self.capacity = architecture.context if capacity is None else capacity
        shape = (architecture.layers, batch, architecture.kv_heads, self.capacity, architecture.head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.length = 0
        """Columns filled."""
        padded = starts is not None and any(starts)
        self.starts: Tensor | None = torch.tensor(starts, device=device) if padded else None
        self.first = min(starts, default=0) if starts is not None else 0
        """The smallest of `starts`: column `first` is position 0 of the longest row."""

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new columns of one block behind the filled ones; return all of them.

        Args:
            layer: index of the block.
            keys: [B, KV, T, head_dim].
            values: [B, KV, T, head_dim].

        Returns:
            Keys and values of columns 0 to length + T, [B, KV, length + T, head_dim].
        """
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Drop all rows of the batch but `rows` ([n] indices): finished answers cost nothing more."""
        self.keys = self.keys[:, rows]
        self.values = self.values[:, rows]
        if self.starts is not None:
            self.starts = self.starts[rows]
            self.first = int(self.starts.min())
