"""JSON from files that are not trusted: limited in size, and an object or an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.errors import ModelError

LARGEST_JSON = 4 << 20
"""Bytes; configs are a few kilobytes."""

LARGEST_INDEX = 64 << 20
"""Bytes; the list of a large model's tensors names thousands."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        FileNotFoundError: it is gone.
        ModelError: unreadable, too large, or no JSON object.
    """
    data = read_limited(path, LARGEST_INDEX if path.name.endswith(".index.json") else LARGEST_JSON)
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError("The file is not JSON.", file=path, fix="Copy the model again.") from error
    if not isinstance(table, dict):
        raise ModelError("The file does not hold a JSON object.", file=path, fix="Copy the model again.")
    return table


def read_limited(path: Path, limit: int = LARGEST_JSON) -> bytes:
    """The bytes of a file of at most `limit` bytes.

    Raises:
        FileNotFoundError: it is gone.
        ModelError: unreadable or too large.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ModelError(f"Cannot read the file: {error.strerror}.", file=path) from error
    if len(data) > limit:
        raise ModelError(f"The file is larger than {limit >> 20} MB.", file=path, fix="That is no file of a model.")
    return data
