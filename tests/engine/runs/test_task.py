"""A function in another process: results, messages, errors, deaths, and no orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.errors import DataError, DiskFullError, ForgeError
from engine.exit_codes import ExitCode
from engine.runs import death
from engine.runs.task import Tell, run_task

HERE = "tests.engine.runs.test_task"


def double(tell: Tell, *, number: int) -> dict[str, Any]:
    print("printed by a library")
    os.write(1, b"written by a library in C\n")
    tell("half way")
    tell({"at": [number]})
    return {"number": 2 * number, "torch": "torch" in sys.modules}


def fail(tell: Tell, *, kind: str) -> None:
    if kind == "data":
        raise DataError("It is \udcff empty.", file="a.txt", line=3, fix="Fill it.")
    if kind == "disk":
        raise DiskFullError("No space.")
    if kind == "exit":
        os._exit(3)
    if kind == "wait":
        tell(os.getpid())
        time.sleep(60)
    if kind == "json":
        tell(object())
    os.kill(os.getpid(), int(kind)) if kind.isdecimal() else 1 / 0


def test_results_and_messages_come_back() -> None:
    heard: list[Any] = []
    assert run_task(f"{HERE}:double", {"number": 21}, heard.append) == {"number": 42, "torch": False}
    assert heard == ["half way", {"at": [21]}]


def test_errors_keep_their_words_and_their_exit_code() -> None:
    with pytest.raises(DataError) as caught:
        run_task(f"{HERE}:fail", {"kind": "data"})
    assert str(caught.value) == "a.txt:3: It is ? empty. Fill it." and caught.value.exit_code == ExitCode.DATA
    with pytest.raises(DiskFullError):
        run_task(f"{HERE}:fail", {"kind": "disk"})


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("zero", "ZeroDivisionError: division by zero."),
        ("json", "Encoding objects of type object is unsupported"),
        ("exit", r"has ended \(exit code 3\)"),
        (str(int(signal.SIGKILL)), r"has ended \(exit code -9\)"),
        (str(int(signal.SIGSEGV)), "has ended"),
    ],
)
def test_other_ends_are_named(kind: str, says: str) -> None:
    with pytest.raises(ForgeError, match=says) as caught:
        run_task(f"{HERE}:fail", {"kind": kind})
    assert caught.value.exit_code == ExitCode.FAILED and "\n" not in str(caught.value)


def test_killed_for_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    count = iter(range(9))
    monkeypatch.setattr(death, "memory_kills", lambda: next(count))
    with pytest.raises(ForgeError, match="Memory ran out") as caught:
        run_task(f"{HERE}:fail", {"kind": "9"})
    assert caught.value.exit_code == ExitCode.MEMORY


def test_a_function_that_is_not_there() -> None:
    with pytest.raises(ForgeError, match=r"AttributeError|ended"):
        run_task(f"{HERE}:nothing", {})


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_giving_up_ends_the_process() -> None:
    pids: list[int] = []

    def hear(pid: int) -> None:
        pids.append(pid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_task(f"{HERE}:fail", {"kind": "wait"}, hear)
    assert is_gone(pids[0])


def test_a_killed_asker_leaves_no_orphan() -> None:
    script = "from engine.runs.task import run_task\n"
    script += f"run_task('{HERE}:fail', {{'kind': 'wait'}}, lambda pid: print(pid, flush=True))"
    asker = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    assert asker.stdout is not None
    pid = int(asker.stdout.readline())
    asker.kill()
    asker.wait()
    asker.stdout.close()
    assert is_gone(pid)
