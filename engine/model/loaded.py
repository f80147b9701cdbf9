"""A model ready to answer: `load_model("sacrifice").generate("What is Python?")`."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from engine.errors import ModelError, UsageError
from engine.model.folder import load_tokenizer, open_model
from engine.model.generate import Generation, Prompt, prompt_of_text, prompt_of_turns, stream
from engine.model.info import ModelInfo
from engine.model.sampling import SamplingSettings
from engine.model.transformer import Decoder
from engine.project import NAME, Project, find_project
from engine.text.conversation import Role, Turn
from engine.text.tokenizer import Tokenizer

Message = Turn | Mapping[str, str]
"""A turn, or a mapping with `role` and `content`."""


class LoadedModel:
    """A decoder with its tokenizer."""

    def __init__(self, info: ModelInfo, decoder: Decoder, tokenizer: Tokenizer) -> None:
        """Use `load_model`."""
        self.info = info
        """What its folder says."""
        self.decoder = decoder
        self.tokenizer = tokenizer

    @property
    def converses(self) -> bool:
        """Whether a plain prompt is a question to be answered, rather than a text to be continued."""
        return self.info.card is None or self.info.card.conversation

    def generate(self, prompt: str, **settings: Any) -> str:
        """The answer to a question; from a model of prose, the continuation of a text.

        Args:
            prompt: any text.
            settings: fields of `SamplingSettings`.

        Raises:
            UsageError: a setting out of range.
        """
        chosen = _settings(settings)
        if not self.converses:
            return self.complete(prompt, chosen).text
        return self.answer([Turn("user", prompt)], chosen).text

    def chat(self, messages: Sequence[Message], **settings: Any) -> str:
        """The answer to a conversation; arguments and errors as in `generate`."""
        return self.answer(messages, _settings(settings)).text

    def stream(
        self, messages: Sequence[Message], settings: SamplingSettings | None = None
    ) -> Generator[str, None, Generation]:
        """The answer to a conversation in pieces of text; the generator returns the whole.

        Raises:
            UsageError: no messages, or one without role and content.
        """
        chosen = settings or SamplingSettings()
        turns = [_turn(message) for message in messages]
        if not turns:
            raise UsageError("A conversation needs at least one message.")
        context = self.decoder.architecture.context
        return self._stream(prompt_of_turns(self.tokenizer, turns, context, chosen), chosen)

    def stream_text(self, text: str, settings: SamplingSettings | None = None) -> Generator[str, None, Generation]:
        """The continuation of a text in pieces; the generator returns the whole."""
        chosen = settings or SamplingSettings()
        context = self.decoder.architecture.context
        return self._stream(prompt_of_text(self.tokenizer, text, context, chosen), chosen)

    def answer(self, messages: Sequence[Message], settings: SamplingSettings | None = None) -> Generation:
        """The answer to a conversation, with its tokens and why it ended."""
        return _drain(self.stream(messages, settings))

    def complete(self, text: str, settings: SamplingSettings | None = None) -> Generation:
        """The continuation of a text, with its tokens and why it ended."""
        return _drain(self.stream_text(text, settings))

    def _stream(self, prompt: Prompt, settings: SamplingSettings) -> Generator[str, None, Generation]:
        controls = (self.tokenizer.end_of_text, self.tokenizer.turn_start, self.tokenizer.turn_end)
        stop_ids = frozenset((*controls, *self.info.stop_ids))
        return stream(self.decoder, self.tokenizer, prompt, settings, stop_ids)


def load_model(name_or_path: str | Path, *, device: str = "cpu") -> LoadedModel:
    """A model by its name in the project around the working folder, or by its folder.

    Args:
        name_or_path: "sacrifice", or any path.
        device: "cpu", "cuda", "mps".

    Raises:
        ModelError: there is none, or it cannot be used.
    """
    folder = find_model(name_or_path)
    info, decoder = open_model(folder, device=device, dtype="float32" if device == "cpu" else None)
    return LoadedModel(info, decoder.eval(), load_tokenizer(info))


def find_model(name_or_path: str | Path) -> Path:
    """The folder of a model given by name or path; a name is looked up before a folder in the working folder.

    Raises:
        ModelError: there is none; names the models that there are.
    """
    text = str(name_or_path)
    project = find_project() or Project(Path.cwd())
    if NAME.fullmatch(text) and (project.models / text).is_dir():
        return project.models / text
    try:
        path = Path(text).expanduser()
        if text and (path.is_dir() or path.is_file()):
            return path
    except (OSError, RuntimeError, ValueError):
        pass  # no path can have this name
    shown = "".join(char if char.isprintable() else "?" for char in text[:60])
    raise ModelError(f'There is no model "{shown}".', file=project.models, fix=_known(project))


def _known(project: Project) -> str:
    names = sorted(
        path.parent.name for path in project.models.glob("*/config.json") if NAME.fullmatch(path.parent.name)
    )
    if not names:
        return "Train one first: forge-tui train"
    return "There are: " + ", ".join(names[:8]) + (", ..." if len(names) > 8 else ".")


def _settings(settings: dict[str, Any]) -> SamplingSettings:
    stop = settings.get("stop", ())
    return SamplingSettings(**{**settings, "stop": (stop,) if isinstance(stop, str) else tuple(stop)})


def _turn(message: Message) -> Turn:
    if isinstance(message, Turn):
        return message
    role, content = message.get("role"), message.get("content")
    if role not in get_args(Role) or not isinstance(content, str):
        raise UsageError(f"A message needs a role ({', '.join(get_args(Role))}) and a content.")
    return Turn(cast(Role, role), content)


def _drain(pieces: Iterator[str]) -> Generation:
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return cast(Generation, end.value)
