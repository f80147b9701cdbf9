"""Kill a run at random moments, continue it each time by the same command, compare with an undisturbed run.

    python benchmarks/crash.py --kills 100 [--seed 1] [--keep FOLDER]

Each kill is a SIGKILL of the worker, of its host, or of both, at a random moment after training began (or while it
resumes). In the end the final weights and optimizer state must equal those of a run that nobody touched, bit for bit.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from engine.events import Checkpoint, Event, Resumed, Step
from engine.job import Job
from engine.job_file import parse_job
from engine.project import Project
from engine.runs.host import detached_environment
from engine.runs.journal import JournalReader, read_events
from engine.runs.launch import prepare
from engine.runs.state import read_run
from engine.training.checkpoint import found, load, same_tensors

JOB = """
[model]
name = "victim"
size = {layers = 2, dim = 128, heads = 2, kv_heads = 1, ffn = 256}
[data]
files = ["data/text.txt"]
[train]
epochs = EPOCHS
sequence_length = 128
batch_size = 4
save_every = 1
save_minutes = 0.02
threads = 1
[eval]
every = 1000000
"""


@dataclass
class Tally:
    """What happened."""

    kills: Counter[str] = field(default_factory=Counter)
    steps_lost: list[int] = field(default_factory=list)
    verified: int = 0
    unverified: int = 0


def make_project(root: Path, epochs: int) -> tuple[Project, Job]:
    """A project with the default corpus' first part as its data."""
    source = Path(__file__).resolve().parents[1] / "data/combined_action_training.txt"
    (root / "data").mkdir(parents=True)
    (root / "data/text.txt").write_bytes(source.read_bytes()[:60_000].rpartition(b"\n\n")[0] + b"\n")
    return Project(root), parse_job(JOB.replace("EPOCHS", str(epochs)))


def start(project: Project, job: Job) -> tuple[subprocess.Popen[bytes], Path]:
    """The same command every time."""
    run = prepare(project, job).run
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.runs.host", str(run)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=detached_environment(),
    )
    return process, run


def first_step(run: Path, after: int, host: subprocess.Popen[bytes]) -> bool:
    """Wait until the worker trains; False when the run ended instead."""
    reader = JournalReader(run, after=after)
    while host.poll() is None:
        if any(isinstance(event, Step | Resumed) for event in reader.poll()):
            return True
        time.sleep(0.01)
    return False


def kill(pid: int | None) -> None:
    """SIGKILL, unless it is gone."""
    if pid is not None and psutil.pid_exists(pid):
        psutil.Process(pid).send_signal(signal.SIGKILL)


def last_step(events: list[Event]) -> int:
    """The newest step that the journal knows."""
    return max((event.step for event in events if isinstance(event, Step | Checkpoint)), default=0)


def disturb(project: Project, job: Job, kills: int, chance: random.Random) -> tuple[Path, Tally]:
    """Run to the end with up to `kills` kills on the way."""
    tally = Tally()
    seq = 0
    while True:
        host, run = start(project, job)
        if sum(tally.kills.values()) >= kills:
            host.wait()
            break
        if not first_step(run, seq, host):
            break
        time.sleep(chance.expovariate(1 / 0.6))
        if host.poll() is not None:
            break
        who = chance.choice(["worker", "host", "both"])
        worker = read_run(run).state.worker_pid
        if who in ("worker", "both"):
            kill(worker)
        if who in ("host", "both"):
            kill(host.pid)
        host.wait()
        events = list(read_events(run))
        seq = events[-1].seq
        tally.kills[who] += 1
        newest = found(run / "checkpoints")
        saved = int(newest[0].name.partition("-")[2]) if newest else 0
        tally.steps_lost.append(max(0, last_step(events) - saved))
        print(f"\r{sum(tally.kills.values())} kills, step {saved}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for event in read_events(run):
        if isinstance(event, Resumed):
            if "bit for bit" in event.text and "not bit for bit" not in event.text:
                tally.verified += 1
            else:
                tally.unverified += 1
    return run, tally


def equal(first: Path, second: Path) -> bool:
    """Whether two finished runs ended with the same weights and optimizer state."""
    one, two = (load(found(run / "checkpoints")[0]) for run in (first, second))
    return (
        one.step == two.step and same_tensors(one.weights, two.weights) and same_tensors(one.optimizer, two.optimizer)
    )


def main() -> int:
    """Print the result; exit 1 when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=0, help="0: enough for the kills")
    parser.add_argument("--keep", type=Path, help="work here and keep it")
    arguments = parser.parse_args()
    root = arguments.keep or Path(tempfile.mkdtemp(prefix="forge-crash-"))
    epochs = arguments.epochs or max(10, arguments.kills)
    began = time.monotonic()
    calm = make_project(root / "calm", epochs)
    host, undisturbed = start(*calm)
    host.wait()
    run, tally = disturb(*make_project(root / "victim", epochs), arguments.kills, random.Random(arguments.seed))
    phase = read_run(run).phase
    same = phase == "finished" and equal(undisturbed, run)
    seqs = [event.seq for event in read_events(run)]
    whole = seqs == list(range(1, len(seqs) + 1))
    print(f"kills survived: {sum(tally.kills.values())} ({dict(tally.kills)})")
    lost = tally.steps_lost or [0]
    print(f"steps lost at most: {max(lost)} (mean {sum(lost) / len(lost):.1f})")
    print(f"resumes verified: {tally.verified}, not verified: {tally.unverified}")
    print(f"state: {phase}; journal without gaps: {whole} ({len(seqs)} events)")
    print(f"final weights and optimizer state equal the undisturbed run bit for bit: {same}")
    print(f"{time.monotonic() - began:.0f} s")
    if not arguments.keep:
        shutil.rmtree(root)
    return 0 if same and whole else 1


if __name__ == "__main__":
    sys.exit(main())
