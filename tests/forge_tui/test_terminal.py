"""What the environment tells about a terminal, and the settings that are remembered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forge_tui import settings
from forge_tui.settings import Settings, keys_file, load_keymap, load_settings, save_settings, state_file
from forge_tui.terminal import OutputGuard, capabilities
from forge_tui.themes import THEMES


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-256color", "LANG": "C.UTF-8"}, "forge"),
        ({"TERM": "xterm-kitty", "LANG": "de_DE.UTF-8", "COLORTERM": "truecolor"}, "forge"),
        ({"TERM": "xterm-256color", "LANG": "C.UTF-8", "COLORFGBG": "0;15"}, "paper"),
        ({"TERM": "linux", "LANG": "C.UTF-8"}, "console"),
        ({"TERM": "xterm", "LANG": "C.UTF-8"}, "console"),
        ({"TERM": "xterm-256color", "LANG": "C.UTF-8", "NO_COLOR": "1"}, "console"),
        ({"TERM": "xterm-256color", "LANG": "C.UTF-8", "NO_COLOR": ""}, "forge"),
    ],
)
def test_default_theme(environment: dict[str, str], expected: str) -> None:
    assert capabilities(environment).default_theme == expected


@pytest.mark.parametrize(
    ("environment", "ascii_only"),
    [({"TERM": "linux", "LANG": "C.UTF-8"}, True), ({"TERM": "xterm-256color", "LANG": "C"}, True),
     ({"TERM": "xterm-256color", "LANG": "en_US.ISO-8859-1"}, True),
     ({"TERM": "tmux-256color", "LANG": "C.UTF-8"}, False),
     ({"TERM": "xterm-256color", "LC_ALL": "C", "LANG": "C.UTF-8"}, True), ({"TERM": "xterm-256color"}, False)],
)  # fmt: skip
def test_charset(environment: dict[str, str], ascii_only: bool) -> None:
    assert capabilities(environment).ascii_only is ascii_only


@pytest.mark.parametrize("name", ["SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"])
def test_no_mouse_over_ssh(name: str) -> None:
    assert capabilities({"TERM": "xterm-256color", name: "x"}).mouse is False
    assert capabilities({"TERM": "xterm-256color"}).mouse is True


def test_settings_are_remembered() -> None:
    wanted = Settings(theme="moss", chart_unit="loss", smoothing=2, answers={"sample.prompt": "Why?"})
    assert save_settings(wanted) and load_settings() == wanted


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"theme": 5}', b"null", b"\xff", b"x" * 300_000])
def test_a_damaged_state_file_counts_as_none(content: bytes) -> None:
    state_file().parent.mkdir(parents=True)
    state_file().write_bytes(content)
    assert load_settings() == Settings()


def test_settings_of_a_newer_version_keep_what_is_known() -> None:
    state_file().parent.mkdir(parents=True)
    state_file().write_text('{"theme": "moss", "hologram": true}')
    assert load_settings().theme == "moss"


def test_an_unwritable_state_disturbs_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(settings, "state_file", lambda: tmp_path / "file" / "app.json")
    assert save_settings(Settings()) is False


@pytest.mark.parametrize("content", ["[keys", "keys = 3", "[keys]\n1 = 2\n"])
def test_a_wrong_keys_file_is_told(content: str) -> None:
    keys_file().parent.mkdir(parents=True)
    keys_file().write_text(content)
    keymap, problems = load_keymap()
    assert keymap == {} and len(problems) == 1 and problems[0].startswith("keys.toml")


def test_a_pipe_in_place_of_the_keys_file_does_not_block() -> None:
    keys_file().parent.mkdir(parents=True)
    os.mkfifo(keys_file())
    assert load_keymap()[0] == {}


def test_guard_keeps_other_output_off_and_lifts_for_other_programs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "logs" / "app.log"
    with OutputGuard(log) as guard:
        os.write(1, b"library one\n")
        os.write(2, b"library two\n")
        with guard.lifted():
            os.write(1, b"editor\n")
        os.write(2, b"library three\n")
    os.write(1, b"after\n")
    out, err = capfd.readouterr()
    assert out == "editor\nafter\n" and err == ""
    assert log.read_text() == "library one\nlibrary two\nlibrary three\n"


def _luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", [name for name, theme in THEMES.items() if not theme.ansi])
def test_themes_are_readable(name: str) -> None:
    theme = THEMES[name]
    ground = theme.background or ""
    need = 7.0 if name == "contrast" else 4.5
    for color in (theme.foreground, theme.accent, theme.warning, theme.error, theme.success,
                  theme.variables["quiet"], theme.variables["validation"]):  # fmt: skip
        assert _contrast(color or "", ground) >= need, color
    assert _contrast(theme.foreground or "", ground) >= 7
