"""`chat`: a plain talk in the terminal, or answers to lines from a pipe."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ForgeError, UsageError, error_of
from engine.exit_codes import ExitCode
from engine.model.sampling import SamplingSettings
from engine.text.conversation import Document, Turn
from engine.text.sanitize import sanitize
from forge_tui.commands.here import current_project, existing_model
from forge_tui.printing import is_terminal, put, say

if TYPE_CHECKING:
    from engine.library.voices import Voice
    from engine.runs.speaker import Ended, Speaker

DEFAULTS = SamplingSettings()
RETRIES = 5
"""How often a newer checkpoint is tried when the one that was chosen is gone."""

HELP = """\
/reset          forget the conversation
/retry          answer the last question again
/system TEXT    set what the model is told before everything
/save FILE      append the conversation to FILE as training data (.jsonl, else Q/A)
/quit           leave (also Ctrl-D); Ctrl-C stops an answer, and leaves when there is none"""


EPILOG = """\
Without a terminal every line of stdin is a turn of one conversation, and the answers go to stdout. While a run trains
the model, its newest checkpoint answers and leaves the cores to the training.

In the conversation: /reset forgets it, /retry answers again, /system TEXT sets what the model is told before
everything, /save FILE appends the conversation to FILE as training data, /quit leaves. Ctrl-C stops an answer, and
leaves when there is none.

  forge-tui chat sacrifice
  forge-tui chat sacrifice --prompt "What is Python?" --temperature 0
  forge-tui chat sacrifice --checkpoint best
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `chat`."""
    parser.epilog = EPILOG
    parser.add_argument("name", metavar="NAME", help="the model")
    parser.add_argument("--prompt", metavar="TEXT", help="answer this, and leave")
    parser.add_argument("--system", metavar="TEXT", default="", help="what the model is told before everything")
    parser.add_argument(
        "--checkpoint", metavar="WHICH", default="", help='"best", "newest" or a step, instead of the model'
    )
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument(
        "--temperature", type=float, default=DEFAULTS.temperature, help="0: always the likeliest (default: %(default)s)"
    )
    sampling.add_argument("--top-k", type=int, default=DEFAULTS.top_k, help="0: all tokens (default: %(default)s)")
    sampling.add_argument("--top-p", type=float, default=DEFAULTS.top_p, help="default: %(default)s")
    sampling.add_argument("--min-p", type=float, default=DEFAULTS.min_p, help="default: %(default)s")
    sampling.add_argument(
        "--repetition-penalty", type=float, default=DEFAULTS.repetition_penalty, help="1: none (default: %(default)s)"
    )
    sampling.add_argument(
        "--max-tokens", type=int, default=DEFAULTS.max_tokens, help="longest answer (default: %(default)s)"
    )
    sampling.add_argument("--seed", type=int, help="the same seed gives the same answers")
    sampling.add_argument(
        "--stop", metavar="TEXT", action="append", default=[], help="end an answer before this text; may be repeated"
    )


def run(args: argparse.Namespace) -> int:
    """Talk."""
    from engine.library.voices import voice_of

    settings = SamplingSettings(
        temperature=args.temperature, top_k=args.top_k, top_p=args.top_p, min_p=args.min_p,
        repetition_penalty=args.repetition_penalty, seed=args.seed, max_tokens=args.max_tokens, stop=tuple(args.stop),
    )  # fmt: skip
    project = current_project()
    name = existing_model(project, args.name).name
    with contextlib.closing(Talk(lambda: voice_of(project, name, args.checkpoint), settings, args.system)) as talk:
        if args.prompt is not None:
            talk.answer(args.prompt)
            return int(ExitCode.DONE)
        return _converse(talk) if sys.stdin.isatty() else _answer_lines(talk)


class _GoneError(Exception):
    """The checkpoint was thrown away before it was read."""


class Talk:
    """One conversation with one model."""

    def __init__(self, choose: Callable[[], Voice], settings: SamplingSettings, system: str = "") -> None:
        """Begin to load the model.

        Args:
            choose: Finds what answers; asked again when that is gone, as checkpoints of a run that goes on are.
            settings: How to sample.
            system: What the model is told before everything.
        """
        from engine.runs.speaker import Speaker

        self._choose = choose
        self.voice = voice = choose()
        self.settings = settings
        self.turns: list[Turn] = []
        self.system = system
        self._saved: list[Turn] = []
        self._retries = RETRIES
        self._speaker: Speaker = Speaker(voice.folder, considerate=voice.live)

    def close(self) -> None:
        """End the process that answers."""
        self._speaker.close()

    def answer(self, prompt: str) -> bool:
        """Answer a prompt on stdout as the text comes; False when the user stopped it.

        Raises:
            ForgeError: the model cannot answer.
        """
        self.turns.append(Turn("user" if self.voice.converses else "text", prompt))
        if self.voice.live and (newest := self._choose()).folder != self.voice.folder:
            self.voice = newest
            self._speaker.load(newest.folder)
        number = self._ask()
        pieces: list[str] = []
        ended: Ended | None = None
        stopped = False
        while ended is None:
            try:
                ended = self._take(number, pieces)
            except _GoneError:
                number = self._ask_newer()
            except KeyboardInterrupt:
                if stopped:
                    raise
                stopped = True
                self._speaker.stop()
        put()
        self._explain(ended)
        if self.voice.converses:
            self.turns.append(Turn("assistant", "".join(pieces)))
        return not stopped

    def _ask(self) -> int:
        return self._speaker.ask(self._said(), self._next_settings(), continues=not self.voice.converses)

    def _ask_newer(self) -> int:
        """Load what answers now, and ask it."""
        self.voice = self._choose()
        self._speaker.load(self.voice.folder)
        return self._ask()

    def _said(self) -> list[Turn]:
        if not self.voice.converses:
            return self.turns[-1:]
        return [*([Turn("system", self.system)] if self.system else []), *self.turns]

    def _next_settings(self) -> SamplingSettings:
        """Every answer has a seed of its own, counted on from the one that was given."""
        seed = self.settings.seed
        return self.settings if seed is None else replace(self.settings, seed=seed + len(self.turns) // 2)

    def _take(self, number: int, pieces: list[str]) -> Ended | None:
        """Print what has come; returns the end of the answer once it is there."""
        from engine.runs.speaker import Ended, Piece, Trouble

        ended = None
        for word in self._speaker.wait(1.0):
            match word:
                case Piece(answer=answer, text=text) if answer == number:
                    pieces.append(text)
                    sys.stdout.write(sanitize(text, 1_000_000))
                    sys.stdout.flush()
                case Ended() if word.answer == number:
                    ended = word
                case Trouble(answer=None, fatal=False) if self.voice.live and self._retries > 0:
                    self._retries -= 1
                    raise _GoneError
                case Trouble(answer=answer) if answer in (None, number):
                    raise error_of("failed", word.text, word.fix)
        return ended

    def _explain(self, ended: Ended) -> None:
        if ended.truncated:
            say(f"({ended.truncated:,} tokens at the beginning of the conversation did not fit and were left out)")
        if ended.reason == "length":
            say(f"(cut at {self.settings.max_tokens:,} tokens: --max-tokens)")
        elif ended.reason == "context":
            say("(the model's context is full: /reset)")
        elif ended.reason == "cancelled":
            say("(stopped)")

    def retry(self) -> bool:
        """Answer the last question again."""
        while self.turns and self.turns[-1].role == "assistant":
            self.turns.pop()
        if not self.turns:
            raise UsageError("There is no question yet.")
        return self.answer(self.turns.pop().text)

    def save(self, name: str) -> str:
        """Append the conversation to a file as training data; returns what to say.

        Raises:
            UsageError: there is nothing to save, or the format cannot hold it.
            ForgeError: the file cannot be written.
        """
        from engine.files import os_error
        from engine.text.writers import written

        if not name:
            raise UsageError("/save needs a file.", fix="Such as: /save data/mine.txt")
        answered = [turn for turn in self._said() if turn.text.strip()]
        while answered and answered[-1].role == "user":
            answered.pop()
        if not any(turn.role == "assistant" for turn in answered) or answered == self._saved:
            raise UsageError("There is nothing new to save.")
        path = Path(name).expanduser()
        text = written(Document(tuple(answered)), "jsonl" if path.suffix == ".jsonl" else "qa")
        if text is None:
            raise UsageError("Q/A text cannot hold this conversation.", fix="Save it as .jsonl.")
        try:
            _append(path, text)
        except OSError as error:
            raise os_error(error, path) from error
        self._saved = answered
        return f"Appended {len(answered)} turns to {path}."


def _append(path: Path, text: str) -> None:
    """Add to a text file, on a line of its own (after an empty one, but for JSON lines)."""
    with path.open("a+b") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 2))
        end = stream.read()
        gap = "\n" if end and not end.endswith(b"\n") else ""
        if path.suffix != ".jsonl" and end and end != b"\n\n":
            gap += "\n"
        stream.write((gap + text).encode())


def _answer_lines(talk: Talk) -> int:
    """Without a terminal: each line of stdin is a turn of one conversation."""
    for line in sys.stdin:
        prompt = line.strip()
        if prompt.startswith("/"):
            if not _obey(talk, prompt):
                break
        elif prompt and not talk.answer(prompt):
            return int(ExitCode.INTERRUPTED)
    return int(ExitCode.DONE)


def _converse(talk: Talk) -> int:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - line editing and history for input()
    voice = talk.voice
    what = voice.model if voice.step is None else f"{voice.model} at step {voice.step:,}"
    live = " It is being trained: answers come slowly." if voice.live else ""
    say(f"Talking to {what}.{live} /help shows the commands.")
    prompt = "> " if is_terminal(sys.stdout) else ""
    while True:
        try:
            line = input(prompt).strip()
        except (EOFError, KeyboardInterrupt):
            say("")
            return int(ExitCode.DONE)
        try:
            if line.startswith("/"):
                if not _obey(talk, line):
                    return int(ExitCode.DONE)
            elif line:
                talk.answer(line)
        except KeyboardInterrupt:
            return int(ExitCode.INTERRUPTED)


def _obey(talk: Talk, line: str) -> bool:
    """Carry out a command; False to leave."""
    name, _, rest = line.partition(" ")
    try:
        match name:
            case "/quit" | "/exit":
                return False
            case "/reset":
                talk.turns.clear()
                say("(forgotten)")
            case "/retry":
                talk.retry()
            case "/system":
                talk.system = rest.strip()
                say("(set)" if talk.system else "(removed)")
            case "/save":
                say(talk.save(rest.strip()))
            case _:
                say(HELP)
    except ForgeError as error:
        say(str(error))
    return True
