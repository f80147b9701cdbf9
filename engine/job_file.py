"""forge.toml in and out: strict reading with line numbers, overrides, comment-preserving edits, and job.toml."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from engine import job_schema as schema
from engine.durations import parse_duration
from engine.errors import UsageError
from engine.job import DataFile, Job
from engine.sizes import Dimensions, dimensions_of
from engine.toml_lines import TomlLines
from engine.typed import convert

MAX_BYTES = 1_000_000
GENERATED_TABLES = ("why", "resolved")
"""Tables that job.toml has besides the job; ignored when it is read as a job."""


def load_job(path: Path) -> Job:
    """The job in a forge.toml (or job.toml).

    Raises:
        UsageError: missing, too large, not TOML, an unknown key, a wrong type or value; with the line.
    """
    return parse_job(read_toml_text(path), file=path)


def read_toml_text(path: Path) -> str:
    """The text of a TOML file, at most MAX_BYTES of UTF-8.

    Raises:
        UsageError: it is missing, no regular file, too large, unreadable or not UTF-8.
    """
    data = _read_small(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError("This file is not UTF-8 text.", file=path, line=line, fix="Save it as UTF-8.") from None


def _read_small(path: Path) -> bytes:
    try:
        # O_NONBLOCK: opening a pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UsageError("There is no such file.", file=path, fix="`forge-tui init` writes a forge.toml.") from None
    except PermissionError:
        raise UsageError("You may not read this file.", file=path, fix="Change its permissions: chmod u+r") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise UsageError(f"This cannot be opened: {reason.lower()}.", file=str(path)[:200]) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise UsageError("This is a folder, not a job file.", file=path, fix=f"Name the file: {path}/forge.toml.")
        raise UsageError("This is a pipe or a device, not a job file.", file=path, fix="Save it as a file first.")
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UsageError(f"This file is larger than {MAX_BYTES:,} bytes: surely not a job.", file=path)
    return data


def parse_job(text: str, file: str | Path | None = None, overrides: Iterable[str] = ()) -> Job:
    """The job in a TOML text, with `--set` overrides applied on top.

    Args:
        text: TOML.
        file: Named in errors.
        overrides: `table.key=value` strings; the value is TOML, or else taken as a string, and a single value stands
            for a list of one.

    Raises:
        UsageError: anything that is not a valid job; the first problem in file order, with its line.
    """
    data = _parse_toml(text, file)
    for table in GENERATED_TABLES:
        data.pop(table, None)
    overridden = {_apply_override(data, override) for override in overrides}
    return _build(data, TomlLines(text), file, overridden)


def _parse_toml(text: str, file: str | Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found.group(1)) if found else text.rstrip("\n").count("\n") + 1
        reason = re.sub(r" \(at .*\)$", "", str(error))
        reason = _TOML_WORDS.get(reason, reason[0].lower() + reason[1:])
        raise UsageError(f"This is not TOML: {reason}.", file=file, line=line) from None
    except (RecursionError, ValueError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else "a number is too long"
        raise UsageError(f"This is not TOML: {reason}.", file=file) from None


_TOML_WORDS = {"Cannot overwrite a value": "a key is set twice"}
_Failure = Callable[[schema.Path, str, str], UsageError]


def _build(data: dict[str, Any], lines: TomlLines, file: str | Path | None, overridden: set[tuple[str, ...]]) -> Job:
    def error(path: schema.Path, text: str, fix: str) -> UsageError:
        if any(tuple(path[: len(key)]) == key or key[: len(path)] == tuple(path) for key in overridden):
            return UsageError(f"--set: {text}", fix=fix)
        return UsageError(text, file=file, line=lines.line_of(path), fix=fix)

    problems = sorted(schema.unknown_keys(data), key=lambda item: lines.line_of(item[0]) or 0)
    if problems:
        path, known = problems[0]
        raise error(path, f'Unknown key "{schema.dotted(path)}".', schema.suggest_key(path, known))
    try:
        job = convert(data, Job)
    except msgspec.ValidationError as failure:
        raise error(*_explain(failure, data)) from None
    _check_values(job, error)
    return job


def _check_values(job: Job, error: _Failure) -> None:
    from engine.project import check_name

    def check(path: schema.Path, rule: Callable[[], object]) -> None:
        try:
            rule()
        except UsageError as problem:
            raise error(path, problem.text, problem.fix) from None

    check(("model", "size"), lambda: dimensions_of(job.model.size))
    check(("model", "name"), lambda: check_name(job.model.name))
    check(("data", "format"), lambda: _check_format(job.data.format))
    if job.train.max_time:
        check(("train", "max_time"), lambda: parse_duration(job.train.max_time))
    groups: list[tuple[schema.Path, list[str | DataFile]]] = [(("data", "files"), job.data.files)]
    groups += [(("stage", index, "files"), stage.files) for index, stage in enumerate(job.stage)]
    for group, files in groups:
        for index, entry in enumerate(files):
            path = (*group, index)
            if not (entry if isinstance(entry, str) else entry.path).strip():
                raise error(path, f"{schema.dotted(path)} is empty.", "Name a file.")
            if isinstance(entry, DataFile):
                check((*path, "format"), lambda name=entry.format: _check_format(name))  # type: ignore[misc]
                check((*path, "columns"), lambda columns=entry.columns: _check_columns(columns))  # type: ignore[misc]
    seen: set[str] = set()
    for index, stage in enumerate(job.stage):
        if not stage.name.strip() or stage.name in seen:
            text = f'stage[{index}].name "{stage.name}" is empty or used twice.'
            raise error(("stage", index, "name"), text, "Give every stage a name of its own.")
        seen.add(stage.name)


def _check_format(name: str) -> None:
    if name != "auto":
        from engine.text.formats import check_format

        check_format(name)


def _check_columns(columns: dict[str, str]) -> None:
    if columns:
        from engine.text.formats import check_format

        check_format("auto", columns)


def _apply_override(data: dict[str, Any], override: str) -> tuple[str, ...]:
    key, equals, value = override.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or len(path) < 2 or not all(path):
        raise UsageError(f'--set takes table.key=value, not "{override[:60]}".', fix="Such as --set train.epochs=50.")
    parsed = _toml_value(value)
    if not isinstance(parsed, list) and path[0] in _SECTIONS and _takes_list(path):
        parsed = [parsed]
    table: Any = data
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UsageError(f'--set {key.strip()}: "{part}" is not a table.')
    table[path[-1]] = parsed
    return path


_SECTIONS = ("model", "data", "train", "eval", "export")


def _takes_list(path: tuple[str, ...]) -> bool:
    try:
        return schema.is_list(path)
    except KeyError:
        return False


def _toml_value(text: str) -> Any:
    """The TOML value that `text` is, or else the text itself."""
    try:
        table = tomllib.loads(f"value = {text.strip()}")
    except (ValueError, RecursionError):
        return text
    return table["value"] if len(table) == 1 else text


_AT = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([A-Za-z_][\w]*)|\[(\d+)\]")


def _explain(failure: msgspec.ValidationError, data: Any) -> tuple[schema.Path, str, str]:
    """msgspec names the place; what is wrong there is said in our words: the path, a sentence, and a hint."""
    text = str(failure)
    where = _AT.search(text)
    path: schema.Path = ()
    if where:
        path = tuple(name or int(index) for name, index in _STEP.findall(where.group(1)))
    name = schema.dotted(path)
    if missing := re.match(r"Object missing required field `(.+?)`", text):
        return path, f'{name} has no "{missing.group(1)}".', ""
    value: Any = data
    for part in path:
        value = value[part]
    hint = schema.suggest_value(path, value)
    if schema.is_list(path):
        hint = f"Write [[{name}]] in double brackets." if path == ("stage",) else 'Write a list: ["..."].'
    return path, f"{name} must be {schema.expected_at(path)}, not {schema.shown(value)}.", hint


# ---- writing


def to_table(job: Job) -> dict[str, Any]:
    """The job as nested tables for TOML; data files without settings of their own are plain strings."""
    table: dict[str, Any] = msgspec.to_builtins(job)
    if not table["stage"]:
        del table["stage"]
    return table


def file_table(file: DataFile) -> dict[str, Any]:
    """A data file as a table for TOML: its path, and what is not as usual."""
    usual = msgspec.to_builtins(DataFile(file.path))
    return {key: value for key, value in msgspec.to_builtins(file).items() if key == "path" or value != usual[key]}


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
        changes: Dotted keys ("train.epochs", "stage.0.epochs") and their new values; None removes the key.

    Raises:
        UsageError: the result would not be a valid job.
    """
    import tomlkit
    from tomlkit.items import Table

    _parse_toml(text, None)
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
        table: Any
        if section == "stage":
            index, _, key = key.partition(".")
            stages_now: Any = document["stage"]
            table = stages_now[int(index)]
            if value is None:
                table.pop(key, None)
            else:
                table[key] = _plain(value)
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
    import tomlkit

    if isinstance(value, Dimensions | DataFile):
        inline = tomlkit.inline_table()
        inline.update(file_table(value) if isinstance(value, DataFile) else msgspec.to_builtins(value))
        return inline
    if isinstance(value, list | tuple):
        array = tomlkit.array()  # a list that holds only tables would become [[sections]], away from its key
        array.extend(_plain(entry) for entry in value)
        return array
    return value
