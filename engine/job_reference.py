"""docs/forge-toml.md, made from the schema itself: `python -m engine.job_reference > docs/forge-toml.md`."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import typing
from pathlib import Path
from types import UnionType
from typing import Any

import tomli_w

from engine import job as schema
from engine.job import DataFile, Job
from engine.job_file import to_table
from engine.sizes import Dimensions

HEADER = """# forge.toml

The job: what is trained, on what, and how. The same file drives the app and `forge-tui --batch`. Unknown keys and wrong
types are errors that name the line; `"auto"` is allowed wherever a value can be derived, and the plan
(`forge-tui --batch forge.toml --dry-run`) shows each derived value with its reason. `--set table.key=value` overrides a
key for one run.

This page is made from the schema in `engine/job.py`.
"""


def main() -> None:
    """Print the page."""
    print(page(), end="")


def page() -> str:
    """The whole page."""
    parts = [HEADER]
    for section, kind in typing.get_type_hints(Job).items():
        repeated = typing.get_origin(kind) is list
        target = typing.get_args(kind)[0] if repeated else kind
        title = f"[[{section}]]" if repeated else f"[{section}]"
        parts.append(f"\n## {title}\n\n{_about(target)}\n\n{_table(target)}")
    parts.append(f"\n## A data file with settings of its own\n\n`files` may hold tables: {_about(DataFile)}\n")
    parts.append(f"\n{_table(DataFile)}")
    parts.append(
        f"\n## Dimensions of one's own\n\n`model.size` may be a table: {_about(Dimensions)}\n\n{_table(Dimensions)}"
    )
    parts.append(f"\n## All defaults\n\n```toml\n{tomli_w.dumps(to_table(Job()))}```\n")
    return "".join(parts)


def _about(kind: type) -> str:
    text = (kind.__doc__ or "").strip().partition("\n")[0]
    words = text.partition(": ")[2] if text.startswith("[") else text
    return words[0].upper() + words[1:]


def _table(kind: type) -> str:
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    described = docstrings(kind)
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        meaning = " ".join(described.get(field.name, "").split())
        rows.append(f"| `{field.name}` | {_values(hints[field.name])} | {_default(field)} | {meaning} |")
    return "\n".join(rows) + "\n"


def docstrings(kind: type) -> dict[str, str]:
    """The string under each field of a dataclass."""
    module = schema if kind.__module__ == schema.__name__ else __import__(kind.__module__, fromlist=["x"])
    tree = ast.parse(Path(str(module.__file__)).read_text())
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__).body
    found = {}
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = ast.literal_eval(text.value)
    return found


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "required"
    return f"`{tomli_w.dumps({'x': value}).partition('= ')[2].strip()}`".replace("\n", " ").replace("    ", "")


_NAMES = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "`true`, `false`",
    Dimensions: "table",
    DataFile: "table",
    dict[str, str]: "table of texts",
}


def _values(hint: Any) -> str:
    """The values that a field takes, in words."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        inner, *metas = typing.get_args(hint)
        limits = [words for meta in metas for words in _limits(meta)]
        return " ".join([_values(inner), *([f"({', '.join(limits)})"] if limits else [])])
    if origin is typing.Literal:
        return ", ".join(f'`"{value}"`' for value in typing.get_args(hint))
    if origin in (typing.Union, UnionType):
        return ", ".join(dict.fromkeys(_values(part) for part in typing.get_args(hint)))
    if origin is list:
        return f"list of {_values(typing.get_args(hint)[0])}"
    return _NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def _limits(meta: Any) -> list[str]:
    words = [("ge", "from {:,}"), ("gt", "above {:,}"), ("le", "to {:,}"), ("min_length", "at least {}")]
    found = []
    for name, text in words:
        value = getattr(meta, name, None)
        if value is not None:
            found.append(text.format(int(value) if float(value).is_integer() else value))
    return found


if __name__ == "__main__":
    main()
