"""One side of a chat: which model it is, the process that speaks for it, and what it is saying."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import ForgeError
from engine.library.voices import Voice, is_training, voice_of
from engine.model.sampling import SamplingSettings
from engine.project import Project
from engine.runs.speaker import Ended, Piece, Ready, Speaker, Trouble
from engine.text.conversation import Turn
from forge_tui.background import Background
from forge_tui.talk import Answer

MakeSpeaker = Callable[[Path, bool], Speaker]


def start_speaker(folder: Path, considerate: bool) -> Speaker:
    """A process for a model; considerate while a training needs the processor."""
    return Speaker(folder, considerate=considerate)


class Partner:
    """A model to talk to. Its process is started when it is first needed, and anew when it has died."""

    def __init__(self, model: str, which: str = "", make: MakeSpeaker = start_speaker) -> None:
        self.model = model
        """Its name."""
        self.which = which
        """A checkpoint as in `engine.library.voices`; empty: what is best to talk to now."""
        self.voice: Voice | None = None
        """What was found under that name when it was last looked for."""
        self.ready: Ready | None = None
        """What the process said when the model was loaded."""
        self.trouble = ""
        """Why there is nobody to talk to."""
        self._make = make
        self._speaker: Speaker | None = None
        self._answers: dict[int, Answer] = {}

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return any(not answer.over for answer in self._answers.values())

    @property
    def loading(self) -> bool:
        """Whether the model is being loaded."""
        return self._speaker is not None and self._speaker.alive and self.ready is None and not self.trouble

    def prepare(self, project: Project, background: Background, then: Callable[[], None]) -> None:
        """Find the model as it is now and have it loaded; `then` is called in the app when it was found, or not."""

        def find() -> tuple[Voice, bool]:
            return voice_of(project, self.model, self.which), is_training(project)

        def found(result: tuple[Voice, bool]) -> None:
            self._use(*result)
            then()

        def failed(error: ForgeError) -> None:
            self.voice, self.trouble = None, f"{error.text} {error.fix}".strip()
            then()

        background.start(find, found, failed)

    def _use(self, voice: Voice, training: bool) -> None:
        self.voice, self.trouble = voice, ""
        speaker = self._speaker
        if speaker is None or not speaker.alive or speaker.considerate != training:
            self.close()
            self._speaker = self._make(voice.folder, training)
        elif speaker.folder != voice.folder:
            self.ready = None
            speaker.load(voice.folder)

    def ask(self, turns: Sequence[Turn], settings: SamplingSettings, answer: Answer) -> None:
        """Have `answer` filled in; call it after `prepare`."""
        if self._speaker is None or self.voice is None:
            answer.fail(self.trouble or "There is nobody to answer.")
            return
        number = self._speaker.ask(turns, settings, continues=not self.voice.converses)
        self._answers[number] = answer

    def stop(self) -> None:
        """End the answer that is on its way."""
        if self._speaker is not None and self.busy:
            self._speaker.stop()

    def listen(self) -> bool:
        """Take in what has come; whether there was anything."""
        if self._speaker is None:
            return False
        words = self._speaker.poll()
        for word in words:
            if isinstance(word, Ready):
                self.ready = word
            elif isinstance(word, Trouble):
                self._fail(word)
            elif (answer := self._answers.get(word.answer)) is None:
                continue
            elif isinstance(word, Piece):
                answer.text += word.text
                answer.state = "speaking"
            elif isinstance(word, Ended):
                answer.end(word.reason, word.tokens, word.seconds, word.truncated)
                del self._answers[word.answer]
        return bool(words)

    def _fail(self, word: Trouble) -> None:
        text = f"{word.text} {word.fix}".strip()
        if word.answer is None:
            self.ready, self.trouble = None, text
        for number, answer in list(self._answers.items()):
            if word.answer in (number, None):
                answer.fail(text)
                del self._answers[number]

    def close(self) -> None:
        """Let the model go."""
        if self._speaker is not None:
            self._speaker.close()
            self._speaker = None
        self.ready = None
        for answer in self._answers.values():
            answer.fail("stopped")
        self._answers = {}
