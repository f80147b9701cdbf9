"""The app: screens, keys, themes, and the one run that is watched. All knowledge of training is in `engine`."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.command import Provider
from textual.screen import Screen

from engine.exit_codes import ExitCode
from engine.project import Project
from forge_tui import terminal
from forge_tui.keys import bindings
from forge_tui.screens import BY_NAME
from forge_tui.screens.base import ForgeScreen
from forge_tui.screens.modal import ForgeModal
from forge_tui.settings import Settings, crash_file, load_keymap, load_settings, log_crash
from forge_tui.terminal import Capabilities, OutputGuard, SignalExit
from forge_tui.text import one_line, sanitize
from forge_tui.themes import THEMES
from forge_tui.watching import WatchingApp, training_models
from forge_tui.workspace import Workspace

if TYPE_CHECKING:
    pass

_DEFAULT_MODE = "DEFAULT_MODE"

TICK_SECONDS = 0.5
"""How often the watched run is looked at: the bound on redraws as well."""


def _commands() -> type[Provider]:
    from forge_tui.command_list import ForgeCommands

    return ForgeCommands


class ForgeApp(WatchingApp):
    """forge-tui on the whole terminal."""

    TITLE = "forge-tui"
    BINDINGS = bindings("app")
    COMMANDS = {_commands}  # noqa: RUF012 - Textual's own attribute
    MODES = {name: entry.make for name, entry in BY_NAME.items()}  # noqa: RUF012 - Textual's own attribute
    HORIZONTAL_BREAKPOINTS = [(0, "-w-tiny"), (60, "-w-narrow"), (80, "-w-normal"), (110, "-w-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-h-tiny"), (16, "-h-low"), (24, "-h-normal"), (34, "-h-tall")]  # noqa: RUF012
    ENABLE_COMMAND_PALETTE = True

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
        workspace = None if project is None else Workspace(project)
        # Begins with the right screen instead of an empty one that is replaced: half of the time to the first picture.
        setattr(self, _DEFAULT_MODE, first_screen(workspace, start, run))
        super().__init__(
            workspace, theme=theme, capabilities=capabilities or Capabilities(), settings=settings or Settings()
        )
        self.user_keys: dict[str, str] = {}
        self.started = time.monotonic()
        self._visited: list[str] = []
        self._start_run = run
        self._guard = guard
        self._farewell = ""

    # ---- beginning and end

    def on_mount(self) -> None:
        """Everything slow comes after the first picture."""
        self.theme_changed_signal.subscribe(self, lambda theme: self._theme_changed())
        self.set_interval(TICK_SECONDS, self.tick)
        self.call_after_refresh(self._after_first_paint)

    def _after_first_paint(self) -> None:
        gc.freeze()  # modules and styles stay for good: they need not be looked at again
        gc.enable()
        self.background.start(load_keymap, self._use_keymap)
        if self.workspace is not None:
            self.background.start(self.workspace.job_or_none, lambda job: self.redraw_head())
        if self.project is None:
            return
        if self._start_run is not None:
            self.follow(self._start_run)
        elif training_models(self.workspace):
            self.follow_live()

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
        if self.base_screen is not None:
            self.base_screen.arrived()

    async def action_quit(self) -> None:
        """Leave; runs go on, and the terminal is told so."""
        self.leave(0)

    def leave(self, code: int) -> None:
        """End the app with an exit code. May be called from a signal handler."""
        view = self.view
        if view is not None and view.run.alive:
            self._farewell = (
                f"{view.run.state.model} goes on training (run {view.run.id}).\n"
                "Watch it: forge-tui, or in plain lines: forge-tui attach"
            )
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
        from forge_tui.screens.help import HelpScreen

        screen = self.screen
        if isinstance(screen, ForgeModal):
            if screen.CLOSES_WITH_HELP:
                screen.dismiss(None)
            else:
                self.push_screen(HelpScreen(screen.scopes))
            return
        scopes = screen.HELP_SCOPES if isinstance(screen, ForgeScreen) else ()
        self.push_screen(HelpScreen((*scopes, "app")))

    def label_of(self, identity: str, default: str) -> str:
        """What the bottom line says for a key now; screens may say it better (`resume` for `pause`)."""
        screen = self.screen
        return (screen.label_of(identity) if isinstance(screen, ForgeScreen) else None) or default

    def hides(self, identity: str) -> bool:
        """Whether the bottom line leaves a key out now."""
        return isinstance(self.screen, ForgeScreen) and self.screen.hidden(identity)

    def get_system_commands(self, screen: Screen[object]) -> Iterator[Any]:
        """None of Textual's: the palette's commands are in `forge_tui.command_list`."""
        yield from ()


def first_screen(workspace: Workspace | None, start: str | None, run: Path | None) -> str:
    """The screen to begin with: the one that was asked for, else Train where there is something to watch or to make."""
    if start in BY_NAME:
        return start
    if "train" in BY_NAME and (run is not None or workspace is None or training_models(workspace)):
        return "train"
    return next(iter(BY_NAME))


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
