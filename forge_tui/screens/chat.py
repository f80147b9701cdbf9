"""Chat: talk to a model, to one of its checkpoints, to what a run has learnt so far, or to two of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from engine.library.catalogue import ModelEntry, list_models
from engine.model.sampling import SamplingSettings
from forge_tui import chat_choice
from forge_tui.access import app_of
from forge_tui.chat_choice import VOICE
from forge_tui.chat_saving import save_talk
from forge_tui.keys import bindings
from forge_tui.partner import Partner
from forge_tui.screens.base import ForgeScreen
from forge_tui.screens.sampling import Sampling, remembered, stored
from forge_tui.screens.text_edit import TextEdit
from forge_tui.talk import Answer, Exchange, Talk
from forge_tui.text import one_line, plain
from forge_tui.widgets.pane_title import PaneTitle
from forge_tui.widgets.plain import Plain
from forge_tui.widgets.transcript import Transcript

LISTEN_SECONDS = 0.1
IDLE_SECONDS = 300.0
"""A model that nobody talks to is let go after so long: its memory is wanted elsewhere."""
SYSTEM, SETTINGS = "chat.system", "chat.settings"
"""What is remembered besides the model."""


class ChatScreen(ForgeScreen):
    """The conversation, and a line to type in."""

    HELP_SCOPES = ("chat", "text")
    BINDINGS = bindings("chat")

    def __init__(self) -> None:
        super().__init__()
        self._talk = Talk()
        self._sides: list[Partner] = []
        self._settings = SamplingSettings()
        self._models: list[ModelEntry] = []
        self._recall = 0
        self._quiet = 0.0
        self._drawn: tuple[object, ...] = ()
        self._known = False

    def body(self) -> ComposeResult:
        """Whom one talks to, what was said, and the line."""
        with Horizontal(id="chat-titles"):
            yield PaneTitle("chat", id="chat-first")
            yield PaneTitle("", id="chat-second")
        yield Transcript(id="chat-transcript")
        yield PaneTitle("you", id="chat-you")
        with Horizontal(id="chat-line"):
            yield Plain(id="chat-prompt")
            yield Input(placeholder="Ask something, then press enter", id="chat-input", compact=True)

    def on_mount(self) -> None:
        """Read what is remembered, and listen."""
        answers = app_of(self).settings.answers
        self._settings = remembered(answers.get(SETTINGS, ""))
        self._talk.system = answers.get(SYSTEM, "")
        cursor = plain(f" {app_of(self).glyphs.cursor} ", app_of(self).palette.accent)
        self.query_one("#chat-prompt", Plain).show(cursor)
        self.set_interval(LISTEN_SECONDS, self._listen)
        self.query_one("#chat-input").focus()

    def on_unmount(self) -> None:
        """Let the models go."""
        for side in self._sides:
            side.close()

    def arrived(self) -> None:
        """See which models there are, and whether another one was chosen meanwhile."""
        app, project = app_of(self), app_of(self).project
        if project is None:
            self._show()
            return
        app.background.start(lambda: list_models(project), self._found, group="chat models")

    def _found(self, models: list[ModelEntry]) -> None:
        self._models, self._known = models, True
        answers = app_of(self).settings.answers
        wanted = chat_choice.decode(answers.get(VOICE, ""))
        there = {entry.name for entry in models}
        if wanted is None or wanted[0] not in there:
            workspace = app_of(self).workspace
            job = workspace.job_or_none() if workspace else None
            wanted = chat_choice.best(models, job.model.name if job else "")
        others = [(side.model, side.which) for side in self._sides[1:] if side.model in there]
        chosen = [wanted, *others] if wanted else []
        if chosen != [(side.model, side.which) for side in self._sides]:
            self._choose(chosen)
        self._show()

    def _choose(self, chosen: Sequence[tuple[str, str]]) -> None:
        left = list(self._sides)
        sides = []
        for choice in chosen:
            kept = next((side for side in left if (side.model, side.which) == choice), None)
            if kept is not None:
                left.remove(kept)
            sides.append(kept or Partner(*choice))
        for side in left:
            side.close()
        self._sides = sides

    # ---- asking

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        newest = self._talk.exchanges[-1].answers.values() if self._talk.exchanges else ()
        return any(not answer.over for answer in newest)

    @on(Input.Submitted, "#chat-input")
    def asked(self, event: Input.Submitted) -> None:
        """Ask what was typed."""
        event.stop()
        question = event.value.strip()
        app = app_of(self)
        if not question:
            return
        if not self._sides or app.project is None:
            app.notify("There is no model to talk to yet. Press esc, then 2 to choose one, 3 to train it.", timeout=6)
            return
        if self.busy:
            app.notify("Wait for the answer, or stop it with esc.", timeout=3)
            return
        event.input.value = ""
        self._recall = 0
        self._talk.exchanges.append(Exchange(question))
        self._request(list(range(len(self._sides))))

    def _request(self, sides: Sequence[int]) -> None:
        """Have the newest question answered (again) by some sides."""
        project, background = app_of(self).project, app_of(self).background
        if project is None:
            return
        exchange = self._talk.exchanges[-1]
        for index in sides:
            before = exchange.answers.get(index)
            answer = Answer(attempt=before.attempt + 1 if before else 1)
            exchange.answers[index] = answer
            self._sides[index].prepare(project, background, self._asker(index, answer))
        self._show()

    def _asker(self, index: int, answer: Answer) -> Callable[[], None]:
        partner, talk = self._sides[index], self._talk

        def ask() -> None:
            if not answer.over:
                partner.ask(talk.turns(index), self._sampling(answer), answer)
            self._show()

        return ask

    def _sampling(self, answer: Answer) -> SamplingSettings:
        """The settings; a fixed seed moves on when the same question is asked again."""
        seed = self._settings.seed
        return self._settings if seed is None else replace(self._settings, seed=seed + answer.attempt - 1)

    def _listen(self) -> None:
        heard = [side.listen() for side in self._sides]
        if any(heard) or self.busy:
            self._quiet = 0.0
        elif any(side.ready for side in self._sides):
            self._quiet += LISTEN_SECONDS
            if self._quiet > IDLE_SECONDS:
                for side in self._sides:
                    side.close()
        if self.is_current and (any(heard) or self._state() != self._drawn):
            self._show()

    @on(Input.Changed, "#chat-input")
    def typing(self, event: Input.Changed) -> None:
        """Have the model loaded while somebody types."""
        event.stop()
        project = app_of(self).project
        for side in self._sides:
            if event.value and project is not None and side.voice is None and not side.trouble:
                side.prepare(project, app_of(self).background, self._show)

    # ---- showing

    def _state(self) -> tuple[object, ...]:
        return (
            app_of(self).theme, self.busy, self._typing,
            *((side.model, side.which, side.voice, side.ready, side.trouble, side.loading) for side in self._sides),
        )  # fmt: skip

    def _show(self) -> None:
        if not self.is_attached:
            return
        before, self._drawn = self._drawn, self._state()
        names = [side.model for side in self._sides]
        self.query_one(Transcript).show(self._talk.exchanges, names, self._empty_words())
        for index, widget in enumerate(("#chat-first", "#chat-second")):
            title = self.query_one(widget, PaneTitle)
            title.display = index == 0 or index < len(self._sides)
            if index < len(self._sides):
                side = self._sides[index]
                title.show(*chat_choice.title_of(side, self._entry(side.model), app_of(self)))
            elif index == 0:
                title.show("chat", "")
        self.query_one("#chat-you", PaneTitle).show(state=self._line_words(), active=self._typing)
        if before != self._drawn:
            self.refresh_bindings()

    def _entry(self, name: str) -> ModelEntry | None:
        return next((entry for entry in self._models if entry.name == name), None)

    def _empty_words(self) -> list[str]:
        if app_of(self).project is None:
            return ["No project here. Press esc, then 3 to make one."]
        if self._known and not self._sides:
            return ["There is no model to talk to yet.", "Press esc, then 2 to choose a size, or 3 to train one."]
        if troubles := [side.trouble for side in self._sides if side.trouble]:
            return troubles
        lines = ["Type a question and press enter. esc leaves the line; then the keys of all screens work."]
        if self._talk.system:
            lines.append(f"It is told: {one_line(self._talk.system, 100)}")
        return lines

    def _line_words(self) -> str | Text:
        words = []
        if self._talk.exchanges and (answer := self._talk.exchanges[-1].answers.get(0)) and answer.pace:
            words.append(answer.pace)
        words.append(f"temperature {self._settings.temperature:g}")
        if self._talk.system:
            words.append("system prompt")
        return plain(", ".join(words), app_of(self).palette.quiet)

    @property
    def _typing(self) -> bool:
        return self.query_one("#chat-input").has_focus

    # ---- keys

    def go_back(self) -> bool:
        """Stop the answer; then leave the line."""
        if self.busy:
            self.action_stop()
            return True
        if self._typing:
            self.query_one(Transcript).focus()
            self._show()
            return True
        return False

    def label_of(self, identity: str) -> str | None:
        """What enter does now."""
        return "ask" if identity == "chat.type" and self._typing else None

    def hidden(self, identity: str) -> bool:
        """Only what can be done now."""
        if identity == "chat.stop":
            return not self.busy
        if identity in ("chat.again", "chat.save", "chat.new"):
            return not self._talk.exchanges or self.busy
        return False

    def action_type(self) -> None:
        """Go to the line."""
        self.query_one("#chat-input").focus()
        self._show()

    def action_stop(self) -> None:
        """Stop the answers that are on their way."""
        for side in self._sides:
            side.stop()
        for exchange in self._talk.exchanges[-1:]:
            for answer in exchange.answers.values():
                if answer.state == "waiting" and not any(side.busy for side in self._sides):
                    answer.end("cancelled", 0, 0.0, 0)
        self._show()

    def action_again(self) -> None:
        """Have the newest question answered again."""
        if not self._talk.exchanges:
            app_of(self).notify("Nothing was asked yet.", timeout=3)
        elif self.busy:
            app_of(self).notify("Wait for the answer, or stop it with esc.", timeout=3)
        else:
            self._request(list(range(len(self._sides))))

    def action_model(self) -> None:
        """Choose whom to talk to."""
        self._ask_for_voice("Talk to", 0)

    def action_beside(self) -> None:
        """A second model beside the first, or no longer."""
        if len(self._sides) > 1:
            self._choose([(self._sides[0].model, self._sides[0].which)])
            self._show()
        elif self._sides:
            self._ask_for_voice("Beside it, talk to", 1)
        else:
            app_of(self).notify("There is no model to talk to yet.", timeout=3)

    def _ask_for_voice(self, heading: str, side: int) -> None:
        app, project = app_of(self), app_of(self).project
        if project is None:
            return

        def answer(key: str | None) -> None:
            choice = chat_choice.decode(key or "")
            if choice is None:
                return
            if side == 0:
                app.remember_answer(VOICE, key or "")
            chosen = [(partner.model, partner.which) for partner in self._sides]
            chosen[side : side + 1] = [choice]
            self._choose(chosen)
            self._show()

        def ask(choices: list[chat_choice.Choice]) -> None:
            if not choices:
                app.notify("There is no model to talk to yet.", timeout=3)
                return
            now = self._sides[side] if side < len(self._sides) else None
            marked = chat_choice.encode(now.model, now.which) if now else ""
            app.push_screen(chat_choice.Choose(heading, choices, marked=marked), answer)

        app.background.start(lambda: chat_choice.choices(project, app.glyphs), ask, group="chat choices")

    def action_settings(self) -> None:
        """How answers are sampled."""

        def answer(settings: SamplingSettings | None) -> None:
            if settings is not None:
                self._settings = settings
                app_of(self).remember_answer(SETTINGS, stored(settings))
                self._show()

        app_of(self).push_screen(Sampling(self._settings), answer)

    def action_system(self) -> None:
        """What the model is told before anything else."""

        def answer(text: str | None) -> None:
            if text is not None:
                self._talk.system = text.strip()
                app_of(self).remember_answer(SYSTEM, self._talk.system)
                self._show()

        detail = "Told to the model before the conversation. Small models follow it only if they were trained so."
        app_of(self).push_screen(TextEdit("System prompt", value=self._talk.system, detail=detail, limit=2000), answer)

    def action_save(self) -> None:
        """Keep the conversation as training data."""
        app = app_of(self)
        if not any(self._talk.finished_turns(side)[0] for side in range(len(self._sides))):
            app.notify("There is nothing to save yet.", timeout=3)
        elif self.busy:
            app.notify("Wait for the answer, or stop it with esc.", timeout=3)
        elif app.project is not None:
            save_talk(app, app.project, self._talk, [side.model for side in self._sides])

    def action_new(self) -> None:
        """Begin anew."""
        if self.busy:
            self.action_stop()
        self._talk = Talk(system=self._talk.system)
        self.query_one("#chat-input").focus()
        self._show()

    def action_recall(self, change: int) -> None:
        """Earlier questions, to ask them again."""
        questions = self._talk.questions
        if not self._typing or not questions:
            return
        self._recall = min(len(questions), max(0, self._recall + change))
        field = self.query_one("#chat-input", Input)
        field.value = questions[-self._recall] if self._recall else ""
        field.cursor_position = len(field.value)

    def action_page(self, change: int) -> None:
        """Scroll the conversation, also while typing."""
        shown = self.query_one(Transcript)
        shown.scroll_to(y=max(0, shown.scroll_target_y + change * max(1, shown.size.height - 1)), animate=False)
