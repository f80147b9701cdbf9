"""Short trials before the first step: what a job wants found, or where a rule has not been measured.

A trial of a learning rate goes through a whole schedule on the first steps of the run, from the run's own first
weights, and is judged by the loss of its last fifth: text that it has not seen before, as long as an epoch has more
steps than a trial. A trial of a number of rows is a few gradients. Each result is kept in the run's folder as soon as
it is there, so that an interrupted search goes on where it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import torch

from engine.estimate import MEMORY_SHARE, machine_memory, training_memory
from engine.events import Log
from engine.files import write_atomic
from engine.training import memory
from engine.training.interruption import heed
from engine.training.optimizer import Optimizer
from engine.training.rate_search import Found, search_rate
from engine.training.schedule import Schedule
from engine.training.step import accumulate
from engine.typed import decode_json

if TYPE_CHECKING:
    from engine.model.architecture import Architecture
    from engine.model.transformer import Decoder
    from engine.runs.channel import Reporter
    from engine.training.course import Course
    from engine.training.devices import Placement
    from engine.training.recipe import Recipe

RECORD = "rehearsal.json"
RUN_SHARE = 40
"""A trial has one in so many of the run's steps ..."""
FEWEST_STEPS, MOST_STEPS = 20, 300
"""... but at least and at most these."""
WARM_UP = 0.2
"""Share of a trial's steps in which its rate rises."""
JUDGED = 0.2
"""Share of a trial's steps, its last ones, whose loss is its result."""
TIMED = 3
"""Gradients that are timed for each number of rows, after one that is not."""
DIVERGED = 1e9
"""In the record, as JSON has no infinity."""
AS_FAST = 0.97
"""Of the best speed: fewer rows that reach it need less memory for the same."""


@dataclass(slots=True)
class Record:
    """What trials have found so far."""

    conditions: str
    """What they depend on besides their rate or rows; the results of others do not count."""
    losses: dict[str, float] = field(default_factory=dict)
    """Loss of each learning rate, nats per token; DIVERGED where there was none."""
    speeds: dict[str, float] = field(default_factory=dict)
    """Tokens a second with each number of rows at once; 0 where memory ran out."""


class Trials:
    """Tries things out with one run's model and data.

    Args:
        run: Its folder, for the record.
        course: Its steps.
        recipe: Everything that is not being looked for.
        architecture: Of the model.
        placement: Device, precision and threads.
        fresh: Makes the decoder before the first step; called for each trial.
        clip: Largest norm of the gradient; 0 for none.
        reporter: Told of each result, and asked for orders.
        seconds: Time for all trials together.
    """

    def __init__(
        self,
        run: Path,
        course: Course,
        recipe: Recipe,
        architecture: Architecture,
        placement: Placement,
        fresh: Callable[[], Decoder],
        *,
        clip: float,
        reporter: Reporter,
        seconds: float = math.inf,
    ) -> None:
        self._path = run / RECORD
        self._course, self._recipe, self._architecture, self._placement = course, recipe, architecture, placement
        self._first, self._clip, self._report = fresh, clip, reporter
        self._until = time.monotonic() + seconds
        self._micro_rows = recipe.batch_size
        self.steps = min(course.steps, max(FEWEST_STEPS, min(MOST_STEPS, course.steps // RUN_SHARE)))
        """Of each trial of a learning rate."""
        stage = course.stages[0]
        conditions = (
            f"{architecture} {recipe.optimizer} {stage.rows_per_step} x {stage.sequence_length}, {self.steps} steps"
        )
        self._record = self._read(conditions)

    def _fresh(self) -> Decoder:
        decoder = self._first()
        decoder.activation_checkpointing = self._recipe.activation_checkpointing
        return decoder

    # ---- the learning rate

    def find_rate(self) -> Found | None:
        """The rate that trials end best with, the recipe's being the first; None when the time is too short for it."""
        torch.set_num_threads(self._placement.threads)
        return search_rate(self._recipe.learning_rate, self._loss_of)

    def _loss_of(self, rate: float) -> float | None:
        key = f"{rate:g}"
        if key not in self._record.losses:
            loss = self._train(rate)
            if loss is None:
                return None
            self._record.losses[key] = loss if math.isfinite(loss) else DIVERGED
            self._keep()
            shown = f"{loss:.4f}" if math.isfinite(loss) else "diverged"
            self._report(Log(text=f"Trial of {self.steps} steps with the learning rate {key}: {shown}."))
        kept = self._record.losses[key]
        return math.inf if kept >= DIVERGED else kept

    def _train(self, rate: float) -> float | None:
        """Loss of a trial; inf when it diverges, None when the time is over."""
        placement, recipe = self._placement, self._recipe
        decoder = self._fresh()
        decoder.train()
        optimizer = Optimizer.of(decoder, self._architecture, recipe, placement)
        scaler = torch.amp.GradScaler(enabled=placement.precision == "fp16")
        schedule = Schedule(rate, self.steps, max(1, round(WARM_UP * self.steps)))
        judged = max(1, round(JUDGED * self.steps))
        nats = weights = 0.0
        for step in range(self.steps):
            heed(self._report)
            if time.monotonic() > self._until:
                return None
            loss, weight = self._gradients(decoder, optimizer, scaler, step)
            optimizer.unscale(scaler)
            norm = float(torch.nn.utils.clip_grad_norm_(decoder.parameters(), self._clip or math.inf))
            if not math.isfinite(loss) or (not math.isfinite(norm) and not scaler.is_enabled()):
                return math.inf
            if step >= self.steps - judged:
                nats, weights = nats + loss, weights + weight
            optimizer.set_rate(schedule(step))
            optimizer.step(scaler)
            scaler.update()
            optimizer.zero_grad()
        return nats / weights

    def _gradients(
        self, decoder: Decoder, optimizer: Optimizer, scaler: torch.amp.GradScaler, step: int
    ) -> tuple[float, float]:
        """As in the trainer: when memory runs out the step is done in smaller pieces."""
        while True:
            batches = self._course.batches(step, self._micro_rows, self._recipe.sequence_length)
            try:
                return accumulate(decoder.loss, batches, self._placement, scaler)
            except (RuntimeError, MemoryError) as error:
                if not memory.is_out_of_memory(error) or self._micro_rows == 1:
                    raise
            optimizer.zero_grad()
            memory.release(self._placement.device)
            self._micro_rows = max(1, self._micro_rows // 2)

    # ---- the rows of a micro-batch

    def find_rows(self) -> int:
        """The fewest rows at once that are as fast as any; they divide the rows of an optimizer step."""
        torch.set_num_threads(self._placement.threads)
        whole = self._course.stages[0].rows_per_step
        decoder: Decoder | None = None
        for rows in (count for count in range(1, whole + 1) if whole % count == 0):
            key = str(rows)
            if key not in self._record.speeds:
                heed(self._report)
                if time.monotonic() > self._until or not self._fits(rows):
                    break
                decoder = decoder or self._fresh()
                speed = self._speed(decoder, rows)
                self._record.speeds[key] = speed
                self._keep()
                shown = f"{speed:,.0f} tokens a second" if speed else "no memory"
                self._report(Log(text=f"Trial of {rows} row{'s' if rows > 1 else ''} at once: {shown}."))
            if not self._record.speeds[key]:
                break
        speeds = {int(key): speed for key, speed in self._record.speeds.items()}
        enough = AS_FAST * max(speeds.values(), default=0.0)
        return min((rows for rows, speed in speeds.items() if speed and speed >= enough), default=1)

    def _fits(self, rows: int) -> bool:
        """Whether there is memory for it, as far as the estimate goes; devices of their own say so themselves."""
        if self._placement.device != "cpu" or rows == 1:
            return True
        dims, length = self._architecture.dimensions, self._recipe.sequence_length
        needed = training_memory(dims, self._architecture.vocabulary, rows, length)
        return needed < MEMORY_SHARE * machine_memory().available

    def _speed(self, decoder: Decoder, rows: int) -> float:
        """Tokens a second of the gradients of `rows` rows, the best of some; 0 when memory runs out."""
        batches = self._course.batches(0, rows, self._recipe.sequence_length)[:1]
        scaler = torch.amp.GradScaler(enabled=False)
        decoder.train()
        best = math.inf
        for number in range(1 + TIMED):
            before, failed = time.monotonic(), False
            try:
                accumulate(decoder.loss, batches, self._placement, scaler)
            except (RuntimeError, MemoryError) as error:
                if not memory.is_out_of_memory(error):
                    raise
                failed = True
            decoder.zero_grad(set_to_none=True)
            if failed:
                memory.release(self._placement.device)
                return 0.0
            if number:
                best = min(best, time.monotonic() - before)
        return batches[0].ids.size / best

    # ---- the record

    def _read(self, conditions: str) -> Record:
        try:
            found = decode_json(self._path.read_bytes(), Record)
        except (OSError, msgspec.MsgspecError):
            return Record(conditions)
        return found if found.conditions == conditions else Record(conditions)

    def _keep(self) -> None:
        write_atomic(self._path, msgspec.json.encode(self._record))
