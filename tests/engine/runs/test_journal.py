"""The journal: no gaps, no torn lines, rotation, and readers beside a writer that dies and comes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ForgeError
from engine.events import Device, Event, Log, Step
from engine.runs import journal
from engine.runs.journal import FILE, Journal, JournalReader, parts, read_events


def log(number: int, size: int = 20) -> Log:
    return Log(text=f"{number:06d} " + "x" * size, time=1.0)


def written(run: Path, count: int, **options: int) -> Path:
    writer = Journal(run, **options)
    for number in range(count):
        writer.append(log(number))
    writer.close()
    return run


def seqs(events: list[Event]) -> list[int]:
    return [event.seq for event in events]


def test_events_are_numbered_stamped_and_one_a_line(tmp_path: Path) -> None:
    writer = Journal(tmp_path)
    before = time.time()
    stamped = writer.append(Log(text="a\nb"))
    assert (stamped.seq, stamped.run) == (1, tmp_path.name) and before <= stamped.time <= time.time()
    assert writer.append(Log(text="c", time=5.0)).time == 5.0
    lines = (tmp_path / FILE).read_bytes().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2]
    writer.close()
    writer.close()


def test_numbering_goes_on_after_reopening(tmp_path: Path) -> None:
    written(tmp_path, 3)
    assert Journal(tmp_path).append(log(3)).seq == 4
    assert seqs(list(read_events(tmp_path))) == [1, 2, 3, 4]


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    written(tmp_path, 3)
    with (tmp_path / FILE).open("ab") as stream:
        stream.write(b'{"event":"log","seq":4,"te')
    reader = JournalReader(tmp_path)
    assert seqs(reader.poll()) == [1, 2, 3]
    assert Journal(tmp_path).append(log(9, 5)).seq == 4
    assert seqs(reader.poll()) == [4], "a reader that had seen the torn line reads what replaced it"
    assert (tmp_path / FILE).read_bytes().count(b"\n") == 4


def test_a_file_of_one_torn_line_starts_over(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b'{"event":"lo')
    assert Journal(tmp_path).append(log(1)).seq == 1


def test_a_last_line_longer_than_any_window_still_counts(tmp_path: Path) -> None:
    writer = Journal(tmp_path)
    for size in (10, 300_000, 900_000):
        writer.append(log(0, size))
    assert Journal(tmp_path).seq == 3
    assert seqs(JournalReader(tmp_path).poll()) == [1, 2, 3]


def test_lines_that_are_no_events_are_skipped(tmp_path: Path) -> None:
    written(tmp_path, 2)
    with (tmp_path / FILE).open("ab") as stream:
        stream.write(b'not json\n\n\xff\xfe\n{"event":[]}\n')
    assert Journal(tmp_path).append(log(2)).seq == 3
    assert seqs(JournalReader(tmp_path).poll()) == [1, 2, 3]
    assert seqs(list(read_events(tmp_path))) == [1, 2, 3]


def test_an_unfinished_line_waits(tmp_path: Path) -> None:
    written(tmp_path, 2)
    whole = (tmp_path / FILE).read_bytes()
    reader = JournalReader(tmp_path)
    found = []
    for end in range(0, len(whole) + 1, 7):
        (tmp_path / FILE).write_bytes(whole[:end])
        found += seqs(reader.poll())
    (tmp_path / FILE).write_bytes(whole)
    assert found + seqs(reader.poll()) == [1, 2]


def test_a_reader_may_come_first(tmp_path: Path) -> None:
    reader = JournalReader(tmp_path)
    assert reader.poll() == []
    written(tmp_path, 2)
    assert seqs(reader.poll()) == [1, 2]
    assert reader.poll() == []


def test_limit_and_after(tmp_path: Path) -> None:
    written(tmp_path, 10)
    reader = JournalReader(tmp_path, after=3)
    assert seqs(reader.poll(2)) == [4, 5]
    assert seqs(reader.poll(2)) == [6, 7]
    assert seqs(reader.poll()) == [8, 9, 10]
    reader.close()
    assert reader.poll() == []


# ---- rotation


def test_rotation_keeps_every_event(tmp_path: Path) -> None:
    written(tmp_path, 200, rotate_bytes=2000)
    names = [path.name for path in parts(tmp_path)]
    assert len(names) > 5 and names[-1] == FILE and names[0] == "events-000000000001.jsonl"
    assert all(path.stat().st_size <= 2000 for path in parts(tmp_path))
    assert seqs(list(read_events(tmp_path))) == list(range(1, 201))
    assert seqs(JournalReader(tmp_path).poll()) == list(range(1, 201))
    assert Journal(tmp_path, rotate_bytes=2000).append(log(0)).seq == 201


@pytest.mark.parametrize("after", [0, 1, 17, 18, 19, 100, 199, 200, 5000])
def test_a_reader_opens_the_part_that_it_needs(tmp_path: Path, after: int) -> None:
    written(tmp_path, 200, rotate_bytes=2000)
    assert seqs(JournalReader(tmp_path, after=after).poll()) == list(range(after + 1, 201))


def test_a_reader_follows_through_rotations(tmp_path: Path) -> None:
    writer = Journal(tmp_path, rotate_bytes=500)
    reader = JournalReader(tmp_path)
    for number in range(1, 60):
        writer.append(log(number))
        assert seqs(reader.poll()) == [number]


def test_a_host_that_died_between_the_steps_of_a_rotation(tmp_path: Path) -> None:
    written(tmp_path, 5)
    (tmp_path / FILE).rename(tmp_path / "events-000000000001.jsonl")
    reader = JournalReader(tmp_path)
    assert seqs(reader.poll()) == [1, 2, 3, 4, 5]
    (tmp_path / FILE).touch()
    assert reader.poll() == [], "an empty new file must not send the reader in circles"
    assert JournalReader(tmp_path).poll(3)[-1].seq == 3
    assert Journal(tmp_path).append(log(0)).seq == 6
    assert seqs(reader.poll()) == [6]


def test_a_damaged_end_of_an_older_part_does_not_stop_the_reader(tmp_path: Path) -> None:
    written(tmp_path, 100, rotate_bytes=2000)
    first, second = parts(tmp_path)[:2]
    lines = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join(lines[:-1]) + b"#" * 30 + b"\n")
    missing = json.loads(second.read_bytes().splitlines()[0])["seq"] - 1
    assert seqs(JournalReader(tmp_path).poll()) == [seq for seq in range(1, 101) if seq != missing]


def test_a_damaged_beginning_of_a_part_does_not_stop_the_reader(tmp_path: Path) -> None:
    written(tmp_path, 100, rotate_bytes=2000)
    for part in parts(tmp_path):
        lines = part.read_bytes().splitlines(keepends=True)
        part.write_bytes(b"#" * 30 + b"\n" + b"".join(lines[1:]))
    assert len(JournalReader(tmp_path).poll()) == 100 - len(parts(tmp_path))


def test_parts_that_were_deleted_are_passed_over(tmp_path: Path) -> None:
    written(tmp_path, 100, rotate_bytes=2000)
    gone = parts(tmp_path)[0]
    first = json.loads(parts(tmp_path)[1].read_bytes().splitlines()[0])["seq"]
    gone.unlink()
    assert seqs(JournalReader(tmp_path).poll()) == list(range(first, 101))


def test_foreign_files_are_no_parts(tmp_path: Path) -> None:
    written(tmp_path, 2)
    (tmp_path / "events-copy.jsonl").write_text("x")
    (tmp_path / "events-1.jsonl").write_text("x")
    assert parts(tmp_path) == [tmp_path / FILE]


def test_knows(tmp_path: Path) -> None:
    written(tmp_path, 50, rotate_bytes=2000)
    reader = JournalReader(tmp_path)
    assert reader.knows(1) and reader.knows(50) and not reader.knows(51)
    assert not JournalReader(tmp_path / "none").knows(1)


# ---- several processes


@pytest.mark.parametrize("rotate", [4000, 50_000_000])
def test_a_concurrent_reader_misses_nothing(tmp_path: Path, rotate: int) -> None:
    count = 2500

    def write() -> None:
        writer = Journal(tmp_path, rotate_bytes=rotate)
        for number in range(count):
            writer.append(log(number, number % 40))
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    reader, found = JournalReader(tmp_path), []
    deadline = time.monotonic() + 60
    while len(found) < count and time.monotonic() < deadline:
        found += seqs(reader.poll(97))
    thread.join()
    assert found == list(range(1, count + 1))


WRITER = """
import sys, time
from pathlib import Path
from engine.events import Log
from engine.runs.journal import Journal
writer = Journal(Path(sys.argv[1]), rotate_bytes=20_000)
print("open", flush=True)
while True:
    writer.append(Log(text="x" * 100))
    time.sleep(1e-4)
"""


def test_kills_leave_no_gap_and_a_reader_survives_them(tmp_path: Path) -> None:
    reader, found = JournalReader(tmp_path), []
    for _ in range(4):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None and writer.stdout.readline() == b"open\n"
        for _ in range(5):
            found += seqs(reader.poll())
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    found += seqs(reader.poll())
    assert found == list(range(1, len(found) + 1)) and len(found) > 100
    assert found == seqs(list(read_events(tmp_path)))


# ---- a disk that is full


def step(number: int) -> Step:
    return Step(
        step=number, steps=9, epoch=1.0, loss=1.0, learning_rate=0.1, grad_norm=1.0, tokens=1, tokens_per_second=1.0
    )


def test_a_full_disk_loses_progress_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Journal(tmp_path)
    writer.append(log(1))
    real, full = os.write, True

    def write(descriptor: int, data: bytes) -> int:
        if full:
            return real(descriptor, data[:10])  # what a disk with ten bytes left does
        return real(descriptor, data)

    monkeypatch.setattr(journal.os, "write", write)
    writer.append(step(1))
    writer.append(Log(text="important"))
    writer.append(step(2))
    writer.append(Device(memory=1, memory_total=2))
    assert writer.trouble
    assert seqs(list(read_events(tmp_path))) == [1], "no half of a line is left"
    full = False
    writer.append(step(3))
    assert not writer.trouble
    events = list(read_events(tmp_path))
    assert seqs(events) == [1, 2, 3]
    assert [event.event for event in events] == ["log", "log", "step"]


def test_a_run_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(ForgeError, match="Cannot write"):
        Journal(tmp_path)


# ---- any history

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 300)), st.tuples(st.just("poll"), st.integers(1, 50)),
        st.tuples(st.just("reopen"), st.just(0)), st.tuples(st.just("tear"), st.integers(1, 200)),
        st.tuples(st.just("new reader"), st.just(0)),
    ),
    max_size=60,
)  # fmt: skip


@given(ACTIONS)
@settings(deadline=None, max_examples=60)
def test_any_history_is_read_without_gap(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int]]
) -> None:
    run = tmp_path_factory.mktemp("run")
    writer, reader = Journal(run, rotate_bytes=700), JournalReader(run)
    found: list[int] = []
    for action, size in actions:
        match action:
            case "append":
                writer.append(log(0, size))
            case "poll":
                found += seqs(reader.poll(size))
            case "reopen" | "tear":
                writer.close()
                if action == "tear":
                    with (run / FILE).open("ab") as stream:
                        stream.write(b'{"event":"log","text":"'[:size] + b"y" * (size - 23))
                    found += seqs(reader.poll())
                writer = Journal(run, rotate_bytes=700)
            case "new reader":
                reader.close()
                reader = JournalReader(run, after=len(found))
    found += seqs(reader.poll())
    assert found == list(range(1, writer.seq + 1))
    writer.close()
    reader.close()
