"""What a run will need, before anything is built: memory, disk and time. Free of torch, shared by app and plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.sizes import Dimensions

RUNTIME_BYTES = 330_000_000
"""A worker with torch loaded that has trained nothing yet (measured: 280 to 340 MB resident)."""
LOGITS_CHUNK_BYTES = 128 * 2**20
"""Logits larger than this are computed in chunks."""
MEMORY_SHARE = 0.85
"""Of the free memory that a run may be planned to use."""
RECOMPUTING = 4 / 3
"""Time of a step with activation checkpointing: the forward pass is a third of it and done twice."""
FLOPS_PER_CORE = {"fp32": 2.0e10, "bf16": 6.0e10}
"""Sustained operations a second of one core, when nothing has been measured (a rough middle)."""


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """What the process may use."""

    total: int
    available: int


def machine_memory() -> MachineMemory:
    """RAM of the machine, or of the control group that we are confined to when that is less."""
    memory = psutil.virtual_memory()
    total, available = memory.total, memory.available
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            most = int(Path(limit).read_text())
            now = int(Path(used).read_text())
        except (OSError, ValueError):
            continue
        if most < total:
            total, available = most, min(available, max(0, most - now))
    return MachineMemory(total=total, available=available)


def training_memory(
    dims: Dimensions, vocabulary: int, rows: int, sequence_length: int, *, recompute: bool = False
) -> int:
    """Bytes at the peak of a training step in fp32 with AdamW.

    Weights, their average, gradients and two moments are 20 bytes a parameter; activations are about
    (10 + 4 ffn/dim) dim values a token and layer with fused attention; logits count three times (values, gradient,
    softmax) up to a chunk.

    Args:
        dims: Shape of the model.
        vocabulary: Tokens.
        rows: Rows of the micro-batch.
        sequence_length: Tokens in a row.
        recompute: With activation checkpointing: only what enters each layer is kept, and one layer's activations.
    """
    state = 20 * dims.parameters(vocabulary)
    tokens = rows * sequence_length
    layer = 10 * dims.dim + 4 * dims.ffn
    activations = 4 * tokens * (dims.layers * dims.dim + layer if recompute else dims.layers * layer)
    logits = min(3 * 4 * tokens * vocabulary, 3 * LOGITS_CHUNK_BYTES)
    return RUNTIME_BYTES + state + activations + logits


def inference_memory(dims: Dimensions, vocabulary: int, context: int) -> int:
    """Bytes to answer with a model in fp32: weights, KV cache, runtime."""
    cache = 2 * 4 * dims.layers * dims.kv_heads * 64 * context
    return RUNTIME_BYTES + 4 * dims.parameters(vocabulary) + cache


def checkpoint_bytes(dims: Dimensions, vocabulary: int) -> int:
    """Bytes of one checkpoint: weights, their average, two moments, and the tokenizer."""
    return 16 * dims.parameters(vocabulary) + 120 * vocabulary + 20_000


def work_per_token(dims: Dimensions, vocabulary: int, sequence_length: float, *, recompute: bool) -> float:
    """Floating point operations that training takes for a token, with activation checkpointing or without.

    Linear in the sequence length: where it changes along a run, its mean gives the work of the whole run.
    """
    work = dims.flops_per_token(vocabulary, sequence_length)
    return work * RECOMPUTING if recompute else work


def tokens_per_second(
    dims: Dimensions, vocabulary: int, sequence_length: float, flops: float, *, recompute: bool = False
) -> float:
    """Training speed on a device that sustains `flops` operations a second."""
    return flops / work_per_token(dims, vocabulary, sequence_length, recompute=recompute)


def machine_flops(threads: int, precision: str) -> float:
    """Guess of the sustained operations a second of this machine's processor, in "fp32" or "bf16"."""
    return FLOPS_PER_CORE[precision] * threads
