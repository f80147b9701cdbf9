"""Numbers as people read them: short, aligned, and never more exact than they are."""

from __future__ import annotations

import math


def count(number: float) -> str:
    """4,200 · 41.9k · 4.20M · 1.12B."""
    if not math.isfinite(number):
        return "-"
    size = abs(number)
    if size < 10_000:
        return f"{number:,.0f}"
    for limit, divisor, suffix in ((1e6, 1e3, "k"), (1e9, 1e6, "M"), (math.inf, 1e9, "B")):
        if size < limit * 0.9995:
            value = number / divisor
            digits = 2 if abs(value) < 9.995 and suffix != "k" else 1 if abs(value) < 99.95 else 0
            return f"{value:.{digits}f}{suffix}"
    raise AssertionError


def counted(number: int, noun: str) -> str:
    """1 run · 1,204 lines."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(bytes_: float) -> str:
    """640 B · 17 MB · 1.4 GB."""
    value = float(bytes_)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 999.5 or unit == "TB":
            return f"{value:.1f} {unit}" if unit in ("GB", "TB") and abs(value) < 99.95 else f"{value:.0f} {unit}"
        value /= 1000
    raise AssertionError


def duration(seconds: float | None) -> str:
    """8 s · 4 min · 2 h 05 · 3 d 4 h; "-" when it is not known."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d}"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def ago(seconds: float) -> str:
    """just now · 40 s ago · 3 d ago."""
    if seconds < 2:
        return "just now"
    if seconds < 90:
        return f"{seconds:.0f} s ago"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min ago"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.0f} h ago"
    return f"{seconds / 86400:.0f} d ago"


def rate(value: float) -> str:
    """A learning rate: 1.4e-2."""
    if not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    text = f"{value:.1e}"
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}"


def loss(value: float | None) -> str:
    """Three decimals, or "-" for what is not a number."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.3f}"


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round values between `low` and `high`, evenly spaced (1, 2 or 5 times a power of ten)."""
    if most < 1 or not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    raw = (high - low) / most
    if raw <= 1e-12 * max(abs(low), abs(high)):  # nothing round lies between numbers that are all but equal
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)] or [low]


def tick_label(value: float, step: float) -> str:
    """A tick's value with just the decimals that its spacing needs."""
    if value == 0:
        return "0"
    decimals = max(0, -math.floor(math.log10(abs(step)) + 1e-9)) if step else 2
    if abs(value) >= 10_000:
        return count(value)
    return f"{value:.{min(decimals, 6)}f}"
