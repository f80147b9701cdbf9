"""Commands as a shell runs them, an untouched project, and one in which a model was really trained."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forge_tui.cli import main

ROOT = Path(__file__).parents[3]
JOB = """\
[model]
name = "tiny"
size = {layers = 1, dim = 32, heads = 1, kv_heads = 1, ffn = 64}
vocabulary = 320

[data]
files = ["data/qa.txt"]
validation = 0.1

[train]
epochs = 2
sequence_length = 64
batch_size = 4
gradient_accumulation = 1
learning_rate = 0.01
threads = 1

[eval]
prompts = ["Who bakes bread?"]
every = 1
max_tokens = 8
"""
TOPICS = ("bread", "rain", "stones", "music", "birds", "letters", "rivers", "winter", "maps", "clocks", "salt", "wool")


def corpus() -> str:
    """Some dozens of different questions and answers."""
    pairs = [
        f"Q: What about {topic} and {number}?\nA: People who like {topic} count to {number} before breakfast.\n"
        for topic in TOPICS
        for number in range(4)
    ]
    return "\n".join(pairs)


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The one line with which it failed."""
        lines = self.err.splitlines()
        assert lines, "nothing was said"
        assert lines[-1].startswith("forge-tui: "), self.err
        assert sum(line.startswith("forge-tui: ") for line in lines) == 1, self.err
        assert "Traceback" not in self.err and "Traceback" not in self.out
        return lines[-1].removeprefix("forge-tui: ")


Call = Callable[..., Done]


def environment(**more: str) -> dict[str, str]:
    """Of a command in a process of its own."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"} | more


def command_line(*arguments: str) -> list[str]:
    """The command line of a command."""
    return [sys.executable, "-m", "forge_tui", *arguments]


def run(folder: Path, *arguments: str, **options: Any) -> Done:
    """Run a command in a process of its own."""
    options.setdefault("timeout", 120)
    done = subprocess.run(
        command_line(*arguments), cwd=folder, capture_output=True, text=True, env=environment(), check=False,
        **({"stdin": subprocess.DEVNULL} | options if "input" not in options else options),
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def make_project(root: Path, job: str = JOB, data: str | None = None) -> Path:
    """A project with a job and one data file."""
    (root / "data").mkdir(parents=True)
    (root / "models").mkdir()
    (root / "data" / "qa.txt").write_text(corpus() if data is None else data)
    (root / "forge.toml").write_text(job)
    return root


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file, link and folder below `root` with its mode and content, but for what can be made again."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith(".forge"):
            continue
        content = b"" if path.is_dir() or not path.is_file() else path.read_bytes()
        found[name] = (path.lstat().st_mode, content)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An untouched project."""
    return make_project(tmp_path / "work")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs a command inside the test process: `call(folder, "--batch", "forge.toml")`."""

    def call(folder: Path, *arguments: str) -> Done:
        monkeypatch.chdir(folder)
        capfd.readouterr()
        code = main(list(arguments))
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return call


@dataclass(frozen=True)
class Trained:
    """A project in which a model was trained, and what the command said."""

    root: Path
    done: Done


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained by the command itself, once for all tests; not to be changed."""
    root = make_project(tmp_path_factory.mktemp("trained") / "work")
    return Trained(root, run(root, "--batch", "forge.toml"))


@pytest.fixture
def trained(trained_once: Trained, tmp_path: Path) -> Path:
    """A copy of the trained project."""
    assert trained_once.done.code == 0, trained_once.done.err
    copy = tmp_path / "work"
    shutil.copytree(trained_once.root, copy, symlinks=True)
    return copy
