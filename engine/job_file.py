"""forge.toml in and out: strict reading with line numbers, overrides, comment-preserving edits, and job.toml."""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from engine.errors import UsageError
from engine.job import DataFile, Job
from engine.sizes import Dimensions, dimensions_of
from engine.toml_lines import TomlLines

MAX_BYTES = 1_000_000
GENERATED_TABLES = ("why", "resolved")
"""Tables that job.toml has besides the job; ignored when it is read as a job."""

ALIASES: dict[str, str] = {
    "lr": "train.learning_rate",
    "max_lr": "train.learning_rate",
    "num_epochs": "train.epochs",
    "num_train_epochs": "train.epochs",
    "max_seq_len": "train.sequence_length",
    "max_length": "train.sequence_length",
    "max_seq_length": "train.sequence_length",
    "seq_len": "train.sequence_length",
    "context": "train.sequence_length",
    "block_size": "train.sequence_length",
    "cutoff_len": "train.sequence_length",
    "use_amp": "train.mixed_precision",
    "amp": "train.mixed_precision",
    "bf16": "train.mixed_precision",
    "fp16": "train.mixed_precision",
    "grad_accum_steps": "train.gradient_accumulation",
    "gradient_accumulation_steps": "train.gradient_accumulation",
    "accumulation": "train.gradient_accumulation",
    "micro_batch_size": "train.batch_size",
    "per_device_train_batch_size": "train.batch_size",
    "max_grad_norm": "train.gradient_clip",
    "val_size": "data.validation",
    "val_split": "data.validation",
    "vocab_size": "model.vocabulary",
    "save_total_limit": "train.keep_checkpoints",
    "patience": "train.early_stop",
    "warmup_ratio": "train.warmup",
    "model": "model.size",
    "path": "data.files",
    "file": "data.files",
}
"""What other tools call a key: only used to say "did you mean"."""


def load_job(path: Path) -> Job:
    """The job in a forge.toml (or job.toml).

    Raises:
        UsageError: missing, too large, not TOML, an unknown key, a wrong type or value; with the line.
    """
    return parse_job(read_toml_text(path), file=path)


def read_toml_text(path: Path) -> str:
    """The text of a TOML file, at most MAX_BYTES of UTF-8.

    Raises:
        UsageError: it is missing, a folder, too large, unreadable or not UTF-8.
    """
    try:
        if path.is_dir():
            raise UsageError("This is a folder, not a job file.", file=path, fix=f"Name the file: {path}/forge.toml.")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"This file is larger than {MAX_BYTES:,} bytes: surely not a job.", file=path)
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UsageError("There is no such file.", file=path, fix="`forge-tui init` writes a forge.toml.") from None
    except PermissionError:
        raise UsageError("No permission to read this file.", file=path) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UsageError("This file is not UTF-8 text.", file=path, line=line, fix="Save it as UTF-8.") from None


def parse_job(text: str, file: str | Path | None = None, overrides: Iterable[str] = ()) -> Job:
    """The job in a TOML text, with `--set` overrides applied on top.

    Args:
        text: TOML.
        file: Named in errors.
        overrides: `table.key=value` strings; the value is TOML, or else taken as a string.

    Raises:
        UsageError: anything that is not a valid job; the first problem in file order, with its line.
    """
    lines = TomlLines(text)
    try:
        data = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise UsageError(f"This is not TOML: {reason}.", file=file, line=int(line.group(1)) if line else None) from None
    for table in GENERATED_TABLES:
        data.pop(table, None)
    overridden = set()
    for override in overrides:
        overridden.add(_apply_override(data, override))
    return _build(data, lines, file, overridden)


def _build(data: dict[str, Any], lines: TomlLines, file: str | Path | None, overridden: set[tuple[str, ...]]) -> Job:
    def error(path: tuple[str | int, ...], text: str, fix: str = "") -> UsageError:
        if tuple(path[:2]) in overridden:
            return UsageError(f"--set {_dotted(path)}: {text}", fix=fix)
        return UsageError(text, file=file, line=lines.line_of(path), fix=fix)

    problems = sorted(_unknown_keys(data, Job, ()), key=lambda item: lines.line_of(item[0]) or 0)
    if problems:
        path, known = problems[0]
        raise error(path, f'Unknown key "{_dotted(path)}".', _suggest(path, known))
    try:
        job = msgspec.convert(data, Job)
    except msgspec.ValidationError as failure:
        message, path = _explain(failure, data)
        raise error(path, f"{_dotted(path)}: {message}.") from None
    _check_values(job, error)
    return job


def _check_values(job: Job, error: Any) -> None:
    from engine.project import check_name

    try:
        dimensions_of(job.model.size)
    except UsageError as problem:
        raise error(("model", "size"), problem.text, problem.fix) from None
    try:
        check_name(job.model.name)
    except UsageError as problem:
        raise error(("model", "name"), problem.text, problem.fix) from None
    for index, entry in enumerate(job.data.files):
        if not (entry if isinstance(entry, str) else entry.path).strip():
            raise error(("data", "files"), f"data.files[{index}] is empty.")
    seen: set[str] = set()
    for index, stage in enumerate(job.stage):
        if not stage.name.strip() or stage.name in seen:
            raise error(("stage", index, "name"), f'stage[{index}].name "{stage.name}" is empty or used twice.')
        seen.add(stage.name)


def _apply_override(data: dict[str, Any], override: str) -> tuple[str, ...]:
    key, equals, value = override.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or len(path) < 2 or not all(path):
        raise UsageError(f'--set takes table.key=value, not "{override[:60]}".', fix="Such as --set train.epochs=50.")
    try:
        parsed: Any = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    table: Any = data
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UsageError(f'--set {key.strip()}: "{part}" is not a table.')
    table[path[-1]] = parsed
    return path


def _dotted(path: tuple[str | int, ...]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text[:120]


def _unknown_keys(data: Any, kind: Any, path: tuple[str | int, ...]) -> list[tuple[tuple[str | int, ...], list[str]]]:
    """Paths that the schema does not have, each with the names that are known there."""
    found: list[tuple[tuple[str | int, ...], list[str]]] = []
    for candidate in _alternatives(kind):
        if dataclasses.is_dataclass(candidate) and isinstance(data, Mapping):
            hints = typing.get_type_hints(candidate, include_extras=False)
            for key, value in data.items():
                if key in hints:
                    found += _unknown_keys(value, hints[key], (*path, key))
                else:
                    found.append(((*path, key), list(hints)))
        elif typing.get_origin(candidate) is list and isinstance(data, list):
            for index, value in enumerate(data):
                found += _unknown_keys(value, typing.get_args(candidate)[0], (*path, index))
    return found


def _alternatives(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.get_args(kind)
    return (kind,)


def known_keys() -> list[str]:
    """Every dotted key of the schema, such as "train.epochs"."""
    keys = []
    for section, kind in typing.get_type_hints(Job).items():
        target = typing.get_args(kind)[0] if typing.get_origin(kind) is list else kind
        keys += [f"{section}.{field.name}" for field in dataclasses.fields(target)]
    return keys


def _suggest(path: tuple[str | int, ...], known: list[str]) -> str:
    name = str(path[-1]).lower()
    if near := difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return f'Did you mean "{near[0]}"?'
    if name in ALIASES:
        return f'Did you mean "{ALIASES[name]}"?'
    elsewhere = {key.rpartition(".")[2]: key for key in known_keys()}
    if near := difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.75):
        return f'Did you mean "{elsewhere[near[0]]}"?'
    return f"Known here: {', '.join(known)}."


_AT = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([A-Za-z_][\w]*)|\[(\d+|\.\.\.)\]")


def _explain(failure: msgspec.ValidationError, data: Any) -> tuple[str, tuple[str | int, ...]]:
    """msgspec's message in our words, and the path that it names."""
    text = str(failure)
    where = _AT.search(text)
    path: list[str | int] = []
    if where:
        text = text[: where.start()]
        for name, index in _STEP.findall(where.group(1)):
            if name:
                path.append(name)
            elif index.isdigit():
                path.append(int(index))
    if missing := re.match(r"Object missing required field `(.+)`", text):
        return f'"{missing.group(1)}" is missing', tuple(path)
    value: Any = data
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return text[0].lower() + text[1:], tuple(path)
    text = text.replace("Expected `", "expected ").replace("`, got `", ", not ").rstrip("`").replace("`", "")
    text = text.replace("str | int", 'an integer or "auto"').replace("str | float", 'a number or "auto"')
    text = text.replace("int | str", 'an integer or "auto"').replace("float | str", 'a number or "auto"')
    shown = f" (it is {value!r})"[:80] if isinstance(value, str | int | float) else ""
    return text[0].lower() + text[1:] + shown, tuple(path)


# ---- writing


def to_table(job: Job) -> dict[str, Any]:
    """The job as nested tables for TOML; data files without settings of their own are plain strings."""
    table: dict[str, Any] = msgspec.to_builtins(job)
    if not table["stage"]:
        del table["stage"]
    return table


def dump_job(job: Job, why: Mapping[str, str] | None = None, resolved: Mapping[str, Any] | None = None) -> str:
    """job.toml: the job, the reasons of the values that were "auto", and what else was decided at the start."""
    table = to_table(job)
    if why:
        table["why"] = dict(why)
    if resolved:
        table["resolved"] = dict(resolved)
    return tomli_w.dumps(table, multiline_strings=False)


def edit_job_text(text: str, changes: Mapping[str, Any]) -> str:
    """A forge.toml text with some keys set, everything else (comments, order, layout) as it was.

    Args:
        text: The present text.
        changes: Dotted keys ("train.epochs") and their new values; None removes the key.

    Raises:
        UsageError: the result would not be a valid job.
    """
    import tomlkit
    from tomlkit.items import Table

    document = tomlkit.parse(text)
    for dotted, value in changes.items():
        section, _, key = dotted.partition(".")
        if section == "stage" and not key:
            document.pop("stage", None)
            if value:
                stages = tomlkit.aot()
                for entry in value:
                    stages.append(tomlkit.item(entry))
                document["stage"] = stages
            continue
        if section not in document:
            document[section] = tomlkit.table()
        table = document[section]
        assert isinstance(table, Table | dict)
        if value is None:
            table.pop(key, None)
        else:
            table[key] = _plain(value)
    result = tomlkit.dumps(document)
    parse_job(result)
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, Dimensions | DataFile):
        import tomlkit

        inline = tomlkit.inline_table()
        inline.update(msgspec.to_builtins(value))
        return inline
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
