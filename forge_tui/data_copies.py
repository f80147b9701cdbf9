"""Repaired and converted copies of data files: made aside, looked through, then kept under a name. Never in place."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ForgeError, UsageError
from engine.files import os_error
from engine.text.conversion import converted_name
from engine.text.errand import Convert, Repair
from engine.text.findings.catalogue import RULES
from engine.text.repair import CHANGES, LABELS
from forge_tui.errand_process import ErrandProcess
from forge_tui.screens.ask import Ask
from forge_tui.screens.choose import Choice, Choose
from forge_tui.screens.data_review import Review, Waiting
from forge_tui.text import one_line

if TYPE_CHECKING:
    from forge_tui.app import ForgeApp

MOST_CHANGES = 5000
"""Changes that are listed one by one."""

TARGETS = (
    Choice("jsonl", "JSON Lines", "holds everything; other programs read it"),
    Choice("qa", "Q: and A:", "easy to read and to write"),
    Choice("chat", "User: and Assistant:", "for talks of several turns"),
    Choice("text", "plain text", "for texts without speakers"),
)

Kept = Callable[[Path, Path], None]
"""Told of the file and of its copy, once that is kept."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A copy that waits for a yes."""

    file: Path
    copy: Path
    name: str
    """The name it would get, beside the file."""
    heading: str
    summary: tuple[str, ...]
    changes: tuple[str, ...]


def repair_copy(app: ForgeApp, file: Path, kept: Kept) -> None:
    """Make a repaired copy, show the changes, and keep it if that is wanted."""
    folder = _workbench(app)
    errand = ErrandProcess(Repair(files=(str(file),), folder=str(folder)))

    def done(result: Any) -> Offer | None:
        found = result[0]
        if found["failed"]:
            raise ForgeError(found["failed"])
        counts: dict[str, int] = found["changes"]
        if not sum(counts.values()):
            return None
        summary = tuple(f"{count:,} {LABELS[kind]}" for kind, count in counts.items() if count)
        changes = _changes(folder / CHANGES, str(file))
        stem, suffix = Path(file.name.removesuffix(".gz")).stem, Path(file.name.removesuffix(".gz")).suffix
        heading = f"Repair {one_line(file.name, 40)}: what is different in the copy"
        return Offer(file, Path(found["copy"]), f"{stem}.repaired{suffix}", heading, summary, changes)

    _wait(app, f"Repairing a copy of {one_line(file.name, 40)}", errand, folder, done, kept,
          nothing="There is nothing that can be repaired without asking you.")  # fmt: skip


def convert_copy(
    app: ForgeApp,
    file: Path,
    format: str,  # noqa: A002
    columns: Mapping[str, str],
    kept: Kept,
) -> None:
    """Ask for a format, convert a copy, say what would be lost, and keep it if that is wanted."""

    def chosen(target: str | None) -> None:
        if target is None:
            return
        folder = _workbench(app)
        copy = folder / "copy"
        errand = ErrandProcess(
            Convert(
                file=str(file),
                format=format,
                target=target,  # type: ignore[arg-type]
                copy=str(copy),
                columns=dict(columns),
            )
        )
        name = converted_name(file, target)

        def done(result: Any) -> Offer:
            return Offer(file, copy, name, f"Convert {one_line(file.name, 40)}", *_converted(result, target))

        _wait(app, f"Converting a copy of {one_line(file.name, 40)}", errand, folder, done, kept)

    app.push_screen(Choose("Convert a copy to", TARGETS), chosen)


def _converted(result: Any, target: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    summary = [f"{result['documents']:,} documents are in the copy."]
    changes = []
    if result["refused"]:
        title = next(choice.title for choice in TARGETS if choice.key == target)
        summary.append(f"{result['refused']:,} documents are not: {title} cannot hold them.")
        changes += [f"line {line:,}  this document cannot be held" for line in result["refused_lines"]]
    left_out = {code: lines for code, lines in result["left_out"].items() if lines and code != "comment"}
    if left_out:
        summary.append(f"{sum(left_out.values()):,} lines are not: they are in no document.")
        changes += [f"{lines:,} lines  {RULES[code].message}" for code, lines in left_out.items()]
    if comments := result["left_out"].get("comment"):
        summary.append(f"{comments:,} lines of comments are not.")
    return tuple(summary), tuple(changes)


def _wait(
    app: ForgeApp, heading: str, errand: ErrandProcess, folder: Path, done: Callable[[Any], Offer | None], kept: Kept,
    *, nothing: str = "",
) -> None:  # fmt: skip
    def finished(answer: ErrandProcess | None) -> None:
        if answer is None:
            _clean(folder)
            return
        try:
            if answer.error is not None:
                raise answer.error
            offer = done(answer.result)
        except ForgeError as error:
            app.show_error(error)
            _clean(folder)
            return
        if offer is None:
            app.notify(nothing, timeout=5)
            _clean(folder)
            return
        _review(app, offer, folder, kept)

    app.push_screen(Waiting(heading, errand), finished)


def _review(app: ForgeApp, offer: Offer, folder: Path, kept: Kept) -> None:
    def named(name: str | None) -> None:
        if name is not None:
            try:
                target = check_new_file(name, offer.file.parent)
                _move(offer.copy, target)
            except ForgeError as error:
                app.show_error(error)
            else:
                kept(offer.file, target)
        _clean(folder)

    def answered(yes: bool | None) -> None:
        if not yes:
            _clean(folder)
            return
        detail = f"Beside {one_line(offer.file.name, 50)}, which stays as it is."
        ask = Ask("Keep the copy as", detail=detail, value=offer.name,
                  check=lambda text: check_new_file(text, offer.file.parent))  # fmt: skip
        app.push_screen(ask, named)

    app.push_screen(Review(offer.heading, offer.summary, offer.changes), answered)


def check_new_file(text: str, folder: Path) -> Path:
    """The path of a file that can be made.

    Raises:
        UsageError: no name, a name with a strange character, or a file that is there.
    """
    name = text.strip()
    if not name or name in (".", "..") or any(ord(character) < 32 for character in name):
        raise UsageError("Type a name.", fix="Such as my_data.txt")
    path = folder / Path(name).expanduser()
    if path.exists() or path.is_symlink():
        raise UsageError("There is such a file already.", fix="Choose another name.")
    if not path.parent.is_dir():
        raise UsageError("There is no such folder.", fix="Make it first, or leave it out.")
    return path


def _move(copy: Path, target: Path) -> None:
    try:
        shutil.move(copy, target)
    except OSError as error:
        raise os_error(error, target) from error


def _workbench(app: ForgeApp) -> Path:
    """A new folder for copies that nobody has agreed to yet.

    Raises:
        ForgeError: it cannot be made.
    """
    if app.project is None:
        raise UsageError("There is no project here.", fix="Press 3 to make one.")
    folder = app.project.cache / "copies" / uuid.uuid4().hex[:12]
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise os_error(error, folder) from error
    return folder


def _clean(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _changes(log: Path, file: str) -> tuple[str, ...]:
    """The first changes of a repair, without the name of the file before each."""
    prefix = f"{one_line(file, 400)}:"
    changes: list[str] = []
    with log.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if len(changes) >= MOST_CHANGES:
                changes.append("...  and more of them")
                break
            changes.append("line " + line.rstrip("\n").removeprefix(prefix))
    return tuple(changes)
