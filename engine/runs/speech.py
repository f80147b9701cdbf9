"""The process behind `engine.runs.speaker`: loads a model, answers, and listens for "stop" while it does."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from engine.errors import ForgeError
from engine.text.conversation import Turn
from engine.typed import convert

if TYPE_CHECKING:
    from engine.model.loaded import LoadedModel

PIECE_SECONDS = 0.03
"""Text is sent at most this often, however fast a model is."""
ONE_THREAD_BELOW = 100_000_000
"""Parameters below which one core answers as fast as two (96 against 81 tokens/s for mini, 24 against 23 for medium),
and three times as fast beside other work: threads wait for one another.
"""
_NICEST = 19


class Speech:
    """Answers one request after the other."""

    def __init__(self, requests: BinaryIO, words: BinaryIO, *, considerate: bool) -> None:
        self._requests = requests
        self._words = words
        self._considerate = considerate
        self._waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._stops = 0
        """How often "stop" came."""
        self._model: LoadedModel | None = None

    def serve(self) -> None:
        """Answer until the asker is gone."""
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            request = self._waiting.get()
            try:
                if request["do"] == "load":
                    self._load(Path(request["folder"]))
                elif request["do"] == "ask":
                    self._answer(request)
            except ForgeError as error:
                self._say("trouble", text=error.text, fix=error.fix, answer=request.get("answer"))
            except Exception as error:  # noqa: BLE001 - whatever it is, the asker must hear of it
                text = f"{type(error).__name__}: {error}"[:400]
                self._say("trouble", text=text, answer=request.get("answer"))

    def _listen(self) -> None:
        for line in self._requests:
            request = msgspec.json.decode(line)
            if request["do"] == "stop":
                self._stops += 1
            else:
                request["stops"] = self._stops
                self._waiting.put(request)
        os._exit(0)  # the asker is gone; nobody would hear the rest

    def _say(self, kind: str, **content: Any) -> None:
        try:
            self._words.write(msgspec.json.encode({"say": kind, **content}) + b"\n")
            self._words.flush()
        except OSError:
            os._exit(0)

    def _load(self, folder: Path) -> None:
        started = time.monotonic()
        self._model = None  # two models at once may be more than there is room for
        import torch

        from engine.model.loaded import load_model
        from engine.processor import physical_cores

        device = "cuda" if torch.cuda.is_available() and not self._considerate else "cpu"
        self._model = load_model(folder, device=device)
        alone = self._considerate or self._model.info.parameters < ONE_THREAD_BELOW
        threads = 1 if alone else physical_cores()
        torch.set_num_threads(threads)
        self._say(
            "ready",
            folder=str(folder),
            parameters=self._model.info.parameters,
            context=self._model.decoder.architecture.context,
            converses=self._model.converses,
            device=device,
            threads=threads,
            seconds=round(time.monotonic() - started, 2),
        )

    def _answer(self, request: dict[str, Any]) -> None:
        from engine.model.sampling import SamplingSettings

        number = request["answer"]
        if self._model is None:
            self._say("trouble", text="No model is loaded.", answer=number)
            return
        settings = convert(request["settings"], SamplingSettings)
        turns = [Turn(said["role"], said["text"]) for said in request["turns"]]
        if request["continues"]:
            pieces = self._model.stream_text(turns[-1].text, settings)
        else:
            pieces = self._model.stream(turns, settings)
        started = sent = time.monotonic()
        held, count, reason, truncated = "", 0, "cancelled", 0
        while self._stops == request["stops"]:
            try:
                held += next(pieces)
            except StopIteration as end:
                reason, truncated, count = end.value.reason, end.value.truncated, len(end.value.tokens)
                break
            count += 1
            if time.monotonic() - sent >= PIECE_SECONDS:
                self._say("piece", answer=number, text=held)
                held, sent = "", time.monotonic()
        pieces.close()
        if held:
            self._say("piece", answer=number, text=held)
        seconds = round(time.monotonic() - started, 3)
        self._say("ended", answer=number, reason=reason, tokens=count, seconds=seconds, truncated=truncated)


def main() -> None:
    """Serve on the standard streams; what libraries print goes to stderr instead."""
    words = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    considerate = "--considerate" in sys.argv[1:]
    if considerate:
        os.nice(_NICEST)
    Speech(sys.stdin.buffer, words, considerate=considerate).serve()


if __name__ == "__main__":
    main()
