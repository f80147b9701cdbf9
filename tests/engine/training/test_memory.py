"""Which errors say that memory has run out, in the words of those who say it."""

from __future__ import annotations

import pytest
import torch

from engine.training.memory import is_out_of_memory, release


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, verdict: bool) -> None:
    assert is_out_of_memory(error) is verdict


def test_giving_back_leaves_what_is_used() -> None:
    kept = torch.arange(1000)
    release("cpu")
    assert torch.equal(kept, torch.arange(1000))
