"""Exports that need the array libraries, as tasks for a process of their own."""

from __future__ import annotations

from typing import Any

from engine.model.gguf import write_gguf, write_modelfile
from engine.runs.task import Tell


def export_gguf(tell: Tell, *, folder: str, file: str, kind: str) -> dict[str, Any]:
    """Write a model as GGUF with a Modelfile beside it.

    Args:
        tell: Gets narration.
        folder: The model.
        file: The GGUF file.
        kind: One of `gguf.GGUF_KINDS`.

    Returns:
        `file`, `modelfile`, `bytes`, `tensors` and `max_error`.

    Raises:
        ForgeError: as `write_gguf`.
    """
    report = write_gguf(folder, file, kind)  # type: ignore[arg-type]
    tell(f"Opened it again: {report.tensors} tensors are as they should be.")
    modelfile = write_modelfile(folder, report.file)
    return {
        "file": str(report.file), "modelfile": str(modelfile), "bytes": report.bytes, "tensors": report.tensors,
        "max_error": report.max_error,
    }  # fmt: skip
