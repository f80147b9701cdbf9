"""torch.compile for the step of training: only where the time it takes comes back, and never a reason to fail.

What is compiled is a block, once for all of them: 13 s where compiling the whole loss took 23 to 66 s, 3 s with a warm
cache, and as good a gain. On a processor it does so only in bfloat16, where products are so quick that the rest is half
of a step: measured in turn with torch 2.13 on two cores with AVX-512 BF16 and a worker's own environment (the allocator
keeps its memory), forward and backward passes of nano, tiny and small are 1.16, 1.19 and 1.18 times as fast. In fp32 it
gains nothing: nano 0.96 times there, small 1.03; without AVX-512 nano makes 7,190, 9,140 and 9,070 tokens a second as
it is and 8,810, 8,430 and 8,280 compiled. On GPUs small models wait for launches, which it fuses (nanoGPT on an A100:
250 to 135 ms a step). Each shape is compiled by itself: so there is one for each length of rows, and rows without
weight fill a micro-batch that is not full.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.events import Log

if TYPE_CHECKING:
    from engine.model.cache import KeyValueCache
    from engine.model.transformer import Block, Decoder, Positions, Through
    from engine.runs.channel import Reporter
    from engine.training.devices import Placement

DEVICES = ("cpu", "cuda")
"""Where it works."""
LONG = 270.0
"""Seconds of training from which it pays: a tenth of them is as much as compiling takes on a slow day (27 s)."""
COMPILERS = ("g++", "clang++", "c++")

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Ids, targets and weights, each [rows, length], to the sum of weight x nats."""


def decide(asked: bool | str, placement: Placement, seconds: float | None) -> tuple[bool, str]:
    """Whether to compile, and why.

    Args:
        asked: As in the job: true, false or "auto".
        placement: Where it trains and in which precision.
        seconds: That the training should take; None when nothing is known.
    """
    if asked is False:
        return False, "as asked"
    if placement.device not in DEVICES:
        return False, "not proven on this device"
    if asked is not True and placement.device == "cpu" and placement.precision == "fp32":
        return False, "nothing is gained by it on a processor in fp32"
    missing = _missing(placement.device)
    if missing:
        return False, f"{missing} is needed for it"
    if asked is True:
        return True, "as asked"
    if seconds is None or seconds < LONG:
        return False, "the run is too short to win back the time it takes"
    return True, "the run is long enough to win back the time it takes"


def _missing(device: str) -> str:
    """What the compiler needs and this machine has not; empty when all is there."""
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        return "the package triton"
    wanted = os.environ.get("CXX", "")
    if not any(shutil.which(name) for name in ((wanted,) if wanted else COMPILERS)):
        return "a C++ compiler"
    return ""


class CompiledLoss:
    """`Decoder.loss` with compiled blocks, for full micro-batches; the plain one for good once compiling has failed.

    Args:
        decoder: Whose loss it is.
        report: Told how long it took, or that it failed.
    """

    def __init__(self, decoder: Decoder, report: Reporter) -> None:
        import torch._inductor.config

        torch._inductor.config.compile_threads = 1  # no pool of processes that could outlive a killed worker
        _keep_tqdm_in_this_process()
        self._through: Through | None = torch.compile(_through, dynamic=False)
        self._decoder, self._report = decoder, report
        self.tokens = 1
        """In the rows of every micro-batch that is computed; fewer rows are filled up."""

    def warm(self, rows: int, length: int, placement: Placement) -> None:
        """Compile for micro-batches of `rows` rows and `length` tokens; gradients are thrown away."""
        from torch._dynamo.exc import TorchDynamoException

        began = time.monotonic()
        self.tokens = rows * length
        ids, targets = (torch.zeros(rows, length, dtype=torch.int64, device=placement.device) for _ in range(2))
        try:
            with placement.autocast():
                loss = self(ids, targets, torch.ones(rows, length, device=placement.device))
            torch.autograd.backward(loss)
        except TorchDynamoException as error:
            self._give_up(error)
        self._decoder.zero_grad(set_to_none=True)
        if self._through is not None:
            self._report(Log(text=f"Compiled the training step in {time.monotonic() - began:.0f} s."))

    def __call__(self, ids: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """As `Decoder.loss`."""
        from torch._dynamo.exc import TorchDynamoException

        if self._through is None:
            return self._decoder.loss(ids, targets, weights)
        missing = self.tokens // ids.shape[1] - len(ids)
        try:
            return self._decoder.loss(
                _filled(ids, missing), _filled(targets, missing), _filled(weights, missing), self._through
            )
        except TorchDynamoException as error:
            self._give_up(error)
        return self._decoder.loss(ids, targets, weights)

    def _give_up(self, error: Exception) -> None:
        print(f"torch.compile: {type(error).__name__}: {error}")
        self._through = None
        text = "Compiling failed: training goes on without it. The reason is in the run's worker.log."
        self._report(Log(text=text, level="warning"))


def _through(block: Block, x: Tensor, positions: Positions, cache: KeyValueCache | None) -> Tensor:
    called: Tensor = block(x, positions, cache)
    return called


def _keep_tqdm_in_this_process() -> None:
    """The compiler's progress bars, where tqdm is installed, would leave a semaphore of the system behind."""
    if importlib.util.find_spec("tqdm") is not None:
        tqdm = importlib.import_module("tqdm").tqdm
        tqdm.set_lock(threading.RLock())


def _filled(tensor: Tensor, missing: int) -> Tensor:
    """With rows of zeros below: as ids they are some token, as weights they count for nothing."""
    return tensor if missing <= 0 else torch.cat([tensor, tensor.new_zeros(missing, *tensor.shape[1:])])
