"""Every key of forge.toml as a field of a form: value, default, meaning, and how a typed text becomes a value."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from engine import job_schema
from engine.job import Job
from engine.job_reference import docstrings
from engine.sizes import LADDER, Dimensions
from engine.text.format_names import LABELS

SECTIONS = {
    "model": "what is trained",
    "data": "what it is trained on",
    "train": "how",
    "stage": "a further stage, in the same run",
    "eval": "what is looked at on the way",
    "export": "what is written at the end",
}
RATE_GUIDE = (
    ("First training", "1e-4", "the default of the guide"),
    ("Fine-tuning", "5e-5 to 1e-5", "adding knowledge, adjusting behavior"),
    ("Small adjustments", "1e-5 to 1e-6", ""),
    ("Unstable training", "5e-5", "reduce it when the loss jumps"),
)
"""The training guide's table of learning rates: use, rate, remark."""


@dataclass(frozen=True, slots=True)
class Field:
    """One key."""

    key: str
    """As `edit_job_text` takes it: "train.epochs", "stage.0.epochs"."""
    section: str
    name: str
    value: Any
    """As it is in the job."""
    default: Any
    """None when there is none."""
    given: bool
    """Whether forge.toml has the key."""
    about: str
    expected: str
    """What a value must be, in words."""
    choices: tuple[tuple[str, str], ...]
    """Values to choose from, with a word on each; empty when a value is typed."""

    @property
    def is_auto(self) -> bool:
        """Whether the value is decided later."""
        return bool(self.value == "auto")


def fields_of(job: Job, text: str) -> list[Field]:
    """The fields of a job, in the order of the schema.

    Args:
        job: What forge.toml says, defaults included.
        text: forge.toml.
    """
    try:
        table = tomllib.loads(text.replace("\r\n", "\n"))
    except ValueError:
        table = {}
    fields: list[Field] = []
    for section in dataclasses.fields(Job):
        value = getattr(job, section.name)
        if section.name == "stage":
            for index, stage in enumerate(value):
                given = table.get("stage", [])
                own = given[index] if index < len(given) else {}
                fields += _section(f"stage.{index}", ("stage", index), stage, own)
        else:
            fields += _section(section.name, (section.name,), value, table.get(section.name, {}))
    return fields


def _section(prefix: str, path: tuple[str | int, ...], section: Any, given: Mapping[str, Any]) -> list[Field]:
    kind: Any = type(section)
    about, hints = _about(kind), _hints(kind)
    found = []
    for one in dataclasses.fields(section):
        default = one.default if one.default is not dataclasses.MISSING else None
        if one.default_factory is not dataclasses.MISSING:
            default = one.default_factory()
        found.append(
            Field(
                key=f"{prefix}.{one.name}",
                section=prefix,
                name=one.name,
                value=getattr(section, one.name),
                default=default,
                given=one.name in given,
                about=" ".join(about.get(one.name, "").split()),
                expected=job_schema.expected_at((*path, one.name)),
                choices=_choices(f"{prefix}.{one.name}", hints[one.name]),
            )
        )
    return found


@cache
def _about(kind: Any) -> dict[str, str]:
    return docstrings(kind)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


_METHODS = {
    "build": "a new model from scratch",
    "train": "go on with the model; build it when there is none",
    "grow": "make the model larger, then train on",
}
_WORDS = {
    "train.method": _METHODS,
    "train.preset": {"auto": "numbers that suit this data and machine", "classic": "the training guide's numbers"},
    "train.mixed_precision": {"auto": "what the device does well", "true": "the best 16-bit type", "false": "32 bit"},
    "train.compile": {"auto": "long runs in 16 bits", "true": "torch.compile", "false": "never"},
    "train.optimizer": {"auto": "Muon, or AdamW where a learning rate is given", "muon": "for the matrices",
                        "adamw": "for everything, as in the training guide"},
}  # fmt: skip


def _choices(key: str, hint: Any) -> tuple[tuple[str, str], ...]:
    if key == "model.size":
        return tuple((size.name, size.guide_use) for size in LADDER)
    if key == "data.format":
        return (("auto", "look at each file"), *LABELS.items())
    values: list[str] = []
    for kind in _members(hint):
        if typing.get_origin(kind) is typing.Literal:
            values += [str(value) for value in typing.get_args(kind)]
        elif kind is bool:
            values += ["true", "false"]
        else:
            return ()
    words = _WORDS.get(key, {})
    return tuple((value, words.get(value, "")) for value in values)


def _members(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [member for part in typing.get_args(hint) for member in _members(part)]
    if typing.get_origin(hint) is typing.Annotated:
        return _members(typing.get_args(hint)[0])
    return [hint]


def as_toml(value: Any) -> str:
    """A value as forge.toml would have it, on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(as_toml(one) for one in value)}]"
        case dict():
            return "{" + ", ".join(f"{key} = {as_toml(one)}" for key, one in value.items()) + "}"
    return as_toml(msgspec.to_builtins(value))


def as_typed(field: Field) -> str:
    """The value as a person would type it: texts without quotes."""
    return field.value if isinstance(field.value, str) else as_toml(field.value)


def from_typed(field: Field, text: str) -> Any:
    """The value that a typed text means; it is not checked here.

    TOML where it is TOML, else the text itself; one value stands for a list of one.
    """
    text = text.strip()
    try:
        value = tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except (ValueError, KeyError, RecursionError):
        value = text
    if field.name == "name" or (isinstance(field.default, str) and field.default != "auto" and type(value) is not dict):
        value = text if not isinstance(value, str) else value
    if isinstance(field.value, list) and not isinstance(value, list):
        return [value] if text else []
    return value


def short(field: Field, width: int) -> str:
    """The value in a few cells."""
    value = field.value
    if isinstance(value, Dimensions):
        return f"{value.layers} x {value.dim}"
    if isinstance(value, list):
        if field.name == "files":
            names = [one if isinstance(one, str) else one.path for one in value]
            return names[0].rpartition("/")[2] if len(names) == 1 else f"{len(names)} files"
        return as_toml(value) if len(as_toml(value)) <= width else f"{len(value)} of them" if value else "none"
    return as_typed(field)
