"""Turns in an order that a model can learn: every question answered, every answer asked for, none empty."""

from __future__ import annotations

from typing import NamedTuple

from engine.text.conversation import Document, Role, Turn
from engine.text.problem import Listener, Problem
from engine.text.readers.tools import from_old_dialect, is_old_dialect, split_results

OLD_TAGS_NOTE = "old tool tags were read as JSON tool tags"

SHOWN = 200
"""Characters of a turn that a problem carries."""


class Spoken(NamedTuple):
    """One turn as it stands in the file."""

    role: Role
    text: str
    first_line: int
    last_line: int


def conversation(spoken: list[Spoken], *, file: str, family: str, report: Listener, merging: bool) -> Document | None:
    """The document that turns make; None when nothing of them can be learnt.

    Args:
        spoken: The turns in the order of the file.
        file: Its name.
        family: Name of the format.
        report: Hears of every turn that is left out.
        merging: Whether two turns of one speaker in a row are one turn (chats) or one of them is an orphan (Q/A), and
            whether the assistant may open the conversation.
    """
    if not (
        len(spoken) == 2
        and spoken[0].role == "user"
        and spoken[1].role == "assistant"
        and spoken[0].text
        and spoken[1].text
    ):
        spoken = _paired(spoken, report, merging)
        if not spoken:
            return None
    turns: list[Turn] = []
    note = ""
    for role, text, first_line, last_line in spoken:
        if role == "assistant" and "<" in text:
            if is_old_dialect(text):
                report(Problem("old_tool_tags", first_line, text[:SHOWN]))
                note = OLD_TAGS_NOTE
                text = from_old_dialect(text)
            turns.extend(split_results(Turn(role, text, first_line, last_line)))
        else:
            turns.append(Turn(role, text, first_line, last_line))
    return Document(tuple(turns), file, spoken[0].first_line, spoken[-1].last_line, family, note)


def _paired(spoken: list[Spoken], report: Listener, merging: bool) -> list[Spoken]:
    kept: list[Spoken] = []
    for index, turn in enumerate(spoken):
        last = kept[-1].role if kept else None
        if not turn.text.strip():
            _drop_empty(turn, kept, report)
        elif turn.role == "system":
            kept.append(turn)
        elif last == turn.role and (merging or turn.role == "tool"):
            kept[-1] = Spoken(turn.role, f"{kept[-1].text}\n{turn.text}", kept[-1].first_line, turn.last_line)
        elif turn.role == "user":
            if last == "user":
                _lose("orphan_question", kept.pop(), report)
            kept.append(turn)
        elif turn.role == "tool":
            if last == "assistant":
                kept.append(turn)
            else:
                _lose("text_outside", turn, report)
        elif last in ("user", "tool") or (merging and last in (None, "system") and index + 1 < len(spoken)):
            kept.append(turn)
        else:
            _lose("orphan_answer", turn, report)
    while kept and kept[-1].role in ("user", "system"):
        turn = kept.pop()
        _lose("orphan_question" if turn.role == "user" else "text_outside", turn, report)
    if not any(turn.role == "user" for turn in kept):
        for turn in kept:
            _lose("orphan_answer" if turn.role == "assistant" else "text_outside", turn, report)
        return []
    return kept


def _drop_empty(turn: Spoken, kept: list[Spoken], report: Listener) -> None:
    code = {"user": "empty_question", "assistant": "empty_answer"}.get(turn.role, "empty_turn")
    lost = turn.last_line - turn.first_line + 1
    text = f"{turn.role}:"
    if turn.role == "assistant" and kept and kept[-1].role == "user":
        question = kept.pop()
        lost += question.last_line - question.first_line + 1
        text = question.text[:SHOWN]
    report(Problem(code, turn.first_line, text, lost))


def _lose(code: str, turn: Spoken, report: Listener) -> None:
    report(Problem(code, turn.first_line, turn.text[:SHOWN], turn.last_line - turn.first_line + 1))
