"""The schema of a job as words: which keys there are, what a value must be, and what was probably meant."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

from msgspec import Meta

from engine.job import Job

Path = tuple[str | int, ...]
"""Keys and list positions from the top: ("data", "files", 0, "weight")."""

ALIASES: dict[str, str] = {
    "lr": "train.learning_rate", "max_lr": "train.learning_rate", "num_epochs": "train.epochs",
    "num_train_epochs": "train.epochs", "max_seq_len": "train.sequence_length", "max_length": "train.sequence_length",
    "max_seq_length": "train.sequence_length", "seq_len": "train.sequence_length", "context": "train.sequence_length",
    "block_size": "train.sequence_length", "cutoff_len": "train.sequence_length", "use_amp": "train.mixed_precision",
    "amp": "train.mixed_precision", "bf16": "train.mixed_precision", "fp16": "train.mixed_precision",
    "grad_accum_steps": "train.gradient_accumulation", "gradient_accumulation_steps": "train.gradient_accumulation",
    "accumulation": "train.gradient_accumulation", "micro_batch_size": "train.batch_size",
    "per_device_train_batch_size": "train.batch_size", "max_grad_norm": "train.gradient_clip",
    "val_size": "data.validation", "val_split": "data.validation", "vocab_size": "model.vocabulary",
    "save_total_limit": "train.keep_checkpoints", "patience": "train.early_stop", "warmup_ratio": "train.warmup",
    "model": "model.size", "path": "data.files", "file": "data.files",
}  # fmt: skip
"""What other tools call a key: only used to say "did you mean"."""

VALUE_ALIASES = {
    "gpu": "cuda", "half": "fp16", "float16": "fp16", "bfloat16": "bf16", "float32": "fp32", "full": "fp32",
    "finetune": "train", "fine-tune": "train", "continue": "train", "scratch": "build", "new": "build",
    "default": "auto", "none": "auto", "guide": "classic",
}  # fmt: skip
"""What other tools call a value."""

_UNQUOTED = re.compile(r"[-+]?[0-9_.]+(e[-+]?[0-9]+)?|true|false", re.IGNORECASE)


def dotted(path: Path) -> str:
    """The path as it is written: `data.files[0].weight`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text[:120]


def known_keys() -> list[str]:
    """Every dotted key of the schema, such as "train.epochs"."""
    keys = []
    for section, kind in _hints(Job).items():
        target = typing.get_args(kind)[0] if typing.get_origin(kind) is list else kind
        keys += [f"{section}.{field.name}" for field in dataclasses.fields(target)]
    return keys


def unknown_keys(data: Any, kind: Any = Job, path: Path = ()) -> list[tuple[Path, list[str]]]:
    """Paths in `data` that the schema does not have, each with the names that are known in its place."""
    found: list[tuple[Path, list[str]]] = []
    for candidate in _alternatives(kind):
        if dataclasses.is_dataclass(candidate) and isinstance(data, Mapping):
            hints = _hints(candidate)
            for key, value in data.items():
                if key in hints:
                    found += unknown_keys(value, hints[key], (*path, key))
                else:
                    found.append(((*path, key), list(hints)))
        elif typing.get_origin(candidate) is list and isinstance(data, list):
            for index, value in enumerate(data):
                found += unknown_keys(value, typing.get_args(candidate)[0], (*path, index))
    return found


def suggest_key(path: Path, known: list[str]) -> str:
    """What was probably meant by an unknown key, or what there is."""
    name = str(path[-1]).lower()
    if near := difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return f'Did you mean "{near[0]}"?'
    if name in ALIASES:
        return f'Did you mean "{ALIASES[name]}"?'
    elsewhere = {key.rpartition(".")[2]: key for key in reversed(known_keys())}
    if near := difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.75):
        return f'Did you mean "{elsewhere[near[0]]}"?'
    return f"Known here: {', '.join(known)}."


def is_list(path: Path) -> bool:
    """Whether the schema has a list at `path`."""
    kind = _kind_at(path)
    return any(typing.get_origin(candidate) is list for candidate in _alternatives(kind))


def expected_at(path: Path) -> str:
    """What a value at `path` must be, in words: 'a whole number from 1 to 65,536 or "auto"'."""
    phrases: list[str] = []
    literals: list[str] = []
    for candidate, meta in _annotated(_kind_at(path)):
        if typing.get_origin(candidate) is typing.Literal:
            literals += [f'"{choice}"' for choice in typing.get_args(candidate)]
        else:
            phrases.append(_phrase(candidate, meta))
    phrases += literals
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} or {phrases[-1]}"


def suggest_value(path: Path, value: Any) -> str:
    """What was probably meant by a wrong value, as a hint; empty when nothing is near."""
    if not isinstance(value, str):
        return ""
    kinds = _alternatives(_kind_at(path))
    choices = [str(choice) for kind in kinds if typing.get_origin(kind) is typing.Literal for choice in kind.__args__]
    meant = VALUE_ALIASES.get(value.lower(), value.lower())
    if near := difflib.get_close_matches(meant, choices, n=1):
        return f'Did you mean "{near[0]}"?'
    return "Write it without quotes." if {int, float, bool} & set(kinds) and _UNQUOTED.fullmatch(value) else ""


def shown(value: Any) -> str:
    """A value as TOML writes it, short; lists and tables by their kind."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value[:37]}..."' if len(value) > 40 else f'"{value}"'
        case int() | float():
            return str(value)[:40]
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a table"
    return f"a {type(value).__name__}"


def _phrase(kind: Any, meta: Meta | None) -> str:
    if typing.get_origin(kind) is list:
        least = meta.min_length if meta is not None else None
        return "a list" if not least else "a list with at least one entry"
    if typing.get_origin(kind) is dict:
        return "a table of texts"
    if dataclasses.is_dataclass(kind):
        return "a table"
    if kind is bool:
        return "true or false"
    if kind is str:
        return "a text in quotes"
    noun = "a whole number" if kind is int else "a number"
    bounds = _bounds(meta)
    return f"{noun} {bounds}" if bounds else noun


def _bounds(meta: Meta | None) -> str:
    if meta is None:
        return ""
    low, high = meta.ge, meta.le
    if low is not None and high is not None:
        return f"from {_number(low)} to {_number(high)}"
    parts = []
    if meta.gt is not None:
        parts.append(f"above {_number(meta.gt)}")
    if low is not None:
        parts.append(f"of at least {_number(low)}")
    if high is not None:
        parts.append(f"at most {_number(high)}")
    return " and ".join(parts)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}" if abs(value) < 1e6 else f"{int(value):,}"


def _kind_at(path: Path) -> Any:
    kind: Any = Job
    for part in path:
        for candidate in _alternatives(kind):
            if isinstance(part, int) and typing.get_origin(candidate) is list:
                kind = typing.get_args(candidate)[0]
                break
            if isinstance(part, str) and dataclasses.is_dataclass(candidate) and part in (hints := _hints(candidate)):
                kind = hints[part]
                break
        else:
            raise KeyError(dotted(path))
    return kind


def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _alternatives(kind: Any) -> list[Any]:
    return [candidate for candidate, _ in _annotated(kind)]


def _annotated(kind: Any) -> list[tuple[Any, Meta | None]]:
    """The members of a union (or the one type), each without its annotation and with its limits."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [pair for member in typing.get_args(kind) for pair in _annotated(member)]
    if typing.get_origin(kind) is typing.Annotated:
        limits = next((extra for extra in kind.__metadata__ if isinstance(extra, Meta)), None)
        return [(inner, limits) for inner, _ in _annotated(kind.__origin__)]
    return [(kind, None)]
