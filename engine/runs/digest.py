"""What a viewer needs of a run's whole history, bounded: kept beside the journal, so that a million steps open at once.

The host updates it with every event and writes it now and then (`curve.json`); a viewer loads it and reads only the
journal's end. It can always be made again from the journal.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.errors import ForgeError
from engine.events import (
    Advice,
    Checkpoint,
    Device,
    Done,
    Eval,
    Event,
    Failed,
    Plan,
    Resumed,
    Sample,
    Step,
    Stopped,
    decode,
    to_dict,
)  # fmt: skip
from engine.files import write_atomic
from engine.runs.curve import Curve
from engine.runs.journal import JournalReader

FILE = "curve.json"
VERSION = 1
NEWS = 400
"""Events other than progress that are kept, newest first to stay."""
SAMPLES = 256
"""Samples that are kept; when there are more, every second one goes, first and newest stay."""
ADVICE = 50
SAVE_EVERY = 5000
"""Journal entries between two savings: more often would wear out an SD card for nothing."""

E = TypeVar("E", bound=Event)


class Digest:
    """The bounded history of one run."""

    def __init__(self) -> None:
        self.seq = 0
        """Of the last event that is in it."""
        self.train = Curve()
        """Training loss, nats per token."""
        self.validation = Curve()
        """Validation loss, nats per token."""
        self.val_bpb = Curve()
        self.train_bpb = Curve()
        self.plan: Plan | None = None
        self.step: Step | None = None
        self.eval: Eval | None = None
        self.best: Eval | None = None
        self.device: Device | None = None
        self.fastest = 0.0
        """Highest tokens per second so far."""
        self.checkpoint: Checkpoint | None = None
        self.ended: Event | None = None
        """The event with which the latest attempt ended: Done, Stopped or Failed."""
        self.samples: list[Sample] = []
        self.advice: deque[Advice] = deque(maxlen=ADVICE)
        self.news: deque[Event] = deque(maxlen=NEWS)
        """The latest events that people want to read."""
        self._saved = 0

    def update(self, event: Event) -> None:
        """Take in the next event of the journal."""
        self.seq = max(self.seq, event.seq)
        match event:
            case Step():
                self.step = event
                if event.tokens_per_second > self.fastest:
                    self.fastest = event.tokens_per_second
                self.train.add(event.step, event.loss, event.epoch)
                return
            case Device():
                self.device = event
                return
            case Plan():
                self.plan, self.ended = event, None
            case Eval():
                self._evaluated(event)
            case Sample():
                self._sampled(event)
            case Checkpoint():
                self.checkpoint = event
            case Advice():
                self.advice.append(event)
            case Resumed():
                self._rewind(event.from_step)
            case Done() | Stopped() | Failed():
                self.ended = event
        self.news.append(event)

    def _evaluated(self, event: Eval) -> None:
        self.eval = event
        if event.best:
            self.best = event
        self.validation.add(event.step, event.val_loss, event.epoch)
        self.val_bpb.add(event.step, event.val_bpb, event.epoch)
        self.train_bpb.add(event.step, event.train_bpb, event.epoch)

    def _sampled(self, event: Sample) -> None:
        self.samples.append(event)
        if len(self.samples) > SAMPLES:
            self.samples = [*self.samples[:-2:2], self.samples[-1]]

    def _rewind(self, step: int) -> None:
        self.ended = None
        for curve in (self.train, self.validation, self.val_bpb, self.train_bpb):
            curve.rewind(step)
        self.samples = [sample for sample in self.samples if sample.step <= step]
        if self.step is not None and self.step.step > step:
            self.step = None
        if self.eval is not None and self.eval.step > step:
            self.eval = None

    @property
    def save_due(self) -> bool:
        """Whether it is worth writing to disk again."""
        return self.seq - self._saved >= SAVE_EVERY

    def save(self, run: Path) -> None:
        """Write curve.json.

        Raises:
            ForgeError: the disk does not let us.
        """
        self._saved = self.seq  # also when it fails: a full disk is not asked again with every event
        write_atomic(run / FILE, msgspec.json.encode(self.dump()), durable=False)

    def dump(self) -> dict[str, Any]:
        """As JSON objects."""
        single = {
            name: None if event is None else to_dict(event)
            for name, event in (
                ("plan", self.plan), ("step", self.step), ("eval", self.eval), ("best", self.best),
                ("device", self.device), ("checkpoint", self.checkpoint), ("ended", self.ended),
            )
        }  # fmt: skip
        return {
            "version": VERSION,
            "seq": self.seq,
            "fastest": self.fastest,
            **single,
            "samples": [to_dict(event) for event in self.samples],
            "advice": [to_dict(event) for event in self.advice],
            "news": [to_dict(event) for event in self.news],
            "train": self.train.dump(),
            "validation": self.validation.dump(),
            "val_bpb": self.val_bpb.dump(),
            "train_bpb": self.train_bpb.dump(),
        }

    @classmethod
    def load(cls, data: bytes) -> Digest:
        """From what `save` wrote.

        Raises:
            ValueError: it is something else, or of another version.
        """
        found: Any = msgspec.json.decode(data)
        if not isinstance(found, dict) or found.get("version") != VERSION:
            raise ValueError("not a digest of this version")
        digest = cls()
        try:
            digest.seq = digest._saved = int(found["seq"])
            digest.fastest = float(found["fastest"])
            digest.plan = _event(found["plan"], Plan)
            digest.step = _event(found["step"], Step)
            digest.eval = _event(found["eval"], Eval)
            digest.best = _event(found["best"], Eval)
            digest.device = _event(found["device"], Device)
            digest.checkpoint = _event(found["checkpoint"], Checkpoint)
            digest.ended = _event(found["ended"], Event)
            digest.samples = _events(found["samples"], Sample)
            digest.advice.extend(_events(found["advice"], Advice))
            digest.news.extend(_events(found["news"], Event))
            for name in ("train", "validation", "val_bpb", "train_bpb"):
                setattr(digest, name, Curve.load(found[name]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a digest: {error}") from None
        return digest


def _event(data: Any, kind: type[E]) -> E | None:
    if data is None:
        return None
    event = decode(msgspec.json.encode(data))
    if not isinstance(event, kind):
        raise ValueError(f"not a {kind.event or 'event'}")
    return event


def _events(data: Any, kind: type[E]) -> list[E]:
    return [event for event in (_event(entry, kind) for entry in data) if event is not None]


def load_digest(run: Path) -> Digest:
    """The digest as it was last written; an empty one when there is none, or it is damaged."""
    try:
        return Digest.load((run / FILE).read_bytes())
    except (OSError, ValueError):
        return Digest()


def open_digest(run: Path) -> tuple[Digest, JournalReader]:
    """The digest of a run brought up to date with its journal, and a reader that goes on from there.

    A digest that claims more than the journal holds (a copied or restored folder) is made again.
    """
    digest = load_digest(run)
    reader = JournalReader(run, after=digest.seq)
    if digest.seq and not reader.knows(digest.seq):
        reader.close()
        digest, reader = Digest(), JournalReader(run)
    while events := reader.poll(2000):
        for event in events:
            digest.update(event)
    return digest, reader


def save_quietly(digest: Digest, run: Path) -> bool:
    """Save the digest; False when the disk does not let us, which costs a viewer time and must not end a training."""
    try:
        digest.save(run)
    except ForgeError:
        return False
    return True
