"""An errand on data files (engine.text.errand) as the app sees it: started, watched, cancelled; never waited for."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import engine
from engine.errors import ForgeError, error_of
from engine.text.errand import Request, request_line


class ErrandProcess:
    """One errand in its own process, which ends with the app. Look at its fields from a timer."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.started = time.monotonic()
        self.done = False
        self.result: Any = None
        """What the errand answered, as JSON values."""
        self.error: ForgeError | None = None
        self.share: float | None = None
        """How far it is, from 0 to 1."""
        self.seconds_left: float | None = None
        self._cancelled = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "engine.text.errand"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=Path(engine.__file__).resolve().parents[1],
        )
        threading.Thread(target=self._watch, name="errand", daemon=True).start()

    @property
    def seconds(self) -> float:
        """How long it has been going."""
        return time.monotonic() - self.started

    def cancel(self) -> None:
        """End it; nobody wants its result any more."""
        self._cancelled = True
        with contextlib.suppress(OSError):
            self._process.kill()

    def _watch(self) -> None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        try:
            with contextlib.suppress(OSError):
                process.stdin.write(request_line(self.request))
                process.stdin.flush()
            for line in process.stdout:
                self._hear(line)
            trouble = process.stderr.read().decode(errors="replace").strip()
            code = process.wait()
            if self.result is None and self.error is None and not self._cancelled:
                reason = trouble.splitlines()[-1][:200] if trouble else f"exit code {code}"
                fix = "There may be too little memory." if code == -9 else ""
                self.error = ForgeError(f"Looking at the data failed: {reason}.", fix=fix)
        finally:
            for stream in (process.stdin, process.stdout, process.stderr):
                with contextlib.suppress(OSError):
                    stream.close()
            self.done = True

    def _hear(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return
        if "progress" in said:
            done, total, self.seconds_left = said["progress"]
            self.share = min(1.0, done / total) if total else None
        elif "result" in said:
            self.result = said["result"]
        elif "error" in said:
            told = said["error"]
            self.error = error_of(told["code"], told["text"], told["fix"])
            self.error.file, self.error.line = told["file"], told["line"]
