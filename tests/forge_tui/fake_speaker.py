"""A speaker that says what a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.model.sampling import SamplingSettings
from engine.runs.speaker import Ended, Piece, Ready, Trouble, Word
from engine.text.conversation import Turn


class FakeSpeaker:
    """Stands for `engine.runs.speaker.Speaker`, without a process."""

    def __init__(self, folder: Path, *, considerate: bool = False) -> None:
        self.considerate = considerate
        self.folder = folder
        self.alive = True
        self.closed = False
        self.stopped = 0
        self.asked: list[list[Turn]] = []
        self.settings: list[SamplingSettings] = []
        self.continues: list[bool] = []
        self.words: list[Word] = []
        self.load(folder)

    @classmethod
    def replace(cls, monkeypatch: pytest.MonkeyPatch, name: str) -> list[FakeSpeaker]:
        """Put it in the place of the real one; returns the list of those that will be made."""
        made: list[FakeSpeaker] = []

        def make(folder: Path, *, considerate: bool = False) -> FakeSpeaker:
            made.append(cls(folder, considerate=considerate))
            return made[-1]

        monkeypatch.setattr(name, make)
        return made

    def load(self, folder: Path) -> None:
        self.folder = folder
        self.words.append(Ready(str(folder), 78400, 48, True, "cpu", 1 if self.considerate else 2, 0.1))

    def ask(self, turns: Sequence[Turn], settings: SamplingSettings, *, continues: bool = False) -> int:
        self.asked.append(list(turns))
        self.settings.append(settings)
        self.continues.append(continues)
        return len(self.asked)

    def say(self, text: str) -> None:
        """More of the newest answer."""
        self.words.append(Piece(len(self.asked), text))

    def answer(self, text: str, reason: str = "end", truncated: int = 0) -> None:
        """The newest answer, whole."""
        self.say(text)
        self.words.append(Ended(len(self.asked), reason, len(text.split()), 0.5, truncated))  # type: ignore[arg-type]

    def fail(self, text: str, *, fatal: bool = False) -> None:
        """Something goes wrong."""
        self.words.append(Trouble(text, "Try again.", None if fatal else len(self.asked), fatal))
        self.alive = not fatal

    def stop(self) -> None:
        self.stopped += 1
        self.words.append(Ended(len(self.asked), "cancelled", 1, 0.1))

    def poll(self) -> list[Word]:
        words, self.words = self.words, []
        return words

    def close(self) -> None:
        self.closed, self.alive = True, False
