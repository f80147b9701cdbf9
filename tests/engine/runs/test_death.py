"""Deaths are named: by their exit code, and by what the kernel has counted."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from engine.exit_codes import ExitCode
from engine.runs import death
from engine.runs.death import diagnose, memory_kills


@pytest.mark.parametrize(
    ("code", "before", "after", "named", "exit_code", "says"),
    [
        (-signal.SIGKILL, 3, 4, "killed_for_memory", ExitCode.MEMORY, "because memory ran out"),
        (-signal.SIGKILL, 3, 3, "killed", ExitCode.FAILED, "killed (SIGKILL) by somebody"),
        (-signal.SIGTERM, 3, 4, "killed", ExitCode.FAILED, "ended by SIGTERM"),
        (-signal.SIGSEGV, 0, 0, "crashed", ExitCode.FAILED, "a segmentation fault (SIGSEGV)"),
        (-signal.SIGABRT, 0, 0, "crashed", ExitCode.FAILED, "an abort (SIGABRT)"),
        (-signal.SIGBUS, 0, 0, "crashed", ExitCode.FAILED, "a bus error (SIGBUS)"),
        (-signal.SIGILL, 0, 0, "crashed", ExitCode.FAILED, "an illegal instruction"),
        (-signal.SIGFPE, 0, 0, "crashed", ExitCode.FAILED, "an arithmetic fault"),
        (-200, 0, 0, "killed", ExitCode.FAILED, "ended by signal 200"),
        (0, 0, 0, "worker_lost", ExitCode.FAILED, "without a word (exit code 0)"),
        (1, 5, 9, "worker_lost", ExitCode.FAILED, "without a word (exit code 1)"),
        (None, 0, 0, "worker_lost", ExitCode.FAILED, "exit code None"),
    ],
)
def test_causes(code: int | None, before: int, after: int, named: str, exit_code: ExitCode, says: str) -> None:
    cause = diagnose(code, before, after)
    assert (cause.code, cause.exit_code) == (named, exit_code)
    assert says in cause.text and cause.text.endswith(".")
    assert "Run the same command again" in cause.fix


def test_the_kernels_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events, vmstat = tmp_path / "memory.events", tmp_path / "vmstat"
    events.write_text("low 0\nhigh 2\noom 3\noom_kill 4\noom_group_kill 1\n")
    vmstat.write_text("nr_free_pages 7\noom_kill 5\n")
    monkeypatch.setattr(death, "_cgroup_events", lambda: events)
    monkeypatch.setattr(death, "Path", lambda path: vmstat if path == "/proc/vmstat" else Path(path))
    assert memory_kills() == 9
    events.write_text("garbage\noom_kill many\n")
    assert memory_kills() == 5
    events.unlink()
    vmstat.unlink()
    assert memory_kills() == 0


def test_this_machine_can_be_asked() -> None:
    assert memory_kills() >= 0
