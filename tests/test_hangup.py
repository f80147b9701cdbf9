"""A terminal that goes away: the foreground run saves and leaves, the detached one never notices."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.events import Done, Stopped
from engine.exit_codes import ExitCode
from engine.runs.host import detached_environment
from engine.runs.journal import read_events
from engine.runs.state import read_run, runs_of

from . import processes as p
from .engine.training.conftest import corpus

TEXT = corpus(6)


def job_file(root: Path, epochs: int) -> Path:
    """A project with forge.toml on disk."""
    project, _ = p.make_project(root, TEXT)
    path = project.job_file
    path.write_text(p.JOB.replace("epochs = 12", f"epochs = {epochs}"))
    return path


def in_terminal(command: list[str]) -> tuple[int, int]:
    """Start a command on a terminal of its own; returns its pid and our end of the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, detached_environment() | {"OMP_NUM_THREADS": "1", "TERM": "xterm"})
    return pid, terminal


def run_of(root: Path, timeout: float = 40.0) -> Path:
    """The only run of a project, once it is there."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if found := runs_of(p.Project(root)):
            return found[0].folder
        time.sleep(0.05)
    raise AssertionError("no run appeared")


def past(step: int):  # type: ignore[no-untyped-def]
    return lambda event: getattr(event, "step", 0) >= step and event.event == "step"


def test_a_hang_up_of_the_foreground_run_saves_and_the_same_command_continues(tmp_path: Path) -> None:
    file = job_file(tmp_path / "project", 400)
    pid, terminal = in_terminal([sys.executable, "-m", "forge_tui", "--batch", str(file)])
    run = run_of(file.parent)
    p.wait_for(run, past(3))
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == ExitCode.HANGUP
    stopped = [event for event in read_events(run) if isinstance(event, Stopped)][-1]
    assert stopped.reason == "SIGHUP" and stopped.checkpoint
    assert read_run(run).can_continue
    assert not p.processes_of(file.parent)


def test_a_detached_run_outlives_its_terminal_and_the_command_that_started_it(tmp_path: Path) -> None:
    file = job_file(tmp_path / "project", 12)
    pid, terminal = in_terminal([sys.executable, "-m", "forge_tui", "--batch", str(file), "--detach"])
    output = b""
    while chunk := _read(terminal):
        output += chunk
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, output
    os.close(terminal)
    run = run_of(file.parent)
    p.wait_for(run, lambda event: isinstance(event, Done), timeout=90)
    again = subprocess.run(
        [sys.executable, "-m", "forge_tui", "--batch", str(file)],
        capture_output=True, text=True, timeout=60, env=detached_environment(), check=False,
    )  # fmt: skip
    assert again.returncode == 0
    assert "finished" in again.stdout + again.stderr


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


@pytest.mark.skipif(shutil.which("sshd") is None or shutil.which("ssh") is None, reason="no sshd here")
@pytest.mark.slow
def test_a_lost_ssh_connection_does_not_touch_a_detached_run(tmp_path: Path) -> None:
    """A real sshd on the loopback, a real client that is killed in the middle."""
    file = job_file(tmp_path / "project", 200)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    authorized = tmp_path / "authorized_keys"
    authorized.write_text((tmp_path / "user.pub").read_text())
    authorized.chmod(0o600)
    port = p.free_port()
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path / 'host'}\nAuthorizedKeysFile {authorized}\n"
        f"PidFile {tmp_path / 'sshd.pid'}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    sshd = subprocess.Popen([str(shutil.which("sshd")), "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        root = Path(__file__).resolve().parents[1]
        remote = f"cd {root} && {sys.executable} -m forge_tui --batch {file} --detach && sleep 100"
        client = subprocess.Popen(
            ["ssh", "-tt", "-i", str(tmp_path / "user"), "-p", str(port), "-o", "StrictHostKeyChecking=no",
             "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectionAttempts=20", "127.0.0.1", remote],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        run = run_of(file.parent)
        p.wait_for(run, past(2))
        client.kill()
        client.wait()
        seq = p.last_seq(run)
        p.wait_for(run, past(1), after=seq)
        assert read_run(run).alive
    finally:
        sshd.terminate()
        sshd.wait(10)
        for process in p.processes_of(file.parent):
            process.send_signal(signal.SIGKILL)
