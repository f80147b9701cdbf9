"""Two models side by side: their figures and configuration, their curves, their answers to the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical

from engine.errors import ForgeError
from engine.library.comparison import Comparison, Row, Side, compare
from engine.library.voices import Voice, is_training, voice_of
from engine.model.sampling import SamplingSettings
from engine.project import Project
from engine.runs.digest import Digest, open_digest
from engine.runs.speaker import Ended, Piece, Ready, Speaker, Trouble, Word
from engine.text.conversation import Turn
from forge_tui import model_words
from forge_tui.access import app_of
from forge_tui.chart import ChartOptions, figure_of
from forge_tui.chart_words import chart_note
from forge_tui.keys import bindings
from forge_tui.screens.ask import Ask
from forge_tui.screens.modal import ForgeModal
from forge_tui.text import join, one_line, plain
from forge_tui.widgets.answer_table import AnswerRow, AnswerTable
from forge_tui.widgets.fact_list import Fact, FactList
from forge_tui.widgets.loss_chart import LossChart
from forge_tui.widgets.plain import Plain

VIEWS = ("facts", "curves", "answers")
POLL_SECONDS = 0.15
_SETTINGS = SamplingSettings(temperature=0.0, max_tokens=96)
"""The likeliest answers: what a comparison can repeat."""


class Compare(ForgeModal[None]):
    """Three views of two models."""

    BINDINGS = bindings("compare")

    def __init__(self, project: Project, first: str, second: str) -> None:
        super().__init__()
        self._project = project
        self._names = (first, second)
        self._found: Comparison | None = None
        self._digests: list[Digest | None] = []
        self._view = 0
        self._differences = False
        self._speakers: list[Speaker | None] = [None, None]
        self._rows: list[AnswerRow] = []
        self._asked: dict[tuple[int, int], int] = {}
        """(speaker, number of its answer) to the row."""

    def content(self) -> ComposeResult:
        """The names of the views, and one of them."""
        yield Plain(id="compare-tabs")
        with Vertical(id="compare-body"):
            yield FactList(id="compare-facts")
            yield LossChart(id="compare-chart")
            yield AnswerTable(id="compare-answers")

    def on_mount(self) -> None:
        """Read both."""
        self.add_class("-large")
        self.set_interval(POLL_SECONDS, self._listen)
        self._show_view()
        project, (first, second) = self._project, self._names

        def load() -> tuple[Comparison, list[Digest | None]]:
            found = compare(project, first, second)
            return found, [_digest(side) for side in (found.first, found.second)]

        app_of(self).background.start(load, self._loaded, self._failed, group="compare")

    def on_unmount(self) -> None:
        """Let the models go."""
        for speaker in self._speakers:
            if speaker is not None:
                speaker.close()

    def _failed(self, error: ForgeError) -> None:
        app_of(self).show_error(error)
        self.dismiss(None)

    def _loaded(self, loaded: tuple[Comparison, list[Digest | None]]) -> None:
        if not self.is_attached:
            return
        self._found, self._digests = loaded
        self._show_facts()
        self._show_chart()

    def _show_view(self) -> None:
        palette = app_of(self).palette
        names = join(
            plain(one_line(self._names[0], 30), palette.strong), plain("and", palette.quiet),
            plain(one_line(self._names[1], 30), palette.strong),
        )  # fmt: skip
        tabs = [
            plain(f"[{view}]", palette.mark) if index == self._view else plain(f" {view} ", palette.quiet)
            for index, view in enumerate(VIEWS)
        ]
        self.query_one("#compare-tabs", Plain).show(join(names, *tabs, gap="  "))
        for index, view in enumerate(VIEWS):
            widget = self.query_one(f"#compare-{'chart' if view == 'curves' else view}")
            widget.display = index == self._view
            if index == self._view:
                widget.focus()
        if VIEWS[self._view] == "answers" and self._speakers == [None, None]:
            self._prepare_answers()

    # ---- facts and curves

    def _show_facts(self) -> None:
        found = self._found
        if found is None:
            return
        palette, glyphs = app_of(self).palette, app_of(self).glyphs
        rows = [Row(figure.label, *model_words.figure_words(figure)) for figure in found.figures]
        facts: list[Fact] = [("", plain(found.relation, palette.text)), ("", plain(found.comparable, palette.quiet))]
        width = max((len(row.first) for row in (*rows, *found.model, *found.data)), default=0)
        width = min(28, max(width, len(self._names[0]))) + 2
        groups = (("figures", rows), ("model", found.model), ("training", found.training), ("data", found.data))
        for title, group in groups:
            shown = [row for row in group if row.differs or not self._differences]
            if shown:
                names = join(" " * len(glyphs.differs), f"{one_line(self._names[0], width - 2):<{width}}", gap=" ")
                names.append_text(plain(one_line(self._names[1], 40)))
                names.stylize(palette.strong)
                facts += [("", Text(end="")), (title, names)]
                facts += [self._fact(row, width) for row in shown]
        self.query_one("#compare-facts", FactList).show(facts)

    def _fact(self, row: Row, width: int) -> Fact:
        palette, glyphs = app_of(self).palette, app_of(self).glyphs
        style = palette.text if row.differs else palette.quiet
        mark = f"{glyphs.differs} " if row.differs else " " * (len(glyphs.differs) + 1)
        first = one_line(row.first, width - 2)
        value = plain(mark, palette.accent)
        value.append_text(plain(f"{first:<{width}}{one_line(row.second, 60)}", style))
        return one_line(row.label, 26), value

    def _show_chart(self) -> None:
        app = app_of(self)
        with_curves = [
            (name, digest)
            for name, digest in zip(self._names, self._digests, strict=True)
            if digest is not None and len(digest.train)
        ]
        if not with_curves:
            self.query_one("#compare-chart", LossChart).show(
                lambda width, height: None, title=plain("loss"), note=plain(""), empty="Neither has runs of its own."
            )
            return
        own, others = with_curves[0], with_curves[1:]
        options = ChartOptions(unit=app.settings.chart_unit, log=app.settings.chart_log)
        legend = [
            join(plain(app.glyphs.legend_line, style), plain(one_line(name, 24), app.palette.quiet))
            for style, (name, _) in zip((app.palette.train, *app.palette.overlays), with_curves, strict=False)
        ]
        title = plain("loss", app.palette.strong)
        if len(with_curves) == 1:
            other = next(name for name in self._names if name != own[0])
            title.append_text(plain(f" {app.glyphs.line} {other} has no run of its own", app.palette.quiet))
        self.query_one("#compare-chart", LossChart).show(
            lambda width, height: figure_of(own[1], [digest for _, digest in others], options, width, height),
            title=title, legend=legend, note=chart_note(own[1], options, app.palette), empty="No step was finished.",
        )  # fmt: skip

    # ---- answers

    def _prepare_answers(self) -> None:
        app, project = app_of(self), self._project
        self._tell(["loading ...", "loading ..."])

        def find() -> tuple[list[Voice], bool]:
            voices = [voice_of(project, name) for name in self._names]
            return voices, is_training(project)

        def done(found: tuple[list[Voice], bool]) -> None:
            voices, training = found
            if not self.is_attached:
                return
            self._speakers = [Speaker(voice.folder, considerate=training) for voice in voices]
            job = app.workspace.job_or_none() if app.workspace else None
            for prompt in job.eval.prompts if job else ["What is Python?"]:
                self._ask(prompt)

        app.background.start(find, done, self._failed, group="voices")

    def _ask(self, prompt: str) -> None:
        self._rows.append(AnswerRow(prompt, ["", ""], ["...", "..."]))
        for index, speaker in enumerate(self._speakers):
            if speaker is not None:
                number = speaker.ask([Turn("user", prompt)], _SETTINGS)
                self._asked[index, number] = len(self._rows) - 1
        self._tell()

    def _tell(self, notes: Sequence[str] = ()) -> None:
        rows = self._rows or [AnswerRow("", ["", ""], list(notes) or ["", ""])]
        self.query_one("#compare-answers", AnswerTable).show(self._names, rows)

    def _listen(self) -> None:
        heard = False
        for index, speaker in enumerate(self._speakers):
            for word in speaker.poll() if speaker is not None else ():
                heard = True
                self._hear(index, word)
        if heard:
            self._tell()

    def _hear(self, index: int, word: Word) -> None:
        if isinstance(word, Ready):
            return
        at = self._asked.get((index, word.answer or 0))
        if isinstance(word, Trouble):
            rows = self._rows if at is None else [self._rows[at]]
            for row in rows:
                if row.notes[index] == "...":
                    row.notes[index] = f"{word.text} {word.fix}".strip()
        elif at is not None and isinstance(word, Piece):
            self._rows[at].answers[index] += word.text
        elif at is not None and isinstance(word, Ended):
            self._rows[at].notes[index] = "" if word.reason == "end" else f"({word.reason})"
            if not self._rows[at].answers[index].strip():
                self._rows[at].notes[index] = "(nothing)"

    # ---- keys

    def action_view(self, change: int) -> None:
        """The next view, or the one before."""
        self._view = (self._view + change) % len(VIEWS)
        self._show_view()

    def action_differences(self) -> None:
        """Only what differs, or everything."""
        self._view = 0
        self._differences = not self._differences
        self._show_view()
        self._show_facts()

    def action_ask(self) -> None:
        """Ask both the same."""

        def answer(prompt: str | None) -> None:
            if prompt:
                self._view = VIEWS.index("answers")
                self._show_view()
                if self._speakers == [None, None]:
                    app_of(self).notify("The models are being loaded; ask again in a moment.", timeout=4)
                else:
                    self._ask(prompt)

        detail = "Both give their likeliest answer."
        app_of(self).push_screen(Ask("Ask both", detail=detail, example="What is Python?"), answer)


def _digest(side: Side) -> Digest | None:
    if side.folder is None:
        return None
    digest, reader = open_digest(Path(side.folder))
    reader.close()
    return digest
