"""Whether there is enough text for a size: lines as the training guide counts them, and tokens per parameter."""

from __future__ import annotations

from dataclasses import dataclass

from engine.sizes import LADDER, Size, size_named

GUIDE_LINES = 1000
"""Lines that the training guide asks for at least, when no size is chosen."""

LINE_BYTES = 80
"""A line of the guide's data; a paragraph without line ends counts as several."""

PARAMETERS_PER_TOKEN = 100
"""With more parameters than this for a token of text a model recites; ours, from the guide's lines and sizes."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What the amount of text is good for."""

    recommended: str
    """Name of the size that suits the text."""
    sentences: tuple[str, ...]
    """The reasons, for people."""
    ratio: float | None
    """Tokens per parameter of the chosen size; None without one."""


def equivalent_lines(lines: int, turns: int, text_bytes: int) -> int:
    """Lines as the guide means them, for formats that write a conversation or a paragraph on one line."""
    return max(lines, turns, text_bytes // LINE_BYTES)


def lines_wanted(size: str | None) -> int:
    """The fewest lines recommended for a size, or in general."""
    return GUIDE_LINES if size is None else size_named(size).guide_lines[0]


def recommended_size(lines: int, tokens: int, vocabulary: int) -> Size:
    """The largest size that the text can fill: the guide's lines, and not too many parameters for a token."""
    best = LADDER[0]
    for size in LADDER:
        enough = lines >= size.guide_lines[0]
        if enough and size.dimensions.parameters(vocabulary) <= PARAMETERS_PER_TOKEN * tokens:
            best = size
    return best


def advise(lines: int, tokens: int, vocabulary: int, size: str | None, *, exact: bool) -> Advice:
    """Sentences about the size that suits the text, and about the chosen one."""
    about = "" if exact else "about "
    best = recommended_size(lines, tokens, vocabulary)
    low, high = best.guide_lines
    span = f"{low:,} to {high:,}" if high else f"{low:,} or more"
    epochs = f"{best.guide_epochs[0]} to {best.guide_epochs[1]}"
    sentences = [
        f"{lines:,} lines and {about}{tokens:,} tokens suit the size {best.name} "
        f"({span} lines, {epochs} epochs; {best.guide_use})."
    ]
    ratio = None
    if size is not None:
        parameters = size_named(size).dimensions.parameters(vocabulary)
        ratio = tokens / parameters
        sentences.append(
            f"{size} has {amount(parameters)} parameters: {about}{per_parameter(ratio)}: {in_words(ratio)}."
        )
    return Advice(best.name, tuple(sentences), ratio)


def in_words(ratio: float) -> str:
    """What so many tokens per parameter mean (about 20 are enough for good use of a model: Hoffmann et al., 2022)."""
    if ratio >= 20:
        return "enough to train it fully"
    if ratio >= 1:
        return "it will learn the language of the text; more text would still help"
    if ratio >= 0.1:
        return "it will learn the style and much of the text by heart; watch the validation loss"
    if ratio >= 0.01:
        return "it will memorise much of it; keep to the recommended epochs and stop early"
    return "it will memorise"


def per_parameter(ratio: float) -> str:
    """The ratio the way it is easier to read."""
    if ratio >= 1:
        return f"{ratio:,.1f} tokens a parameter"
    return f"{1 / ratio:,.0f} parameters a token" if ratio > 0 else "no tokens"


def amount(number: float) -> str:
    """A large number for people: 1.31 M, 27.3 M, 1.12 B."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            value = number / size
            return (
                f"{value:.2f} {unit}" if value < 10 else f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
            )
    return f"{number:.0f}"
