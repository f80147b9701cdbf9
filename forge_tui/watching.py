"""The app as a watcher: the project, the one run that is looked at, and the head that tells of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from engine.errors import ForgeError
from engine.files import is_locked
from engine.project import MODEL_LOCK, Project
from forge_tui import figures
from forge_tui.base_app import BaseApp
from forge_tui.phase import phase_text
from forge_tui.screens.base import ForgeScreen
from forge_tui.settings import Settings
from forge_tui.terminal import Capabilities
from forge_tui.text import join, plain
from forge_tui.widgets.status_bar import StatusBar
from forge_tui.workspace import Workspace

if TYPE_CHECKING:
    from forge_tui.run_view import RunView


class WatchingApp(BaseApp):
    """Knows the project and follows at most one run; it only reads, all commands go through `forge_tui.run_control`."""

    def __init__(
        self, workspace: Workspace | None, *, theme: str | None, capabilities: Capabilities, settings: Settings
    ) -> None:
        self.workspace = workspace
        super().__init__(theme=theme, capabilities=capabilities, settings=settings)
        self.view: RunView | None = None
        self.overlays: list[RunView] = []
        """Runs whose curves are drawn beside the watched one's."""

    @property
    def project(self) -> Project | None:
        """The project, or None in a folder that has none."""
        return self.workspace.project if self.workspace else None

    def where(self, error: ForgeError) -> str:
        """The place of an error, below the project where it is in there."""
        if error.file is None or self.project is None:
            return error.where
        line = f":{error.line}" if error.line is not None else ""
        return self.project.relative(Path(error.file)) + line

    def open_project(self, project: Project) -> None:
        """Work on another project from now on."""
        self.unfollow()
        self.workspace = Workspace(project)
        self.redraw_head()

    def make_project(self, folder: Path) -> None:
        """Make a project in `folder` and work on it."""
        from forge_tui.new_project import make_project

        def done(project: Project) -> None:
            self.open_project(project)
            if self.base_screen is not None:
                self.base_screen.arrived()
            self.notify(f"Made a project in {project.root}.", timeout=5)

        self.background.start(lambda: make_project(folder), done, group="project")

    def follow(self, folder: Path, then: Callable[[], None] | None = None) -> None:
        """Watch a run, live or past."""
        from forge_tui.run_view import RunView

        self.background.start(lambda: RunView.open(folder), lambda view: self._follow(view, then), group="follow")

    def _follow(self, view: RunView, then: Callable[[], None] | None) -> None:
        self.unfollow()
        self.overlays = [other for other in self.overlays if other.folder != view.folder]
        self.view = view
        self.redraw_head()
        if self.base_screen is not None:
            self.base_screen.arrived()
        if then is not None:
            then()

    def follow_live(self) -> None:
        """Watch the run that is training in this project, if there is one."""
        project = self.project
        if project is None or not training_models(self.workspace):
            return

        def find() -> Path | None:
            from engine.runs.state import live_run

            run = live_run(project)
            return run.folder if run else None

        self.background.start(find, lambda folder: self.follow(folder) if folder else None, group="follow")

    def unfollow(self) -> None:
        """Stop watching; the run goes on."""
        if self.view is not None:
            self.view.close()
            self.view = None
            self.redraw_head()

    @property
    def base_screen(self) -> ForgeScreen | None:
        """The screen of the main row below any dialogs; None while the app closes."""
        stack = self.screen_stack
        return stack[0] if stack and isinstance(stack[0], ForgeScreen) else None

    def tick(self) -> None:
        """Take in what the watched run has done, and show it."""
        view = self.view
        if view is None:
            return
        changes = view.poll()
        if changes.phase:
            self.redraw_head()
            self.refresh_bindings()
        screen = self.base_screen
        if changes and screen is not None:
            screen.run_changed(changes)

    def look_again(self) -> None:
        """Read the watched run's state at once."""
        if self.view is not None:
            self.view.refresh()
            self.redraw_head()

    def redraw_head(self) -> None:
        """The head says something else now."""
        if self.base_screen is not None:
            for bar in self.base_screen.query(StatusBar):
                bar.refresh()

    def headline(self) -> tuple[Text, Text]:
        """The head's first line: model, size, parameters, device; and the state of the watched run."""
        palette, dot = self.palette, f" {self.glyphs.separator} "
        if self.view is not None:
            state, plan = self.view.run.state, self.view.digest.plan
            size = " ".join(filter(None, [state.size, figures.count(state.parameters) if state.parameters else ""]))
            device = ""
            if plan is not None:
                device = f"{plan.device} x{plan.threads}" if plan.device == "cpu" else plan.device
            parts = [part for part in (size, device) if part]
            left = join(plain(state.model, palette.strong), *(plain(part, palette.quiet) for part in parts), gap=dot)
            return left, phase_text(self.view.phase, self.glyphs, palette, code=state.code)
        if self.workspace is None:
            return plain("no project", palette.quiet), Text(end="")
        job = self.workspace.known_job
        if job is None:
            return plain(self.workspace.project.root.name, palette.quiet), Text(end="")
        size = job.model.size if isinstance(job.model.size, str) else "custom size"
        return join(plain(job.model.name, palette.strong), plain(size, palette.quiet), gap=dot), Text(end="")


def training_models(workspace: Workspace | None) -> list[str]:
    """Models that some process trains right now: one lock a model, so this is cheap."""
    if workspace is None:
        return []
    try:
        locks = workspace.project.models.glob(f"*/runs/{MODEL_LOCK}")
        return [path.parents[1].name for path in locks if is_locked(path)]
    except OSError:
        return []
