"""The work of a run in floating point operations: its remaining time, and the machine's speed, follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.estimate import work_per_token
from engine.events import Log
from engine.speeds import remember_flops

if TYPE_CHECKING:
    from engine.training.trainer import Trainer

TOO_SHORT_TO_REMEMBER = 20.0
"""Seconds below which a run says little about the machine's speed."""


def work_of(trainer: Trainer, length: float) -> float:
    """Operations for each token of this run, in rows of `length` tokens."""
    prepared = trainer.prepared
    recompute = trainer.progress.activation_checkpointing
    return work_per_token(prepared.architecture.dimensions, prepared.tokenizer.vocabulary, length, recompute=recompute)


def remember_speed(trainer: Trainer) -> None:
    """Note how fast this was, for the next estimate on this machine, and say how far off this one was."""
    seconds, expected = trainer.seconds, trainer.prepared.plan.seconds
    if seconds < TOO_SHORT_TO_REMEMBER or not trainer.progress.tokens:
        return
    work = trainer.progress.tokens * work_of(trainer, trainer.course.mean_length())
    dims, placement = trainer.prepared.architecture.dimensions, trainer.placement
    remember_flops(placement.device, placement.threads, dims, work / seconds, placement.precision)
    if expected and trainer.progress.step == trainer.course.steps:
        trainer.report(Log(text=f"The run took {seconds / expected:.0%} of the time that the plan said."))
