"""A run that ends on time: as many steps as `train.max_time` has room for, in steps that suit a run of that length."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from engine.job import TrainSection
from engine.training.course import Course
from engine.training.recipe import SHAPE, Facts, Recipe, resolve, resolve_around
from engine.training.rehearsal import steps_in_time


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans one run.

    The length of the run decides how large its steps should be, and how large they are decides how long they take: a
    guess from the expected time comes first, then a measurement, and one more where the guess was far off.
    """

    train: TrainSection
    facts: Facts
    course_of: Callable[[Recipe, list[int]], Course]
    """Of a recipe, with at most so many steps in each stage (if there are any numbers)."""
    seconds_per_step: Callable[[Recipe, Course], float]
    """Measures."""
    seconds_left: Callable[[], float]
    keep_shape: bool
    """Whether the shape of a step was found by trials, and stays."""
    compiled: bool

    def __call__(self, recipe: Recipe, expected: float | None) -> tuple[Recipe, Course]:
        """Recipe and course that end in time; the ones of the whole job where there is room for all of it.

        Args:
            recipe: Of the whole job.
            expected: Seconds that the whole job should take, if anything is known.

        Raises:
            UsageError: there is no time for a single step.
        """
        whole = self.course_of(recipe, [])
        tried = recipe
        if expected:
            tried = self._for(recipe, _tokens(recipe, whole.stages[0].steps) * min(1.0, self.seconds_left() / expected))
        limits: list[int] = []
        for again in (True, False):
            course = self.course_of(replace(tried, epochs=recipe.epochs), [])
            step = self.seconds_per_step(tried, course)
            fitting = steps_in_time(self.seconds_left(), step, course, compiled=self.compiled)
            if fitting >= course.steps:
                return recipe, whole
            limits = [max(1, stage.steps * fitting // course.steps) for stage in course.stages]
            suited = self._for(recipe, _tokens(tried, limits[0]))
            if not again or _step(suited) == _step(tried):
                break
            tried = suited
        epochs = math.ceil(limits[0] / course.stages[0].steps_per_epoch)
        # What shapes a step was measured and stays; what depends on the length of the run is decided for that length.
        final = self._around(tried, tried.why, epochs, self.facts)
        reason = f"as many as end within {self.train.max_time}: {sum(limits):,} steps of {course.steps:,}"
        measured = {"train.length_warmup": tried.why["train.length_warmup"]}
        final = replace(final, length_warmup=tried.length_warmup, why=final.why | measured | {"train.epochs": reason})
        return final, self.course_of(final, limits)

    def _for(self, recipe: Recipe, tokens: float) -> Recipe:
        """The recipe for a run of so many tokens."""
        epochs = max(1, math.ceil(tokens / self.facts.tokens_per_epoch))
        facts = replace(self.facts, tokens_per_epoch=max(1, min(self.facts.tokens_per_epoch, round(tokens))))
        if self.keep_shape:
            return self._around(recipe, recipe.why, epochs, facts)
        return resolve(replace(self.train, epochs=epochs), replace(facts, epochs=epochs, why_epochs=""))

    def _around(self, recipe: Recipe, why: Mapping[str, str], epochs: int, facts: Facts) -> Recipe:
        shape = {name: getattr(recipe, name) for name in SHAPE}
        return resolve_around(
            replace(self.train, epochs=epochs), replace(facts, epochs=epochs, why_epochs=""), shape, why
        )


def _step(recipe: Recipe) -> tuple[int, int, float]:
    """What the time of a step depends on."""
    return recipe.batch_size, recipe.gradient_accumulation, recipe.length_warmup


def _tokens(recipe: Recipe, steps: int) -> int:
    return steps * recipe.batch_size * recipe.gradient_accumulation * recipe.sequence_length
