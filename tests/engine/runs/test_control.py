"""Commands as files: safe to drop, taken once, and checked on both sides."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ForgeError, UsageError
from engine.runs.control import FOLDER, MAX_BYTES, Command, check, send, sender, take


def test_commands_are_taken_once_and_in_order(tmp_path: Path) -> None:
    sent = [
        send(tmp_path, Command(command="pause")), send(tmp_path, Command(command="resume")),
        send(tmp_path, Command(command="set_learning_rate", value=0.5)),
        send(tmp_path, Command(command="sample", prompt="What?", by="somebody")),
    ]  # fmt: skip
    assert take(tmp_path) == sent
    assert take(tmp_path) == []
    assert list((tmp_path / FOLDER).iterdir()) == []
    assert len({command.id for command in sent}) == 4
    assert sent[0].by == sender() and "@" in sender() and sent[3].by == "somebody"


def test_the_folder_is_closed_to_others(tmp_path: Path) -> None:
    send(tmp_path, Command(command="save"))
    assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700


def test_a_run_without_commands(tmp_path: Path) -> None:
    assert take(tmp_path) == [] and take(tmp_path / "none") == []


@pytest.mark.parametrize("value", [None, 0.0, -1.0, math.nan, math.inf, 10.1])
def test_impossible_rates_are_refused_before_they_are_sent(tmp_path: Path, value: float | None) -> None:
    with pytest.raises(UsageError, match="A learning rate is a number above 0 and at most 10"):
        send(tmp_path, Command(command="set_learning_rate", value=value))
    assert take(tmp_path) == []


def test_an_empty_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="prompt is empty"):
        send(tmp_path, Command(command="sample", prompt=" \n"))
    assert check(Command(command="sample", prompt="x")).prompt == "x"


def test_long_and_foreign_texts_are_cut_and_cleaned(tmp_path: Path) -> None:
    send(tmp_path, Command(command="sample", prompt="\udcff" + "x" * 5000, by="y" * 500))
    (found,) = take(tmp_path)
    assert len(found.prompt) == 2000 and found.prompt[:2] == "?x" and len(found.by) == 100


def test_what_is_no_command_is_thrown_away(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    good = send(tmp_path, Command(command="stop"))
    (folder / "1.json").write_bytes(b"not json")
    (folder / "2.json").write_bytes(b'{"command": "dance"}')
    (folder / "3.json").write_bytes(b"\xff\xfe")
    (folder / "4.json").write_bytes(b'{"command": "sample", "prompt": "' + b"x" * MAX_BYTES + b'"}')
    (folder / "5.json").write_text(json.dumps({"command": "set_learning_rate", "value": "high"}))
    os.mkfifo(folder / "6.json")
    (folder / "7.json").symlink_to(folder / "7.json")
    (folder / "8.json").mkdir()
    (folder / "notes.txt").write_text("mine")
    assert take(tmp_path) == [good]
    assert sorted(path.name for path in folder.iterdir()) == ["8.json", "notes.txt"]


def test_half_a_file_is_left_until_it_has_its_name(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / ".1.json.tmp").write_bytes(b'{"command": "st')
    (folder / ".2.json").write_bytes(b'{"command": "stop"}')
    assert take(tmp_path) == []


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match="Cannot write"):
        send(tmp_path / "none", Command(command="stop"))


@given(st.binary(max_size=300))
def test_any_bytes_in_the_folder_are_harmless(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    run = tmp_path_factory.mktemp("run")
    (run / FOLDER).mkdir()
    (run / FOLDER / "1.json").write_bytes(data)
    assert all(isinstance(command, Command) for command in take(run))
    assert not (run / FOLDER / "1.json").exists()
