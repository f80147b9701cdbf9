"""What this machine can train with, found out once in a process of its own and remembered for a while."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ForgeError
from engine.estimate import MachineMemory, machine_flops, machine_memory
from engine.files import write_atomic
from engine.job import TrainSection
from engine.processor import cpu_precision, physical_cores, processor_name

KEPT_SECONDS = 7 * 86400
SHARE_OF_PEAK = {"gflops": 0.5, "gflops_bf16": 0.35}
"""Of the speed of bare matrix products in fp32 and in bfloat16, what training reaches."""
BUSY = 1.0
"""Waiting processes a core, above which a measurement says little."""
GPU_FLOPS = 2.0e13
"""Sustained operations a second of a GPU that nothing is known of."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a run would train."""

    device: str
    """`cpu`, `cuda` or `mps`."""
    name: str
    """As it calls itself."""
    memory: MachineMemory
    """Of the device."""
    threads: int
    flops: float
    """Sustained operations a second, as far as it is known before anything was trained."""
    precision: str
    """What "auto" takes."""
    why_precision: str
    probed: bool
    """Whether torch was asked, rather than a guess made."""

    @property
    def words(self) -> str:
        """`cpu x4`, or the GPU's name."""
        return f"cpu x{self.threads}" if self.device == "cpu" else self.name


def machine_of(found: dict[str, Any] | None, train: TrainSection) -> Machine:
    """The machine as a job would use it.

    Args:
        found: What `probe_machine` answered; None while it is not known.
        train: May name a device and a number of threads.
    """
    threads = train.threads if isinstance(train.threads, int) else physical_cores()
    devices = found["devices"] if found else []
    wanted = train.device
    if devices and wanted in ("auto", "cuda"):
        total = int(devices[0]["memory"])
        bf16 = bool(devices[0]["bf16"])
        why = "the GPU has bfloat16 tensor cores" if bf16 else "the GPU has half-precision tensor cores but no bfloat16"
        return Machine("cuda", str(devices[0]["name"]), MachineMemory(total, int(total * 0.95)), threads, GPU_FLOPS,
                       "bf16" if bf16 else "fp16", why, True)  # fmt: skip
    if found and found["mps"] and wanted in ("auto", "mps"):
        return Machine("mps", "Apple GPU", machine_memory(), threads, GPU_FLOPS / 10, "fp32",
                       "16-bit training is not proven on this device", True)  # fmt: skip
    precision, why = ("fp32", "as asked") if train.mixed_precision in (False, "fp32") else cpu_precision()
    flops = machine_flops(threads, precision)
    measured = "gflops_bf16" if precision == "bf16" else "gflops"
    if found and found.get(measured):
        flops = SHARE_OF_PEAK[measured] * 1e9 * found[measured] * threads / max(1, found["threads"])
    return Machine("cpu", processor_name(), machine_memory(), threads, flops, precision, why, found is not None)


def known_machine(cache: Path) -> dict[str, Any] | None:
    """What was found out about this machine lately."""
    try:
        stored = json.loads(_file(cache).read_bytes())
        fresh = stored["name"] == processor_name() and 0 <= time.time() - stored["time"] < KEPT_SECONDS
        found = stored["found"]
        return found if fresh and {"gflops", "threads", "devices", "mps"} <= found.keys() else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def probe_machine(cache: Path) -> dict[str, Any] | None:
    """Ask torch in another process; takes seconds. None when that fails: then we go on with guesses."""
    from engine.runs.task import run_task

    try:
        found: dict[str, Any] = run_task("engine.training.machine:probe", {})
    except ForgeError:
        return None
    if os.getloadavg()[0] > BUSY * physical_cores():
        return found  # measured beside other work: good for now, not worth remembering
    stored = {"time": time.time(), "name": processor_name(), "found": found}
    with contextlib.suppress(OSError, ForgeError):
        cache.mkdir(parents=True, exist_ok=True)
        write_atomic(_file(cache), json.dumps(stored).encode(), durable=False)
    return found


def _file(cache: Path) -> Path:
    return cache / "machine.json"
