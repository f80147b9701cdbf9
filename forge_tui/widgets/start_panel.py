"""What Train shows while no run is watched: the job that would start, or the offer to make a project."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from engine.errors import UsageError
from engine.job import Job
from engine.project import Project
from forge_tui import figures
from forge_tui.access import app_of
from forge_tui.palette import Palette
from forge_tui.text import one_line, plain
from forge_tui.widgets.plain import Plain


class StartPanel(VerticalScroll):
    """A few lines in the middle, and `enter` does the one thing that they offer."""

    can_focus = False

    def compose(self) -> ComposeResult:
        """One text."""
        yield Plain(id="start-text")

    def show(self, *, starting: bool) -> None:
        """Say how things stand."""
        app = app_of(self)
        palette = app.palette
        if app.workspace is None:
            text = _offer(Path.cwd(), palette)
        elif starting:
            text = plain("Starting: reading the data and preparing the run ...", palette.text)
        else:
            try:
                text = _ready(app.workspace.project, app.workspace.job(), palette)
            except UsageError as error:
                text = _broken(app.where(error), error, palette)
        self.query_one("#start-text", Plain).show(text)

    def proceed(self) -> None:
        """Make the project, or start the job."""
        app = app_of(self)
        if app.workspace is None:
            app.make_project(Path.cwd())
            return
        from forge_tui.screens.steering import SteeringScreen

        if isinstance(self.screen, SteeringScreen):
            self.screen.start_run()


def _line(text: Text, name: str, value: str, palette: Palette) -> None:
    text.append(f"{name:<10}", style=palette.quiet)
    text.append(f"{one_line(value, 60)}\n", style=palette.strong)


def _ready(project: Project, job: Job, palette: Palette) -> Text:
    text = Text(end="")
    text.append("Ready to train\n\n", style=palette.accent)
    size = job.model.size if isinstance(job.model.size, str) else "custom dimensions"
    _line(text, "model", f"{job.model.name}, {size}", palette)
    files = ", ".join(entry.path for entry in job.all_files)
    _line(text, "data", files, palette)
    verb = {"build": "build from scratch", "train": "train, or go on where it is", "grow": "grow, then train"}
    epochs = "as many epochs as help" if job.train.epochs == "auto" else figures.counted(job.train.epochs, "epoch")
    _line(text, "method", f"{verb[job.train.method]}, {epochs}", palette)
    _line(text, "project", str(project.root), palette)
    text.append("\n")
    text.append("enter", style=palette.accent)
    text.append(" starts it in the background: leave with q, come back any time.", style=palette.text)
    return text


def _offer(folder: Path, palette: Palette) -> Text:
    text = Text(end="")
    text.append("No project here yet\n\n", style=palette.accent)
    text.append(one_line(str(folder), 60), style=palette.strong)
    text.append(" has no forge.toml.\n\n", style=palette.text)
    text.append("enter", style=palette.accent)
    text.append(" makes a project here: forge.toml with a first run of two\n", style=palette.text)
    text.append("minutes, data/ with starter texts, models/ for what comes of it.", style=palette.text)
    return text


def _broken(where: str, error: UsageError, palette: Palette) -> Text:
    text = Text(end="")
    text.append("forge.toml cannot be used\n\n", style=palette.error)
    text.append(f"{one_line(where, 100)}\n", style=palette.strong)
    text.append(f"{one_line(error.text, 300)}\n{one_line(error.fix, 300)}", style=palette.text)
    return text
