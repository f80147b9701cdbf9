"""The headless front end: a job from its file to its exit code, in plain lines or JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BusyError, error_of
from engine.events import Advice, Done, Event, Failed, Plan, Sample, Stopped
from engine.exit_codes import ExitCode
from engine.job import Job
from engine.job_file import parse_job, read_toml_text
from engine.project import Project, project_of
from engine.runs.launch import Launch, abandon, decide, prepare
from forge_tui import figures
from forge_tui.printing import put, put_facts, put_table, say
from forge_tui.run_lines import JsonLines, RunLines, lines_for

if TYPE_CHECKING:
    from engine.runs.digest import Digest


@dataclass(frozen=True, slots=True)
class Mode:
    """How a job is run and what is printed."""

    json: bool = False
    """Events as JSON lines on stdout."""
    detach: bool = False
    """Leave the run in the background."""
    dry_run: bool = False
    """Only show the plan."""
    force: bool = False
    """Start over, whatever was there."""


def run_file(file: Path, overrides: Iterable[str], mode: Mode) -> int:
    """Run the job in a file; returns the exit code.

    Raises:
        ForgeError: it cannot be run; says why.
    """
    job = parse_job(read_toml_text(file), file, overrides)
    return run_job(project_of(file), job, mode)


def run_job(project: Project, job: Job, mode: Mode, *, size_given: bool = True, always_new: bool = False) -> int:
    """Run a job in a project; returns the exit code. Arguments as for `engine.runs.launch.prepare`.

    Raises:
        ForgeError: it cannot be run, or it failed; says why.
    """
    if mode.dry_run:
        return _show_plan(project, job, mode, size_given=size_given, always_new=always_new)
    launch = prepare(project, job, force=mode.force, size_given=size_given, always_new=always_new)
    say(launch.text)
    if launch.kind == "finished":
        return _show_finished(launch.run, json=mode.json)
    if mode.detach:
        return _detach(launch, json=mode.json)
    return _host(launch, json=mode.json)


# ---- in the foreground


class _Memory:
    """What the summary needs of the events that went by."""

    def __init__(self, print_event: JsonLines | RunLines) -> None:
        self._print = print_event
        self.planned = False
        self.last: Event | None = None
        self.samples: list[Sample] = []
        """The newest answers."""

    def __call__(self, event: Event) -> None:
        match event:
            case Plan():
                self.planned = True
            case Sample():
                self.samples = [*(kept for kept in self.samples if kept.step == event.step), event]
            case Done() | Stopped() | Failed():
                self.last = event
                if isinstance(self._print, RunLines):
                    return  # said once, by the summary or the error message
        self._print(event)


def _host(launch: Launch, *, json: bool) -> int:
    from engine.runs.host import Host

    lines = lines_for(json=json)
    memory = _Memory(lines)
    try:
        code = Host(launch.run, memory).host()
    except BusyError:
        abandon(launch)
        raise
    finally:
        lines.close()
    match memory.last:
        case Failed() as failed:
            if not memory.planned and failed.exit_code in (ExitCode.USAGE, ExitCode.DATA):
                abandon(launch)
            raise error_of(failed.code, failed.text, failed.fix, failed.exit_code)
        case Stopped() as stopped:
            saved = f"saved at step {stopped.step:,}" if stopped.checkpoint else "nothing was saved yet"
            say(f"Stopped ({stopped.reason}), {saved}. The same command continues.")
        case Done() as done if not json:
            _summary(launch.run, done, memory.samples or _recorded(launch.run).samples)
    return int(code)


def _summary(run: Path, done: Done, samples: Sequence[Sample]) -> None:
    """The result on stdout."""
    from engine.runs.state import read_run

    state = read_run(run).state
    early = ", stopped early" if done.early_stopped else ""
    work = f"{state.step:,} steps, {figures.count(done.tokens)} tokens, {figures.duration(done.seconds)}{early}"
    facts = [("model", done.path), ("validation", _validation(done)), ("trained", work)]
    for sample in samples:
        if sample.step == samples[-1].step and not sample.by:
            facts += [("prompt", sample.prompt), ("answer", sample.text or "(empty)")]
    put_facts(facts)


def _validation(done: Done) -> str:
    if done.val_bpb is None:
        return "none: no documents were held out"
    value = f"{figures.loss(done.val_bpb)} bits per byte"
    if done.best_step == 0:
        return f"{value}, as before: the model is left as it was"
    before = f" (untrained {figures.loss(done.untrained_bpb)})" if done.untrained_bpb is not None else ""
    return f"{value}{before}, best at step {done.best_step:,}"


def _recorded(run: Path) -> Digest:
    """What the journal of a run says."""
    from engine.runs.digest import open_digest

    digest, reader = open_digest(run)
    reader.close()
    return digest


def _show_finished(run: Path, *, json: bool) -> int:
    digest = _recorded(run)
    if isinstance(digest.ended, Done):
        if json:
            JsonLines(sys.stdout)(digest.ended)
        else:
            _summary(run, digest.ended, digest.samples)
    return int(ExitCode.DONE)


# ---- in the background


def _detach(launch: Launch, *, json: bool) -> int:
    from engine.runs.host import start_detached

    try:
        start_detached(launch.run)
    except BusyError:
        abandon(launch)
        raise
    if json:
        import json as text

        put(text.dumps({"run": launch.run.name, "path": str(launch.run)}))
    else:
        put(launch.run.name)
    say(f"It runs in the background. Follow it: forge-tui attach {launch.run.name}")
    return int(ExitCode.DONE)


# ---- only the plan


def _show_plan(project: Project, job: Job, mode: Mode, *, size_given: bool, always_new: bool) -> int:
    from engine.runs.preview import plan_of_decision

    decision = decide(project, job, force=mode.force, size_given=size_given, always_new=always_new)
    say(decision.text if decision.run is not None else f"A new run {decision.text}")
    if decision.kind == "finished":
        return int(ExitCode.DONE)
    advice: list[Event] = []
    plan = plan_of_decision(project, decision, lambda event: advice.append(event))
    if mode.json:
        JsonLines(sys.stdout)(plan)
        return int(ExitCode.DONE)
    lines = RunLines(sys.stderr, live=False)
    for event in advice:
        if isinstance(event, Advice):
            lines(event)
    put_table(
        [
            ("parameters", f"{plan.parameters:,}"), ("documents", f"{plan.documents:,}"),
            ("held out", f"{plan.validation_documents:,}"), ("tokens", f"{plan.tokens:,}"),
            ("epochs", f"{plan.epochs:,}"), ("steps", f"{plan.steps:,}"),
            ("time", f"about {figures.duration(plan.seconds)}"),
            ("memory", figures.size(plan.memory_bytes)), ("a checkpoint", figures.size(plan.checkpoint_bytes)),
        ]
    )  # fmt: skip
    put()
    put_table([("key", "value", "reason"), *_plan_rows(job, plan)])
    return int(ExitCode.DONE)


_AUTO_MEANS = {
    "data.format": "each file is looked at",
    "train.checkpoint_budget": "no limit but the free disk",
    "train.preset": "the numbers are chosen for this data and machine",
}
"""What "auto" is where it stays in the plan."""


def _plan_rows(job: Job, plan: Plan) -> list[tuple[str, str, str]]:
    """Each key of the job with its resolved value, and why it has that."""
    from engine.job_file import to_table
    from engine.job_schema import shown

    rows = []
    asked = to_table(job)

    def add(key: str, value: object, before: object) -> None:
        reason = plan.why.get(key) or _AUTO_MEANS.get(key if value == "auto" else "", "")
        if not reason and value != before:
            reason = "the model that is there has it"
        rows.append((key, _value(value), reason))

    def _value(value: object) -> str:
        if isinstance(value, list):
            return "[" + ", ".join(_value(entry) for entry in value) + "]"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{name} = {_value(entry)}" for name, entry in value.items()) + "}"
        return shown(value)

    for section, table in plan.job.items():
        if section == "stage":
            for index, stage in enumerate(table):
                for key, value in stage.items():
                    add(f"stage[{index}].{key}", value, asked["stage"][index].get(key))
            continue
        for key, value in table.items():
            add(f"{section}.{key}", value, asked.get(section, {}).get(key))
    rows += [(name, "", reason) for name, reason in plan.why.items() if "." not in name]  # what no key decides
    return rows
