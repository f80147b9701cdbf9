"""What a concern of the linter looks like."""

from __future__ import annotations

from engine.text.findings.batch import Batch
from engine.text.findings.finding import Ledger
from engine.text.source import Block, TextSource


class Check:
    """One concern; overrides what it needs. One object sees all files of a run, in order."""

    def block(self, block: Block, ledger: Ledger) -> None:
        """Some whole lines of the file, as they are."""

    def batch(self, batch: Batch, ledger: Ledger) -> None:
        """Some documents that a reader made of them."""

    def end_file(self, source: TextSource, ledger: Ledger) -> None:
        """The file has been read."""

    def finish(self, ledger: Ledger) -> None:
        """All files have been read."""
