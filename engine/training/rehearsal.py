"""The seconds before a run that is given a time: how long a step really takes here, and how many there is time for."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import TYPE_CHECKING

import torch

from engine.errors import UsageError
from engine.training.compiling import CompiledLoss, Loss
from engine.training.optimizer import Optimizer
from engine.training.step import accumulate

if TYPE_CHECKING:
    from engine.model.architecture import Architecture
    from engine.runs.channel import Reporter
    from engine.training.course import Course
    from engine.training.devices import Placement
    from engine.training.recipe import Recipe

WARM_UP_STEPS = 2
SHARE = 0.03
"""Of the time that is left, at most, for measuring."""
MOST_SECONDS = 10.0
RESERVE = 0.08
"""Kept back: machines do not run evenly, and the end (saving, samples, publishing) takes a moment."""
END_SECONDS = 2.0
WARM_COMPILE_SECONDS = 5.0
"""When it has been compiled before, as it is while the speed is measured."""
FORWARD_SHARE = 1 / 3
"""Of a training step's work, what evaluating as many tokens takes."""


def steps_in_time(seconds: float, step: float, course: Course, *, compiled: bool) -> int:
    """Optimizer steps, evaluations included, that `seconds` from now have room for.

    Args:
        seconds: That are left.
        step: Of one optimizer step, in seconds.
        course: Which steps there are.
        compiled: Whether the step is compiled once more before the first one.

    Raises:
        UsageError: not a single one.
    """
    left = seconds * (1 - RESERVE) - END_SECONDS
    if compiled:
        left -= WARM_COMPILE_SECONDS
    stage = course.stages[0]
    held_out = sum(one.corpus.scored_tokens for one in course.stages)
    evaluation = FORWARD_SHARE * step * held_out / max(1, stage.rows_per_step * stage.sequence_length)
    steps = int((left - evaluation) / (step + evaluation / stage.steps_per_epoch))
    if steps < 1:
        raise UsageError(
            f"train.max_time leaves {max(0.0, seconds):.0f} s for training; a single step takes {step:.1f} s.",
            fix="Give it more time, or choose a smaller size.",
        )
    return steps


def seconds_per_step(
    left: float,
    course: Course,
    recipe: Recipe,
    architecture: Architecture,
    placement: Placement,
    report: Reporter,
    compiled: bool,
) -> float:
    """Time of one optimizer step of this very run, the mean over its lengths of rows, on weights that are thrown away.

    Args:
        left: Seconds that there are for everything; a small share is spent, on one timed step in any case.
        course: Whose first batches are used.
        recipe: Optimizer and sizes.
        architecture: Of the model.
        placement: Device, precision and threads.
        report: Told when compiling fails.
        compiled: Whether the run will be compiled, so that this is, too.
    """
    from engine.model.transformer import Decoder

    torch.set_num_threads(placement.threads)
    decoder = Decoder(architecture)
    decoder.init_weights(torch.Generator().manual_seed(0))
    decoder.to(placement.device)
    decoder.activation_checkpointing = recipe.activation_checkpointing
    optimizer = Optimizer.of(decoder, architecture, recipe, placement)
    loss: Loss = decoder.loss
    if compiled:
        loss = CompiledLoss(decoder, report)
        loss.warm(recipe.batch_size, recipe.sequence_length, placement)
    scaler = torch.amp.GradScaler(enabled=False)
    # Whole rows and the shortest pieces, in turn: the time of a step lies between them as the length does.
    times: dict[int, list[float]] = {recipe.sequence_length: [], course.length(0): []}
    lengths = itertools.cycle(times)
    until = time.monotonic() + min(MOST_SECONDS, SHARE * left)
    for number in range(WARM_UP_STEPS + 1000):
        length, before = next(lengths), time.monotonic()
        accumulate(loss, course.batches(number % course.steps, recipe.batch_size, length), placement, scaler)
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.set_rate(1e-5)
        optimizer.step(scaler)
        optimizer.zero_grad()
        if placement.device == "cuda":
            torch.cuda.synchronize()
        if number >= WARM_UP_STEPS:
            times[length].append(time.monotonic() - before)
            if time.monotonic() >= until:
                break
    # The median, as the first ones are slower than those of a run will be; all lengths where there was time for one.
    measured = {length: statistics.median(found) for length, found in times.items() if found}
    return _between(measured, course.mean_length())


def _between(measured: dict[int, float], length: float) -> float:
    """The time of a step with rows of `length`, from those of two lengths; of one, where only that was measured."""
    (longer, slow), (shorter, quick) = max(measured.items()), min(measured.items())
    if longer == shorter:
        return slow
    return quick + (slow - quick) * (length - shorter) / (longer - shorter)
