"""The check of the data before a job: errors stop it, warnings are shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DataError
from engine.events import Advice, Event, Log, decode, encode
from engine.files import write_atomic
from engine.job import DataFile, Job
from engine.project import Project
from engine.training.reading import files_of
from engine.training.waiting import Waiting

if TYPE_CHECKING:
    from engine.runs.channel import Reporter
    from engine.text.report import Report

REMEMBERED_FROM = 16_000_000
"""Bytes of data from which a check that found them usable is not made again for the same data."""
VERSION = 1
"""Changes when the same data would be judged otherwise."""
MOST_SHOWN = 10
"""Findings that are shown one by one."""


def check_data(project: Project, job: Job, reporter: Reporter, *, force: bool) -> None:
    """Check the files of all stages and report what matters.

    A gigabyte takes a minute or two, once: what was said of large data that can be used is kept in the cache.

    Args:
        project: Where the files are.
        job: Names them.
        reporter: Told of the findings.
        force: Go on past errors that lose no text.

    Raises:
        DataError: there are errors; the message names the first.
    """
    files = list({file.path: file for file in files_of(project, job.all_files)}.values())
    kept = _kept(project, job, files)
    if kept is not None and (said := _read(kept)) is not None:
        for event in said:
            reporter(event)
        return
    report = _report(job, files, reporter)
    said = _said(report, project)
    for event in said:
        reporter(event)
    if not report.usable and not (force and report.loses_nothing):
        raise _refusal(report)
    if kept is not None and report.usable:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, b"".join(encode(event) + b"\n" for event in said), durable=False)


def _report(job: Job, files: Sequence[DataFile], reporter: Reporter) -> Report:
    from engine.text.lint import Progress, lint

    waiting = Waiting(reporter, "Checking the data")

    def progress(now: Progress) -> None:
        waiting(now.bytes_done, now.bytes_total)

    named = job.model.size if isinstance(job.model.size, str) else None
    length = job.train.sequence_length if isinstance(job.train.sequence_length, int) else None
    return lint(files, size=named, sequence_length=length, progress=progress)


def _kept(project: Project, job: Job, files: Sequence[DataFile]) -> Path | None:
    """Where what was said of these data is kept; None when they are too small to be worth it, or cannot be read."""
    from engine.text.token_cache import content_hash

    try:
        if sum(Path(file.path).stat().st_size for file in files) < REMEMBERED_FROM:
            return None
        contents = [(file.path, content_hash(Path(file.path)), file.format, dict(file.columns)) for file in files]
    except (OSError, DataError):
        return None  # the check says it better
    asked = json.dumps([VERSION, str(project.root), contents, str(job.model.size), str(job.train.sequence_length)])
    return project.cache / "verdicts" / f"{hashlib.sha256(asked.encode('utf-8', 'replace')).hexdigest()[:32]}.jsonl"


def _read(kept: Path) -> list[Event] | None:
    """What was said; None when it was never said, or cannot be read any more."""
    try:
        return [decode(line) for line in kept.read_bytes().splitlines()]
    except (OSError, ValueError):
        return None


def _refusal(report: Report) -> DataError:
    worst = next((finding for finding in report.findings if finding.severity == "error"), None)
    if worst is None:
        return DataError("There are no documents in the data.", fix="See `forge-tui check`.")
    others = report.count("error") - 1
    more = f" ({others} more kinds of errors: see `forge-tui check`)" if others > 0 else ""
    last = " --force goes on all the same." if report.loses_nothing else ""
    return DataError(
        f"{_sentence(worst.message)}{more}", fix=f"{worst.fix}{last}", file=worst.file or None, line=worst.line or None
    )


def _said(report: Report, project: Project) -> list[Event]:
    """Errors and warnings as advice, the gravest first; hints only as a number."""
    said: list[Event] = []
    grave = [finding for finding in report.findings if finding.severity != "hint"]
    for finding in grave[:MOST_SHOWN]:
        times = f" ({finding.count:,} times)" if finding.count > 1 else ""
        where = finding.where.replace(f"{project.root}/", "")
        said.append(
            Advice(
                code=finding.code,
                severity=finding.severity,
                text=f"{where}: {finding.message}{times}." if where else _sentence(f"{finding.message}{times}"),
                fix=finding.fix,
            )
        )
    rest, hints = len(grave) - MOST_SHOWN, report.count("hint")
    hinted = f"{hints} hint{'s' if hints > 1 else ''}" if hints else ""
    counts = [f"{rest} more kinds of findings" if rest > 0 else "", hinted]
    if any(counts):
        said.append(Log(text=f"The check found {' and '.join(filter(None, counts))}: see `forge-tui check`."))
    return said


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text[:1].upper()}{text[1:]}."
