"""What is known of data files: checks run one after the other in their own process, and their results are kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec

from engine.errors import ForgeError
from engine.files import write_atomic
from engine.project import Project
from engine.text.errand import Asked, Check
from engine.typed import convert
from forge_tui.errand_process import ErrandProcess

if TYPE_CHECKING:
    from engine.job import Job
    from engine.text.report import Report
    from forge_tui.app import ForgeApp

KEPT_FILES = 300
"""Results that stay on the disk."""
VERSION = 2


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check."""

    report: Report
    vocabulary: int
    """Tokens of the tokenizer that counted, or of the one that would be built."""
    why_vocabulary: str

    @property
    def tokens(self) -> int:
        """Tokens of all documents."""
        counts = self.report.counts
        return counts.tokens if counts.tokens is not None else counts.tokens_estimated

    @property
    def exact(self) -> bool:
        """Whether the tokens were counted rather than estimated."""
        return self.report.counts.tokens is not None


class DataChecks:
    """Asked for what is known, and told what to find out. All methods belong to the app's own thread."""

    def __init__(self, cache: Path | None) -> None:
        self._cache = cache
        self._known: dict[Check, tuple[str, Checked | ForgeError]] = {}
        self._wanted: list[Check] = []
        self._running: ErrandProcess | None = None

    def known(self, request: Check) -> Checked | ForgeError | None:
        """The result of a check of these files as they are on the disk now; None when there is none yet."""
        stamp = _stamp(request)
        if stamp is None:
            return None
        found = self._known.get(request)
        if found is None or found[0] != stamp:
            stored = self._load(stamp)
            if stored is None:
                return None
            self._known[request] = found = (stamp, stored)
        return found[1]

    def want(self, *requests: Check) -> None:
        """These are what is wanted now, the most urgent first; what was wanted before and has not begun is dropped."""
        self._wanted = [request for request in dict.fromkeys(requests) if self.known(request) is None]
        running = self._running
        if running is not None and running.request not in self._wanted:
            running.cancel()
            self._running = None
        self._next()

    def forget(self, request: Check) -> None:
        """Check these files anew, although they look the same."""
        stamp = _stamp(request)
        self._known.pop(request, None)
        if stamp is not None and self._cache is not None:
            with contextlib.suppress(OSError):
                (self._cache / f"{stamp}.json").unlink(missing_ok=True)

    def progress(self, request: Check) -> ErrandProcess | None:
        """The check of these files, if it is running."""
        running = self._running
        return running if running is not None and running.request == request else None

    def waits(self, request: Check) -> bool:
        """Whether it is wanted and not done."""
        return request in self._wanted

    @property
    def busy(self) -> bool:
        """Whether anything is being checked."""
        return self._running is not None

    def poll(self) -> bool:
        """Take in what has been found out; True when there is something new."""
        running = self._running
        if running is None or not running.done:
            return False
        self._running = None
        request = running.request
        assert isinstance(request, Check)
        self._wanted = [other for other in self._wanted if other != request]
        stamp = _stamp(request)
        if stamp is not None:
            self._take(request, stamp, running)
        self._next()
        return True

    def _take(self, request: Check, stamp: str, running: ErrandProcess) -> None:
        if running.error is not None:
            self._known[request] = (stamp, running.error)
        elif running.result is not None:
            self._known[request] = (stamp, _checked(running.result))
            self._store(stamp, running.result)

    def close(self) -> None:
        """Stop everything."""
        self.want()

    def _next(self) -> None:
        if self._running is None and self._wanted:
            self._running = ErrandProcess(self._wanted[0])

    def _load(self, stamp: str) -> Checked | None:
        if self._cache is None:
            return None
        try:
            return _checked(json.loads((self._cache / f"{stamp}.json").read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError):
            return None

    def _store(self, stamp: str, result: Any) -> None:
        if self._cache is None:
            return
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            write_atomic(self._cache / f"{stamp}.json", json.dumps(result).encode(), durable=False)
            files = sorted(self._cache.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in files[KEPT_FILES:]:
                path.unlink(missing_ok=True)
        except (OSError, ForgeError):
            return


def _checked(result: Any) -> Checked:
    from engine.text.report import Report

    report = convert(result["report"], Report, strict=False)
    return Checked(report, int(result["vocabulary"]), str(result["why_vocabulary"]))


def _stamp(request: Check) -> str | None:
    """Names the files as they are on the disk now; None when one is gone."""
    parts: list[object] = [VERSION, request.sequence_length]
    try:
        for file in request.files:
            status = Path(file.path).stat()
            parts.append((file.path, file.format, file.columns, status.st_size, status.st_mtime_ns))
        if request.tokenizer is not None:
            status = (Path(request.tokenizer) / "tokenizer.json").stat()
            parts.append((request.tokenizer, status.st_mtime_ns, status.st_size))
    except (OSError, ValueError):
        return None
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def tokenizer_folder(project: Project, job: Job) -> Path | None:
    """The model whose tokenizer a job will use, if it is there already."""
    folder = project.models / job.model.name
    return folder if job.train.method != "build" and (folder / "tokenizer.json").is_file() else None


def asked(path: Path, format: str, columns: Mapping[str, str]) -> Asked:  # noqa: A002
    """A file to check, with what the job says of it."""
    return Asked(str(path), format, tuple(sorted(columns.items())))


def check_of(project: Project, job: Job | None, files: Iterable[Asked]) -> Check:
    """The check of some files, as it fits a job."""
    length = job.train.sequence_length if job is not None else "auto"
    folder = tokenizer_folder(project, job) if job is not None else None
    return Check(
        files=tuple(files),
        sequence_length=length if isinstance(length, int) else 512,
        tokenizer=None if folder is None else str(folder),
    )


_CHECKS: WeakKeyDictionary[ForgeApp, tuple[Path | None, DataChecks]] = WeakKeyDictionary()


def checks_of(app: ForgeApp) -> DataChecks:
    """The checks of the app's project: one object for all screens."""
    cache = app.project.cache / "checks" if app.project is not None else None
    found = _CHECKS.get(app)
    if found is None or found[0] != cache:
        if found is not None:
            found[1].close()
        found = _CHECKS[app] = (cache, DataChecks(cache))
    return found[1]
