"""What this machine's processor is good at, asked without torch."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path
from typing import Literal

import psutil


@cache
def cpu_flags() -> frozenset[str]:
    """Feature flags of the first processor, lower-case; empty where the system does not tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() in ("flags", "features"):
                return frozenset(value.lower().split())
    except OSError:
        pass
    return frozenset()


def cpu_does_bf16() -> bool:
    """Whether bfloat16 matrix products are fast here: AMX, AVX-512 BF16, or the Arm extension.

    Without one of these they run several times slower than fp32 (measured: 60 against 230 GFLOP/s and worse).
    """
    return bool(cpu_flags() & {"amx_bf16", "avx512_bf16", "bf16", "avx_bf16"})


def cpu_precision() -> tuple[Literal["fp32", "bf16"], str]:
    """The type that this processor trains fastest in, and why."""
    if cpu_does_bf16():
        return "bf16", "the processor multiplies bfloat16 matrices natively"
    return "fp32", "this processor has no fast bfloat16 (AMX or avx512_bf16)"


def physical_cores() -> int:
    """Cores that this process may use: physical ones, within its affinity and its control group's quota."""
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        physical = min(physical, len(os.sched_getaffinity(0)))
    quota = _cgroup_cpus()
    if quota is not None:
        physical = min(physical, max(1, int(quota)))
    return max(1, physical)


def _cgroup_cpus() -> float | None:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def processor_name() -> str:
    """The processor's name as it calls itself."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() in ("model name", "hardware"):
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
