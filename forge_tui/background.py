"""Work off the event loop, on threads that can never keep the app from quitting."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from textual.message import Message

from engine.errors import ForgeError

if TYPE_CHECKING:
    from forge_tui.base_app import BaseApp

Result = TypeVar("Result")


class Finished(Message):
    """Background work is done; its rest runs in the app."""

    def __init__(self, rest: Callable[[], None]) -> None:
        super().__init__()
        self.rest = rest


class Background:
    """Starts work on daemon threads and brings results back to the app's own thread."""

    def __init__(self, app: BaseApp) -> None:
        self._app = app
        self._newest: dict[str, int] = {}
        self._number = 0
        self.pending = 0
        """Pieces of work whose result has not been handled yet."""

    def start(
        self,
        work: Callable[[], Result],
        done: Callable[[Result], None] | None = None,
        failed: Callable[[ForgeError], None] | None = None,
        *,
        group: str = "",
    ) -> None:
        """Run `work` on a thread, then `done(result)` in the app.

        Args:
            work: Must not touch widgets.
            done: Called in the app's thread.
            failed: Called with a ForgeError in the app's thread; without it the error is shown as a toast.
            group: Of several pieces of work in one group only the newest one's result counts.
        """
        self._number += 1
        self.pending += 1
        number = self._number
        if group:
            self._newest[group] = number

        def settle(rest: Callable[[], None]) -> None:
            def finish() -> None:
                self.pending -= 1
                if not group or self._newest.get(group) == number:
                    rest()

            # The app may have gone meanwhile; then nobody wants the result.
            with contextlib.suppress(RuntimeError):
                self._app.post_message(Finished(finish))

        def run() -> None:
            try:
                result = work()
            except ForgeError as error:
                problem = error
                settle(lambda: (failed or self._app.show_error)(problem))
            except Exception as error:  # noqa: BLE001 - a thread's error must reach the user, not vanish
                surprise = error
                settle(lambda: self._app.unexpected(surprise))
            else:
                settle(lambda: done(result) if done is not None else None)

        threading.Thread(target=run, name=f"background-{number}", daemon=True).start()
