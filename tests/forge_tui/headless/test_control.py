"""Commands to a running run, from another process, each with its answer."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.project import Project
from engine.runs.state import read_run, runs_of
from tests.forge_tui.headless.conftest import Call, command_line, environment, make_project
from tests.forge_tui.headless.test_batch import LONG, wait_for_step

FLAT = (*LONG, "--set", "train.warmup=0")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a run in the background that would take hours."""
    root = make_project(tmp_path_factory.mktemp("running") / "work")
    subprocess.run(
        command_line("--batch", "forge.toml", "--detach", *FLAT), cwd=root, env=environment(), check=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    wait_for_step(root)
    yield root
    pid = read_run(runs_of(Project(root))[0].folder).state.worker_pid
    if pid and runs_of(Project(root))[0].alive:
        subprocess.run(command_line("stop", "--now"), cwd=root, env=environment(), check=False, timeout=60)


@pytest.mark.slow
class TestRunning:
    """On one run a test process: the last one ends it, no other needs what another did."""

    def test_runs_lists_it(self, running: Path, call: Call) -> None:
        done = call(running, "runs")
        assert done.code == 0 and "tiny" in done.out and "training" in done.out and "0%" in done.out
        entry = json.loads(call(running, "runs", "--json").out)[0]
        assert entry["alive"] and entry["phase"] == "training" and entry["model"] == "tiny" and entry["step"] > 0

    def test_a_second_one_is_refused(self, running: Path, call: Call) -> None:
        done = call(running, "--batch", "forge.toml")
        assert done.code == 75 and runs_of(Project(running))[0].id in done.message
        assert len(runs_of(Project(running))) == 1

    def test_save(self, running: Path, call: Call) -> None:
        done = call(running, "save")
        assert done.code == 0 and done.out.startswith("Saved step ")
        assert any((runs_of(Project(running))[0].folder / "checkpoints").glob("step-*"))

    def test_set(self, running: Path, call: Call) -> None:
        done = call(running, "set", "tiny", "learning_rate", "0.00123")
        assert done.code == 0 and "0.00123" in done.out
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            rate = runs_of(Project(running))[0].state.learning_rate
            if rate is not None and abs(rate - 0.00123) < 1e-5:
                return
            time.sleep(0.1)
        raise AssertionError(f"the rate is {rate}")

    def test_sample(self, running: Path, call: Call) -> None:
        done = call(running, "sample", "tiny", "Who bakes \x1b[31mbread?")
        assert done.code == 0 and done.err == "" and "\x1b" not in done.out

    def test_pause_and_resume(self, running: Path, call: Call) -> None:
        assert call(running, "resume").message.endswith("refused: The run is not paused.")
        done = call(running, "pause")
        assert done.code == 0 and done.out.startswith("Paused and saved")
        assert runs_of(Project(running))[0].phase == "paused"
        refused = call(running, "pause")
        assert refused.code == 1 and "refused: The run is paused already." in refused.message
        assert call(running, "resume").code == 0
        assert runs_of(Project(running))[0].phase == "training"

    def test_attach_follows_and_ctrl_c_only_detaches(self, running: Path) -> None:
        process = subprocess.Popen(
            command_line("attach"), cwd=running, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if "plan: models/tiny" in line:
                break
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 130 and "goes on" in err
        assert runs_of(Project(running))[0].alive

    def test_chat_uses_the_newest_checkpoint(self, running: Path, call: Call) -> None:
        assert call(running, "save").code == 0
        done = call(running, "chat", "tiny", "--prompt", "Who?", "--max-tokens", "3", "--temperature", "0")
        assert done.code == 0, done.err

    def test_wrong_arguments(self, running: Path, call: Call) -> None:
        for arguments, code, says in (
            (("set", "tiny", "learning_rate", "fast"), 2, '"fast" is not a number.'),
            (("set", "tiny", "learning_rate", "-1"), 2, "A learning rate is a number above 0"),
            (("set", "tiny", "learning_rate", "nan"), 2, "A learning rate is a number above 0"),
            (("sample", "tiny", "  "), 2, "the prompt is empty"),
            (("pause", "nope"), 2, 'No run begins with "nope".'),
        ):
            done = call(running, *arguments)
            assert done.code == code and says in done.message

    def test_stop_and_nothing_is_running_any_more(self, running: Path, call: Call) -> None:
        done = call(running, "stop")
        assert done.code == 0 and " stopped at step " in done.out
        found = runs_of(Project(running))[0]
        assert not found.alive and found.phase == "stopped" and found.can_continue
        attached = call(running, "attach")
        assert attached.code == 143 and "stopped at step" in attached.out
        assert "No run is running" in call(running, "pause").message
        done = call(running, "pause", "tiny")
        assert done.code == 1 and "is not running: it is stopped. The command that started it" in done.message


@pytest.mark.slow
def test_stop_now_loses_only_what_came_after_the_checkpoint(root: Path, call: Call) -> None:
    subprocess.run(
        command_line("--batch", "forge.toml", "--detach", *FLAT), cwd=root, env=environment(), check=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    wait_for_step(root)
    assert call(root, "save").code == 0
    done = call(root, "stop", "--now")
    assert done.code == 0, done.err
    found = runs_of(Project(root))[0]
    assert not found.alive and found.phase == "stopped" and found.state.checkpoint_step is not None


def test_no_runs_at_all(call: Call, root: Path) -> None:
    assert call(root, "runs").code == 0
    assert json.loads(call(root, "runs", "--json").out) == []
    done = call(root, "attach")
    assert done.code == 2 and "no runs yet" in done.message
    assert call(root, "stop").code == 1
