"""A conversation with one model, or with two at once: what was asked and answered, and what each is told next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine.text.conversation import Turn

State = Literal["waiting", "speaking", "done", "stopped", "failed"]

_REASONS = {
    "length": "stopped at the limit of its length",
    "context": "the model's context is full",
    "stop": "",
    "end": "",
    "cancelled": "stopped",
}


@dataclass(slots=True)
class Answer:
    """One model's answer to one question."""

    text: str = ""
    state: State = "waiting"
    note: str = ""
    """What is said below it."""
    tokens: int = 0
    seconds: float = 0.0
    attempt: int = 1

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "stopped", "failed")

    @property
    def usable(self) -> bool:
        """Whether it can be part of a conversation that goes on."""
        return self.over and self.state != "failed" and bool(self.text.strip())

    def end(self, reason: str, tokens: int, seconds: float, truncated: int) -> None:
        """It has come to its end."""
        self.state = "stopped" if reason == "cancelled" else "done"
        self.tokens, self.seconds = tokens, seconds
        words = [_REASONS.get(reason, reason)]
        if not self.text.strip() and reason != "cancelled":
            words.append("(it said nothing)")
        if truncated:
            words.append(f"{truncated} tokens of the conversation no longer fit into its context")
        self.note = "; ".join(word for word in words if word)

    def fail(self, text: str) -> None:
        """It will not come."""
        self.state, self.note = "failed", text

    @property
    def pace(self) -> str:
        """`23 tokens, 41 a second`."""
        if not self.tokens:
            return ""
        rate = f", {self.tokens / self.seconds:.0f} a second" if self.seconds > 0.05 else ""
        return f"{self.tokens} tokens{rate}"


@dataclass(slots=True)
class Exchange:
    """A question and its answers, by side."""

    question: str
    answers: dict[int, Answer] = field(default_factory=dict)

    def heard_by(self, side: int) -> Answer | None:
        """The answer that this side's model remembers: its own, or the other's where it was not there yet."""
        own = self.answers.get(side)
        if own is not None and own.usable:
            return own
        return next((answer for answer in self.answers.values() if answer.usable), None)


@dataclass(slots=True)
class Talk:
    """The whole conversation."""

    system: str = ""
    exchanges: list[Exchange] = field(default_factory=list)

    def turns(self, side: int, upto: int | None = None) -> list[Turn]:
        """What this side's model is told to answer exchange `upto` (the newest when None)."""
        last = len(self.exchanges) - 1 if upto is None else upto
        turns = [Turn("system", self.system.strip())] if self.system.strip() else []
        for exchange in self.exchanges[:last]:
            heard = exchange.heard_by(side)
            if heard is not None:
                turns += [Turn("user", exchange.question), Turn("assistant", heard.text.strip())]
        return [*turns, Turn("user", self.exchanges[last].question)]

    def finished_turns(self, side: int) -> tuple[list[Turn], int]:
        """The conversation as it can be saved, and how many exchanges are left out because they have no answer."""
        turns = [Turn("system", self.system.strip())] if self.system.strip() else []
        left_out = 0
        for exchange in self.exchanges:
            answer = exchange.answers.get(side)
            if answer is None or not answer.usable:
                left_out += 1
                continue
            turns += [Turn("user", exchange.question.strip()), Turn("assistant", answer.text.strip())]
        return turns, left_out

    @property
    def questions(self) -> list[str]:
        """What was asked, oldest first."""
        return [exchange.question for exchange in self.exchanges]
