"""The app on a real pseudo-terminal: signals, modes, colours, exit codes, hostile strings, other programs' output."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.events import Advice, Log, Sample
from engine.files import is_locked
from engine.project import Project
from engine.runs.state import LOCK
from tests.forge_tui import pty
from tests.forge_tui.fake_run import FakeRun
from tests.forge_tui.hostile import HOSTILE
from tests.forge_tui.pty import Terminal

Start = Callable[..., Terminal]


@pytest.fixture
def start(project: Project) -> Iterator[Start]:
    """Starts terminals and leaves none behind."""
    terminals: list[Terminal] = []

    def make(*arguments: str, **options: object) -> Terminal:
        terminal = pty.app(project.root, *arguments, **options)
        terminals.append(terminal)
        return terminal

    yield make
    for terminal in terminals:
        terminal.close()


@pytest.fixture
def holder(live: FakeRun) -> FakeRun:
    """A live run whose lock this process holds: it is alive whatever becomes of the app."""
    return live


def test_quit_restores_the_terminal_and_says_that_the_run_goes_on(start: Start, holder: FakeRun) -> None:
    terminal = start()
    terminal.wait_for("of its best")
    terminal.press("q")
    assert terminal.exit_code() == 0
    assert terminal.restored
    after = Terminal.visible(terminal.output.rpartition(b"\x1b[?1049l")[2])
    assert b"sacrifice goes on training" in after and b"forge-tui attach" in after
    assert is_locked(holder.folder / LOCK)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_signals_restore_the_terminal_and_leave_the_run(
    start: Start, holder: FakeRun, number: signal.Signals, code: int
) -> None:
    terminal = start()
    terminal.wait_for("of its best")
    terminal.kill(number)
    assert terminal.exit_code() == code
    assert terminal.restored
    assert is_locked(holder.folder / LOCK) and holder.commands == []


def test_a_lost_connection_ends_the_app_at_once_and_not_the_run(start: Start, holder: FakeRun) -> None:
    terminal = start()
    terminal.wait_for("of its best")
    terminal.hang_up()
    deadline = time.monotonic() + 60
    while terminal.status is None and time.monotonic() < deadline:
        terminal._reap(block=False)
        time.sleep(0.05)
    assert terminal.status == 129
    assert is_locked(holder.folder / LOCK)


def test_a_stalled_terminal_does_not_keep_it_from_ending(start: Start, holder: FakeRun) -> None:
    terminal = start(size=(200, 60))
    terminal.wait_for("of its best")
    for _ in range(400):
        terminal.press("z")
        time.sleep(0.005)
    terminal.kill(signal.SIGTERM)
    deadline = time.monotonic() + 60
    while terminal.status is None and time.monotonic() < deadline:
        terminal._reap(block=False)
        time.sleep(0.05)
    assert terminal.status == 143, "nobody reads its output, and it has to end all the same"


def test_killed_app_leaves_the_run(start: Start, holder: FakeRun) -> None:
    terminal = start()
    terminal.wait_for("of its best")
    terminal.kill(signal.SIGKILL)
    assert terminal.exit_code() == -9
    assert is_locked(holder.folder / LOCK)


def test_suspend_and_resume(start: Start, holder: FakeRun) -> None:
    terminal = start()
    terminal.wait_for("of its best")
    terminal.press("\x1a")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _process_state(terminal.pid) != "T":
        terminal.read(0.05)
    assert _process_state(terminal.pid) == "T" and terminal.restored
    mark = len(terminal.output)
    terminal.kill(signal.SIGCONT)
    terminal.read(60, lambda: b"of its best" in Terminal.visible(terminal.output[mark:]))
    assert b"of its best" in Terminal.visible(terminal.output[mark:]), "the whole picture is drawn again"
    terminal.press("q")
    assert terminal.exit_code() == 0


def _process_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_hostile_strings_never_reach_the_terminal(start: Start, project: Project, holder: FakeRun) -> None:
    for index, evil in enumerate(HOSTILE.values()):
        text = evil.encode("utf-8", "replace").decode()
        other = FakeRun(project, model=f"m{index}", name=f"20251101-0000{index:02d}-aaaa")
        other.set(model=text, size=text, text=text, fix=text, data=(text,), phase="failed", code="error")
        holder.emit(
            Log(text=text), Sample(step=1480, prompt=text, text=text),
            Advice(code="plateau", severity="warning", text=text, fix=text),
        )  # fmt: skip
    terminal = start(size=(120, 40))
    terminal.wait_for("of its best")
    for key in ("g", "v", "F", "\x1b", "L", "6", *"jjjjjjjjjjjjjjjjjjjjjjjjjjjjjj", "3", "?", "\x1b", "q"):
        terminal.press(key)
        terminal.read({"j": 0.08, "\x1b": 1.0}.get(key, 0.25))  # escape and a letter together are another key
    assert terminal.exit_code() == 0 and terminal.restored
    out = terminal.output
    assert b"owned" not in re.findall(rb"\x1b\]([^\x07\x1b]*)", out)
    assert b"]52;" not in b"".join(re.findall(rb"\x1b\][^\x07\x1b]*", out)), "the clipboard"
    assert b"\x1b[2J\x1b[H" not in out and b"\x1b[6n" not in out and b"\x1bP+q" not in out
    rest = Terminal.visible(out).decode()
    odd = {hex(ord(char)) for char in rest if (ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0) and char not in "\r\n\x0f"}
    assert not odd, odd
    assert not set(rest) & set("\u202e\u2067\u200b\ufeff\U000e0041\u2028")


def test_no_color_means_no_colour_codes(start: Start, holder: FakeRun) -> None:
    terminal = start(env={"NO_COLOR": "1"})
    terminal.wait_for("of its best")
    terminal.press("6")
    terminal.read(1)
    terminal.press("q")
    assert terminal.exit_code() == 0
    codes = [code for group in re.findall(rb"\x1b\[([0-9;]*)m", terminal.output) for code in group.split(b";")]
    colours = {code for code in codes if re.fullmatch(rb"[349][0-8]|10[0-7]", code)}
    assert not colours, "at most 39 and 49, which mean: the terminal's own"


def test_linux_console_gets_sixteen_colours_and_ascii(start: Start, holder: FakeRun) -> None:
    terminal = start(env={"TERM": "linux"})
    terminal.wait_for("of its best")
    for key in ("z", "v", "6", "3", "?"):
        terminal.press(key)
        terminal.read(0.4)
    terminal.press("\x1b")
    terminal.read(1.0)
    terminal.press("q")
    assert terminal.exit_code() == 0
    assert not re.findall(rb"\x1b\[[0-9;]*[34]8;[25];", terminal.output), "no 256 colours"
    bright = re.findall(rb"\x1b\[(?:[0-9;]*;)?(?:9[0-7]|10[0-7])(?:;[0-9;]*)?m", terminal.output)
    assert not bright, "the console's eight colours only"
    odd = set(Terminal.visible(terminal.output).decode()) - set(map(chr, range(127))) - {"°"}
    assert not odd, odd


@pytest.mark.parametrize(("env", "expected"), [({"COLORTERM": "truecolor"}, b"38;2;"), ({}, b"38;5;")])
def test_colour_depth_follows_the_terminal(start: Start, holder: FakeRun, env: dict[str, str], expected: bytes) -> None:
    terminal = start(env=env)
    terminal.wait_for("of its best")
    terminal.press("q")
    assert terminal.exit_code() == 0 and expected in terminal.output


def test_mouse_is_off_over_ssh_and_on_elsewhere(start: Start, holder: FakeRun) -> None:
    for env, expected in (({"SSH_CONNECTION": "1 2 3 4"}, False), ({}, True)):
        terminal = start(env=env)
        terminal.wait_for("of its best")
        terminal.press("q")
        assert terminal.exit_code() == 0
        assert (b"\x1b[?1003h" in terminal.output) is expected


def test_resize_at_any_time(start: Start, holder: FakeRun) -> None:
    terminal = start()
    terminal.wait_for("of its best")
    for width, height in ((120, 40), (40, 10), (60, 16), (10, 3), (200, 60), (80, 24)):
        terminal.resize(width, height)
        terminal.read(0.3)
    mark = len(terminal.output)
    terminal.resize(100, 30)
    terminal.read(60, lambda: b"of its best" in Terminal.visible(terminal.output[mark:]))
    assert b"of its best" in Terminal.visible(terminal.output[mark:])
    terminal.press("q")
    assert terminal.exit_code() == 0 and terminal.restored


def test_output_of_libraries_does_not_reach_the_screen(project: Project, tmp_path: Path) -> None:
    script = (
        "import os, threading, sys\n"
        "from engine.project import Project; from pathlib import Path\n"
        "from forge_tui.app import run_app\n"
        "def shout():\n"
        "    os.write(1, b'LIBRARY-ONE'); os.write(2, b'LIBRARY-TWO')\n"
        "threading.Timer(1.5, shout).start()\n"
        f"sys.exit(run_app(Project(Path({str(project.root)!r}))))\n"
    )
    terminal = Terminal([sys.executable, "-c", script], folder=project.root)
    try:
        terminal.wait_for("all keys")
        terminal.read(2.5)
        terminal.press("q")
        assert terminal.exit_code() == 0
        assert b"LIBRARY" not in terminal.output
    finally:
        terminal.close()


def test_without_a_terminal_it_refuses_and_names_batch(project: Project) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "forge_tui"], cwd=project.root, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "--batch" in done.stderr and done.stdout == ""


def test_dumb_terminal_is_refused(start: Start) -> None:
    terminal = start(env={"TERM": "dumb"})
    assert terminal.exit_code() == 2
    assert b"cannot move its cursor" in terminal.output and b"--batch" in terminal.output
