"""The app: screens, keys, themes, and the one run that is watched. All knowledge of training is in `engine`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.app import App
from textual.command import Provider
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.scrollbar import ScrollBar

from engine.errors import ForgeError
from engine.exit_codes import ExitCode
from engine.files import is_locked
from engine.project import MODEL_LOCK, Project
from forge_tui import figures, terminal
from forge_tui.ascii_filter import AsciiFilter
from forge_tui.background import Background, Finished
from forge_tui.glyphs import ASCII, UNICODE, Glyphs
from forge_tui.keys import bindings
from forge_tui.palette import Palette, palette_of
from forge_tui.phase import phase_text
from forge_tui.screens import BY_NAME
from forge_tui.screens.base import ForgeScreen
from forge_tui.screens.modal import ForgeModal
from forge_tui.settings import Settings, crash_file, load_keymap, load_settings, log_crash, remember, save_settings
from forge_tui.terminal import Capabilities, OutputGuard, SignalExit
from forge_tui.text import join, one_line, plain, sanitize
from forge_tui.themes import CONSOLE, THEMES
from forge_tui.widgets.block_scroll_bar import BlockScrollBar
from forge_tui.widgets.status_bar import StatusBar
from forge_tui.workspace import Workspace

if TYPE_CHECKING:
    from forge_tui.run_view import RunView

_DEFAULT_MODE = "DEFAULT_MODE"

TICK_SECONDS = 0.5
"""How often the watched run is looked at: the bound on redraws as well."""


def _commands() -> type[Provider]:
    from forge_tui.command_list import ForgeCommands

    return ForgeCommands


class ForgeApp(App[None]):
    """forge-tui on the whole terminal."""

    CSS_PATH = "app.tcss"
    TITLE = "forge-tui"
    BINDINGS = bindings("app")
    COMMANDS = {_commands}  # noqa: RUF012 - Textual's own attribute
    MODES = {name: entry.make for name, entry in BY_NAME.items()}  # noqa: RUF012 - Textual's own attribute
    HORIZONTAL_BREAKPOINTS = [(0, "-w-tiny"), (60, "-w-narrow"), (80, "-w-normal"), (110, "-w-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-h-tiny"), (16, "-h-low"), (24, "-h-normal"), (34, "-h-tall")]  # noqa: RUF012
    ENABLE_COMMAND_PALETTE = True
    NOTIFICATION_TIMEOUT = 6

    def __init__(
        self,
        project: Project | None,
        *,
        theme: str | None = None,
        capabilities: Capabilities | None = None,
        settings: Settings | None = None,
        start: str | None = None,
        run: Path | None = None,
        guard: OutputGuard | None = None,
    ) -> None:
        self.capabilities = capabilities or Capabilities()
        self.workspace = None if project is None else Workspace(project)
        first = self._first_screen(start, run)
        # Begins with the right screen instead of an empty one that is replaced: half of the time to the first picture.
        setattr(self, _DEFAULT_MODE, first)
        super().__init__(ansi_color=None if self.capabilities.colors else True)
        self.animation_level = "none"
        self.settings = settings or Settings()
        self.glyphs: Glyphs = ASCII if self.capabilities.ascii_only else UNICODE
        if self.capabilities.ascii_only:
            self.add_class("-ascii")
            ScrollBar.renderer = BlockScrollBar
            # Textual has no public way to add a filter of one's own.
            self._filters.append(AsciiFilter())
        self.view: RunView | None = None
        self.overlays: list[RunView] = []
        """Runs whose curves are drawn beside the watched one's."""
        self.background = Background(self)
        self.user_keys: dict[str, str] = {}
        self.started = time.monotonic()
        self._visited: list[str] = []
        self._start_run = run
        self._guard = guard
        self._farewell = ""
        self._palette: tuple[str, Palette] | None = None
        for own in THEMES.values():
            self.register_theme(own)
        self._begin_with_theme(self._first_theme(theme))

    # ---- looks

    def _first_theme(self, wanted: str | None) -> str:
        if not self.capabilities.colors or self.capabilities.sixteen:
            return CONSOLE
        for name in (wanted, self.settings.theme):
            if name in THEMES:
                return name
        return self.capabilities.default_theme

    def _begin_with_theme(self, name: str) -> None:
        """Take a theme before the style sheet is read, so that it is not read again for it."""
        self.set_reactive(App.theme, name)
        self.set_class(self.current_theme.dark, "-dark-mode")
        self.set_class(not self.current_theme.dark, "-light-mode")
        self.add_class(f"-theme-{name}")
        self.stylesheet.set_variables(self.get_css_variables())
        self._refresh_truecolor_filter(self.ansi_theme)

    @property
    def theme_names(self) -> list[str]:
        """The themes that this terminal can show."""
        return [CONSOLE] if not self.capabilities.colors or self.capabilities.sixteen else list(THEMES)

    @property
    def palette(self) -> Palette:
        """Styles of the current theme for our own drawing."""
        if self._palette is None or self._palette[0] != self.theme:
            variables = self.theme_variables or self.get_css_variables()
            self._palette = (self.theme, palette_of(variables, ansi=self.current_theme.ansi))
        return self._palette[1]

    def choose_theme(self, name: str) -> None:
        """Switch to a theme and remember it."""
        if name not in self.theme_names:
            return
        self.theme = name
        self.remember_settings(theme=name)

    def action_next_theme(self) -> None:
        """Switch to the next theme."""
        names = self.theme_names
        if len(names) == 1:
            self.notify("This terminal shows one theme: its own 16 colours." if self.capabilities.colors
                        else "NO_COLOR is set: there is one theme.")  # fmt: skip
            return
        self.choose_theme(names[(names.index(self.theme) + 1) % len(names)] if self.theme in names else names[0])
        self.notify(f"Theme: {self.theme}", timeout=2)

    def remember_settings(self, **changes: Any) -> None:
        """Change and save settings."""
        self.settings = replace(self.settings, **changes)
        self._save_settings()

    def remember_answer(self, name: str, answer: str) -> None:
        """Remember something small, such as the last prompt."""
        self.settings = remember(self.settings, name, answer)
        self._save_settings()

    def _save_settings(self) -> None:
        settings = self.settings
        self.background.start(lambda: save_settings(settings), group="settings")

    # ---- beginning and end

    def on_mount(self) -> None:
        """Everything slow comes after the first picture."""
        self.theme_changed_signal.subscribe(self, lambda theme: self._theme_changed())
        self.set_interval(TICK_SECONDS, self._tick)
        self.call_after_refresh(self._after_first_paint)

    def _first_screen(self, start: str | None, run: Path | None) -> str:
        if start in BY_NAME:
            return start
        if "train" in BY_NAME and (run is not None or self.project is None or self._training_models()):
            return "train"
        return next(iter(BY_NAME))

    def _after_first_paint(self) -> None:
        self.background.start(load_keymap, self._use_keymap)
        if self.workspace is not None:
            self.background.start(self.workspace.job_or_none, lambda job: self._redraw_head())
        if self.project is None:
            return
        if self._start_run is not None:
            self.follow(self._start_run)
        elif self._training_models():
            self.follow_live()

    def _training_models(self) -> list[str]:
        """Models that some process trains right now: one lock a model, so this is cheap."""
        if self.project is None:
            return []
        try:
            return [
                path.parents[1].name for path in self.project.models.glob(f"*/runs/{MODEL_LOCK}") if is_locked(path)
            ]
        except OSError:
            return []

    def _use_keymap(self, found: tuple[dict[str, str], list[str]]) -> None:
        self.user_keys, problems = found
        if self.user_keys:
            self.set_keymap(self.user_keys)
        if problems:
            self.notify("\n".join(problems[:5]), title="keys.toml", severity="warning", timeout=15)

    def _theme_changed(self) -> None:
        self._palette = None
        for screen in self.screen_stack:
            screen.refresh(layout=True)
            for widget in screen.query("*"):
                widget.refresh()
        if self._base_screen is not None:
            self._base_screen.arrived()

    async def action_quit(self) -> None:
        """Leave; runs go on, and the terminal is told so."""
        self.leave(0)

    def leave(self, code: int) -> None:
        """End the app with an exit code. May be called from a signal handler."""
        view = self.view
        if view is not None and view.run.alive:
            self._farewell = f"{view.run.state.model} goes on training (run {view.run.id}). Watch it: forge-tui attach"
        self.exit(return_code=code)

    @property
    def farewell(self) -> str:
        """What the shell shows after the app has left."""
        return sanitize(self._farewell)

    def action_help_quit(self) -> None:
        """ctrl+c: nothing is lost by it."""
        self.notify("Press q to leave the app. Runs go on.", timeout=3)

    @contextlib.contextmanager
    def suspend(self) -> Iterator[None]:
        """Give the terminal, with its real descriptors, to another program such as an editor."""
        with super().suspend(), self._guard.lifted() if self._guard else contextlib.nullcontext():
            yield

    def _on_resume(self) -> None:
        self.refresh(layout=True)

    def _fatal_error(self) -> None:
        """Write the traceback to the log instead of the terminal: it holds paths and data."""
        kind = sys.exc_info()[0]
        path = log_crash(traceback.format_exc())
        self._farewell = (
            f"forge-tui met an unexpected error ({kind.__name__ if kind else 'unknown'}) and had to leave. "
            f"Runs go on. The traceback is in {path}"
        )
        self._close_messages_no_wait()

    # ---- screens

    def show_screen(self, name: str) -> None:
        """Go to a screen of the main row."""
        if name in BY_NAME and name != self.current_mode:
            self.switch_mode(name)

    def action_show(self, name: str) -> None:
        """Key 1 to 6."""
        self.show_screen(name)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of screens that do not exist do nothing."""
        return not (action == "show" and parameters and parameters[0] not in BY_NAME)

    def visited(self) -> None:
        """A screen of the main row is shown: remember the way back."""
        if not self._visited or self._visited[-1] != self.current_mode:
            self._visited = [*self._visited[-19:], self.current_mode]

    async def action_back(self) -> None:
        """esc: the innermost thing, then the screen before; never the app."""
        screen = self.screen
        if isinstance(screen, ForgeScreen):
            if screen.go_back():
                return
            if len(self._visited) > 1:
                self._visited.pop()
                self.show_screen(self._visited[-1])

    def action_help(self) -> None:
        """The keys that work here."""
        screen = self.screen
        if isinstance(screen, ForgeModal):
            return
        from forge_tui.screens.help import HelpScreen

        scopes = screen.HELP_SCOPES if isinstance(screen, ForgeScreen) else ()
        self.push_screen(HelpScreen((*scopes, "app")))

    def label_of(self, identity: str, default: str) -> str:
        """What the bottom line says for a key now; screens may say it better (`resume` for `pause`)."""
        screen = self.screen
        return (screen.label_of(identity) if isinstance(screen, ForgeScreen) else None) or default

    def hides(self, identity: str) -> bool:
        """Whether the bottom line leaves a key out now."""
        return isinstance(self.screen, ForgeScreen) and self.screen.hidden(identity)

    # ---- words to the user

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """A toast. Whatever the text holds, it is shown as it is: there is no markup."""
        super().notify(sanitize(message, 400), title=one_line(title), severity=severity, timeout=timeout, markup=False)

    def where(self, error: ForgeError) -> str:
        """The place of an error, below the project where it is in there."""
        if error.file is None or self.project is None:
            return error.where
        line = f":{error.line}" if error.line is not None else ""
        return self.project.relative(Path(error.file)) + line

    def show_error(self, error: ForgeError) -> None:
        """An error that the user can act on, as a toast: what happened, where, and what to do."""
        where = f"{self.where(error)}: " if error.file else ""
        self.notify(f"{where}{error.text}\n{error.fix}".strip(), severity="error", timeout=12)

    def unexpected(self, error: Exception) -> None:
        """An error that is ours: into the log, with a word to the user."""
        path = log_crash("".join(traceback.format_exception(error)))
        self.notify(f"{type(error).__name__}: {error}\nThe traceback is in {path}", severity="error", timeout=15)

    def on_finished(self, message: Finished) -> None:
        """Background work has a result."""
        message.rest()

    # ---- the project and its run

    @property
    def project(self) -> Project | None:
        """The project, or None in a folder that has none."""
        return self.workspace.project if self.workspace else None

    def open_project(self, project: Project) -> None:
        """Work on another project from now on."""
        self.unfollow()
        self.workspace = Workspace(project)
        self._redraw_head()

    def make_project(self, folder: Path) -> None:
        """Make a project in `folder` and work on it."""
        from forge_tui.new_project import make_project

        def done(project: Project) -> None:
            self.open_project(project)
            if self._base_screen is not None:
                self._base_screen.arrived()
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
        self._redraw_head()
        if self._base_screen is not None:
            self._base_screen.arrived()
        if then is not None:
            then()

    def follow_live(self) -> None:
        """Watch the run that is training in this project, if there is one."""
        project = self.project
        if project is None:
            return

        def find() -> Path | None:
            from engine.runs.state import runs_of

            return next((run.folder for run in runs_of(project) if run.alive), None)

        self.background.start(find, lambda folder: self.follow(folder) if folder else None, group="follow")

    def unfollow(self) -> None:
        """Stop watching; the run goes on."""
        if self.view is not None:
            self.view.close()
            self.view = None
            self._redraw_head()

    @property
    def _base_screen(self) -> ForgeScreen | None:
        """The screen of the main row below any dialogs; None while the app closes."""
        stack = self.screen_stack
        return stack[0] if stack and isinstance(stack[0], ForgeScreen) else None

    def _tick(self) -> None:
        view = self.view
        if view is None:
            return
        changes = view.poll()
        if changes.phase:
            self._redraw_head()
            self.refresh_bindings()
        screen = self._base_screen
        if changes and screen is not None:
            screen.run_changed(changes)

    def look_again(self) -> None:
        """Read the watched run's state at once."""
        if self.view is not None:
            self.view.refresh()
            self._redraw_head()

    def _redraw_head(self) -> None:
        if self._base_screen is not None:
            for bar in self._base_screen.query(StatusBar):
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

    def get_system_commands(self, screen: Screen[object]) -> Iterator[Any]:
        """None of Textual's: the palette's commands are in `forge_tui.command_list`."""
        yield from ()


def run_app(
    project: Project | None,
    *,
    theme: str | None = None,
    ascii_only: bool | None = None,
    mouse: bool | None = None,
    start: str | None = None,
    run: Path | None = None,
) -> int:
    """Run the app on this terminal until the user leaves; returns the exit code.

    Args:
        project: What to work on; None offers to make one.
        theme: Name of a theme; None: the remembered one, else one that suits the terminal.
        ascii_only: Draw with ASCII characters; None: as the terminal needs.
        mouse: Listen to the mouse; None: yes, but not over SSH.
        start: Screen to begin with ("data", "train", ...).
        run: Folder of a run to watch.
    """
    reason = terminal.refusal()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 2
    found = terminal.capabilities(os.environ)
    if ascii_only is not None:
        found = replace(found, ascii_only=ascii_only)
    if not os.environ.get("NO_COLOR"):
        os.environ.pop("NO_COLOR", None)
    if theme is not None and theme not in THEMES:
        print(f'There is no theme "{one_line(theme, 40)}". Themes: {", ".join(THEMES)}.', file=sys.stderr)
        return 2
    with OutputGuard(crash_file()) as guard:
        app = ForgeApp(
            project, theme=theme, capabilities=found, settings=load_settings(), start=start, run=run, guard=guard
        )
        with SignalExit(app.leave) as signals:
            app.run(mouse=found.mouse if mouse is None else mouse)
    if app.farewell and signals.code != ExitCode.HANGUP:
        print(app.farewell, file=sys.stderr)
    return signals.code or app.return_code or 0
