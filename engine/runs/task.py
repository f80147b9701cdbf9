"""A function called in a process of its own, so that whoever needs its result stays small and free of torch.

Arguments, messages and the result are JSON lines over the process's pipes. The process ends with the asker: when the
asker's end of the pipe closes, however that comes about, it leaves at once.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import ForgeError, error_of
from engine.runs import death
from engine.runs.environment import worker_environment

Tell = Callable[[Any], None]
"""Sends a message (anything that JSON can hold) from the function to the asker."""


def run_task(function: str, arguments: dict[str, Any], hear: Tell = lambda message: None) -> Any:
    """Call a function in another process and wait for its result.

    Args:
        function: "package.module:name"; called as name(tell, **arguments).
        arguments: What JSON can hold.
        hear: Gets what the function tells on the way.

    Raises:
        ForgeError: what the function raised, with the same exit code, or how its process died.
    """
    kills = death.memory_kills()
    with tempfile.TemporaryFile() as errors, worker_environment():
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.runs.task", function], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=errors, start_new_session=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        try:
            return _converse(process, arguments, hear)
        except EOFError:
            code = process.wait()
            errors.seek(0)
            raise _death(code, kills, errors.read()) from None
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


def _converse(process: subprocess.Popen[bytes], arguments: dict[str, Any], hear: Tell) -> Any:
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(arguments).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        raise EOFError from None
    for line in process.stdout:
        kind, content = msgspec.json.decode(line)
        if kind == "result":
            return content
        if kind == "error":
            raise error_of(**content)
        hear(content)
    raise EOFError


def _death(code: int, kills: int, errors: bytes) -> ForgeError:
    cause = death.diagnose(code, kills, death.memory_kills())
    if cause.code == "killed_for_memory":
        return error_of(cause.code, "Memory ran out.", "Close other programs, or use a smaller model.", cause.exit_code)
    lines = errors[-2000:].decode(errors="replace").strip().splitlines()
    said = f": {lines[-1][:300]}" if lines else f" (exit code {code})"
    return ForgeError(f"The process that does the work has ended{said}.")


def main() -> int:
    """The process: one call, then the end. What libraries print goes to stderr."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    lock = threading.Lock()

    def say(kind: str, content: Any) -> None:
        with lock:
            output.write(msgspec.json.encode([kind, content]) + b"\n")
            output.flush()

    arguments = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_leave_with_asker, daemon=True).start()
    module, _, name = sys.argv[1].partition(":")
    try:
        result = getattr(importlib.import_module(module), name)(lambda message: say("message", message), **arguments)
        say("result", result)
    except ForgeError as error:
        say("error", _fields(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the asker must hear of it
        say("error", _fields(ForgeError(f"{type(error).__name__}: {str(error)[:400] or 'no message'}.")))
    os._exit(0)  # library threads must not keep us


def _fields(error: ForgeError) -> dict[str, Any]:
    text = f"{error.where}: {error.text}" if error.where else error.text
    text = text.encode("utf-8", "replace").decode()
    return {"code": error.code, "text": text, "fix": error.fix, "exit_code": int(error.exit_code)}


def _leave_with_asker() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
