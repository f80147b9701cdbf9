"""What users get wrong: one clear sentence with file and line, the right exit code, and nothing is touched."""

from __future__ import annotations

import ctypes
import gzip
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from engine.project import Project
from engine.runs.state import runs_of
from tests.forge_tui.headless.conftest import (
    JOB,
    Call,
    Done,
    command_line,
    corpus,
    environment,
    run,
    snapshot,
)

BATCH = ("--batch", "forge.toml")


def refused(call: Call, root: Path, *arguments: str, code: int, says: str) -> str:
    """Run a command that must fail, say something, and change nothing; returns what it said."""
    before = snapshot(root)
    done = call(root, *arguments)
    assert done.code == code, done.err
    assert says in done.message, done.message
    assert done.out == ""
    assert snapshot(root) == before
    assert len(done.message) < 500
    return done.message


# ---- data files


def missing(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def cut_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(corpus().encode())[:-30])


BAD_DATA: list[tuple[str, Callable[[Path], object], str]] = [
    ("missing", missing, "qa.txt: There is no such file."),
    ("empty", lambda path: path.write_bytes(b""), "qa.txt: The file is empty."),
    ("blank", lambda path: path.write_bytes(b" \n\n\t\n"), "qa.txt: The file is empty."),
    ("zip", lambda path: path.write_bytes(b"PK\x03\x04" + bytes(5000)), "qa.txt: This is not text but "),
    ("binary", lambda path: path.write_bytes(bytes(range(256)) * 40), "qa.txt: This is not text but "),
    ("a picture", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(999)), "qa.txt: This is not text but "),
    ("a folder", folder, "qa.txt: This is a folder."),
    ("a pipe", pipe, "qa.txt: This is a pipe or a device"),
    ("links in a circle", circle, "qa.txt: These symbolic links lead in a circle."),
]


@pytest.mark.parametrize(("spoil", "says"), [case[1:] for case in BAD_DATA], ids=[case[0] for case in BAD_DATA])
def test_data_that_cannot_be_used(call: Call, root: Path, spoil: Callable[[Path], object], says: str) -> None:
    spoil(root / "data" / "qa.txt")
    refused(call, root, *BATCH, code=3, says=says)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(corpus().encode() + b"Q: caf\xe9?\nA: Yes.\n"), "Not UTF-8 text."),
        (cut_gzip, "This gzip file is damaged or cut off."),
        (lambda path: path.write_text('{"messages": 3}\n'), "qa.txt: No document in the file."),
    ],
    ids=["latin-1", "damaged gzip", "broken records"],
)
def test_data_that_breaks_while_it_is_read(call: Call, root: Path, spoil: Callable[[Path], object], says: str) -> None:
    spoil(root / "data" / "qa.txt")
    message = refused(call, root, *BATCH, code=3, says=says)
    assert "data/qa.txt" in message


def test_a_line_is_named_where_the_text_is_not_utf8(call: Call, root: Path) -> None:
    path = root / "data" / "qa.txt"
    path.write_bytes(b"Q: One?\nA: Two.\n\nQ: caf\xe9?\nA: Yes.\n")
    refused(call, root, *BATCH, code=3, says="qa.txt:4: ")


@pytest.mark.parametrize(
    ("pattern", "code", "says"),
    [
        ("data/*.csv", 3, "data/*.csv matches no file."),
        ("data/none.txt", 3, "none.txt: There is no such file."),
        ("data", 3, "This is a folder."),
        ("x" * 300, 3, "longer than the system allows"),
        ("data/qa.txt/x", 3, "Part of this path is a file"),
        ("nul\0byte", 3, "cannot hold a NUL character"),
    ],
)
def test_names_of_data_files(call: Call, root: Path, pattern: str, code: int, says: str) -> None:
    refused(call, root, *BATCH, "--set", f"data.files=[{json.dumps(pattern)}]", code=code, says=says)


def test_a_data_file_name_that_is_not_utf8(call: Call, root: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    (root / "data" / name).write_text(corpus())
    refused(call, root, *BATCH, "--set", f"data.files=data/{name}", code=2, says="whose name is not UTF-8")


@pytest.mark.slow
def test_one_document_trains_and_says_that_validation_is_impossible(root: Path) -> None:
    (root / "data" / "qa.txt").write_text("Q: Who bakes bread?\nA: A baker bakes bread, every day before sunrise.\n")
    done = run(root, *BATCH, "--set", "train.epochs=1")
    assert done.code == 0, done.err
    assert "warning: main: " in done.err and "held out" in done.err
    assert "validation  none: no documents were held out" in done.out


@pytest.mark.slow
def test_a_vocabulary_that_the_text_does_not_support(root: Path) -> None:
    done = run(root, *BATCH, "--dry-run", "--set", "model.vocabulary=50000")
    assert done.code == 0, done.err
    assert "of the 50,000 tokens asked for" in done.err


# ---- names


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("a/b", 'Try "a-b".'),
        ("../up", 'Try "up".'),
        ("..", "Use up to 64"),
        ("nul\0", 'Try "nul-'),
        (".hidden", 'Try "hidden".'),
        ("Capital", 'Try "capital".'),
        ("x" * 300, "Use up to 64"),
        ("", "Use up to 64"),
        ("con", "Use up to 64"),
        ("ünï", "Use up to 64"),
        ("a b", 'Try "a-b".'),
        ("-dash", 'Try "dash".'),
        ("\x1b[31mred", "Use up to 64"),
    ],
)
def test_names_of_models(call: Call, root: Path, name: str, hint: str) -> None:
    import tomli_w

    (root / "forge.toml").write_text(JOB.replace('name = "tiny"', tomli_w.dumps({"name": name}).strip()))
    message = refused(call, root, *BATCH, code=2, says="cannot be the name of a model.")
    assert message.startswith("forge.toml:2: ")
    if name != "nul\0":
        assert hint in message
    if "\0" not in name and not name.startswith("-"):
        refused(call, root, "train", "--name", name, code=2, says="cannot be the name of a model.")
        refused(call, root, "chat", name, code=2, says="cannot be the name of a model.")


# ---- forge.toml


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[trian]\n", 'forge.toml:1: Unknown key "trian". Did you mean "train"?'),
        ("[train]\nepochs = 'x'\n", "forge.toml:2: train.epochs must be a whole number"),
        ("[train\n", "forge.toml:1: This is not TOML"),
        ("[model]\nsize = 'smal'\n", 'forge.toml:2: There is no size "smal". Did you mean "small"?'),
        ("[model]\nsize = {layers=1, dim=33, heads=1, kv_heads=1, ffn=64}\n", "must be a multiple of 32"),
        (
            "[model]\nsize = {layers=1, dim=32, heads=3, kv_heads=2, ffn=64}\n",
            "must be a multiple of model.size.kv_heads",
        ),
    ],
)
def test_jobs(call: Call, root: Path, text: str, says: str) -> None:
    (root / "forge.toml").write_text(text)
    refused(call, root, *BATCH, code=2, says=says)


def test_a_job_that_is_not_there(call: Call, root: Path) -> None:
    refused(call, root, "--batch", "none.toml", code=2, says="none.toml: There is no such file. `forge-tui init`")
    refused(call, root, "--batch", "data", code=2, says="data: This is a folder, not a job file.")


# ---- models


def test_a_model_to_grow_that_is_not_there(call: Call, root: Path) -> None:
    refused(call, root, *BATCH, "--set", "train.method=grow", code=2, says="There is no model models/tiny to grow.")


def test_another_size_than_the_model_has(call: Call, trained: Path) -> None:
    refused(call, trained, *BATCH, "--set", "model.size=nano", code=2, says="is custom; it cannot go on as nano")


def test_a_smaller_size_to_grow_to(call: Call, trained: Path) -> None:
    smaller = "model.size={layers=1, dim=32, heads=1, kv_heads=1, ffn=32}"
    arguments = (*BATCH, "--set", "train.method=grow", "--set", smaller)
    assert "nano" in refused(call, trained, *arguments, code=2, says="cannot grow to custom: nothing may shrink")


def test_build_does_not_replace_a_model_unasked(call: Call, trained: Path) -> None:
    refused(
        call, trained, "build", "--name", "tiny", "--data", "data/qa.txt", code=2, says="exists and would be replaced"
    )


def foreign_folder(model: Path) -> None:
    shutil.rmtree(model)
    model.mkdir()
    (model / "holiday.jpg").write_bytes(b"x")


def damaged_config(model: Path) -> None:
    replace(model / "config.json", b'{"model_type": "qwen3", "hidden_size": ')


def foreign_architecture(model: Path) -> None:
    table = json.loads((model / "config.json").read_bytes())
    replace(model / "config.json", json.dumps(table | {"model_type": "mamba", "architectures": ["Mamba"]}).encode())


def cut_weights(model: Path) -> None:
    replace(model / "model.safetensors", (model / "model.safetensors").read_bytes()[:-100])


def no_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()


def replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


BAD_MODELS: list[tuple[str, Callable[[Path], None], str]] = [
    ("foreign files", foreign_folder, "holds files (holiday.jpg) but is no model"),
    ("damaged config", damaged_config, "config.json"),
    ("foreign architecture", foreign_architecture, "config.json"),
    ("cut weights", cut_weights, "model.safetensors"),
    ("no weights", no_weights, "safetensors"),
]


@pytest.mark.parametrize(("spoil", "says"), [case[1:] for case in BAD_MODELS], ids=[case[0] for case in BAD_MODELS])
def test_models_that_cannot_be_used(call: Call, trained: Path, spoil: Callable[[Path], None], says: str) -> None:
    spoil(trained / "models" / "tiny")
    refused(call, trained, *BATCH, "--set", "train.epochs=3", code=1, says=says)


class Bomb:
    """Unpickling it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


def test_a_pickle_is_refused_unopened(call: Call, trained: Path) -> None:
    model, trace = trained / "models" / "tiny", trained / "trace"
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(trace)))
    for arguments in ((*BATCH, "--set", "train.epochs=3"), ("export", "tiny", "--gguf", "f16")):
        message = refused(call, trained, *arguments, code=1, says="pytorch_model.bin")
        assert "pickle" in message
    for arguments in (("chat", "tiny", "--prompt", "x", "--checkpoint", "published"),):
        done = call(trained, *arguments)
        assert done.code != 0 and "pickle" in done.message
    assert not trace.exists()


@pytest.mark.slow
def test_a_checkpoint_of_another_size(trained: Path) -> None:
    """As after copying checkpoints between runs: the run cannot go on with it, and the model stays as it is."""
    found = runs_of(Project(trained))[0]
    state = json.loads((found.folder / "state.json").read_bytes())
    (found.folder / "state.json").write_text(json.dumps(state | {"phase": "stopped"}))
    newest = sorted((found.folder / "checkpoints").glob("step-*"))[-1]
    for name in ("model.safetensors", "optimizer.safetensors"):
        tensors = load_file(newest / name)
        smaller = {key: value[..., :16].contiguous() if value.ndim else value for key, value in tensors.items()}
        save_file(smaller, newest / name)
        manifest = json.loads((newest / "MANIFEST.json").read_bytes())
        from engine.files import sha256_of

        manifest["files"][name] = {"bytes": (newest / name).stat().st_size, "sha256": sha256_of(newest / name)}
        (newest / "MANIFEST.json").write_text(json.dumps(manifest))
    for older in sorted((found.folder / "checkpoints").glob("step-*"))[:-1]:
        shutil.rmtree(older)
    before = snapshot(trained / "models" / "tiny" / ".versions") | snapshot(newest)
    done = run(trained, *BATCH)
    assert done.code == 1, done.err
    assert "This checkpoint belongs to another model" in done.message and newest.name in done.message
    assert snapshot(trained / "models" / "tiny" / ".versions") | snapshot(newest) == before


# ---- the machine


def test_no_space(call: Call, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.disk_usage
    monkeypatch.setattr("engine.runs.launch.shutil.disk_usage", lambda path: real(path)._replace(free=1_000_000))
    before = snapshot(root)
    done = call(root, *BATCH)
    assert done.code == 6 and "Only 1 MB are free." in done.message
    assert snapshot(root) == before


@pytest.mark.slow
def test_a_disk_that_fills_up_at_the_end_leaves_the_old_model(trained: Path) -> None:
    """With files limited to a size that the journal fits into, but no weights."""
    model = trained / "models" / "tiny"
    before = {name: data for name, data in snapshot(model).items() if not name.startswith("runs")}
    done = subprocess.run(
        ["bash", "-c", 'trap "" XFSZ; ulimit -f 40; exec "$@"', "bash", *command_line(*BATCH, "--force")],
        cwd=trained, capture_output=True, text=True, env=environment(), check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 6, done.stderr
    assert "No space left on the device." in done.stderr and "Traceback" not in done.stderr
    assert {name: data for name, data in snapshot(model).items() if not name.startswith("runs")} == before


def drop_privileges() -> None:
    """Tests often run as root, whom no permission stops: give up the capabilities to ignore them (Linux)."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def as_ordinary_user(root: Path, *arguments: str) -> Done:
    """Run a command that permissions apply to."""
    if os.geteuid() != 0:
        return run(root, *arguments)
    return run(root, *arguments, preexec_fn=drop_privileges)


def permissions_apply(place: Path) -> bool:
    """Whether that works here."""
    closed = place / "closed"
    closed.mkdir(mode=0o555)
    script = "import pathlib, sys; pathlib.Path(sys.argv[1], 'x').touch()"
    drop = drop_privileges if os.geteuid() == 0 and sys.platform == "linux" else None
    return (
        subprocess.run([sys.executable, "-c", script, closed], preexec_fn=drop, stderr=-3, check=False).returncode != 0
    )


@pytest.fixture
def closed(root: Path, tmp_path: Path) -> Iterator[Path]:
    """A project in a place where permissions apply."""
    if not permissions_apply(tmp_path):
        pytest.skip("no permission stops this user")
    yield root
    for path in (root, *root.rglob("*")):
        path.chmod(path.lstat().st_mode | stat.S_IRWXU)


def test_an_unreadable_data_file(closed: Path) -> None:
    (closed / "data" / "qa.txt").chmod(0)
    done = as_ordinary_user(closed, *BATCH)
    assert done.code == 3 and "data/qa.txt: You may not read this file." in done.message
    assert not any((closed / "models").iterdir())


def test_no_permission_to_write(closed: Path) -> None:
    (closed / "models").chmod(0o555)
    before = snapshot(closed)
    done = as_ordinary_user(closed, *BATCH)
    assert done.code == 1
    assert "models/tiny: Cannot write here: permission denied. Check the owner and permissions." in done.message
    assert snapshot(closed) == before


def test_no_permission_to_read_the_job(closed: Path) -> None:
    (closed / "forge.toml").chmod(0)
    done = as_ordinary_user(closed, *BATCH)
    assert done.code == 2 and "forge.toml: You may not read this file." in done.message


def test_init_where_nothing_can_be_written(closed: Path) -> None:
    closed.chmod(0o555)
    done = as_ordinary_user(closed, "init", "new")
    assert done.code == 1 and "Cannot write here: permission denied" in done.message
