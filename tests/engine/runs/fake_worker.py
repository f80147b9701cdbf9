"""A worker that does what a script in the run's folder says: quick, and without torch."""

from __future__ import annotations

import json
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from engine.events import Checkpoint, Control, Done, Event, Failed, Log, Plan, Step, Stopped
from engine.runs.channel import Reporter
from engine.runs.worker import WorkerOptions

SCRIPT = "script.json"
ATTEMPTS = "attempts.jsonl"


def plan(steps: int = 100) -> Plan:
    return Plan(
        job={}, why={}, model="m", size="nano", parameters=1, vocabulary=300, documents=1, validation_documents=0,
        tokens=1, text_bytes=1, steps=steps, epochs=1, stages=[], device="cpu", precision="fp32", threads=1,
        memory_bytes=1, checkpoint_bytes=1,
    )  # fmt: skip


def step(number: int) -> Step:
    return Step(
        step=number, steps=100, epoch=number / 100, loss=1.0, learning_rate=0.1, grad_norm=1.0, tokens=number,
        tokens_per_second=1.0,
    )  # fmt: skip


EVENTS: dict[str, Event] = {
    "plan": plan(),
    "step": step(5),
    "checkpoint": Checkpoint(path="checkpoints/step-00000005", step=5, bytes=9, reason="schedule"),
    "done": Done(val_bpb=1.0, best_step=5, seconds=1.0, tokens=5, path="models/m"),
    "failed": Failed(code="diverged", text="It diverged.", fix="Lower it.", exit_code=4),
    "stopped": Stopped(step=5, reason="enough", exit_code=143, checkpoint="checkpoints/step-00000005"),
}


def write_script(run: Path, *actions: str) -> None:
    """Actions of every attempt, or of each attempt separated by "then"."""
    (run / SCRIPT).write_text(json.dumps(actions))


def attempts(run: Path) -> list[dict[str, Any]]:
    """The options that each attempt was given."""
    return [json.loads(line) for line in (run / ATTEMPTS).read_text().splitlines()]


def main(events: Any, commands: Connection, encoded: bytes) -> None:
    """Entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    options = msgspec.json.decode(encoded, type=WorkerOptions)
    run = Path(options.run)
    with (run / ATTEMPTS).open("a") as stream:
        stream.write(json.dumps({"divisor": options.divisor, "pid": os.getpid()}) + "\n")
    lives: list[list[str]] = [[]]
    for action in json.loads((run / SCRIPT).read_text()):
        if action == "then":
            lives.append([])
        else:
            lives[-1].append(action)
    reporter = Reporter(events, commands)
    for action in lives[min(len(attempts(run)), len(lives)) - 1]:
        _do(action, reporter)
    reporter.close()
    os._exit(0)


def _do(action: str, reporter: Reporter) -> None:
    name, _, rest = action.partition(" ")
    match name:
        case "sleep":
            time.sleep(float(rest))
        case "kill":
            time.sleep(0.2)
            os.kill(os.getpid(), int(rest))
            time.sleep(10)
        case "log":
            reporter(Log(text="x" * int(rest)))
        case "obey":
            _obey(reporter)
        case _:
            reporter(EVENTS[name])


def _obey(reporter: Reporter) -> None:
    """Acknowledge commands until one to stop comes; leave as the trainer does."""
    while True:
        for command in reporter.commands():
            reporter(Control(command=command.command, by=command.by, id=command.id, text=f"value {command.value}"))
            if command.command == "stop":
                reporter(Stopped(step=5, reason=command.by, exit_code=int(command.value or 0), checkpoint="c"))
                return
        time.sleep(0.02)
