"""A conversation kept as training data: whose answers, in which file, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.project import Project
from engine.text.conversation import Turn
from engine.text.conversation_file import append_conversation, check_file
from forge_tui.screens.ask import Ask
from forge_tui.screens.choose import Choice, Choose
from forge_tui.talk import Talk

if TYPE_CHECKING:
    from forge_tui.app import ForgeApp

FILE = "chat.file"
"""What the app remembers: the file that was saved to last."""
DEFAULT_FILE = "conversations.txt"


def save_talk(app: ForgeApp, project: Project, talk: Talk, names: Sequence[str]) -> None:
    """Ask where to, and save; of two models the answers of one are saved."""
    found = {side: talk.finished_turns(side) for side in range(len(names))}
    usable = [side for side, (turns, _) in found.items() if any(turn.role == "assistant" for turn in turns)]
    if len(usable) == 1:
        _ask_file(app, project, *found[usable[0]])
        return
    choices = [Choice(str(side), names[side], "left" if side == 0 else "right") for side in usable]

    def answer(key: str | None) -> None:
        if key is not None:
            _ask_file(app, project, *found[int(key)])

    app.push_screen(Choose("Save the answers of", choices), answer)


def _ask_file(app: ForgeApp, project: Project, turns: list[Turn], left_out: int) -> None:
    def answer(name: str | None) -> None:
        if not name:
            return
        app.remember_answer(FILE, name)
        path = check_file(project, name)
        app.background.start(lambda: append_conversation(path, turns), lambda kind: said(path, kind))

    def said(path: Path, kind: str) -> None:
        count = sum(turn.role == "assistant" for turn in turns)
        words = f"Added {count} exchange{'' if count == 1 else 's'} to {project.relative(path)} ({kind})."
        if left_out:
            words += f" {left_out} without an answer left out."
        app.notify(words, timeout=6)

    app.push_screen(
        Ask(
            "Save as training data",
            detail="One conversation is added at the end of the file: .txt is Q/A, .jsonl holds anything.",
            value=app.settings.answers.get(FILE, DEFAULT_FILE),
            check=lambda name: check_file(project, name),
        ),
        answer,
    )
