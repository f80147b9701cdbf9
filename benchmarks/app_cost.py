"""What the open app costs the training: tokens a second with and without it, in pairs.

    python benchmarks/app_cost.py [--pairs 3] [--seconds 40]

Both runs are the same job with the same seed. One is hosted alone, as `--batch` hosts it; beside the other the app
shows the training screen on a pseudo-terminal of 80x24 whose output is read and thrown away. Prints both speeds, the
ratio of each pair, and the bytes a second that the app writes.
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
name = "{name}"
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


def speed(project: Project, name: str, seconds: float, *, app: bool) -> tuple[float, float, int]:
    """Tokens a second, the app's bytes a second, and its memory."""
    run = prepare(project, parse_job(JOB.format(name=name)), force=True).run
    host = subprocess.Popen(
        [sys.executable, "-m", "engine.runs.host", str(run)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=detached_environment(),
        start_new_session=True,
    )
    reader = JournalReader(run)
    steps: list[Step] = []
    screen = None
    try:
        deadline = time.monotonic() + 120
        while not steps and time.monotonic() < deadline:
            steps += [event for event in reader.poll() if isinstance(event, Step)]
            time.sleep(0.05)
        screen = Screen(project.root) if app else None
        time.sleep(WARM_UP_SECONDS)
        written = screen.bytes if screen else 0
        steps = [event for event in reader.poll() if isinstance(event, Step)][-1:]
        time.sleep(seconds)
        steps += [event for event in reader.poll() if isinstance(event, Step)]
        first, last = steps[0], steps[-1]
        rate = (last.tokens - first.tokens) / (last.time - first.time)
        traffic = (screen.bytes - written) / seconds if screen else 0.0
        return rate, traffic, screen.memory if screen else 0
    finally:
        if screen:
            screen.close()
        host.send_signal(signal.SIGTERM)
        host.wait(60)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=40.0)
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="forge-app-cost-"))
    source = Path(__file__).resolve().parents[1]
    (root / "data").mkdir()
    shutil.copy(source / "data/combined_action_training.txt", root / "data/text.txt")
    (root / "forge.toml").write_text(JOB.format(name="open"))
    project = Project(root)
    ratios = []
    print(f"{'pair':>4}{'alone':>12}{'with app':>12}{'ratio':>8}{'app writes':>14}{'app memory':>12}")
    for pair in range(1, arguments.pairs + 1):
        order = [False, True] if pair % 2 else [True, False]  # neither is always the first
        found = {app: speed(project, "open" if app else "alone", arguments.seconds, app=app) for app in order}
        alone, (shown, traffic, memory) = found[False][0], found[True]
        ratios.append(shown / alone)
        print(
            f"{pair:>4}{alone:>8,.0f} t/s{shown:>8,.0f} t/s{shown / alone:>8.1%}{traffic / 1e3:>9.1f} KB/s"
            f"{memory / 1e6:>9.0f} MB",
            flush=True,
        )
    print(f"median ratio: {statistics.median(ratios):.1%}")
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
