"""The digest of a journal: equal to reading it all, and quick whatever its length."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.events import Done, Eval, Event, Log, Resumed, Sample, Step
from engine.runs import digest as digests
from engine.runs.digest import Digest, load_digest, open_digest
from engine.runs.journal import Journal


def step(number: int, loss: float = 1.0) -> Step:
    """Progress."""
    return Step(step=number, steps=10**6, epoch=number / 1000, loss=loss, learning_rate=0.01, grad_norm=0.3,
                tokens=number * 10, tokens_per_second=100.0 + number)  # fmt: skip


def evaluation(number: int, *, best: bool = False) -> Eval:
    """An evaluation."""
    return Eval(step=number, epoch=number / 1000, val_loss=2.0, val_bpb=1.0, train_bpb=0.9, best=best)


def write(run: Path, *events: Event, digest: Digest | None = None) -> None:
    """Append to the run's journal as a host does."""
    journal = Journal(run, rotate_bytes=20_000)
    for event in events:
        stamped = journal.append(event)
        if digest is not None:
            digest.update(stamped)
    journal.close()


def story(length: int) -> list[Event]:
    """A run with everything in it."""
    events: list[Event] = [Log(text="Reading the data.")]
    for number in range(1, length + 1):
        events.append(step(number))
        if number % 50 == 0:
            events += [evaluation(number, best=number == 100), Sample(step=number, prompt="Q", text=f"at {number}")]
    return events


def test_saved_digest_and_the_rest_of_the_journal_equal_reading_it_all(tmp_path: Path) -> None:
    digest = Digest()
    write(tmp_path, *story(400), digest=digest)
    digest.save(tmp_path)
    write(tmp_path, *story(30), Done(val_bpb=1.0, best_step=100, seconds=1.0, tokens=1, path="models/x"))
    quick, reader = open_digest(tmp_path)
    reader.close()
    (tmp_path / digests.FILE).unlink()
    whole, reader = open_digest(tmp_path)
    reader.close()
    assert quick.dump() == whole.dump()
    assert isinstance(whole.ended, Done) and whole.fastest == 500.0


def test_reader_goes_on_where_the_digest_ends(tmp_path: Path) -> None:
    write(tmp_path, *story(100))
    digest, reader = open_digest(tmp_path)
    assert reader.poll() == []
    write(tmp_path, step(101))
    assert [event.seq for event in reader.poll()] == [digest.seq + 1]


def test_a_return_to_an_earlier_step_drops_what_came_after(tmp_path: Path) -> None:
    write(tmp_path, *story(200), Resumed(from_step=120, checkpoint="c"), step(121, 7.0))
    digest, _ = open_digest(tmp_path)
    assert digest.train.buckets[-1].last_at == 121 and digest.train.buckets[-1].last == 7.0
    assert [sample.step for sample in digest.samples] == [50, 100]
    assert digest.validation.buckets[-1].last_at == 100
    assert digest.best is not None and digest.best.step == 100


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 99, "seq": 5}', b"\xff\xfe"])
def test_a_damaged_file_only_costs_time(tmp_path: Path, damage: bytes) -> None:
    write(tmp_path, *story(60))
    (tmp_path / digests.FILE).write_bytes(damage)
    assert load_digest(tmp_path).seq == 0
    digest, _ = open_digest(tmp_path)
    assert digest.step is not None and digest.step.step == 60


def test_a_digest_of_a_longer_journal_is_not_believed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    long = Digest()
    write(other, *story(300), digest=long)
    run = tmp_path / "run"
    run.mkdir()
    write(run, *story(20))
    long.save(run)
    digest, _ = open_digest(run)
    assert digest.step is not None and digest.step.step == 20


def test_samples_and_news_stay_bounded_and_keep_first_and_newest(tmp_path: Path) -> None:
    digest = Digest()
    for number in range(1, 2000):
        digest.update(Sample(step=number, prompt="Q", text="A", seq=number))
    assert len(digest.samples) <= digests.SAMPLES and len(digest.news) == digests.NEWS
    assert digest.samples[0].step == 1 and digest.samples[-1].step == 1999


def test_saving_is_rare() -> None:
    digest = Digest()
    due = 0
    for number in range(1, 20_001):
        digest.update(Log(text="x", seq=number))
        if digest.save_due:
            due += 1
            digest._saved = digest.seq
    assert due == 4


def test_a_long_history_opens_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the saved digest knows is not read again: the time does not grow with the run."""
    digest = Digest()
    journal = Journal(tmp_path)
    for number in range(1, 60_001):
        digest.update(journal.append(step(number)))
        if number == 58_000:
            digest.save(tmp_path)
    journal.close()
    read: list[int] = []
    update = Digest.update
    monkeypatch.setattr(Digest, "update", lambda self, event: (read.append(event.seq), update(self, event))[1])
    opened, _ = open_digest(tmp_path)
    assert read == list(range(58_001, 60_001))
    assert opened.step is not None and opened.step.step == 60_000
