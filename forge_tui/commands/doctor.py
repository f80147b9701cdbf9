"""`doctor`: is this machine fit for it, and what is missing."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.errors import ForgeError
from engine.exit_codes import ExitCode
from forge_tui import figures
from forge_tui.commands.here import current_project
from forge_tui.printing import put, put_table

Verdict = Literal["good", "note", "bad"]
LEAST_DISK = 1_000_000_000
PACKAGES = ("torch", "textual", "plotext", "tokenizers", "safetensors", "numpy", "msgspec", "gguf")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    text: str
    """What was found, and what to do when it is bad."""


EPILOG = """\
Each line is good, note or bad; the exit code is 1 when something is bad. Devices are probed in a process of their own.

  forge-tui doctor
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `doctor`."""
    parser.epilog = EPILOG
    parser.add_argument("--json", action="store_true", help="print a JSON list")


def run(args: argparse.Namespace) -> int:
    """Look at everything; exit code 1 when something is bad."""
    looks: tuple[Callable[[], list[Finding]], ...] = (
        look_at_python, look_at_devices, look_at_memory, look_at_disk, look_at_locks, look_at_logout, look_at_terminal,
    )  # fmt: skip
    findings = [finding for look in looks for finding in look()]
    if args.json:
        import json
        from dataclasses import asdict

        put(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        put_table([(finding.verdict, finding.what, finding.text) for finding in findings])
    return int(ExitCode.FAILED if any(finding.verdict == "bad" for finding in findings) else ExitCode.DONE)


def look_at_python() -> list[Finding]:
    """Python and the packages, without importing them."""
    from importlib.metadata import PackageNotFoundError, version

    found = [Finding("python", "good", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    for name in PACKAGES:
        try:
            found.append(Finding(name, "good", version(name)))
        except PackageNotFoundError:
            found.append(Finding(name, "bad", f"missing: {sys.executable} -m pip install {name}"))
    return found


def look_at_devices() -> list[Finding]:
    """The processor, and what torch finds in a process of its own."""
    from engine.processor import cpu_does_bf16, physical_cores, processor_name
    from engine.runs.task import run_task

    cores = physical_cores()
    processor = Finding("processor", "good", f"{processor_name()}, {cores} core{'s' if cores > 1 else ''} for us")
    try:
        facts: dict[str, Any] = run_task("engine.training.machine:probe", {})
    except ForgeError as error:
        return [processor, Finding("devices", "bad", f"torch cannot be used: {error}")]
    bf16 = f"{facts['gflops_bf16']:,.0f} in bfloat16"
    why = "used" if cpu_does_bf16() else "not used: the processor has no fast bfloat16"
    found = [processor, Finding("speed", "good", f"{facts['gflops']:,.0f} GFLOP/s in fp32, {bf16} ({why})")]
    for device in facts["devices"]:
        kind = "bfloat16" if device["bf16"] else "no bfloat16"
        found.append(Finding("GPU", "good", f"{device['name']}, {figures.size(device['memory'])}, {kind}"))
    if facts["mps"]:
        found.append(Finding("GPU", "good", "Apple, by MPS"))
    if not facts["devices"] and not facts["mps"]:
        found.append(Finding("GPU", "note", _no_gpu(facts["torch"])))
    return found


def _no_gpu(torch: str) -> str:
    if shutil.which("nvidia-smi") is None:
        return "none: training runs on the processor"
    return f"there is an NVIDIA driver, but torch {torch} finds no GPU: install a CUDA build of torch"


def look_at_memory() -> list[Finding]:
    """RAM and swap, as far as we may use them."""
    from engine.estimate import machine_memory

    memory = machine_memory()
    verdict: Verdict = "note" if memory.available < 1_000_000_000 else "good"
    return [Finding("memory", verdict, f"{figures.size(memory.available)} of {figures.size(memory.total)} are free")]


def look_at_disk() -> list[Finding]:
    """Space where the models go."""
    folder = _existing(current_project().models)
    free = shutil.disk_usage(folder).free
    text = f"{figures.size(free)} free in {folder}"
    return [Finding("disk", "good" if free > LEAST_DISK else "bad", text)]


def look_at_locks() -> list[Finding]:
    """Whether the file system locks files: what keeps two runs from training one model."""
    from engine.files import FileLock, is_locked

    folder = _existing(current_project().models)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as place:
            lock = FileLock(Path(place) / "lock")
            lock.acquire()
            works = is_locked(lock.path)
            lock.release()
            links = Path(place) / "link"
            links.symlink_to("lock")
    except (OSError, ForgeError) as error:
        return [Finding("locks", "bad", f"{folder} cannot be written to, or has no locks: {error}")]
    if not works:
        return [Finding("locks", "bad", f"{folder} does not lock files: two runs could train the same model at once")]
    return [Finding("locks", "good", f"files can be locked in {folder}")]


def look_at_logout() -> list[Finding]:
    """Whether a run in the background survives the end of the login that started it."""
    if not Path("/run/systemd/system").is_dir():
        return [Finding("logout", "good", "no systemd here: a detached run survives a logout")]
    kills = _answer_of("loginctl", "show-seat", "--property=KillUserProcesses") or _kill_user_processes()
    lingers = _answer_of("loginctl", "show-user", str(os.getuid()), "--property=Linger").endswith("=yes")
    if not kills.endswith("=yes"):
        return [Finding("logout", "good", "systemd lets processes live on at logout: a detached run survives")]
    if lingers:
        return [Finding("logout", "good", "lingering is on for you: a detached run survives a logout")]
    fix = "loginctl enable-linger (or start the run with: systemd-run --user --scope forge-tui --batch ...)"
    return [Finding("logout", "note", f"systemd ends your processes at logout, detached runs too. Cure: {fix}")]


def _kill_user_processes() -> str:
    """The setting of systemd-logind in its files; the last one counts."""
    value = ""
    places = [Path("/etc/systemd/logind.conf"), *sorted(Path("/etc/systemd/logind.conf.d").glob("*.conf"))]
    for path in places:
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            if line.strip().startswith("KillUserProcesses="):
                value = line.strip().lower()
    return value


def _answer_of(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def look_at_terminal() -> list[Finding]:
    """What the terminal can show."""
    from forge_tui.terminal import capabilities

    if not sys.stdout.isatty():
        return [Finding("terminal", "note", "none here: the app needs one, --batch does not")]
    found = capabilities(os.environ)
    size = shutil.get_terminal_size()
    colours = "no colours" if not found.colors else "16 colours" if found.sixteen else "many colours"
    letters = "ASCII only" if found.ascii_only else "Unicode"
    verdict: Verdict = "good" if size.columns >= 60 and size.lines >= 16 else "note"
    where = " over SSH" if not found.mouse else ""
    text = f"{os.environ.get('TERM', '(TERM is not set)')}, {size.columns}x{size.lines}, {colours}, {letters}{where}"
    return [Finding("terminal", verdict, text)]


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.is_dir():
        folder = folder.parent
    return folder
