"""The real command on a job, timed: what the comparisons of recipes and of trainers share."""

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
