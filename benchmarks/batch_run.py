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
    command = [sys.executable, "-m", "forge_tui", "--batch", "forge.toml", "--json"]
    for setting in settings:
        command += ["--set", setting]
    started = time.monotonic()
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()], time.monotonic() - started


def bits_per_byte(root: Path, model: str, texts: Iterable[Path]) -> float:
    """What `forge-tui eval` says of a model in a folder and these texts."""
    command = [sys.executable, "-m", "forge_tui", "eval", model, "--json"]
    for text in texts:
        command += ["--data", str(text.resolve())]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["bits_per_byte"])
