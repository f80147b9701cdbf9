"""The course of a run: its stages laid out in optimizer steps; every position is a pure function of the step."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.training.length_warmup import LengthWarmup
from engine.training.schedule import Schedule

if TYPE_CHECKING:
    from engine.text.dataset import Batch, Corpus, EpochOrder

SPLIT_EPOCHS = 0.7
"""Share of the epochs whose tokens are split, where any are."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a step lies."""

    stage: int
    """Index of the stage."""
    epoch: int
    """Epoch within the stage, from 0."""
    step_in_epoch: int
    steps_in_epoch: int
    epochs_before: float
    """Epochs of the stages before."""
    last: bool
    """Whether this is the last step of its stage."""

    @property
    def epochs_done(self) -> float:
        """Epochs of the whole run that are done after this step."""
        return self.epochs_before + self.epoch + (self.step_in_epoch + 1) / self.steps_in_epoch

    @property
    def ends_epoch(self) -> bool:
        """Whether this is the last step of its epoch, or the stage ends in the middle of one."""
        return self.last or self.step_in_epoch + 1 == self.steps_in_epoch


@dataclass(slots=True)
class CourseStage:
    """One stage: a corpus seen a number of times under its own schedule."""

    name: str
    corpus: Corpus
    epochs: int
    learning_rate: float
    rows_per_step: int
    sequence_length: int
    seed: int
    warmup: float
    prompt_weight: float
    length_warmup: float = 0.0
    """Share of the steps that read their rows in pieces."""
    split: float = 0.0
    """Probability with which a token is split into what it was merged from; in the last epochs none is."""
    limit: int = 0
    """Steps at most, where the run is planned for a time; 0: all of its epochs."""
    _order: tuple[int, EpochOrder] | None = field(default=None, init=False)
    steps_per_epoch: int = field(default=0, init=False)
    schedule: Schedule = field(init=False)
    pieces: LengthWarmup = field(init=False)

    def __post_init__(self) -> None:
        rows = self._rows(self.split)
        self.steps_per_epoch = max(1, math.ceil(rows / self.rows_per_step))
        self.schedule = Schedule(self.learning_rate, self.steps, max(1, round(self.warmup * self.steps)))
        self.pieces = LengthWarmup(self.sequence_length, self.steps, self.length_warmup)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole stage."""
        steps = self.steps_per_epoch * self.epochs
        return min(steps, self.limit) if self.limit else steps

    @property
    def passes(self) -> float:
        """Epochs that it really takes; not whole where the run is planned for a time."""
        return self.steps / self.steps_per_epoch

    @property
    def split_epochs(self) -> int:
        """Epochs, from the first one on, whose tokens are split; the rest reads text as it will be read later."""
        return round(SPLIT_EPOCHS * self.passes) if self.split else 0

    @property
    def tokens(self) -> float:
        """Tokens that are read from start to end, about: a split one counts as its parts."""
        if not self.split_epochs:
            return self.corpus.train_tokens * self.passes
        longer = self._rows(self.split) / max(1, self._rows(0.0)) - 1
        return self.corpus.train_tokens * (self.passes + longer * self.split_epochs)

    def _rows(self, split: float) -> int:
        return self.corpus.rows(0, sequence_length=self.sequence_length, seed=self.seed, split=split)

    def order(self, epoch: int) -> EpochOrder:
        """The packed rows of an epoch; the last one asked for is kept."""
        if self._order is None or self._order[0] != epoch:
            self._order = None  # two epochs' packings at once would be the peak of the memory
            order = self.corpus.epoch(
                epoch,
                sequence_length=self.sequence_length,
                seed=self.seed,
                prompt_weight=self.prompt_weight,
                split=self.split if epoch < self.split_epochs else 0.0,
            )
            self._order = (epoch, order)
        return self._order[1]

    def rows_of(self, epoch: int, step_in_epoch: int) -> tuple[EpochOrder, int, int]:
        """The order of the epoch, and the first row and the number of rows of one of its steps.

        Packing gives each shuffle its own number of rows; they are spread evenly over the same number of steps, so
        that nothing is dropped and the run's length is known at its start.
        """
        order = self.order(epoch)
        first = step_in_epoch * order.rows // self.steps_per_epoch
        last = (step_in_epoch + 1) * order.rows // self.steps_per_epoch
        return order, first, last - first


@dataclass(slots=True)
class Course:
    """All stages of a run, one after the other."""

    stages: list[CourseStage]

    @property
    def steps(self) -> int:
        """Optimizer steps from start to end."""
        return sum(stage.steps for stage in self.stages)

    @property
    def epochs(self) -> float:
        """Epochs from start to end; not whole where the run is planned for a time."""
        return sum(stage.passes for stage in self.stages)

    def locate(self, step: int) -> Position:
        """The position of optimizer step `step` (0-based)."""
        epochs_before = 0.0
        for index, stage in enumerate(self.stages):
            if step < stage.steps or index == len(self.stages) - 1:
                epoch, inner = divmod(step, stage.steps_per_epoch)
                return Position(index, epoch, inner, stage.steps_per_epoch, epochs_before, step + 1 == stage.steps)
            step -= stage.steps
            epochs_before += stage.passes
        raise IndexError(step)

    def learning_rate(self, step: int) -> float:
        """The scheduled rate of optimizer step `step`."""
        stage, inner = self._stage_of(step)
        return stage.schedule(inner)

    def peak(self, step: int) -> float:
        """The highest rate of the stage that `step` lies in."""
        return self._stage_of(step)[0].learning_rate

    def is_warming_up(self, step: int) -> bool:
        """Whether the rate still rises at `step`."""
        stage, inner = self._stage_of(step)
        return inner < stage.schedule.warmup_steps

    def _stage_of(self, step: int) -> tuple[CourseStage, int]:
        """The stage that a step lies in, and its number within the stage."""
        for stage in self.stages[:-1]:
            if step < stage.steps:
                return stage, step
            step -= stage.steps
        return self.stages[-1], step

    def length(self, step: int) -> int:
        """Tokens of the pieces that step `step` reads its rows in; `sequence_length` when they are whole."""
        stage, inner = self._stage_of(step)
        return stage.pieces.length(inner)

    def mean_length(self, first: int = 0) -> float:
        """The same, the mean over all steps from `first` on: the work of a step grows with it in a line."""
        total, left = 0.0, max(1, self.steps - first)
        for stage in self.stages:
            total += max(0, stage.steps - first) * stage.pieces.mean_length(first)
            first = max(0, first - stage.steps)
        return total / left

    def batches(self, step: int, micro_rows: int, length: int | None = None) -> list[Batch]:
        """The micro-batches of a step, as equal in size as can be and none larger than `micro_rows` whole rows.

        Args:
            step: 0-based.
            micro_rows: Whole rows at once.
            length: Tokens of the pieces that rows are cut into; None for what the step has by its place in the run.
        """
        position = self.locate(step)
        order, first, rows = self.stages[position.stage].rows_of(position.epoch, position.step_in_epoch)
        edges = [first + edge for edge in _edges(rows, micro_rows)]
        length = length or self.length(step)
        return [order.batch(start, end - start).cut(length) for start, end in itertools.pairwise(edges)]


def _edges(rows: int, micro_rows: int) -> list[int]:
    """Where micro-batches begin and the last one ends: as equal in size as can be, none larger than `micro_rows`."""
    pieces = max(1, math.ceil(rows / micro_rows))
    return sorted({piece * rows // pieces for piece in range(pieces + 1)})
