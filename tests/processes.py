"""Real runs in real processes: start a host, wait for what it says, kill it, look what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from safetensors.torch import load_file
from torch import Tensor

from engine.events import Event
from engine.job import Job
from engine.job_file import parse_job
from engine.project import Project
from engine.runs.host import detached_environment
from engine.runs.journal import JournalReader, read_events
from engine.runs.launch import prepare
from engine.runs.state import read_run
from engine.training.checkpoint import found

JOB = """
[model]
name = "tiny"
size = {layers = 2, dim = 64, heads = 1, kv_heads = 1, ffn = 64}
vocabulary = 320
[data]
files = ["data/qa.txt"]
validation = 0.1
[train]
epochs = 12
sequence_length = 48
batch_size = 2
gradient_accumulation = 1
learning_rate = 0.002
threads = 1
save_every = 1
[eval]
prompts = ["What is a loop?"]
every = 6
max_tokens = 8
"""


def make_project(root: Path, text: str, *overrides: str) -> tuple[Project, Job]:
    """A project folder with one data file, and its job."""
    (root / "data").mkdir(parents=True)
    (root / "data/qa.txt").write_text(text)
    return Project(root), parse_job(JOB, overrides=overrides)


def start(
    project: Project, job: Job, program: Sequence[str] = ("-m", "engine.runs.host")
) -> tuple[subprocess.Popen[bytes], Path]:
    """The same command: continue or begin, with a host of its own process group."""
    run = prepare(project, job).run
    process = subprocess.Popen(
        [sys.executable, *program, str(run)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=detached_environment() | {"OMP_NUM_THREADS": "1"},
    )
    return process, run


def wait_for(run: Path, wanted: Callable[[Event], bool], timeout: float = 120.0, after: int = 0) -> Event:
    """The first event (later than `after`) that fits."""
    reader = JournalReader(run, after=after)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for event in reader.poll():
            if wanted(event):
                return event
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout} s; the last events: {list(read_events(run))[-3:]}")


def last_seq(run: Path) -> int:
    """Number of the newest event."""
    return max((event.seq for event in read_events(run)), default=0)


def finish(project: Project, job: Job) -> tuple[int, Path]:
    """Run the same command to its end."""
    process, run = start(project, job)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, (errors.decode(), list(read_events(run))[-2:])
    return process.returncode, run


def worker_pid(run: Path) -> int:
    """Of the worker that state.json names."""
    pid = read_run(run).state.worker_pid
    assert pid
    return pid


def final_tensors(run: Path) -> dict[str, Tensor]:
    """Weights and optimizer state of the newest checkpoint."""
    newest = found(run / "checkpoints")[0]
    return load_file(newest / "model.safetensors") | load_file(newest / "optimizer.safetensors")


def processes_of(root: Path) -> list[psutil.Process]:
    """Living processes that work on a project."""
    mine = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(root) in line and process.info["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
            mine.append(process)
    return mine


def is_gone(pid: int, timeout: float = 60.0) -> bool:
    """Whether a process ends within the time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal; a process that is gone already is fine."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
