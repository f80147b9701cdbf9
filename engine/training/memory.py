"""Recognising that memory has run out, on every device."""

from __future__ import annotations

import ctypes
import gc

import torch

_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "failed to allocate", "bad_alloc",
          "could not create a primitive")  # fmt: skip
"""The last is all that oneDNN, which does the products in bfloat16, says when it gets no memory for its code."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that there was no memory; the CPU allocator only raises RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)


def release(device: str) -> None:
    """Give back what the failed step held. Call outside the `except` block: its traceback keeps tensors alive."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc: what is free among what is not goes back to the kernel, too
        trim(0)
