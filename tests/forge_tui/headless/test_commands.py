"""`chat`, `eval`, `export` and `doctor` on a model that was really trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.model.info import read_model
from engine.processor import cpu_does_bf16
from engine.text.formats import read_documents
from tests.forge_tui.headless.conftest import Call, Trained, command_line, environment, run, snapshot
from tests.forge_tui.pty import Terminal

FIRM = ("--temperature", "1", "--seed", "4", "--max-tokens", "12")


# ---- chat


@pytest.mark.slow
def test_chat_answers_the_lines_of_a_pipe(trained_once: Trained, tmp_path: Path) -> None:
    saved = tmp_path / "talk.txt"
    lines = (
        f"Who bakes bread?\n\n/retry\n/save {saved}\n/save {saved}\n/system Be brief.\n/reset\n/save x\n/quit\nnever\n"
    )
    done = run(trained_once.root, "chat", "tiny", *FIRM, input=lines)
    assert done.code == 0, done.err
    answers = done.out.splitlines()
    assert len(answers) == 2 and answers[0] == answers[1], "the same seed, the same answer"
    assert f"Appended 2 turns to {saved}." in done.err
    assert done.err.count("There is nothing new to save.") == 2
    (document,) = read_documents(saved)
    assert [turn.role for turn in document.turns] == ["user", "assistant"]
    assert document.turns[0].text == "Who bakes bread?"


@pytest.mark.slow
def test_chat_on_a_terminal(trained_once: Trained) -> None:
    terminal = Terminal(
        command_line("chat", "tiny", *FIRM), folder=trained_once.root, env={"OMP_NUM_THREADS": "1"}
    )  # fmt: skip
    try:
        terminal.wait_for("> ")
        os.write(terminal.fd, b"/help\n")
        terminal.wait_for("/reset")
        os.write(terminal.fd, b"Who bakes bread?\n")
        terminal.read(60, until=lambda: terminal.output.count(b"> ") >= 3)
        for _ in range(30):
            if terminal.status is None:  # in the instant after its prompt, readline does not hear a signal
                os.write(terminal.fd, b"\x03")
                terminal.read(2.0, until=lambda: terminal.status is not None)
        assert terminal.exit_code() == 0
    finally:
        terminal.close()
    assert b"Traceback" not in terminal.output


def make_talkative_model(root: Path) -> None:
    """A model "talker" that is so deep, and so far from its stop tokens, that it talks for a minute."""
    from engine.model.architecture import Architecture
    from engine.model.card import ModelCard
    from engine.model.folder import publish, write_model_files
    from engine.sizes import Dimensions
    from engine.text.tokenizer import Tokenizer
    from tests.engine.model.conftest import TEXT, lively

    tokenizer = Tokenizer.train([TEXT] * 40, 420)
    dimensions = Dimensions(layers=24, dim=64, heads=2, kv_heads=1, ffn=96)
    architecture = Architecture.of(dimensions, tokenizer.vocabulary, 4096)
    decoder = lively(architecture, seed=2)
    decoder.embed.weight.data[[tokenizer.end_of_text, tokenizer.turn_start, tokenizer.turn_end]] = 0.0
    card = ModelCard(name="talker")
    publish(root / "models" / "talker", lambda to: write_model_files(to, decoder, architecture, tokenizer, card))


@pytest.mark.slow
def test_ctrl_c_stops_an_answer_and_the_talk_goes_on(tmp_path: Path) -> None:
    (tmp_path / "forge.toml").write_text("")
    make_talkative_model(tmp_path)
    arguments = ("chat", "talker", "--max-tokens", "100000", "--temperature", "0", "--repetition-penalty", "1")
    terminal = Terminal(command_line(*arguments), folder=tmp_path, env={"OMP_NUM_THREADS": "1"})
    try:
        terminal.wait_for("> ")
        os.write(terminal.fd, b"Who bakes bread?\n")
        begun = len(terminal.output)
        terminal.read(60, until=lambda: len(terminal.output) > begun + 300)
        os.write(terminal.fd, b"\x03")
        terminal.read(60, until=lambda: terminal.output.count(b"> ") >= 2)
        assert b"(stopped)" in terminal.output
        os.write(terminal.fd, b"/quit\n")
        assert terminal.exit_code() == 0
    finally:
        terminal.close()
    assert b"Traceback" not in terminal.output


@pytest.mark.slow
def test_one_prompt_and_a_seed(trained_once: Trained) -> None:
    arguments = ("chat", "tiny", "--prompt", "Who bakes bread?", "--seed", "7", "--max-tokens", "12")
    first, second = run(trained_once.root, *arguments), run(trained_once.root, *arguments, "--checkpoint", "newest")
    assert first.code == 0 and first.out.strip(), first.err
    assert second.code == 0, second.err


def test_chat_refuses_what_cannot_be(call: Call, trained: Path) -> None:
    for arguments, says in (
        (("nope",), 'There is no model "nope"'),
        (("tiny", "--temperature", "-1"), "temperature must be a number of at least 0"),
        (("tiny", "--top-p", "0"), "top_p must be"),
        (("tiny", "--max-tokens", "0"), "max_tokens must be"),
        (("tiny", "--checkpoint", "99999"), "99"),
    ):
        done = call(trained, "chat", *arguments, "--prompt", "x")
        assert done.code == 2 and says in done.message


# ---- eval


@pytest.mark.slow
def test_eval_measures_what_the_training_measured(trained_once: Trained) -> None:
    done = run(trained_once.root, "eval", "tiny", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    # The command measures in float32, the training as it trains: bfloat16 keeps three digits of each product.
    near = 1e-3 if cpu_does_bf16() else 1e-4
    assert found["bits_per_byte"] == pytest.approx(found["recorded"], abs=near)
    assert found["documents"] > 0 and found["text_bytes"] > 0


@pytest.mark.slow
def test_eval_of_a_file_needs_no_training_run(trained: Path) -> None:
    (trained / "other.txt").write_text("Q: Is it raining?\nA: No, the sky is as dry as a stone.\n")
    done = run(trained, "eval", "tiny", "--data", "other.txt")
    assert done.code == 0, done.err
    assert done.out.startswith("bits per byte") and "1 documents" in done.out


def test_eval_refuses_what_cannot_be(call: Call, trained: Path) -> None:
    assert call(trained, "eval", "nope").code == 2
    done = call(trained, "eval", "tiny", "--data", "none.txt")
    assert done.code == 3 and "There is no such file" in done.message


# ---- export


@pytest.mark.slow
def test_export_to_gguf(trained: Path) -> None:
    done = run(trained, "export", "tiny", "--gguf", "q8_0")
    assert done.code == 0, done.err
    file = trained / "models/tiny/tiny-Q8_0.gguf"
    assert done.out == f"{file}\n" and file.read_bytes()[:4] == b"GGUF"
    assert (trained / "models/tiny/Modelfile").read_text().startswith("FROM ./tiny-Q8_0.gguf")
    elsewhere = run(trained, "export", "tiny", "--gguf", "f16", "--to", "data/x.gguf")
    assert elsewhere.code == 0 and (trained / "data/x.gguf").exists()


def test_export_of_the_folder(call: Call, trained: Path) -> None:
    done = call(trained, "export", "tiny", "--hf", "out/copy")
    assert done.code == 0, done.err
    copy = trained / "out/copy"
    assert read_model(copy).parameters == read_model(trained / "models/tiny").parameters
    assert {"README.md", "forge.json", "tokenizer.json", "config.json"} <= {path.name for path in copy.iterdir()}
    assert not any(path.is_symlink() for path in copy.iterdir())
    before = snapshot(trained)
    again = call(trained, "export", "tiny", "--hf", "out/copy")
    assert again.code == 2 and "not empty" in again.message and snapshot(trained) == before


def test_export_refuses_what_cannot_be(call: Call, trained: Path) -> None:
    before = snapshot(trained)
    for arguments, says in (
        (("--gguf", "q4_k"), "invalid choice: 'q4_k'"),
        (("--gguf", "f16", "--hf", "x"), "not allowed with"),
        (("--hf", "x", "--to", "y"), "--to belongs to --gguf."),
        (("--gguf", "f16", "--to", "none/x.gguf"), "There is no such folder."),
        (("--gguf", "f16", "--to", "data"), "This is a folder"),
    ):
        done = call(trained, "export", "tiny", *arguments)
        assert done.code == 2 and says in done.message
    assert snapshot(trained) == before


# ---- doctor


@pytest.mark.slow
def test_doctor_looks_at_everything(root: Path) -> None:
    done = run(root, "doctor", "--json")
    found = {entry["what"]: entry for entry in json.loads(done.out)}
    assert {"python", "torch", "processor", "speed", "memory", "disk", "locks", "logout", "terminal"} <= set(found)
    assert all(entry["verdict"] in ("good", "note", "bad") and entry["text"] for entry in found.values())
    assert found["locks"]["verdict"] == "good" and found["terminal"]["verdict"] == "note"
    assert done.code == (1 if any(entry["verdict"] == "bad" for entry in found.values()) else 0)
    assert list((root / "models").iterdir()) == []


def test_doctor_imports_no_torch(root: Path) -> None:
    script = """
import sys
import engine.runs.task
engine.runs.task.run_task = lambda *arguments: {
    "torch": "2", "threads": 1, "devices": [{"name": "X", "memory": 8e9, "bf16": True}], "mps": False,
    "gflops": 1.0, "gflops_bf16": 1.0,
}
from forge_tui.cli import main
main(["doctor"])
print([name for name in ("torch",) if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=environment(), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "[]"
    assert "X, 8.0 GB, bfloat16" in done.stdout
