"""Everything a run can say: one frozen struct per event, and its JSON line.

The JSON form is a contract (`events.jsonl`, `--json`): one object a line with `event`, `time`, `run` and `seq`
always present. Losses are nats per token; `*_bpb` are bits per UTF-8 byte of text, comparable across tokenizers.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, get_type_hints

import msgspec

from engine.typed import convert

Severity = Literal["hint", "warning", "error"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What all events carry. The journal fills in `run` and `seq`.

    Structs of msgspec and not dataclasses, which take a millisecond each to define: the app would open later by that.
    """

    event: ClassVar[str] = ""
    time: float = 0.0
    """Seconds since the epoch, when it happened."""
    run: str = ""
    """The run's id."""
    seq: int = 0
    """Position in the run's journal: starts at 1, no gaps."""


class Log(Event, frozen=True, kw_only=True):
    """A line of narration."""

    event = "log"
    text: str
    level: Literal["debug", "info", "warning", "error"] = "info"


class StagePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of the plan."""

    name: str
    epochs: int
    steps: int
    tokens_per_epoch: int
    documents: int
    learning_rate: float


class Plan(Event, frozen=True, kw_only=True):
    """What is about to be trained, with every "auto" resolved."""

    event = "plan"
    job: dict[str, Any]
    """The resolved job, as in job.toml."""
    why: dict[str, str]
    """For each resolved key ("train.learning_rate"), the reason of its value in words."""
    model: str
    size: str
    parameters: int
    vocabulary: int
    documents: int
    """Training documents."""
    validation_documents: int
    tokens: int
    """Training tokens in one pass over all stages' data."""
    text_bytes: int
    steps: int
    """Optimizer steps from start to end."""
    epochs: int
    stages: list[StagePlan]
    device: str
    precision: str
    threads: int
    memory_bytes: int
    """Estimated peak of the worker."""
    checkpoint_bytes: int
    """Estimated size of one checkpoint."""
    seconds: float | None = None
    """Estimated time to the end; None when nothing is known yet."""
    fingerprint: str = ""
    """Hash of the user's job and data: the same again means the same run."""


class Step(Event, frozen=True, kw_only=True):
    """Progress after an optimizer step (not every step is reported)."""

    event = "step"
    step: int
    steps: int
    epoch: float
    """Epochs done, fractional, over all stages."""
    loss: float
    """Mean training loss since the last report, nats per token."""
    learning_rate: float
    grad_norm: float
    tokens: int
    """Training tokens seen since the beginning."""
    tokens_per_second: float
    eta_seconds: float | None = None
    """Time to the end, evaluation and saving included; None while too early to say."""


class Eval(Event, frozen=True, kw_only=True):
    """A validation pass."""

    event = "eval"
    step: int
    epoch: float
    val_loss: float
    val_bpb: float
    train_bpb: float
    best: bool = False
    """Whether this is the lowest val_bpb so far."""
    seconds: float = 0.0


class Sample(Event, frozen=True, kw_only=True):
    """An answer of the model as it is now."""

    event = "sample"
    step: int
    prompt: str
    text: str
    by: str = ""
    """Who asked, when somebody did."""


class Checkpoint(Event, frozen=True, kw_only=True):
    """A checkpoint is safely on disk."""

    event = "checkpoint"
    path: str
    """Relative to the run's folder."""
    step: int
    bytes: int
    reason: Literal["schedule", "time", "best", "pause", "stop", "command", "signal", "end", "orphan"]
    best: bool = False
    seconds: float = 0.0


class Advice(Event, frozen=True, kw_only=True):
    """Something the user may want to do."""

    event = "advice"
    code: str
    severity: Severity
    text: str
    fix: str = ""


class Control(Event, frozen=True, kw_only=True):
    """A command was received, and what came of it."""

    event = "control"
    command: str
    by: str
    accepted: bool = True
    text: str = ""
    """The effect, or the reason of a refusal."""
    id: str = ""
    """Of the command that this acknowledges."""


class Resumed(Event, frozen=True, kw_only=True):
    """Training goes on from a checkpoint; readers drop points beyond `from_step`."""

    event = "resumed"
    from_step: int
    checkpoint: str
    text: str = ""
    """What was verified, skipped, or has changed since."""


class Device(Event, frozen=True, kw_only=True):
    """How the machine is doing."""

    event = "device"
    memory: int
    """Bytes in use by the worker (resident, or allocated on the device)."""
    memory_total: int
    utilisation: float | None = None
    """0 to 100."""
    temperature: float | None = None
    """Degrees Celsius."""
    disk_free: int | None = None


class Stopped(Event, frozen=True, kw_only=True):
    """The run was stopped on purpose and is saved; the same command continues."""

    event = "stopped"
    step: int
    reason: str
    """Such as "SIGTERM" or "stop"."""
    exit_code: int
    checkpoint: str = ""


class Done(Event, frozen=True, kw_only=True):
    """Training finished and the model is published."""

    event = "done"
    val_bpb: float | None
    """Of the published weights; None without validation."""
    best_step: int
    seconds: float
    tokens: int
    path: str
    """The model folder."""
    early_stopped: bool = False
    untrained_bpb: float | None = None
    """Validation bits per byte before the first step."""


class Failed(Event, frozen=True, kw_only=True):
    """The run ended without a result."""

    event = "failed"
    code: str
    """Such as "out_of_memory", "diverged", "data", "killed"."""
    text: str
    fix: str = ""
    exit_code: int = 1


EVENTS: dict[str, type[Event]] = {
    kind.event: kind
    for kind in (
        Log,
        Plan,
        Step,
        Eval,
        Sample,
        Checkpoint,
        Advice,
        Control,
        Resumed,
        Device,
        Stopped,
        Done,
        Failed,
    )
}


class Unknown(Event, frozen=True, kw_only=True):
    """An event of a newer version: kept, not understood."""

    event = "unknown"
    fields: dict[str, Any] = msgspec.field(default_factory=dict)


_encoder = msgspec.json.Encoder()


def to_dict(event: Event) -> dict[str, Any]:
    """The event as a JSON object, `event`, `time`, `run` and `seq` first; non-finite numbers become null."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    head = {"event": event.event, "time": round(event.time, 3), "run": event.run, "seq": event.seq}
    return head | {key: _finite(value) for key, value in fields.items() if key not in head}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def encode(event: Event) -> bytes:
    """One line of JSON, without the newline; what cannot be UTF-8 (a foreign file name) becomes question marks."""
    try:
        return _encoder.encode(to_dict(event))
    except UnicodeEncodeError:
        return _encoder.encode(_encodable(to_dict(event)))


def _encodable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
        case list() | tuple():
            return [_encodable(item) for item in value]
    return value


def decode(line: bytes | str) -> Event:
    """The event in a line of JSON; null where a number must be stands for NaN.

    Raises:
        ValueError: the line is not an event.
    """
    try:
        return _convert(msgspec.json.decode(line))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not an event: {error}") from error


def _convert(data: Any) -> Event:
    if not isinstance(data, dict) or not isinstance(name := data.pop("event", None), str):
        raise ValueError("not an event")
    kind = EVENTS.get(name)
    if kind is None:
        head = {key: data.pop(key) for key in _HEAD if key in data}
        return convert({**head, "fields": data}, Unknown)
    for key in _NUMBERS[name]:
        if key in data and data[key] is None:
            data[key] = math.nan
    return convert(data, kind)


_HEAD = ("time", "run", "seq")
_NUMBERS = {
    name: tuple(key for key, kind in get_type_hints(event).items() if kind is float) for name, event in EVENTS.items()
}
"""Fields of each event that are numbers and cannot be missing."""
