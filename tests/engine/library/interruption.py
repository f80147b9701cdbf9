"""Stops an operation at any one of its file system calls, as a power cut would: nothing after it happens."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

CALLS = ("rename", "replace", "link", "symlink", "mkdir", "unlink", "remove", "rmdir", "fsync")


class PowerCutError(BaseException):
    """Not an Exception: no handler may mistake it for an error that it can deal with."""


class Interruption:
    """Counts the calls that change a disk, and ends the world at one of them."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at = at
        self.after = after
        self.count = 0
        self.dead = False

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            return self.step(lambda: function(*arguments, **named))

        return wrapped

    def wrap_open(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            def work() -> Any:
                return function(file, mode, *arguments, **named)

            return self.step(work) if set(mode) & set("wax+") else work()

        return wrapped

    def step(self, work: Callable[[], Any]) -> Any:
        if self.dead:
            raise PowerCutError
        self.count += 1
        if self.count - 1 < self.at:
            return work()
        self.dead = True
        if self.after:
            work()
        raise PowerCutError


@contextmanager
def interrupted(at: int, *, after: bool) -> Iterator[Interruption]:
    """End the world before (or right after) the call number `at`; swallows the PowerCutError."""
    stop = Interruption(at, after=after)
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, stop.wrap(getattr(os, name)))
        patch.setattr(io, "open", stop.wrap_open(io.open))
        patch.setattr(builtins, "open", stop.wrap_open(builtins.open))
        with suppress(PowerCutError):
            yield stop


def every_interruption(prepare: Callable[[], Any], work: Callable[[Any], object]) -> Iterator[tuple[Any, bool]]:
    """Run `work(prepare())` again and again, stopped at each of its calls in turn.

    Yields:
        What was prepared, as the interruption left it, and whether `work` had come to its end.
    """
    for after in (False, True):
        at = 0
        while True:
            subject = prepare()
            with interrupted(at, after=after) as stop:
                work(subject)
            yield subject, not stop.dead
            if not stop.dead:
                break
            at += 1
    assert at > 0, "nothing was ever written"
