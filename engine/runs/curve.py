"""A curve of any length in bounded memory: what a chart needs of a million steps, and nothing more.

Points fall into buckets of equal width in steps; when there are too many buckets, the width doubles. A bucket keeps its
lowest and highest value (so that no spike is lost), its mean (for smoothing) and its epoch (for the axis).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

CAPACITY = 2048
_DIGITS = 6


@dataclass(slots=True)
class Bucket:
    """The points of one stretch of steps."""

    first_at: int
    first: float
    low_at: int
    low: float
    high_at: int
    high: float
    last_at: int
    last: float
    epoch: float
    """Of the last point."""
    total: float
    """Sum of the values."""
    count: int

    @property
    def mean(self) -> float:
        """Mean of the values."""
        return self.total / self.count

    @property
    def middle(self) -> float:
        """Step in the middle of the points."""
        return (self.first_at + self.last_at) / 2

    def absorb(self, later: Bucket) -> None:
        """Take in the points of a later bucket."""
        if later.low < self.low:
            self.low_at, self.low = later.low_at, later.low
        if later.high > self.high:
            self.high_at, self.high = later.high_at, later.high
        self.last_at, self.last, self.epoch = later.last_at, later.last, later.epoch
        self.total += later.total
        self.count += later.count

    def before(self, step: int) -> Bucket | None:
        """What is known of this bucket's points up to `step`; None when there are none."""
        points = [
            (self.first_at, self.first),
            (self.low_at, self.low),
            (self.high_at, self.high),
            (self.last_at, self.last),
        ]
        kept = [point for point in points if point[0] <= step]
        if not kept:
            return None
        low = min(kept, key=lambda point: point[1])
        high = max(kept, key=lambda point: point[1])
        last = max(kept)
        share = (last[0] - self.first_at + 1) / max(1, self.last_at - self.first_at + 1)
        count = max(1, round(self.count * share))
        return Bucket(
            first_at=self.first_at, first=self.first, low_at=low[0], low=low[1], high_at=high[0], high=high[1],
            last_at=last[0], last=last[1], epoch=self.epoch * last[0] / max(1, self.last_at),
            total=self.mean * count, count=count,
        )  # fmt: skip


class Curve:
    """Values over steps, at most `capacity` buckets of them."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.span = 1
        """Steps a bucket covers."""
        self.buckets: list[Bucket] = []
        self.left_out = 0
        """Values that were not finite: counted, never drawn."""

    def __len__(self) -> int:
        return len(self.buckets)

    def add(self, step: int, value: float, epoch: float = 0.0) -> None:
        """Add a point; one that goes back in steps replaces what was there from that step on."""
        if not math.isfinite(value):
            self.left_out += 1
            return
        if self.buckets and step <= self.buckets[-1].last_at:
            self.rewind(step - 1)
        point = Bucket(step, value, step, value, step, value, step, value, epoch, value, 1)
        if self.buckets and self.buckets[-1].first_at // self.span == step // self.span:
            self.buckets[-1].absorb(point)
        else:
            self.buckets.append(point)
            if len(self.buckets) > self.capacity:
                self._widen()

    def rewind(self, step: int) -> None:
        """Forget everything after `step`: the run has gone back to it."""
        while self.buckets and self.buckets[-1].last_at > step:
            kept = self.buckets.pop().before(step)
            if kept is not None:
                self.buckets.append(kept)

    def _widen(self) -> None:
        while len(self.buckets) > self.capacity // 2:
            self.span *= 2
            merged: list[Bucket] = []
            for bucket in self.buckets:
                if merged and merged[-1].first_at // self.span == bucket.first_at // self.span:
                    merged[-1].absorb(bucket)
                else:
                    merged.append(bucket)
            self.buckets = merged

    def within(self, low: float, high: float) -> list[Bucket]:
        """The buckets that have points between two steps."""
        return [bucket for bucket in self.buckets if bucket.last_at >= low and bucket.first_at <= high]

    def outline(self, low: float, high: float, most: int) -> list[tuple[float, float]]:
        """At most `most` points between two steps, with the extremes of every stretch, in the order of steps."""
        points: list[tuple[float, float]] = []
        for stretch in _stretches(self.within(low, high), max(1, most // 2)):
            lowest = min(stretch, key=lambda bucket: bucket.low)
            highest = max(stretch, key=lambda bucket: bucket.high)
            pair = {(float(lowest.low_at), lowest.low), (float(highest.high_at), highest.high)}
            points += sorted(pair)
        return [point for point in points if low <= point[0] <= high]

    def trend(self, low: float, high: float, most: int, share: float) -> list[tuple[float, float]]:
        """At most `most` points of the exponentially averaged curve between two steps.

        Args:
            low: First step.
            high: Last step.
            most: Bound on the number of points.
            share: How much of what is shown an average spans; 0 for no averaging.
        """
        groups = list(_stretches(self.within(low, high), max(1, most)))
        strength = 1 - 1 / max(1.0, share * len(groups))
        points: list[tuple[float, float]] = []
        average, weight = 0.0, 0.0
        for group in groups:
            count = sum(bucket.count for bucket in group)
            mean = sum(bucket.total for bucket in group) / count
            average = strength * average + (1 - strength) * mean
            weight = strength * weight + (1 - strength)
            points.append(((group[0].first_at + group[-1].last_at) / 2, average / weight))
        return points

    def epochs(self, steps: Iterable[float]) -> list[float]:
        """The epochs at some steps (in ascending order), interpolated between the buckets, which know theirs."""
        found: list[float] = []
        index, before_at, before = 0, 0, 0.0
        for step in steps:
            while index < len(self.buckets) and self.buckets[index].last_at < step:
                before_at, before = self.buckets[index].last_at, self.buckets[index].epoch
                index += 1
            if index < len(self.buckets):
                bucket = self.buckets[index]
                found.append(before + (bucket.epoch - before) * (step - before_at) / max(1, bucket.last_at - before_at))
            else:
                found.append(before * step / max(1, before_at))
        return found

    def dump(self) -> dict[str, Any]:
        """As plain lists for JSON."""
        columns = [
            [b.first_at, _short(b.first), b.low_at, _short(b.low), b.high_at, _short(b.high), b.last_at, _short(b.last),
             round(b.epoch, 4), _short(b.total, 10), b.count]
            for b in self.buckets
        ]  # fmt: skip
        return {"capacity": self.capacity, "span": self.span, "left_out": self.left_out, "buckets": columns}

    @classmethod
    def load(cls, data: dict[str, Any]) -> Curve:
        """From what `dump` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            curve = cls(int(data["capacity"]))
            curve.span = int(data["span"])
            curve.left_out = int(data["left_out"])
            curve.buckets = [Bucket(*row) for row in data["buckets"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a curve: {error}") from None
        if curve.span < 1 or curve.capacity < 2 or any(bucket.count < 1 for bucket in curve.buckets):
            raise ValueError("not a curve")
        return curve


def _stretches(buckets: Sequence[Bucket], most: int) -> Iterator[Sequence[Bucket]]:
    """The buckets in at most `most` groups of neighbours."""
    if len(buckets) <= most:
        yield from ((bucket,) for bucket in buckets)
        return
    for index in range(most):
        group = buckets[index * len(buckets) // most : (index + 1) * len(buckets) // most]
        if group:
            yield group


def _short(value: float, digits: int = _DIGITS) -> float:
    return float(f"{value:.{digits}g}")
