"""Events and their lines of JSON."""

from __future__ import annotations

import json
import math
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import (
    EVENTS,
    Checkpoint,
    Done,
    Eval,
    Event,
    Failed,
    Log,
    Plan,
    StagePlan,
    Step,
    Unknown,
    decode,
    encode,
    to_dict,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXT, children, max_size=3),
    max_leaves=5,
)


def strategy_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value that a field of this type can hold and JSON can carry."""
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) is Union or type(kind).__name__ == "UnionType":
        return st.one_of(*(strategy_of(member) for member in get_args(kind)))
    if get_origin(kind) is list:
        return st.lists(strategy_of(get_args(kind)[0]), max_size=2)
    if get_origin(kind) is dict:
        return st.dictionaries(TEXT, strategy_of(get_args(kind)[1]), max_size=3)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return event_of(kind)
    return {
        str: TEXT,
        bool: st.booleans(),
        int: st.integers(0, 2**53),
        float: st.floats(-1e15, 1e15, allow_nan=False),
        type(None): st.none(),
        Any: JSON,
    }[kind]


def event_of(kind: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    fields = {field.name: strategy_of(hints[field.name]) for field in msgspec.structs.fields(kind)}
    if issubclass(kind, Event):
        fields["time"] = st.integers(0, 2**40).map(lambda thousandths: thousandths / 1000)
    return st.builds(kind, **fields)


@pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)
def test_every_event_survives_its_line(kind: type[Event]) -> None:
    @settings(max_examples=30, deadline=None)
    @given(event_of(kind))
    def check(event: Event) -> None:
        line = encode(event)
        assert b"\n" not in line
        assert decode(line) == event

    check()


def test_the_head_comes_first_and_the_names_are_the_contract() -> None:
    fields = json.loads(encode(Log(text="x", time=12.3456, run="r", seq=3)))
    assert list(fields)[:4] == ["event", "time", "run", "seq"]
    assert fields["time"] == 12.346
    assert set(EVENTS) == {
        "log", "plan", "step", "eval", "sample", "checkpoint", "advice", "control", "resumed", "device", "stopped",
        "done", "failed",
    }  # fmt: skip


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null_and_comes_back_as_nan(bad: float) -> None:
    step = Step(step=1, steps=2, epoch=0.5, loss=bad, learning_rate=0.1, grad_norm=bad, tokens=3, tokens_per_second=bad)
    assert json.loads(encode(step))["loss"] is None
    again = decode(encode(step))
    assert isinstance(again, Step)
    assert math.isnan(again.loss) and math.isnan(again.grad_norm) and math.isnan(again.tokens_per_second)
    evaluation = decode(encode(Eval(step=1, epoch=1.0, val_loss=bad, val_bpb=bad, train_bpb=bad)))
    assert isinstance(evaluation, Eval) and math.isnan(evaluation.val_bpb)


def test_a_figure_that_may_be_missing_stays_missing() -> None:
    done = Done(val_bpb=math.nan, best_step=1, seconds=1.0, tokens=2, path="models/x")
    again = decode(encode(done))
    assert isinstance(again, Done) and again.val_bpb is None


def test_a_foreign_file_name_does_not_break_the_report() -> None:
    event = Failed(code="data", text="caf\udce9.txt: There is no such file.")
    again = decode(encode(event))
    assert isinstance(again, Failed) and again.text == "caf?.txt: There is no such file."
    plan = Plan(
        job={"data": {"files": ["\udcff"]}}, why={"\udcff": ""}, model="m", size="nano", parameters=1, vocabulary=1,
        documents=1, validation_documents=0, tokens=1, text_bytes=1, steps=1, epochs=1,
        stages=[StagePlan(name="\udcff", epochs=1, steps=1, tokens_per_epoch=1, documents=1, learning_rate=0.1)],
        device="cpu", precision="fp32", threads=1, memory_bytes=1, checkpoint_bytes=1,
    )  # fmt: skip
    again = decode(encode(plan))
    assert isinstance(again, Plan) and again.job == {"data": {"files": ["?"]}} and again.stages[0].name == "?"


def test_events_of_a_newer_version_are_kept() -> None:
    event = decode(b'{"event":"levitated","time":1.5,"run":"r","seq":7,"height":3}')
    assert event == Unknown(time=1.5, run="r", seq=7, fields={"height": 3})


def test_new_fields_of_a_known_event_are_ignored() -> None:
    assert decode(b'{"event":"log","text":"x","colour":"red"}') == Log(text="x")


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b"null", b"3", b"{}", b"\xff\xfe", b'{"event":[]}', b'{"event":{}}', b'{"event":3}',
        b'{"event":"step"}', b'{"event":"log","text":3}', b'{"event":"log","text":"x","seq":"y"}',
        b'{"event":"later","seq":"y"}', b'{"event":"later","run":[1]}', b'{"event":"log","text":"x"',
        b'{"event":"checkpoint","path":"p","step":1,"bytes":1,"reason":"mood"}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_event_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_harm_than_a_value_error(line: bytes) -> None:
    try:
        event = decode(line)
    except ValueError:
        return
    assert isinstance(event, Event)


def test_to_dict_holds_plain_values_only() -> None:
    event = Checkpoint(path="checkpoints/step-1", step=1, bytes=2, reason="end")
    assert json.loads(json.dumps(to_dict(event))) == to_dict(event)
