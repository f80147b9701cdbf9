"""The real commands, timed and judged: what the comparisons of recipes and of trainers share."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def run_batch(root: Path, job: str, settings: Iterable[str] = ()) -> tuple[list[dict[str, Any]], float]:
    """`forge-tui --batch` on a job in a folder; settings as for --set. Its events, and seconds from start to end."""
    (root / "forge.toml").write_text(job)
    arguments = ["--batch", "forge.toml", "--json"]
    for setting in settings:
        arguments += ["--set", setting]
    started = time.monotonic()
    printed = _forge_tui(root, *arguments)
    return [json.loads(line) for line in printed.splitlines()], time.monotonic() - started


def bits_per_byte(root: Path, model: str, texts: Iterable[Path]) -> float:
    """What `forge-tui eval` says of a model in a folder and these texts."""
    printed = _forge_tui(root, "eval", model, "--json", "--data", *(str(text.resolve()) for text in texts))
    return float(json.loads(printed)["bits_per_byte"])


def _forge_tui(root: Path, *arguments: str) -> str:
    """What the command prints, called in a folder."""
    command = [sys.executable, "-m", "forge_tui", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
