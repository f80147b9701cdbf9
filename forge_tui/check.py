"""`forge-tui check`: what training data holds, what is wrong with it, and repaired or converted copies of it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import DataError, UsageError
from engine.exit_codes import ExitCode
from engine.text.report import Report
from engine.text.sanitize import one_line
from forge_tui.check_words import put_report
from forge_tui.printing import is_terminal, put, say

if TYPE_CHECKING:
    from engine.text.conversation import Document
    from engine.text.lint import Progress
    from engine.text.tokenizer import Tokenizer

EPILOG = """\
Files may be globs, gzip, and in any format: Q:/A:, User:/Assistant:, plain text, Markdown, ChatML, ### Instruction,
INPUT:/TASK:, JSON Lines, JSON, CSV, TSV, Parquet. The files themselves are never changed.

  forge-tui check data/*.txt --size small          findings, counts, and whether there is enough text for `small`
  forge-tui check notes.txt --fix repaired         a repaired copy, and repaired/changes.txt with every change
  forge-tui check chat.txt --convert jsonl > chat.jsonl
  forge-tui check chat.txt --show-mask 1           which tokens of the first document are trained on

exit codes: 0 usable, 2 usage, 3 not usable
"""

QUIET_SECONDS = 1.0
"""A check that is done by then shows no progress."""
REDRAW_SECONDS = 0.2

MASK_SAMPLE = 4_000_000
"""Characters that a tokenizer is trained on when no model lends its own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("files", nargs="+", metavar="FILE", help="files or globs")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument("--size", metavar="SIZE", help="the size that would be trained: is there enough text for it?")
    parser.add_argument("--sequence-length", metavar="N", type=int, default=512, help="tokens of a row (512)")
    parser.add_argument("--format", metavar="FORMAT", default="auto", help='the format of all files ("auto")')
    parser.add_argument(
        "--columns", metavar="FIELD=NAME", action="append", default=[],
        help="a field under another name: prompt=frage, completion=antwort; may be repeated",
    )  # fmt: skip
    parser.add_argument("--model", metavar="NAME", help="count tokens with the tokenizer of this model")
    parser.add_argument("--fix", metavar="DIR", help="write repaired copies and the list of changes into DIR")
    parser.add_argument(
        "--convert", metavar="FORMAT",
        help="jsonl, qa, chat or text: into DIR with --fix, otherwise on stdout (the report then goes to stderr)",
    )  # fmt: skip
    parser.add_argument("--show-mask", metavar="N", type=int, help="show how the tokens of document N are trained on")
    parser.add_argument(
        "--prompt-weight", metavar="W", type=float, default=None,
        help="for --show-mask: weight of what the assistant does not say; 1 is building from scratch",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Check, repair, convert, show."""
    from engine.text.conversion import check_target
    from engine.text.formats import check_format, expand

    columns = _columns(args.columns)
    check_format(args.format, columns)
    if args.convert is not None:
        check_target(args.convert)
    if args.show_mask is not None and args.show_mask < 1:
        raise UsageError("--show-mask counts documents from 1.")
    if args.sequence_length < 2:
        raise UsageError("--sequence-length must be at least 2.")
    files = [_shown_path(path) for path in expand(args.files, Path.cwd())]
    tokenizer = _model_tokenizer(args.model) if args.model else None
    report = _lint(files, args, columns, tokenizer)
    to_stdout = args.convert is not None and args.fix is None
    extra = _extras(files, args, columns, report, tokenizer)
    if args.json and not to_stdout:
        print(json.dumps({**report.to_json(), **extra.json}, ensure_ascii=False), flush=True)
    elif args.json:
        print(json.dumps({**report.to_json(), **extra.json}, ensure_ascii=False), file=sys.stderr, flush=True)
    else:
        write: Callable[[str], None] = say if to_stdout else put
        put_report(report, write)
        for line in extra.lines:
            write(line)
    return int(ExitCode.DONE if report.usable else ExitCode.DATA)


class _Extras:
    """What was done besides checking, for people and for scripts."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.json: dict[str, Any] = {}


def _lint(files: list[str], args: argparse.Namespace, columns: dict[str, str], tokenizer: Tokenizer | None) -> Report:
    from engine.text.lint import DataFile, lint

    shown = _ProgressLine() if is_terminal(sys.stderr) and not args.json else None
    try:
        return lint(
            [DataFile(file, args.format, columns) for file in files],
            size=args.size,
            sequence_length=args.sequence_length,
            tokenizer=_Counter(tokenizer) if tokenizer is not None else None,
            progress=shown.show if shown is not None else None,
        )
    finally:
        if shown is not None:
            shown.clear()


def _extras(
    files: list[str], args: argparse.Namespace, columns: dict[str, str], report: Report, tokenizer: Tokenizer | None
) -> _Extras:
    extra = _Extras()
    inputs: Sequence[str] = files
    if args.fix is not None:
        inputs = _fix(files, Path(args.fix), extra)
    if args.convert is not None:
        _convert(inputs, args, columns, extra)
    if args.show_mask is not None:
        _show_mask(files, args, columns, tokenizer, extra)
    return extra


def _fix(files: list[str], folder: Path, extra: _Extras) -> list[str]:
    from engine.text.repair import CHANGES, LABELS, repair

    results = repair(files, folder)
    extra.lines.append("")
    extra.lines.append("repaired copies")
    for result in results:
        if result.failed:
            extra.lines.append(f"  {one_line(result.file, 60)}: no copy: {one_line(result.failed, 200)}")
            continue
        extra.lines.append(f"  {one_line(result.copy, 200)}")
        for kind, count in result.changes.items():
            extra.lines.append(f"    {count:>7,}  {LABELS[kind]}")
        if not result.changes:
            extra.lines.append("          0  changes")
    extra.lines.append(f"  every change: {one_line(str(folder / CHANGES), 200)}")
    extra.json["repaired"] = [
        {"file": result.file, "copy": result.copy, "changes": dict(result.changes), "failed": result.failed}
        for result in results
    ]
    return [result.copy for result in results if result.copy]


def _convert(files: Sequence[str], args: argparse.Namespace, columns: dict[str, str], extra: _Extras) -> None:
    from engine.text.conversion import Converted, convert, converted_name

    results: list[tuple[Converted, str]] = []
    for file in files:
        target = ""
        try:
            if args.fix is None:
                result = convert(file, args.convert, sys.stdout.write, source=args.format, columns=columns)
            else:
                path = Path(args.fix) / converted_name(file, args.convert)
                target = str(path)
                with path.open("w", encoding="utf-8", newline="\n") as stream:
                    result = convert(file, args.convert, stream.write, source=args.format, columns=columns)
        except DataError as problem:
            extra.lines.append(f"not converted: {problem}")
            continue
        results.append((result, target))
    sys.stdout.flush()
    extra.lines += ["", f"converted to {args.convert}"]
    for result, target in results:
        extra.lines.append(f"  {one_line(target or result.file, 200)}: {result.documents:,} documents")
        if result.refused:
            lines = ", ".join(str(line) for line in result.refused_lines)
            extra.lines.append(f"    {result.refused:,} left out that {args.convert} cannot hold: lines {lines}")
        lost = sum(count for code, count in result.left_out.items() if code != "comment")
        if lost:
            extra.lines.append(f"    {lost:,} lines were in no document (see the findings)")
    extra.json["converted"] = [
        {"file": result.file, "to": target, "documents": result.documents, "refused": result.refused}
        for result, target in results
    ]


def _show_mask(
    files: list[str], args: argparse.Namespace, columns: dict[str, str], tokenizer: Tokenizer | None, extra: _Extras
) -> None:
    from engine.text.mask import mask_of
    from forge_tui.check_words import mask_lines

    document = _document(files, args, columns)
    borrowed = tokenizer is not None
    tokenizer = tokenizer or _trained_tokenizer(files, args, columns)
    weight = args.prompt_weight
    if weight is None:
        weight = 0.1 if borrowed else 1.0
    if not 0.0 <= weight <= 1.0:
        raise UsageError("--prompt-weight lies between 0 and 1.")
    spans = mask_of(document, tokenizer, args.sequence_length, weight)
    extra.lines += ["", *mask_lines(document, spans, args.show_mask, weight, args.sequence_length)]
    extra.json["mask"] = {
        "document": args.show_mask,
        "file": document.file,
        "line": document.first_line,
        "prompt_weight": weight,
        "spans": [{"text": span.text, "kind": span.kind, "tokens": span.tokens} for span in spans],
    }


def _document(files: list[str], args: argparse.Namespace, columns: dict[str, str]) -> Document:
    from engine.text.formats import read_documents

    count = 0
    for file in files:
        for document in read_documents(file, args.format, columns=columns, report=_ignore):
            count += 1
            if count == args.show_mask:
                return document
    raise DataError(f"There are only {count:,} documents.", fix=f"--show-mask takes a number up to {count:,}.")


def _ignore(problem: object) -> None:
    """The report has told of it already."""


def _trained_tokenizer(files: list[str], args: argparse.Namespace, columns: dict[str, str]) -> Tokenizer:
    """A tokenizer such as a build from these files would get, from their first part."""
    from engine.text.formats import read_documents
    from engine.text.tokenizer import Tokenizer, suggest_vocabulary, training_texts

    documents: list[Document] = []
    size = 0
    for file in files:
        for document in read_documents(file, args.format, columns=columns, report=_ignore):
            documents.append(document)
            size += sum(len(turn.text) for turn in document.turns)
            if size > MASK_SAMPLE:
                break
    total = sum(Path(file).stat().st_size for file in files)
    return Tokenizer.train(training_texts(documents), suggest_vocabulary(total)[0])


class _Counter:
    """Counts tokens for the linter."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""
        return self._tokenizer.vocabulary

    def count(self, documents: Sequence[Document]) -> list[int]:
        """Tokens of each document."""
        return [len(encoded.ids) for encoded in self._tokenizer.encode_documents(documents)]


def _model_tokenizer(name: str) -> Tokenizer:
    from engine.library.catalogue import find_entry
    from engine.project import Project, find_project
    from engine.text.tokenizer import Tokenizer

    project = find_project() or Project(Path.cwd())
    return Tokenizer.load(find_entry(project, name).folder)


def _columns(given: list[str]) -> dict[str, str]:
    columns = {}
    for one in given:
        field, sign, name = one.partition("=")
        if not (field and sign and name):
            raise UsageError(f"--columns takes FIELD=NAME, not {one_line(one, 60)}.", fix="Such as: prompt=question")
        columns[field] = name
    return columns


def _shown_path(path: Path) -> str:
    """Relative to the working folder where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


class _ProgressLine:
    """One line on a terminal that says how far the check is; nothing during the first second."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._shown = 0.0

    def show(self, progress: Progress) -> None:
        """Rewrite the line, at most five times a second."""
        now = time.monotonic()
        if now - self._started < QUIET_SECONDS or now - self._shown < REDRAW_SECONDS:
            return
        self._shown = now
        left = progress.seconds_left
        eta = f", {left:,.0f} s left" if left is not None else ""
        done, total = progress.bytes_done / 1e6, progress.bytes_total / 1e6
        share = 100 * progress.bytes_done / max(progress.bytes_total, 1)
        text = f"checking {one_line(progress.file, 30)}  {share:3.0f} %  {done:,.0f} of {total:,.0f} MB{eta}"
        print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave an empty line behind."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
