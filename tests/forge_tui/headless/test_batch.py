"""`--batch` from the job to the exit code: what it prints where, and what the same command does the second time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from engine.events import EVENTS, Done, Plan, Step, decode
from engine.files import FileLock
from engine.project import Project
from engine.runs.launch import MODEL_LOCK
from engine.runs.state import runs_of
from tests.forge_tui.headless.conftest import JOB, Call, Trained, command_line, environment, run, snapshot
from tests.forge_tui.pty import Terminal

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
LONG = ("--set", "train.epochs=100000", "--set", "train.save_minutes=100", "--set", "train.save_every=100000")


def start(root: Path, *arguments: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command_line("--batch", "forge.toml", *arguments), cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=environment(), stdin=subprocess.DEVNULL, **options,
    )  # fmt: skip


def wait_for_step(root: Path, least: int = 3, timeout: float = 120.0) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        runs = runs_of(Project(root))
        if runs and runs[0].state.step >= least:
            return
        time.sleep(0.05)
    raise AssertionError("training does not begin")


# ---- what is printed


def test_the_result_goes_to_stdout_and_the_story_to_stderr(trained_once: Trained) -> None:
    done = trained_once.done
    assert done.code == 0, done.err
    names = [line[:12].rstrip() for line in done.out.splitlines()]
    assert names[:5] == ["model", "validation", "trained", "prompt", "answer"]
    assert "models/tiny" in done.out and "bits per byte (untrained " in done.out and "Who bakes bread?" in done.out
    assert "New run " in done.err and "plan: models/tiny, custom, " in done.err and "evaluation: val" in done.err
    assert re.search(r"^\d\d:\d\d:\d\d +\d+%  step  1/\d+  epoch ", done.err, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d  100%  step", done.err, re.MULTILINE), "the last step has a line of its own"
    assert not CONTROL.search(done.out.replace("\n", "")) and not CONTROL.search(done.err.replace("\n", ""))
    assert (trained_once.root / "models/tiny/model.safetensors").exists()


def test_the_same_command_again_says_so_and_trains_nothing(trained: Path, call: Call, trained_once: Trained) -> None:
    before = snapshot(trained / "models")
    done = call(trained, "--batch", "forge.toml")
    assert done.code == 0
    assert "is finished: run" in done.err and "--force trains again" in done.err
    assert done.out == trained_once.done.out
    assert snapshot(trained / "models") == before


def test_a_finished_job_in_json_is_its_last_event(trained: Path, call: Call) -> None:
    done = call(trained, "--batch", "forge.toml", "--json")
    assert done.code == 0
    event = decode(done.out)
    assert isinstance(event, Done) and event.path == "models/tiny"


@pytest.mark.slow
def test_json_prints_every_event_and_nothing_else(root: Path) -> None:
    done = run(root, "--batch", "forge.toml", "--json")
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert all({"event", "time", "run", "seq"} <= set(line) and line["event"] in EVENTS for line in lines)
    assert {"plan", "step", "eval", "sample", "checkpoint", "done"} <= {line["event"] for line in lines}
    events = [decode(line) for line in done.out.splitlines()]
    assert isinstance(events[-1], Done)
    journal = (runs_of(Project(root))[0].folder / "events.jsonl").read_text()
    assert journal == done.out, "--json and the journal tell the same story"


@pytest.mark.slow
def test_a_reader_of_json_that_leaves_does_not_end_the_training(root: Path) -> None:
    process = start(root, "--json")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert "Traceback" not in process.stderr.read()
    assert runs_of(Project(root))[0].phase == "finished"


@pytest.mark.slow
def test_on_a_terminal_one_progress_line_is_rewritten(root: Path) -> None:
    terminal = Terminal(command_line("--batch", "forge.toml"), folder=root, env={"OMP_NUM_THREADS": "1"})
    try:
        terminal.read(120, until=lambda: b"answer " in terminal.output)
    finally:
        terminal.close()
    assert b"\r\x1b[2K" in terminal.output
    codes = set(re.findall(rb"\x1b\[[0-9;?]*[a-zA-Z]", terminal.output))
    assert codes == {b"\x1b[2K"}, "only lines are cleared"
    for line in re.split(rb"[\r\n]", terminal.output):
        if b"tok/s" in line:
            assert len(line.replace(b"\x1b[2K", b"").decode()) < 80


# ---- dry run


def test_dry_run_shows_every_key_with_its_reason_and_leaves_nothing(root: Path) -> None:
    before = snapshot(root)
    done = run(root, "--batch", "forge.toml", "--dry-run", "--set", "train.learning_rate=auto")
    assert done.code == 0, done.err
    assert snapshot(root) == before
    rows = {line.split()[0]: line for line in done.out.split("\n\n")[1].splitlines()}
    from engine.job_schema import known_keys

    assert {key for key in known_keys() if not key.startswith("stage")} <= set(rows)
    assert re.search(r"train\.learning_rate +0\.\d+ +\S.* ", rows["train.learning_rate"])
    unexplained = [
        key for key, row in rows.items() if '"auto"' in row and len(re.split(r" {2,}", row)) < 3 and key != "key"
    ]
    assert unexplained == []
    assert "none: " in rows["dropout"] and "1,000 steps" in rows["evaluation"], "what no key decides is there as well"
    assert "documents" in done.out and "steps" in done.out and "A new run builds models/tiny." in done.err


def test_dry_run_in_json_is_the_plan(root: Path) -> None:
    done = run(root, "--batch", "forge.toml", "--dry-run", "--json")
    plan = decode(done.out)
    assert isinstance(plan, Plan) and plan.model == "tiny" and plan.job["train"]["learning_rate"] == 0.01


def test_dry_run_of_a_finished_job(trained: Path, call: Call) -> None:
    done = call(trained, "--batch", "forge.toml", "--dry-run")
    assert done.code == 0 and "is finished" in done.err


# ---- stopping and continuing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_a_signal_saves_and_the_same_command_continues(root: Path, number: signal.Signals, code: int) -> None:
    process = start(root, *LONG)
    wait_for_step(root)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert out == "" and f"Stopped ({number.name}), saved at step " in err and "same command continues" in err
    if number != signal.SIGINT:
        return
    stopped = runs_of(Project(root))[0].state.step
    process = start(root, *LONG)
    wait_for_step(root, least=stopped + 2)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert f"Continuing run {runs_of(Project(root))[0].id} from step {stopped:,}." in err
    assert f"resumed from step {stopped:,}" in err
    assert len(runs_of(Project(root))) == 1


@pytest.mark.slow
def test_two_ctrl_c_on_a_terminal_stop_at_once_without_a_traceback(root: Path) -> None:
    terminal = Terminal(command_line("--batch", "forge.toml", *LONG), folder=root, env={"OMP_NUM_THREADS": "1"})
    try:
        wait_for_step(root)
        os.write(terminal.fd, b"\x03\x03")
        terminal.read(120, until=lambda: b"same command continues" in terminal.output)
        assert terminal.exit_code() == 130
    finally:
        terminal.close()
    assert b"Traceback" not in terminal.output


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.8])
def test_ctrl_c_while_it_starts_is_no_traceback(root: Path, delay: float) -> None:
    terminal = Terminal(command_line("--batch", "forge.toml", *LONG), folder=root, env={"OMP_NUM_THREADS": "1"})
    try:
        terminal.read(120, until=lambda: b"New run" in terminal.output)
        terminal.read(delay)
        os.write(terminal.fd, b"\x03")
        assert terminal.exit_code() == 130
    finally:
        terminal.close()
    assert b"Traceback" not in terminal.output and b"KeyboardInterrupt" not in terminal.output


def test_an_inherited_refusal_of_sighup_is_kept(root: Path) -> None:
    """As under nohup: a closed terminal must not stop the run."""
    process = start(root, *LONG, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    try:
        wait_for_step(root)
        process.send_signal(signal.SIGHUP)
        step = runs_of(Project(root))[0].state.step
        wait_for_step(root, least=step + 5)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)


# ---- one run at a time


def test_a_second_run_of_the_same_model_is_refused(root: Path, call: Call) -> None:
    folder = root / "models/tiny/runs"
    folder.mkdir(parents=True)
    before = snapshot(root)
    with FileLock(folder / MODEL_LOCK) as lock:
        assert lock.acquire()
        done = call(root, "--batch", "forge.toml")
    assert done.code == 75 and "models/tiny is being trained" in done.message and "attach" in done.message
    (folder / MODEL_LOCK).unlink()
    assert snapshot(root) == before


@pytest.mark.slow
def test_detach_names_the_run_and_leaves_it_running(root: Path) -> None:
    began = time.monotonic()
    done = run(root, "--batch", "forge.toml", "--detach")
    assert done.code == 0, done.err
    found = runs_of(Project(root))[0]
    assert done.out == f"{found.id}\n" and f"forge-tui attach {found.id}" in done.err
    assert time.monotonic() - began < 60
    attached = run(root, "attach", found.id)
    assert attached.code == 0 and "finished after" in attached.out and "plan: models/tiny" in attached.out
    assert runs_of(Project(root))[0].phase == "finished"
    events = [decode(line) for line in run(root, "attach", "--json").out.splitlines()]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert any(isinstance(event, Step) for event in events)


def test_force_and_a_changed_job_start_new_runs(trained: Path, call: Call) -> None:
    done = run(trained, "--batch", "forge.toml", "--force")
    assert done.code == 0, done.err
    assert "continues models/tiny" in done.err and len(runs_of(Project(trained))) == 2
    (trained / "forge.toml").write_text(JOB.replace('name = "tiny"', 'name = "tiny"\n').replace("train]", "train]\n"))
    assert "is finished" in call(trained, "--batch", "forge.toml").err, "spaces are no change"


@pytest.mark.slow
def test_two_equal_commands_at_the_same_moment_make_one_run(root: Path) -> None:
    processes = [start(root) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes in ([0, 75], [0, 0]), errors
    assert len(runs_of(Project(root))) == 1 and runs_of(Project(root))[0].phase == "finished"
