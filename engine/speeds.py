"""How fast training really was on this machine, remembered from run to run: so that the next estimate is better.

One small JSON file in the user's cache folder; losing it costs nothing but accuracy.
"""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any, TypeGuard

from engine.errors import ForgeError
from engine.files import write_atomic
from engine.processor import processor_name
from engine.sizes import SIZES, Dimensions, name_of
from engine.user_cache import user_cache

FASTER, SLOWER = 0.8, 0.3
"""Weight of the newest run in what is remembered. Other work on the machine makes a run slower, and nothing makes it
faster than it can be: a faster run says more than a slower one."""
MOST_BYTES = 1_000_000


def speeds_file() -> Path:
    """Where it is: $XDG_CACHE_HOME/forge-tui/speeds.json."""
    return user_cache() / "speeds.json"


def machine_key(device: str, threads: int, precision: str) -> str:
    """What a speed belongs to; a processor that is fast in bf16 is three times faster than itself in fp32."""
    if device != "cpu":
        return device
    return f"{processor_name()}, {threads} threads" + ("" if precision == "fp32" else f", {precision}")


def remembered_flops(device: str, threads: int, dims: Dimensions, precision: str) -> float | None:
    """Sustained operations a second of earlier runs: of this very shape, else the middle of the others; None without.

    Args:
        device: "cpu", "cuda" or "mps".
        threads: Of the processor.
        dims: Shape of the model.
        precision: "fp32", "bf16" or "fp16".
    """
    found = _read().get(machine_key(device, threads, precision), {})
    speeds = {name: float(value) for name, value in found.items() if _is_speed(value)} if type(found) is dict else {}
    own = speeds.get(_shape(dims))
    return own if own is not None else (statistics.median(speeds.values()) if speeds else None)


def remember_flops(device: str, threads: int, dims: Dimensions, flops: float, precision: str) -> None:
    """Note what a run reached; a folder that cannot be written is no reason to fail.

    Args:
        device: "cpu", "cuda" or "mps".
        threads: Of the processor.
        dims: Shape of the model.
        flops: Operations a second over the whole run, evaluation and saving included.
        precision: "fp32", "bf16" or "fp16".
    """
    if not _is_speed(flops):
        return
    kept, key = _read(), machine_key(device, threads, precision)
    machine = kept.get(key)
    machine = machine if type(machine) is dict else {}
    before = machine.get(_shape(dims))
    if _is_speed(before):
        flops = before + (FASTER if flops > before else SLOWER) * (flops - before)
    machine[_shape(dims)] = round(flops)
    kept[key] = machine
    file = speeds_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, json.dumps(kept, indent=1).encode())
    except (OSError, ForgeError):
        return


def _read() -> dict[str, Any]:
    try:
        with speeds_file().open("rb") as stream:
            kept = json.loads(stream.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _shape(dims: Dimensions) -> str:
    name = name_of(dims)
    return name if name in SIZES else f"{dims.layers}x{dims.dim}x{dims.ffn}"


def _is_speed(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value) and 1e6 < value < 1e18
