"""The check of the data before a job: errors stop it, warnings are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import DataError
from engine.events import Advice, Log
from engine.job import Job
from engine.project import Project
from engine.training.reading import paths_of

if TYPE_CHECKING:
    from engine.runs.channel import Reporter
    from engine.text.report import Report

LARGEST_BYTES = 64_000_000
"""Above this the check takes minutes: it is left to `forge-tui check`."""
MOST_SHOWN = 10
"""Findings that are shown one by one."""


def check_data(project: Project, job: Job, reporter: Reporter, *, force: bool) -> None:
    """Check the files of all stages and report what matters.

    Args:
        project: Where the files are.
        job: Names them.
        reporter: Told of the findings.
        force: Go on past errors that lose no text.

    Raises:
        DataError: there are errors; the message names the first.
    """
    from engine.text.lint import DataFile, lint

    files = {path: DataFile(str(path), entry.format) for entry in job.all_files for path in paths_of(project, entry)}
    size = sum(path.stat().st_size for path in files)
    if size > LARGEST_BYTES:
        reporter(
            Advice(
                code="not_checked",
                severity="hint",
                text=f"{size / 1e6:,.0f} MB of data were not checked before training, as that would take long.",
                fix="Check them once with `forge-tui check`.",
            )
        )
        return
    named = job.model.size if isinstance(job.model.size, str) else None
    length = job.train.sequence_length if isinstance(job.train.sequence_length, int) else None
    report = lint(list(files.values()), size=named, sequence_length=length)
    _show(report, project, reporter)
    if report.usable or (force and report.loses_nothing):
        return
    worst = next((finding for finding in report.findings if finding.severity == "error"), None)
    if worst is None:
        raise DataError("There are no documents in the data.", fix="See `forge-tui check`.")
    others = report.count("error") - 1
    more = f" ({others} more kinds of errors: see `forge-tui check`)" if others > 0 else ""
    last = " --force goes on all the same." if report.loses_nothing else ""
    raise DataError(
        f"{_sentence(worst.message)}{more}", fix=f"{worst.fix}{last}", file=worst.file or None, line=worst.line or None
    )


def _show(report: Report, project: Project, reporter: Reporter) -> None:
    """Errors and warnings as advice, the gravest first; hints only as a number."""
    grave = [finding for finding in report.findings if finding.severity != "hint"]
    for finding in grave[:MOST_SHOWN]:
        times = f" ({finding.count:,} times)" if finding.count > 1 else ""
        where = finding.where.replace(f"{project.root}/", "")
        reporter(
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
        reporter(Log(text=f"The check found {' and '.join(filter(None, counts))}: see `forge-tui check`."))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text[:1].upper()}{text[1:]}."
