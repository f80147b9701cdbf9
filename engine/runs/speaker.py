"""A model that answers in a process of its own, so that whoever asks stays small, quick, and free of torch.

The process (`engine.runs.speech`) is spoken to in JSON lines over its pipes. It ends with the asker: when the asker's
end of the pipe closes, however that comes about, it leaves at once.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from engine.model.sampling import SamplingSettings
from engine.runs import death
from engine.runs.environment import worker_environment
from engine.text.conversation import Turn
from engine.typed import convert

Reason = Literal["end", "stop", "length", "context", "cancelled"]
"""The model ended it · a stop string came · the limit is reached · the context is full · somebody stopped it."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A model is loaded."""

    folder: str
    parameters: int
    context: int
    converses: bool
    """Whether a prompt is a question to it; False for a model of prose, or one that does not say."""
    device: str
    threads: int
    seconds: float
    """That loading took."""


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of an answer."""

    answer: int
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """An answer has come to its end."""

    answer: int
    reason: Reason
    tokens: int
    seconds: float
    truncated: int = 0
    """Tokens of the conversation that the model's context had no room for."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something went wrong."""

    text: str
    fix: str = ""
    answer: int | None = None
    """The answer that it cost; None when it was loading."""
    fatal: bool = False
    """Whether the process is gone."""


Word = Ready | Piece | Ended | Trouble
_KINDS: dict[str, type[Word]] = {"ready": Ready, "piece": Piece, "ended": Ended, "trouble": Trouble}


class Speaker:
    """The asker's side. No method but `wait` ever waits; all may be called from one thread only."""

    def __init__(self, folder: Path, *, considerate: bool = False) -> None:
        """Start the process and let it load a model.

        Args:
            folder: A model's or a checkpoint's.
            considerate: Yield the cores to a training: one thread, the lowest priority, no GPU.
        """
        self.considerate = considerate
        self.folder = folder
        """What was asked to be loaded last."""
        self._numbers = itertools.count(1)
        self._words: deque[Word] = deque()
        self._news = threading.Condition()
        self._closed = False
        self._waiting: set[int] = set()
        self._kills = death.memory_kills()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        with worker_environment():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engine.runs.speech", *(["--considerate"] if considerate else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,
                cwd=Path(__file__).parents[2],
            )
        threading.Thread(target=self._read, name="speaker", daemon=True).start()
        self.load(folder)

    @property
    def alive(self) -> bool:
        """Whether the process is there to be asked."""
        return not self._closed and self._process.poll() is None

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return bool(self._waiting)

    def load(self, folder: Path) -> None:
        """Load another model, or a newer checkpoint; after the answers that were asked for before."""
        self.folder = folder
        self._send({"do": "load", "folder": str(folder)})

    def ask(self, turns: Sequence[Turn], settings: SamplingSettings, *, continues: bool = False) -> int:
        """Ask for an answer; returns its number.

        Args:
            turns: The conversation so far, the question last.
            settings: How to sample.
            continues: Take the last turn as a text to be continued, instead of a question.
        """
        number = next(self._numbers)
        self._waiting.add(number)
        said = [{"role": turn.role, "text": turn.text} for turn in turns]
        self._send({"do": "ask", "answer": number, "turns": said, "settings": asdict(settings), "continues": continues})
        return number

    def stop(self) -> None:
        """End the answer that is being given, and those that wait."""
        self._send({"do": "stop"})

    def poll(self) -> list[Word]:
        """What has come since the last call."""
        with self._news:
            words = list(self._words)
            self._words.clear()
        for word in words:
            if isinstance(word, Ended) or (isinstance(word, Trouble) and word.answer is not None):
                self._waiting.discard(word.answer or 0)
            if isinstance(word, Trouble) and word.fatal:
                self._waiting.clear()
        return words

    def wait(self, timeout: float | None = None) -> list[Word]:
        """As `poll`, but waits until there is something (or the timeout is over)."""
        with self._news:
            self._news.wait_for(lambda: bool(self._words), timeout)
        return self.poll()

    def close(self) -> None:
        """End the process."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            self._process.kill()
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def _send(self, message: dict[str, Any]) -> None:
        stream = self._process.stdin
        if stream is None or self._closed:
            return
        with contextlib.suppress(OSError, ValueError):  # a process that is gone says so itself, through `_read`
            stream.write(msgspec.json.encode(message) + b"\n")
            stream.flush()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with contextlib.suppress(OSError, ValueError):
            for line in stream:
                word = _decode(line)
                if word is not None:
                    self._tell(word)
        code = self._process.wait()
        stream.close()
        if not self._closed:
            self._tell(self._last_words(code))
        self._errors.close()

    def _tell(self, word: Word) -> None:
        with self._news:
            self._words.append(word)
            self._news.notify_all()

    def _last_words(self, code: int) -> Trouble:
        cause = death.diagnose(code, self._kills, death.memory_kills())
        if cause.code == "killed_for_memory":
            text = "Memory ran out: the model was ended."
            return Trouble(text, "Close other programs, or ask a smaller model.", fatal=True)
        self._errors.seek(0)
        lines = self._errors.read()[-2000:].decode(errors="replace").strip().splitlines()
        said = f": {lines[-1][:200]}" if lines else f" (exit code {code})"
        return Trouble(f"The process that answers has ended{said}.", "Ask again to start it anew.", fatal=True)


def _decode(line: bytes) -> Word | None:
    """The word in a line; None for what is none, such as a library's own output."""
    try:
        data = msgspec.json.decode(line)
        kind = _KINDS[data.pop("say")]
        word: Word = convert(data, kind)
    except (msgspec.MsgspecError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    return word
