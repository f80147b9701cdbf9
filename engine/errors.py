"""Errors that a user can act on: what happened, where, and what to do."""

from __future__ import annotations

from pathlib import Path

from engine.exit_codes import ExitCode


class ForgeError(Exception):
    """A problem explained in one sentence; ends a command with its `exit_code` and without a traceback."""

    exit_code: ExitCode = ExitCode.FAILED
    code: str = "failed"

    def __init__(self, text: str, *, fix: str = "", file: str | Path | None = None, line: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.fix = fix
        self.file = None if file is None else str(file)
        self.line = line

    @property
    def where(self) -> str:
        """`file:line`, `file`, or an empty string."""
        if self.file is None:
            return ""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def __str__(self) -> str:
        message = f"{self.where}: {self.text}" if self.file else self.text
        return f"{message} {self.fix}".strip()


class UsageError(ForgeError):
    """The command line or forge.toml asks for something that cannot be."""

    exit_code = ExitCode.USAGE
    code = "usage"


class DataError(ForgeError):
    """The training data cannot be used."""

    exit_code = ExitCode.DATA
    code = "data"


class DivergedError(ForgeError):
    """Training produced non-finite or exploding losses and could not recover."""

    exit_code = ExitCode.DIVERGED
    code = "diverged"


class OutOfMemoryError(ForgeError):
    """The smallest possible step does not fit in memory."""

    exit_code = ExitCode.MEMORY
    code = "out_of_memory"


class DiskFullError(ForgeError):
    """There is no space for what must be written."""

    exit_code = ExitCode.DISK
    code = "disk_full"


class BusyError(ForgeError):
    """Another run holds this model."""

    exit_code = ExitCode.BUSY
    code = "busy"


class ModelError(ForgeError):
    """A model folder is missing, damaged, or not of a kind that can be used."""

    code = "model"


_KINDS = (UsageError, DataError, DivergedError, OutOfMemoryError, DiskFullError, BusyError, ModelError)


def error_of(code: str, text: str, fix: str = "", exit_code: int = ExitCode.FAILED) -> ForgeError:
    """The error that another process reported in words: of the class with this `code`, else a plain one."""
    kind = next((kind for kind in _KINDS if kind.code == code), ForgeError)
    error = kind(text, fix=fix)
    error.code, error.exit_code = code, ExitCode(exit_code)
    return error
