"""What the loss chart shows: which curves, which stretch, which unit. Pure data; drawing is in the widget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from engine.runs.curve import Curve
from engine.runs.digest import Digest
from forge_tui.figures import nice_ticks, tick_label

ZOOMS = (1.0, 0.5, 0.25, 0.1, 0.05)
"""Shares of the run that fit into the chart."""
LARGEST = 1e12
"""Larger losses are not drawn, and smaller ones than its inverse not lower (on a logarithmic axis)."""
SMOOTHING = (0.0, 0.03, 0.1)
"""Share of the chart that an average spans."""
SMOOTHING_WORDS = ("off", "some", "much")
Points = Sequence[tuple[float, float]]
"""Steps and values."""
Kind = Literal["raw", "train", "validation", "overlay-1", "overlay-2", "overlay-3"]


@dataclass(frozen=True, slots=True)
class ChartOptions:
    """How the user wants to see it."""

    unit: str = "bpb"
    """`bpb` (bits per byte) or `loss` (nats per token)."""
    log: bool = False
    smoothing: int = 1
    """Index into SMOOTHING."""
    axis: str = "epoch"
    """`epoch` or `step`."""
    zoom: int = 0
    """Index into ZOOMS."""
    behind: float = 0.0
    """How far the right edge is behind the newest point, as a share of the run."""

    def zoomed(self, change: int) -> ChartOptions:
        """One step closer or wider."""
        zoom = min(len(ZOOMS) - 1, max(0, self.zoom + change))
        return replace(self, zoom=zoom, behind=min(self.behind, 1 - ZOOMS[zoom]))

    def moved(self, change: float) -> ChartOptions:
        """Earlier (negative) or later, in widths of the chart."""
        share = ZOOMS[self.zoom]
        return replace(self, behind=min(1 - share, max(0.0, self.behind - change * share)))


@dataclass(frozen=True, slots=True)
class Line:
    """One curve in chart coordinates."""

    kind: Kind
    points: Points
    dots: bool = False
    """Single marks instead of a line."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Everything that is drawn; y is already logarithmic where that was asked for."""

    lines: tuple[Line, ...]
    x: tuple[float, float]
    y: tuple[float, float]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    unit: str
    """The unit that is really shown."""
    axis: str
    hidden: int = 0
    """Values that were not finite and are not drawn."""


class Scale:
    """Turns losses in nats per token into bits per byte of text.

    The ratio is not constant (special tokens are part of the loss but hold no text), so it follows the evaluations,
    which measure both; before the first one it comes from the plan.
    """

    def __init__(self, digest: Digest) -> None:
        values = {bucket.last_at: bucket.mean for bucket in digest.val_bpb.buckets}
        self._known = [
            (bucket.last_at, values[bucket.last_at] / bucket.mean)
            for bucket in digest.validation.buckets
            if bucket.mean > 0 and values.get(bucket.last_at, 0) > 0
        ]
        plan = digest.plan
        if not self._known and plan is not None and plan.text_bytes > 0 and plan.tokens > 0:
            self._known = [(0, plan.tokens / plan.text_bytes / math.log(2))]

    def __bool__(self) -> bool:
        return bool(self._known)

    def bits(self, points: Points) -> list[tuple[float, float]]:
        """The points (in the order of steps) in bits per byte."""
        known, index, scaled = self._known, 0, []
        for x, y in points:
            while index + 1 < len(known) and known[index + 1][0] <= x:
                index += 1
            at, ratio = known[index]
            if index + 1 < len(known) and x > at:
                later, other = known[index + 1]
                ratio += (other - ratio) * (x - at) / (later - at)
            scaled.append((x, y * ratio))
        return scaled


def figure_of(
    digest: Digest, overlays: Sequence[Digest], options: ChartOptions, width: int, height: int
) -> Figure | None:
    """The figure for a canvas of `width` by `height` cells; None while there is nothing to draw."""
    scale = Scale(digest) if options.unit == "bpb" else None
    bits = bool(scale)
    low, high = _stretch([digest] if len(digest.train) or len(digest.validation) else overlays, options)
    lines = [_overlay(other, index, (low, high), width, options, bits=bits) for index, other in enumerate(overlays[:3])]
    lines += _own_lines(digest, options, (low, high), max(8, 2 * width), scale if bits else None)
    lines = [Line(line.kind, _finite(line.points, log=options.log), line.dots) for line in lines]
    values = [y for line in lines for _, y in line.points]
    if not values:
        return None
    axis = options.axis if _knows_epochs(digest.train) or _knows_epochs(digest.validation) else "step"
    y = _padded(min(values), max(values))
    high = max(high, low + 1)
    return Figure(
        lines=tuple(lines), x=(low, high), y=y, x_ticks=_x_ticks(digest, low, high, axis, width),
        y_ticks=_y_ticks(*y, height, log=options.log), unit="bpb" if bits else "loss", axis=axis,
        hidden=digest.train.left_out,
    )  # fmt: skip


def _overlay(
    other: Digest, index: int, span: tuple[float, float], width: int, options: ChartOptions, *, bits: bool
) -> Line:
    points: Points = other.train.trend(*span, width, SMOOTHING[max(1, options.smoothing)])
    scale = Scale(other) if bits else None
    kinds: tuple[Kind, ...] = ("overlay-1", "overlay-2", "overlay-3")
    return Line(kinds[index], scale.bits(points) if scale else points)


def _own_lines(
    digest: Digest, options: ChartOptions, span: tuple[float, float], most: int, scale: Scale | None
) -> list[Line]:
    raw: Points = digest.train.outline(*span, most)
    trend: Points = digest.train.trend(*span, most, SMOOTHING[options.smoothing]) if options.smoothing else ()
    if scale is not None:
        raw, trend = scale.bits(raw), scale.bits(trend)
    held_out = digest.validation if scale is None else digest.val_bpb
    lines = [Line("raw", raw), Line("train", trend)] if options.smoothing else [Line("train", raw)]
    lines.append(Line("validation", held_out.outline(*span, max(4, most // 4)), dots=True))
    return lines


def _stretch(digests: Sequence[Digest], options: ChartOptions) -> tuple[float, float]:
    curves = [curve for digest in digests for curve in (digest.train, digest.validation)]
    ends = [curve.buckets[-1].last_at for curve in curves if curve.buckets]
    last = float(max(ends, default=0))
    share = ZOOMS[options.zoom]
    high = last * (1 - options.behind)
    return max(0.0, high - share * last), high


def _knows_epochs(curve: Curve) -> bool:
    return bool(curve.buckets) and curve.buckets[-1].epoch > 0


def _finite(points: Points, *, log: bool) -> list[tuple[float, float]]:
    """Only what can be drawn: a single NaN in a line would abort the process inside plotext."""
    kept = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and abs(y) < LARGEST]
    return [(x, math.log10(max(y, 1 / LARGEST))) for x, y in kept if y > 0] if log else kept


def _padded(low: float, high: float) -> tuple[float, float]:
    room = (high - low) * 0.04 or max(abs(high) * 0.05, 0.05)
    return low - room, high + room


def _x_ticks(digest: Digest, low: float, high: float, axis: str, width: int) -> tuple[tuple[float, str], ...]:
    most = max(1, width // 14)
    if axis == "step":
        values = [value for value in nice_ticks(low, high, most) if value == round(value)]
        return tuple((value, f"{value:,.0f}" if value < 1e6 else tick_label(value, 1)) for value in values)
    curve = digest.train if _knows_epochs(digest.train) else digest.validation
    first, last = curve.epochs([low, high])
    values = nice_ticks(first, last, most)
    step = values[1] - values[0] if len(values) > 1 else max(values[0], 1)
    steps = _steps_at(curve, values, (low, high), (first, last))
    return tuple((at, tick_label(value, step)) for at, value in zip(steps, values, strict=True))


def _steps_at(
    curve: Curve, epochs: Sequence[float], span: tuple[float, float], ends: tuple[float, float]
) -> list[float]:
    """The steps at some epochs (ascending), between the steps of `span` whose epochs are `ends`."""
    marks = [(span[0], ends[0])]
    marks += [(float(b.last_at), b.epoch) for b in curve.buckets if span[0] < b.last_at < span[1]]
    marks.append((span[1], ends[1]))
    found: list[float] = []
    index = 1
    for epoch in epochs:
        while index < len(marks) - 1 and marks[index][1] < epoch:
            index += 1
        (x0, e0), (x1, e1) = marks[index - 1], marks[index]
        found.append(x0 + (x1 - x0) * (epoch - e0) / (e1 - e0) if e1 > e0 else x1)
    return found


def _y_ticks(low: float, high: float, height: int, *, log: bool) -> tuple[tuple[float, str], ...]:
    most = max(2, height // 2)
    if not log:
        values = nice_ticks(low, high, most)
        step = values[1] - values[0] if len(values) > 1 else (high - low)
        return tuple((value, tick_label(value, step)) for value in values)
    bottom, top = 10**low, 10**high
    if top / bottom < 3:
        values = nice_ticks(bottom, top, most)
        step = values[1] - values[0] if len(values) > 1 else top - bottom
        return tuple((math.log10(value), tick_label(value, step)) for value in values if value > 0)
    found = [
        factor * 10.0**power
        for power in range(math.floor(low), math.ceil(high) + 1)
        for factor in (1, 2, 5)
        if bottom <= factor * 10.0**power <= top
    ]
    while len(found) > most:
        found = found[::2]
    return tuple((math.log10(value), f"{value:g}") for value in found)
