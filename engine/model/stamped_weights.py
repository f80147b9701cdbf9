"""A safetensors file copied with other metadata, without torch and without reading the tensors into memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from engine.errors import ModelError
from engine.files import os_error
from engine.model.weights import read_header

_BLOCK = 1 << 20
_ALIGNMENT = 8


def copy_weights(source: Path, target: Path, metadata: Mapping[str, str]) -> str:
    """Copy the tensors of `source` into a new file whose header says `metadata`; returns its hex sha256.

    Raises:
        ModelError: the source is damaged.
        DiskFullError: no space.
        ForgeError: the file cannot be written.
    """
    read_header(source)
    digest = hashlib.sha256()
    try:
        with source.open("rb") as old, target.open("wb") as new:
            length = int.from_bytes(old.read(8), "little")
            header = json.loads(old.read(length))
            header = {"__metadata__": dict(metadata)} | {k: v for k, v in header.items() if k != "__metadata__"}
            text = json.dumps(header, separators=(",", ":")).encode()
            text += b" " * (-len(text) % _ALIGNMENT)
            for block in (len(text).to_bytes(8, "little"), text):
                digest.update(block)
                new.write(block)
            while block := old.read(_BLOCK):
                digest.update(block)
                new.write(block)
    except ValueError as error:
        raise ModelError("The weights are damaged or cut off.", file=source) from error
    except OSError as error:
        raise os_error(error, target) from error
    return digest.hexdigest()
