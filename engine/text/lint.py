"""Checks training data before it is trained on: reads every file once, streaming, and reports what it found.

Needs numpy but no torch; imports it only when a check is made. Memory does not grow with the files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import structs

from engine.errors import DataError
from engine.sizes import size_named
from engine.text.conversation import Document, Turn
from engine.text.findings.amount import advise, equivalent_lines, in_words, lines_wanted
from engine.text.findings.finding import Ledger
from engine.text.format_names import LABELS
from engine.text.formats import FORMATS, check_format
from engine.text.problem import Problem
from engine.text.readers.record import Columns
from engine.text.report import Bar, Counts, FileReport, Report
from engine.text.sniff import Sniff, sniff
from engine.text.source import Block, NotUtf8Error, TextSource, open_table, open_text

if TYPE_CHECKING:
    from engine.text.findings.check import Check
    from engine.text.findings.duplicates import Duplicates
    from engine.text.findings.lengths import Lengths
    from engine.text.findings.near_duplicates import NearDuplicates

BATCH_BYTES = 1 << 20
"""Text that is checked at once."""
BATCH_DOCUMENTS = 4096
SMALL_DOCUMENT = 64
"""Bytes of a small document: what the memory for duplicates is measured by."""
PREVIEW_DOCUMENTS = 3
PREVIEW_CHARACTERS = 2000
OUTSIDE_SHARE = 0.5
"""Share of a file's lines that may be in no document before its format must be wrong."""


class TokenCounter(Protocol):
    """What is needed of a tokenizer."""

    @property
    def vocabulary(self) -> int:
        """Number of tokens it knows."""
        ...

    def count(self, documents: Sequence[Document]) -> list[int]:
        """Tokens of each document, the template's included."""
        ...


class DataFileLike(Protocol):
    """A file as a job names it; `columns` is used when there."""

    @property
    def path(self) -> str:
        """Where it is."""
        ...

    @property
    def format(self) -> str:
        """A key of formats.FORMATS, or "auto"."""
        ...


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file to check, with what is known about it."""

    path: str
    """Where it is."""
    format: str = "auto"
    """A key of formats.FORMATS, or "auto"."""
    columns: Columns | None = None
    """Our field names to the file's own."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check is."""

    bytes_done: int
    bytes_total: int
    """Bytes on the disk, of all files."""
    file: str
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """An estimate, or None at the start."""
        if self.bytes_done <= 0 or self.seconds < 0.2:
            return None
        return self.seconds * (self.bytes_total - self.bytes_done) / self.bytes_done


def lint(
    files: Sequence[str | Path | DataFileLike],
    *,
    size: str | None = None,
    sequence_length: int | None = None,
    tokenizer: TokenCounter | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Check training data.

    Args:
        files: What would be trained on, in order.
        size: The size that would be trained, for advice on the amount of text.
        sequence_length: Tokens of one training sequence, to tell how much is split.
        tokenizer: Counts tokens exactly; without one they are estimated.
        progress: Called about once a megabyte.

    Raises:
        UsageError: there is no such size or format. Flaws of the data never raise: they are findings.
    """
    if size is not None:
        size_named(size)
    chosen = [
        DataFile(str(one))
        if isinstance(one, (str, Path))
        else DataFile(str(one.path), one.format, getattr(one, "columns", None))
        for one in files
    ]
    for one in chosen:
        check_format(one.format, one.columns)
    return _Run(chosen, size, sequence_length, tokenizer, progress).report()


class _Run:
    """One check of some files."""

    def __init__(
        self,
        files: list[DataFile],
        size: str | None,
        sequence_length: int | None,
        tokenizer: TokenCounter | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._files = files
        self._size = size
        self._tokenizer = tokenizer
        self._progress = progress
        self._started = time.monotonic()
        self._ledger = Ledger()
        self._sizes = [_size_on_disk(one.path) for one in files]
        self._vocabulary = tokenizer.vocabulary if tokenizer else _likely_vocabulary(sum(self._sizes))
        self._preview: list[Document] = []
        self._lines = 0
        self._text_lines = 0
        self._build_checks(sequence_length)

    def _build_checks(self, sequence_length: int | None) -> None:
        from engine.text.findings import duplicates, near_duplicates
        from engine.text.findings.answers import Answers
        from engine.text.findings.characters import Characters, SpecialTokens
        from engine.text.findings.diversity import Diversity
        from engine.text.findings.duplicates import Duplicates
        from engine.text.findings.garbled import Garbled
        from engine.text.findings.language import Languages
        from engine.text.findings.lengths import Lengths
        from engine.text.findings.mixing import Mixing
        from engine.text.findings.mojibake import Mojibake
        from engine.text.findings.near_duplicates import NearDuplicates
        from engine.text.findings.privacy import Privacy
        from engine.text.findings.rights import Rights
        from engine.text.findings.tools import Tools

        names = [one.path for one in self._files]
        counts = self._tokenizer.count if self._tokenizer else None
        self._lengths: Lengths = Lengths(sequence_length, counts, _bytes_per_token(self._vocabulary))
        likely = max(sum(self._sizes) // SMALL_DOCUMENT, 1 << 13)
        self._duplicates: Duplicates = Duplicates(names, min(likely, duplicates.REMEMBERED))
        self._near: NearDuplicates = NearDuplicates(names, min(likely, near_duplicates.REMEMBERED))
        self._special = SpecialTokens()
        self._mixing = Mixing()
        self._block_checks: list[Check] = [
            *(Characters(), self._special, self._mixing, Mojibake(), Privacy(), Rights())
        ]
        self._batch_checks: list[Check] = [
            *(self._lengths, self._duplicates, self._near),
            *(Answers(), Tools(), Garbled(), Languages(), Diversity()),
        ]
        self._checks = [*self._block_checks, *self._batch_checks]

    def report(self) -> Report:
        """Read everything and put the result together."""
        reports = []
        seen: dict[str, int] = {}
        done = 0
        for index, (one, size) in enumerate(zip(self._files, self._sizes, strict=True)):
            self._ledger.file = one.path
            self._duplicates.file = self._near.file = index
            real = os.path.realpath(one.path) if "\0" not in one.path else one.path
            seen[real] = seen.get(real, 0) + 1
            if seen[real] == 2:
                self._ledger.add("duplicate_file")
            reports.append(self._file(one, done) if seen[real] == 1 else _unread(one.path))
            done += size
        for check in self._checks:
            check.finish(self._ledger)
        counts = self._counts(len(reports))
        # Blank lines between count, as in the guide and in `wc -l`; a file of blank lines is no text.
        lines = equivalent_lines(min(self._lines, 2 * self._text_lines), counts.turns, counts.bytes)
        advice = advise(lines, counts.tokens_estimated, self._vocabulary, self._size, exact=counts.tokens is not None)
        self._judge_amount(lines, counts, advice.ratio)
        return Report(
            files=tuple(reports),
            findings=self._ledger.findings(),
            counts=counts,
            histogram=self._histogram(),
            recommended=advice.recommended,
            recommendation=advice.sentences,
            preview=tuple(self._preview),
            seconds=time.monotonic() - self._started,
        )

    def _file(self, one: DataFile, done: int) -> FileReport:
        ledger = self._ledger
        try:
            found = sniff(one.path)
            if one.format != "auto":
                found = Sniff(one.format, "certain", "it was named")
            source = open_table(one.path) if found.format == "parquet" else open_text(one.path)
        except DataError as problem:
            _note_error(problem, ledger)
            return _unread(one.path)
        with source:
            reader = _FileReader(self, source, found, one.columns, done)
            reader.read()
        for check in self._checks:
            check.end_file(source, ledger)
        self._lines += source.lines
        self._text_lines += reader.text_lines
        lost = ledger.lost(one.path)
        if not reader.documents and not ledger.count("unreadable", one.path) and not ledger.count("not_utf8", one.path):
            ledger.add("no_documents", text=f"read as {LABELS[found.format]}")
        elif lost > OUTSIDE_SHARE * max(reader.text_lines, 1) and lost > 5:
            ledger.add(
                "mostly_outside", text=f"{lost:,} of {reader.text_lines:,} lines, read as {LABELS[found.format]}"
            )
        elif found.certainty == "guess":
            ledger.add("guessed_format", text=f"{LABELS[found.format]}: {found.why}")
        label = found.label if one.format == "auto" else f"{LABELS[found.format]}, as named"
        return FileReport(
            name=one.path,
            format=found.format,
            label=label,
            why=found.why,
            documents=reader.documents,
            turns=reader.turns,
            lines=source.lines,
            text_lines=reader.text_lines,
            bytes=self._lengths.bytes - reader.bytes_before,
            lost_lines=lost,
        )

    def _counts(self, files: int) -> Counts:
        lengths = self._lengths
        return Counts(
            files=files,
            documents=lengths.documents,
            turns=lengths.turns,
            lines=self._lines,
            words=lengths.words,
            bytes=lengths.bytes,
            tokens=lengths.tokens if self._tokenizer else None,
            tokens_estimated=lengths.tokens,
        )

    def _judge_amount(self, lines: int, counts: Counts, ratio: float | None) -> None:
        if not counts.documents:
            return
        wanted = lines_wanted(self._size)
        if lines < wanted:
            whom = f"for {self._size}" if self._size else "by the training guide"
            detail = f"{lines:,} lines; at least {wanted:,} are recommended {whom}"
            self._ledger.add("few_lines", detail=detail, everywhere=True)
        if counts.documents - self._duplicates.repeated < 4:
            detail = f"{counts.documents - self._duplicates.repeated} different documents"
            self._ledger.add("one_document", detail=detail, everywhere=True)
        if ratio is not None and ratio < 0.1:
            severity = "warning" if ratio < 0.01 else "hint"
            detail = f"{1 / max(ratio, 1e-9):,.0f} parameters for every token: {in_words(ratio)}"
            self._ledger.add("memorises", detail=detail, severity=severity, everywhere=True)  # type: ignore[arg-type]

    def _histogram(self) -> tuple[Bar, ...]:
        bars = [Bar(1 << i, (2 << i) - 1, int(count)) for i, count in enumerate(self._lengths.histogram.tolist())]
        filled = [index for index, bar in enumerate(bars) if bar.documents]
        return tuple(bars[filled[0] : filled[-1] + 1]) if filled else ()

    def show_progress(self, done: int, file: str) -> None:
        """Tell whoever wants to know."""
        if self._progress is not None:
            total = max(sum(self._sizes), done)
            self._progress(Progress(done, total, file, time.monotonic() - self._started))


class _FileReader:
    """Reads one file and hands its blocks and documents to the checks."""

    def __init__(self, run: _Run, source: TextSource, found: Sniff, columns: Columns | None, done: int) -> None:
        self._run = run
        self._source = source
        self._found = found
        self._columns = columns
        self._done = done
        self.documents = 0
        self.turns = 0
        self.text_lines = 0
        self.bytes_before = run._lengths.bytes

    def read(self) -> None:
        """All of it, or up to what makes it unreadable."""
        source, ledger = self._source, self._run._ledger
        self._run._special.format = self._run._mixing.format = self._found.format
        source.tap = self._block
        batch: list[Document] = []
        flushed = 0
        try:
            for document in self._stream():
                batch.append(document)
                if source.text_bytes - flushed >= BATCH_BYTES or len(batch) >= BATCH_DOCUMENTS:
                    flushed = source.text_bytes
                    self._flush(batch)
                    batch = []
        except DataError as problem:
            _note_error(problem, ledger)
        if batch:
            self._flush(batch)

    def _stream(self) -> Iterator[Document]:
        return FORMATS[self._found.format](self._source, self._problem, self._columns)

    def _block(self, block: Block) -> None:
        self.text_lines += len(block.lines) - block.lines.count("")
        for check in self._run._block_checks:
            check.block(block, self._run._ledger)
        self._run.show_progress(self._done + self._source.position, self._source.name)

    def _problem(self, problem: Problem) -> None:
        if problem.code == "comment":
            self.text_lines = max(self.text_lines - problem.lost, 0)
        else:
            self._run._ledger.add(problem.code, problem.line, problem.text, lost=problem.lost)

    def _flush(self, documents: list[Document]) -> None:
        from engine.text.findings.batch import Batch

        batch = Batch(documents)
        self.documents += len(documents)
        self.turns += len(batch.turns)
        while len(self._run._preview) < PREVIEW_DOCUMENTS and len(self._run._preview) < len(documents):
            self._run._preview.append(_shortened(documents[len(self._run._preview)]))
        for check in self._run._batch_checks:
            check.batch(batch, self._run._ledger)


def _note_error(problem: DataError, ledger: Ledger) -> None:
    code = "not_utf8" if isinstance(problem, NotUtf8Error) else "unreadable"
    ledger.add(code, problem.line or 0, problem.text, fix=problem.fix, lost=1)


def _unread(name: str) -> FileReport:
    return FileReport(name, "", "not read", "", 0, 0, 0, 0, 0, 0)


def _shortened(document: Document) -> Document:
    turns: list[Turn] = []
    left = PREVIEW_CHARACTERS
    for turn in document.turns:
        if left <= 0:
            break
        turns.append(turn if len(turn.text) <= left else structs.replace(turn, text=turn.text[:left] + "…"))
        left -= len(turn.text)
    return structs.replace(document, turns=tuple(turns))


def _size_on_disk(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return 0


def _likely_vocabulary(text_bytes: int) -> int:
    from engine.text.tokenizer import suggest_vocabulary

    return suggest_vocabulary(max(text_bytes, 1))[0]


def _bytes_per_token(vocabulary: int) -> float:
    """UTF-8 bytes of English in one token: measured on the starter data with 512 to 4096 tokens."""
    import math

    return max(1.0, 2.1 + 0.43 * (math.log2(max(vocabulary, 257)) - 9))
