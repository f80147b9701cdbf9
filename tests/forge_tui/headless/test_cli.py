"""The command line itself: light, helpful, and honest about what it does not know."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import UsageError
from forge_tui.cli import main
from forge_tui.command_line import COMMANDS, build_parser
from forge_tui.reference import commands_of, reference
from tests.forge_tui.headless.conftest import ROOT, Call, environment, run

HEAVY = ("torch", "textual", "rich", "plotext", "msgspec", "numpy", "tokenizers", "psutil", "engine.job")


def test_help_is_quick_and_imports_next_to_nothing(tmp_path: Path) -> None:
    script = f"""
import sys
from forge_tui.cli import main
code = main(["--help"])
print("loaded:", [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), cwd=tmp_path, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert done.stderr == "loaded: []\n"
    assert all(name in done.stdout for name in COMMANDS)
    assert min(times) < 0.2, "seconds of processor time: the clock would count what else the machine does"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_and_imports_no_torch(command: str) -> None:
    script = f"""
import sys
from forge_tui.cli import main
code = main([{command!r}, "--help"])
print([name for name in ("torch", "textual") if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=True)
    assert done.stdout.startswith(f"usage: forge-tui {command}") and done.stderr == "[]\n"


def test_only_the_module_of_the_command_is_loaded() -> None:
    script = """
import sys
from forge_tui.cli import main
main(["runs", "--help"])
print(sorted(name for name in sys.modules if name.startswith("forge_tui.commands.")), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=True)
    assert done.stderr == "['forge_tui.commands.here', 'forge_tui.commands.runs']\n"


def test_version(call: Call, tmp_path: Path) -> None:
    done = call(tmp_path, "--version")
    assert done.code == 0 and done.out.startswith("forge-tui ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], 'There is no command "trian". Did you mean "train"?'),
        (["zzz"], 'There is no command "zzz". Commands: init, check,'),
        (["--train", "--model", "medium"], "--train is a command here, not an option. Write: forge-tui train"),
        (["--gui"], "Write: forge-tui"),
        (["--jsn"], 'forge-tui has no option "--jsn". Did you mean "--json"?'),
        (["train", "--epoch", "3"], 'forge-tui train has no option "--epoch". Did you mean "--epochs"?'),
        (["models", "--jsn"], 'forge-tui models has no option "--jsn". Did you mean "--json"?'),
        (["runs", "extra"], 'forge-tui runs does not know what to do with "extra".'),
        (["--batch"], "Argument --batch: expected one argument. See `forge-tui --help`."),
        (["--json"], "--json needs a job. Such as: forge-tui --batch forge.toml"),
        (["--force"], "--force needs a job."),
        (["--json", "models"], "--json cannot stand before a command. Such as: forge-tui models --json"),
        (["--batch", "forge.toml", "runs"], "--batch cannot stand before a command. Leave one of the two out."),
        (["chat"], "The following arguments are required: NAME. See `forge-tui chat --help`."),
        (["export", "x"], "One of the arguments --gguf --hf is required."),
        (["set", "x", "momentum", "1"], "Argument learning_rate: invalid choice: 'momentum'"),
        (["chat", "x", "--temperature", "hot"], "Argument --temperature: invalid float value: 'hot'."),
        (["\x1b[31mred"], "There is no command"),
    ],
)
def test_wrong_usage(call: Call, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = call(tmp_path, *arguments)
    assert done.code == 2
    assert message in done.message
    assert "\x1b" not in done.err and done.out == ""


def test_without_a_terminal_the_app_names_batch(call: Call, tmp_path: Path, root: Path) -> None:
    done = call(tmp_path)
    assert done.code == 2
    assert "needs a terminal" in done.message and "--batch" in done.message and "forge-tui init" in done.message
    done = call(root)
    assert done.code == 2 and "--batch" in done.message and "init" not in done.message


def test_an_unexpected_error_is_one_sentence_and_a_traceback_on_request(
    call: Call, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("all of\na sudden")

    monkeypatch.setattr("forge_tui.batch.run_file", explode)
    done = call(root, "--batch", "forge.toml")
    assert done.code == 1
    assert done.message == (
        "Something unexpected happened: ZeroDivisionError: all of a sudden. With FORGE_DEBUG=1 the traceback is shown."
    )
    monkeypatch.setenv("FORGE_DEBUG", "1")
    assert "Traceback" in call(root, "--batch", "forge.toml").err


def test_an_error_never_carries_control_codes(call: Call, tmp_path: Path) -> None:
    done = call(tmp_path, "--batch", "no\x1b]0;title\x07such\nfile")
    assert done.code == 2
    assert not set(done.err[:-1]) & {chr(code) for code in (*range(32), 127)}


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("forge_tui.batch.run_file", interrupt)
    assert main(["--batch", "x"]) == 130


def test_a_reader_that_leaves_early_is_no_traceback(trained: Path) -> None:
    process = subprocess.Popen(
        f"{sys.executable} -m forge_tui runs | true", shell=True, cwd=trained, stderr=subprocess.PIPE,
        env=environment(), text=True,
    )  # fmt: skip
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err and "BrokenPipe" not in err


@pytest.mark.parametrize(
    ("redirection", "code"), [(">&-", 0), (">&- 2>&- <&-", 0), ("> /dev/full", 6), ("2>&-", 0), ("2> /dev/full", 0)]
)
def test_streams_that_are_not_there(tmp_path: Path, redirection: str, code: int) -> None:
    if "/dev/full" in redirection and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    script = f"{sys.executable} -m forge_tui runs --json {redirection}"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment(), capture_output=True, check=False)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr


def test_a_terminal_without_unicode_is_no_reason_to_fail(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "forge_tui", "--batch", "naïve ☃"], capture_output=True, cwd=tmp_path,
        env=environment(PYTHONIOENCODING="ascii"), check=False,
    )  # fmt: skip
    assert done.returncode == 2 and b"There is no such file" in done.stderr


@pytest.mark.slow
def test_commands_that_work_import_no_torch_either(trained: Path) -> None:
    """Deferred imports count: everything runs to its end in one process."""
    script = """
import sys
from forge_tui.cli import main
codes = [
    main(arguments.split())
    for arguments in (
        "--batch forge.toml", "--batch forge.toml --json", "--batch forge.toml --force --set train.epochs=1",
        "--batch forge.toml --dry-run --force", "models", "models --json", "runs", "attach", "check data/qa.txt",
        "init new", "export tiny --hf copy", "chat tiny --prompt x --max-tokens 2", "eval tiny",
        "train --name tiny --data none.txt", "doctor",
    )
]
print(codes, [name for name in ("torch", "safetensors") if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), cwd=trained, check=True
    )
    codes, loaded = done.stderr.splitlines()[-1].removeprefix("[").split("] ")
    assert loaded == "[]", done.stderr
    assert codes.split(", ")[:13] == ["0"] * 13 and codes.split(", ")[13] == "3", done.stderr


# ---- the reference


def test_docs_are_what_the_command_line_says() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    assert page == reference(), "run: python -m forge_tui.reference > docs/commands.md"


def test_every_option_is_explained() -> None:
    parsers = {"forge-tui": build_parser()}
    for name, command in commands_of(parsers["forge-tui"]).items():
        parsers[name] = command
        parsers |= {f"{name} {verb}": sub for verb, sub in commands_of(command).items()}
    silent = [
        f"{name}: {action.dest}"
        for name, parser in parsers.items()
        for action in parser._actions
        if action.option_strings and not action.help
    ]
    assert silent == []


def test_examples_in_help_are_understood() -> None:
    parser = build_parser()
    examples = [
        line.strip().partition("  ")[0].partition(">")[0].strip()
        for command in commands_of(parser).values()
        for line in (command.epilog or "").split("\n")
        if line.startswith("  forge-tui ")
    ]
    assert len(examples) >= 20
    import shlex

    for example in examples:
        try:
            parser.parse_args(shlex.split(example)[1:])
        except UsageError as error:
            raise AssertionError(f"{example}: {error}") from None


def test_the_module_form_works(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").out.startswith("forge-tui ")
