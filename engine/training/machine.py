"""What torch finds on this machine, as a task for a process of its own: probing a GPU can crash or hang."""

from __future__ import annotations

import time
from typing import Any

import torch

from engine.processor import physical_cores
from engine.runs.task import Tell


def probe(tell: Tell) -> dict[str, Any]:
    """Ask torch for its devices, and measure a matrix product on the processor.

    Args:
        tell: Not used: there is only the result.

    Returns:
        `torch`, `threads`, `gflops` (fp32) and `gflops_bf16` of the processor, `devices` (a list of `name`, `memory`,
        `bf16`), `mps`.
    """
    torch.set_num_threads(physical_cores())
    devices = []
    for index in range(torch.cuda.device_count()) if torch.cuda.is_available() else ():
        facts = torch.cuda.get_device_properties(index)
        devices.append({"name": facts.name, "memory": facts.total_memory, "bf16": (facts.major, facts.minor) >= (8, 0)})
    return {
        "torch": str(torch.__version__), "threads": torch.get_num_threads(), "devices": devices,
        "mps": torch.backends.mps.is_available(), "gflops": _gflops(torch.float32),
        "gflops_bf16": _gflops(torch.bfloat16, size=256),
    }  # fmt: skip


def _gflops(dtype: torch.dtype, size: int = 768, seconds: float = 0.4) -> float:
    """Billions of operations a second of square matrix products, the best of what fits into `seconds`."""
    left, right = torch.rand(size, size).to(dtype), torch.rand(size, size).to(dtype)
    best = 0.0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        began = time.perf_counter()
        left @ right
        best = max(best, 2 * size**3 / (time.perf_counter() - began) / 1e9)
    return round(best, 1)
