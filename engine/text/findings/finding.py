"""One kind of flaw in one file: how grave, where, what it looks like, what to do; grouped and counted."""

from __future__ import annotations

from dataclasses import dataclass

from engine.text.findings.catalogue import RULES, Severity
from engine.text.sanitize import one_line

MOST_EXAMPLES = 8
"""Places that one finding names; the others are counted."""

SHOWN = 100
"""Characters of the offending text that are shown."""


@dataclass(frozen=True, slots=True)
class Example:
    """One place where a flaw was found."""

    line: int
    """1-based line; 0 when the flaw is the whole file's."""
    text: str
    """The text, sanitised and shortened; personal data is masked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """All flaws of one kind in one file."""

    code: str
    """A key of catalogue.RULES."""
    severity: Severity
    """error: not usable as it is · warning: will hurt · hint: worth knowing."""
    message: str
    """What was found, in words."""
    file: str
    """The file as it was named; empty when it is about all files together."""
    line: int
    """Line of the first example; 0 for a whole file."""
    text: str
    """Text of the first example."""
    fix: str
    """What to do."""
    count: int
    """How often."""
    lost: int
    """Lines that are in no document because of it."""
    examples: tuple[Example, ...]
    """The first places, in the order they were found."""
    detail: str = ""
    """What the numbers are, when the message needs them."""

    @property
    def where(self) -> str:
        """`file:line`, `file`, or an empty string."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file


class Ledger:
    """Collects findings while files are read; its size does not depend on how many there are."""

    def __init__(self) -> None:
        self.file = ""
        """The file that is being read."""
        self._groups: dict[tuple[str, str], _Group] = {}

    def add(
        self,
        code: str,
        line: int = 0,
        text: str = "",
        *,
        count: int = 1,
        lost: int = 0,
        detail: str = "",
        fix: str = "",
        severity: Severity | None = None,
        everywhere: bool = False,
    ) -> None:
        """Note a flaw of the current file, or of all files together."""
        key = (code, "" if everywhere else self.file)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
        group.count += count
        group.lost += lost
        group.detail = detail or group.detail
        group.fix = fix or group.fix
        group.severity = severity or group.severity
        if len(group.examples) < MOST_EXAMPLES and (line or text):
            group.examples.append(Example(line, one_line(text, SHOWN)))

    def count(self, code: str, file: str | None = None) -> int:
        """How often `code` was found so far, in one file or in all."""
        return sum(group.count for (kind, name), group in self._groups.items() if kind == code and file in (None, name))

    def lost(self, file: str) -> int:
        """Lines of `file` that are in no document."""
        return sum(group.lost for (_, name), group in self._groups.items() if name == file)

    def findings(self) -> tuple[Finding, ...]:
        """All findings, the gravest first, then in the order of the files and of the lines."""
        order = {"error": 0, "warning": 1, "hint": 2}
        files = {name: index for index, name in enumerate(dict.fromkeys(name for _, name in self._groups))}
        found = []
        for (code, file), group in self._groups.items():
            rule = RULES[code]
            examples = tuple(sorted(group.examples, key=lambda example: example.line))
            first = examples[0] if examples else Example(0, "")
            found.append(
                Finding(
                    code=code,
                    severity=group.severity or rule.severity,
                    message=rule.message,
                    file=file,
                    line=first.line,
                    text=first.text,
                    fix=group.fix or rule.fix,
                    count=group.count,
                    lost=group.lost,
                    examples=examples,
                    detail=group.detail,
                )
            )
        return tuple(sorted(found, key=lambda one: (order[one.severity], files[one.file], one.line, one.code)))


class _Group:
    __slots__ = ("count", "detail", "examples", "fix", "lost", "severity")

    def __init__(self) -> None:
        self.count = 0
        self.lost = 0
        self.detail = ""
        self.fix = ""
        self.severity: Severity | None = None
        self.examples: list[Example] = []
