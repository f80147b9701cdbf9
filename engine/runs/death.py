"""Why a worker died without a word: its exit code and the kernel's own counters."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from engine.exit_codes import ExitCode

_CRASHES = {
    signal.SIGSEGV: "a segmentation fault",
    signal.SIGABRT: "an abort",
    signal.SIGBUS: "a bus error",
    signal.SIGILL: "an illegal instruction",
    signal.SIGFPE: "an arithmetic fault",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """A death, named."""

    code: str
    text: str
    fix: str
    exit_code: ExitCode


def memory_kills() -> int:
    """How many processes the kernel has killed for memory, in our control group and on the machine."""
    total = 0
    for path in (_cgroup_events(), Path("/proc/vmstat")):
        if path is None:
            continue
        try:
            for line in path.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    total += int(value)
        except (OSError, ValueError):
            continue
    return total


def _cgroup_events() -> Path | None:
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            number, _, rest = line.partition(":")
            if number == "0":
                return Path("/sys/fs/cgroup") / rest.partition(":")[2].lstrip("/") / "memory.events"
    except OSError:
        return None
    return None


def diagnose(exit_code: int | None, kills_before: int, kills_after: int) -> Cause:
    """Name the death of a worker that sent no final event.

    Args:
        exit_code: Of the process; negative for a signal.
        kills_before: `memory_kills()` when it started.
        kills_after: `memory_kills()` now.
    """
    again = "Run the same command again: it continues from the last checkpoint."
    if exit_code == -signal.SIGKILL and kills_after > kills_before:
        return Cause(
            "killed_for_memory",
            "The kernel killed the worker because memory ran out.",
            "Use a smaller batch_size, sequence_length or size, or close other programs. " + again,
            ExitCode.MEMORY,
        )
    if exit_code == -signal.SIGKILL:
        return Cause("killed", "The worker was killed (SIGKILL) by somebody.", again, ExitCode.FAILED)
    if exit_code is not None and exit_code < 0:
        try:
            number = signal.Signals(-exit_code)
        except ValueError:
            return Cause("killed", f"The worker was ended by signal {-exit_code}.", again, ExitCode.FAILED)
        if number in _CRASHES:
            return Cause(
                "crashed",
                f"The worker crashed with {_CRASHES[number]} ({number.name}).",
                f"worker.log has the trace. {again}",
                ExitCode.FAILED,
            )
        return Cause("killed", f"The worker was ended by {number.name}.", again, ExitCode.FAILED)
    return Cause(
        "worker_lost",
        f"The worker ended without a word (exit code {exit_code}).",
        f"worker.log may say why. {again}",
        ExitCode.FAILED,
    )
