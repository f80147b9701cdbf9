"""Lengths of time as people write them: 90s, 30m, 1h30m."""

from __future__ import annotations

import re

from engine.errors import UsageError

_PARTS = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_UNITS = (3600.0, 60.0, 1.0)
LONGEST = 365 * 86_400.0


def parse_duration(text: str) -> float:
    """Seconds of "90s", "30m", "1.5h" or "1h30m".

    Raises:
        UsageError: it is none of these, or not between a second and a year.
    """
    found = _PARTS.fullmatch(text.strip().lower().replace(" ", "")[:40])
    parts = found.groups() if found else (None,)
    seconds = sum(float(part) * unit for part, unit in zip(parts, _UNITS, strict=False) if part)
    if not any(parts) or not 1.0 <= seconds <= LONGEST:
        raise UsageError(f'"{text[:40]}" is no length of time.', fix='Such as "90s", "30m" or "1h30m".')
    return seconds
