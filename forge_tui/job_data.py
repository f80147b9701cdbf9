"""How much text a job has, from the checks of its files as far as they are done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import ForgeError
from engine.job import Job
from engine.project import Project
from engine.text.errand import Check
from engine.text.findings.amount import LINE_BYTES, equivalent_lines
from engine.text.report import Bar
from engine.text.tokenizer import suggest_vocabulary
from forge_tui.data_checks import Checked, DataChecks, asked, check_of
from forge_tui.forecast import BYTES_PER_TOKEN, Amount, middle_of
from forge_tui.picks import Pick, picks_of
from forge_tui.text import one_line

USUAL_DOCUMENT = 128
"""Tokens of a document, when nothing is known."""


@dataclass(slots=True)
class _Sum:
    """What some files come to, weights included."""

    tokens: float = 0.0
    documents: float = 0.0
    lines: float = 0.0
    bars: dict[tuple[int, int], float] = field(default_factory=dict)
    certain: bool = True
    exact: bool = True

    def add(self, pick: Pick, checked: Checked | ForgeError | None) -> None:
        """One file; what is not checked yet is guessed from its bytes."""
        if checked is None:
            size = _size(pick.path)
            self.tokens += size / BYTES_PER_TOKEN * pick.weight
            self.lines += size / LINE_BYTES
            self.certain = self.exact = False
        if not isinstance(checked, Checked):
            return
        report = checked.report
        self.exact = self.exact and checked.exact
        self.tokens += checked.tokens * pick.weight
        self.documents += report.counts.documents * pick.weight
        text_lines = sum(file.text_lines for file in report.files)
        self.lines += equivalent_lines(text_lines, report.counts.turns, report.counts.bytes)
        for bar in report.histogram:
            self.bars[bar.low, bar.high] = self.bars.get((bar.low, bar.high), 0.0) + bar.documents * pick.weight


def checks_wanted(project: Project, job: Job) -> list[Check]:
    """The checks that tell how much text a job has: one a file."""
    groups = [job.data.files, *(stage.files for stage in job.stage)]
    picks = [pick for files in groups for pick in picks_of(project, job, files)]
    return list(dict.fromkeys(_check(project, job, pick) for pick in picks if pick.path.is_file()))


def _check(project: Project, job: Job, pick: Pick) -> Check:
    name = job.data.format if pick.format == "auto" else pick.format
    return check_of(project, job, [asked(pick.path, name, pick.columns)])


def amount_of(project: Project, job: Job, checks: DataChecks, own_vocabulary: int | None) -> Amount:
    """The amount of a job's data.

    Args:
        project: Where the files are.
        job: Names them.
        checks: What is known of them.
        own_vocabulary: Of the model that goes on, which keeps its tokenizer.
    """
    kept = 1.0 - job.data.validation
    main, size, problem = _Sum(), 0, ""
    picks = picks_of(project, job)
    missing = [pick for pick in picks if not pick.path.is_file()]
    problem = f"{one_line(missing[0].name, 60)} is not there." if missing else ""
    for pick in picks:
        if pick.path.is_file():
            size += _size(pick.path)
            main.add(pick, checks.known(_check(project, job, pick)))
    later = 0.0
    for stage in job.stage:
        own = _Sum()
        for pick in picks_of(project, job, stage.files):
            if pick.path.is_file():
                size += _size(pick.path)
                own.add(pick, checks.known(_check(project, job, pick)))
        later += own.tokens * kept * stage.epochs
    vocabulary, why = _vocabulary(job, own_vocabulary, size)
    median, longest = middle_of([Bar(low, high, round(count)) for (low, high), count in sorted(main.bars.items())])
    return Amount(
        tokens=round(main.tokens * kept),
        documents=round(main.documents),
        lines=round(main.lines),
        vocabulary=vocabulary,
        why_vocabulary=why,
        own_tokenizer=own_vocabulary is not None,
        median=median or USUAL_DOCUMENT,
        longest=longest or USUAL_DOCUMENT,
        certain=main.certain,
        exact=main.exact,
        bytes=size,
        later=round(later),
        problem=problem,
    )


def _vocabulary(job: Job, own: int | None, size: int) -> tuple[int, str]:
    if own is not None:
        return own, "the model's own"
    if isinstance(job.model.vocabulary, int):
        return job.model.vocabulary, "as asked"
    return suggest_vocabulary(max(size, 1))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def data_name(job: Job) -> str:
    """`combined_action_training.txt`, or `3 files`; for a title."""
    names = [one_line(Path(entry if isinstance(entry, str) else entry.path).name, 32) for entry in job.data.files]
    return names[0] if len(names) == 1 else f"{len(names)} files"
