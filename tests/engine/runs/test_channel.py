"""The queue between worker and host: large events in small messages, no waiting, nothing lost that matters."""

from __future__ import annotations

import multiprocessing
import queue
import random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine.events import Event, Log, Sample, Step
from engine.runs.channel import CHUNK_BYTES, Receiver, Reporter
from engine.runs.control import Command


class Pipe:
    """A queue as we use it, without a process."""

    def __init__(self, size: int = 0) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(size)
        self.largest = 0
        self.closed = self.joined = self.cancelled = False

    def put_nowait(self, item: Any, /) -> None:
        self.largest = max(self.largest, len(item[3]))
        self._queue.put_nowait(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        return self._queue.get(block, timeout)

    def get_nowait(self) -> Any:
        return self._queue.get_nowait()

    def close(self) -> None:
        self.closed = True

    def join_thread(self) -> None:
        self.joined = True

    def cancel_join_thread(self) -> None:
        self.cancelled = True


def step(number: int) -> Step:
    return Step(
        step=number, steps=99, epoch=1.0, loss=1.0, learning_rate=0.1, grad_norm=1.0, tokens=1, tokens_per_second=1.0
    )


def drained(pipe: Pipe) -> list[Event]:
    found: list[Event] = []
    Receiver(pipe).drain(found.append)
    return found


@given(st.lists(st.integers(0, 20_000), max_size=8))
def test_events_of_any_size_arrive_whole_and_in_order(sizes: list[int]) -> None:
    pipe = Pipe()
    reporter = Reporter(pipe)
    texts = [f"{size}:" + "é☃x"[size % 3] * size for size in sizes]
    for text in texts:
        reporter(Log(text=text, time=1.0))
    assert [event.text for event in drained(pipe) if isinstance(event, Log)] == texts
    assert pipe.largest <= CHUNK_BYTES < 4096 - 200


def test_progress_is_dropped_when_nobody_reads_and_the_rest_is_kept() -> None:
    pipe = Pipe(size=3)
    reporter = Reporter(pipe)
    for number in range(10):
        reporter(step(number))
    reporter(Sample(step=1, prompt="p", text="x" * 10_000))
    reporter(step(10))
    reporter(Log(text="after"))
    found: list[Event] = []
    receiver = Receiver(pipe)
    for _ in range(20):
        receiver.drain(found.append)
        reporter(Log(text="more"))
    kinds = [event.event for event in found]
    assert kinds.count("sample") == 1 and kinds.index("sample") < kinds.index("log")
    assert next(event.text for event in found if isinstance(event, Log)) == "after"
    assert kinds.count("step") < 11, "some progress was dropped"
    assert [event.text for event in found if isinstance(event, Sample)] == ["x" * 10_000]


def test_events_are_stamped_with_the_time_they_happened() -> None:
    pipe = Pipe()
    Reporter(pipe)(Log(text="now"))
    Reporter(pipe)(Log(text="then", time=5.0))
    now, then = drained(pipe)
    assert now.time > 1e9 and then.time == 5.0


def test_an_orphan_says_nothing_and_does_not_wait() -> None:
    pipe = Pipe(size=1)
    reporter = Reporter(pipe)
    reporter(Log(text="a"))
    reporter(Log(text="b"))
    reporter.orphaned.set()
    reporter(Log(text="c"))
    reporter.close(timeout=60.0)
    assert pipe.cancelled and pipe.closed and pipe.joined


def test_closing_gives_up_after_a_while() -> None:
    pipe = Pipe(size=1)
    reporter = Reporter(pipe)
    reporter(Log(text="a"))
    reporter(Log(text="b"))
    reporter.close(timeout=0.1)
    assert pipe.cancelled
    patient = Pipe()
    reporter = Reporter(patient)
    reporter(Log(text="a"))
    reporter.close()
    assert patient.joined and not patient.cancelled


def test_commands_come_from_the_host_and_from_signals() -> None:
    theirs, ours = multiprocessing.Pipe(duplex=False)
    reporter = Reporter(Pipe(), theirs)
    assert reporter.commands() == []
    ours.send_bytes(msgspec.json.encode(Command(command="pause", by="a")))
    ours.send_bytes(msgspec.json.encode(Command(command="resume", by="b")))
    reporter.inject(Command(command="stop", by="SIGTERM"))
    assert [command.command for command in reporter.commands()] == ["stop", "pause", "resume"]
    ours.close()
    assert reporter.commands() == [] and reporter.commands() == [], "a host that is gone sends nothing"


def test_a_receiver_waits_no_longer_than_told() -> None:
    assert Receiver(Pipe()).get(0.01) is None and Receiver(Pipe()).get(0) is None


def _worker(events: Any, count: int, seed: int) -> None:
    reporter = Reporter(events)
    lengths = random.Random(seed)
    for number in range(count):
        reporter(Log(text=f"{number} " + "x" * lengths.randrange(9000), time=1.0))
    reporter.close(timeout=60.0)


def test_through_a_real_process() -> None:
    context = multiprocessing.get_context("spawn")
    events = context.Queue(10)
    process = context.Process(target=_worker, args=(events, 200, 3))
    process.start()
    found: list[Event] = []
    receiver = Receiver(events)
    while process.is_alive():
        event = receiver.get(0.1)
        found += [event] if event else []
    receiver.drain(found.append)
    process.join()
    assert [int(event.text.split()[0]) for event in found if isinstance(event, Log)] == list(range(200))
