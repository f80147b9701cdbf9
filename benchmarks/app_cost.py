"""What the open app costs the training: tokens a second with and without it, in pairs.

    python benchmarks/app_cost.py [--pairs 10] [--seconds 10]

One run, hosted as `--batch` hosts it. Beside it the app shows the training screen on a pseudo-terminal of 80x24 whose
output is read and thrown away. In turns the app is stopped (SIGSTOP: it costs nothing then) and goes on, so that a
machine which gets faster or slower in minutes does so for both. Prints both speeds and the ratio of each pair, the
bytes a second that the app writes, and the processor time that it takes.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.events import Step
from engine.job_file import parse_job
from engine.project import Project
from engine.runs.host import detached_environment
from engine.runs.journal import JournalReader
from engine.runs.launch import prepare

JOB = """
[model]
name = "open"
size = "nano"
[data]
files = ["data/text.txt"]
[train]
epochs = 1000
sequence_length = 256
save_minutes = 1000
save_every = 1000
[eval]
every = 1000
"""
WARM_UP_SECONDS = 10.0


class Screen:
    """The app on a pseudo-terminal."""

    def __init__(self, root: Path) -> None:
        self.bytes = 0
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(root)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            os.execve(
                sys.executable,
                [sys.executable, "-m", "forge_tui"],
                detached_environment() | {"TERM": "xterm-256color"},
            )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self.terminal], [], [], 1.0)
            if not ready:
                continue
            try:
                data = os.read(self.terminal, 65536)
            except OSError:
                return
            if not data:
                return
            self.bytes += len(data)

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def close(self) -> None:
        """End the app; the run goes on."""
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)

    @property
    def processor_seconds(self) -> float:
        """Used so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


@dataclass(frozen=True, slots=True)
class Slice:
    """What was seen in a stretch of the run."""

    speed: float
    """Tokens a second."""
    traffic: float
    """Bytes a second that the app wrote."""
    processor: float
    """Cores that the app kept busy."""


def measure(reader: JournalReader, screen: Screen, seconds: float) -> Slice:
    """Look at the run for a while."""
    reader.poll()
    written, used, started = screen.bytes, screen.processor_seconds, time.monotonic()
    time.sleep(seconds)
    steps = [event for event in reader.poll() if isinstance(event, Step)]
    passed = time.monotonic() - started
    first, last = steps[0], steps[-1]
    return Slice(
        speed=(last.tokens - first.tokens) / (last.time - first.time),
        traffic=(screen.bytes - written) / passed,
        processor=(screen.processor_seconds - used) / passed,
    )


def start(project: Project) -> tuple[subprocess.Popen[bytes], JournalReader]:
    """A run as `--batch` hosts it, once it trains."""
    run = prepare(project, parse_job(JOB), force=True).run
    host = subprocess.Popen(
        [sys.executable, "-m", "engine.runs.host", str(run)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=detached_environment(),
        start_new_session=True,
    )
    reader = JournalReader(run)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if any(isinstance(event, Step) for event in reader.poll()):
            break
        time.sleep(0.05)
    return host, reader


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="forge-app-cost-"))
    source = Path(__file__).resolve().parents[1]
    (root / "data").mkdir()
    shutil.copy(source / "data/combined_action_training.txt", root / "data/text.txt")
    (root / "forge.toml").write_text(JOB)
    host, reader = start(Project(root))
    screen = Screen(root)
    time.sleep(WARM_UP_SECONDS)
    ratios, busy = [], []
    print(f"{'pair':>4}{'app stopped':>14}{'app open':>12}{'ratio':>8}{'app writes':>14}{'app, cores':>12}")
    try:
        for pair in range(1, arguments.pairs + 1):
            found: dict[bool, Slice] = {}
            for running in (False, True) if pair % 2 else (True, False):  # neither is always the first
                os.kill(screen.pid, signal.SIGCONT if running else signal.SIGSTOP)
                found[running] = measure(reader, screen, arguments.seconds)
            alone, shown = found[False], found[True]
            ratios.append(shown.speed / alone.speed)
            busy.append(shown.processor)
            print(
                f"{pair:>4}{alone.speed:>10,.0f} t/s{shown.speed:>8,.0f} t/s{ratios[-1]:>8.1%}"
                f"{shown.traffic / 1e3:>9.1f} KB/s{shown.processor:>12.3f}",
                flush=True,
            )
        memory = screen.memory
    finally:
        os.kill(screen.pid, signal.SIGCONT)
        screen.close()
        host.send_signal(signal.SIGTERM)
        host.wait(60)
        shutil.rmtree(root)
    print(f"median ratio: {statistics.median(ratios):.1%}; the app keeps {statistics.median(busy):.3f} cores busy, "
          f"{memory / 1e6:.0f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
