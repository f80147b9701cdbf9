"""A training file of any size as pieces that are read where somebody looks, without reading what lies before.

Opening costs the sniffer's look at the first megabytes. `piece` reads and parses about PIECE bytes. `count` goes
through the whole file once, off the caller's thread, so that lines have numbers. Free of torch and numpy.
"""

from __future__ import annotations

import bisect
import os
import re
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO

from engine.errors import DataError
from engine.text.cuts import Cuts, cuts_of
from engine.text.formats import Sniff, open_text, read_documents, sniff
from engine.text.pieces import Entry, Piece, as_text, entries_of
from engine.text.readers.record import Columns
from engine.text.source import NotUtf8Error, open_regular

PIECE = 1 << 15
"""Bytes of a piece, more or less: it goes on to the end of its last document."""
KEPT = 24
"""Pieces that stay parsed."""
HEAD_DOCUMENTS = 1000
HEAD_BYTES = 4 << 20
"""What is shown of a file that can only be read from its start (gzip, Parquet, JSON on one line)."""
COUNTED_DOCUMENTS = 4 << 20
"""Bytes of a file up to which its documents are counted, too."""
_LINE_END = re.compile(rb"\n|\r(?!\n)")


class Outline:
    """An open file. `piece` and `find_line` are for one thread, `count` for another."""

    def __init__(self, path: Path, found: Sniff, handle: IO[bytes], size: int, stamp: int, head: bytes) -> None:
        self.path = path
        self.format = found.format
        self.label = found.label
        self.size = size
        """Bytes on the disk."""
        self.stamp = stamp
        """Time of change in nanoseconds."""
        self.columns: Columns | None = None
        self.problem: DataError | None = None
        """Why it cannot be trained on as it is; it is shown all the same."""
        self.cuts: Cuts | None = None if head[:2] == b"\x1f\x8b" else cuts_of(found.format, head)
        self.pieces = max(1, -(-size // PIECE)) if self.cuts is not None else 1
        self.partial = False
        """Whether only the beginning can be shown."""
        self.lines: int | None = None
        """All lines, once they are counted."""
        self.counted = 0
        """Bytes that `count` has gone through."""
        self._handle = handle
        self._lock = threading.Lock()
        self._closed = False
        self._head = head[: self.cuts.header] if self.cuts is not None else b""
        self._boundaries: dict[int, int] = {}
        self._parsed: OrderedDict[int, Piece] = OrderedDict()
        self._lines_before = array("Q", [0])
        self._lines_known: dict[int, int] = {}
        self._quotes_before = bytearray(1)
        self._documents_before: list[int] = [0]

    @classmethod
    def open(cls, path: Path | str, format: str = "auto", columns: Columns | None = None) -> Outline:  # noqa: A002
        """Open a file for looking at it.

        Args:
            path: The file.
            format: A key of formats.FORMATS, or "auto".
            columns: Our field names to the file's own.

        Raises:
            DataError: it cannot be opened, is empty, or is not text at all.
        """
        path = Path(path)
        problem: DataError | None = None
        try:
            found = sniff(path)
            if found.format != "parquet":
                open_text(path).close()
        except NotUtf8Error as error:
            found, problem = Sniff("text", "guess", error.text), error
        if format != "auto":
            found = Sniff(format, "certain", "it was named")
        handle, size, stamp = open_regular(path)
        outline = cls(path, found, handle, size, stamp, handle.read(PIECE))
        outline.problem, outline.columns = problem, columns
        if outline.cuts is None:
            outline._read_head()
        return outline

    def close(self) -> None:
        """Close the file; `count` ends soon after."""
        with self._lock:
            self._closed = True
            self._handle.close()

    @property
    def changed(self) -> bool:
        """Whether the file on the disk is another one now."""
        try:
            now = self.path.stat()
        except OSError:
            return True
        return (now.st_size, now.st_mtime_ns) != (self.size, self.stamp)

    def _read(self, start: int, length: int) -> bytes:
        with self._lock:
            return b"" if self._closed else os.pread(self._handle.fileno(), max(0, length), start)

    # ---- pieces

    def piece(self, index: int) -> Piece:
        """The piece with this number; the last ones asked for are kept."""
        found = self._parsed.get(index)
        if found is None:
            found = self._parse(index)
            if found.end <= found.start:
                return found  # inside a long document: nothing to keep, and nothing to push out for it
            self._parsed[index] = found
            while len(self._parsed) > KEPT and self.cuts is not None:
                self._parsed.popitem(last=False)
        else:
            self._parsed.move_to_end(index)
        return found

    def start_of(self, index: int) -> int:
        """Offset of the first byte of a piece."""
        if self.cuts is None:
            return 0 if index <= 0 else self.size
        if index <= 0:
            return self.cuts.header if not self.cuts.repeat_header else 0
        if index >= self.pieces:
            return self.size
        if index not in self._boundaries:
            self._boundaries[index] = self._boundary(index, self.cuts)
        return self._boundaries[index]

    def _boundary(self, index: int, cuts: Cuts) -> int:
        """The first document's start at or after the nominal one; in a very long document a line's start."""
        nominal = max(index * PIECE, self.start_of(0))
        before = min(nominal, 256)
        window, looked = self._read(nominal - before, before + PIECE), 0
        quoted = cuts.quoted and index < len(self._quotes_before) and bool(self._quotes_before[index])
        while True:
            for match in cuts.pattern.finditer(window, looked):
                at = match.end() - before
                if at >= 0 and not (cuts.quoted and self._is_quoted(window, before, match.end(), quoted)):
                    return min(self.size, nominal + at)
            if len(window) - before >= cuts.reach or nominal - before + len(window) >= self.size:
                break
            looked = max(0, len(window) - 256)
            more = self._read(nominal - before + len(window), PIECE)
            if not more:
                break  # it has become shorter meanwhile
            window += more
        if nominal - before + len(window) >= self.size:
            return self.size
        line = _LINE_END.search(window, max(0, before - 1))
        if line is not None:
            return nominal - before + line.end()
        at = before
        while at < len(window) and window[at] & 0xC0 == 0x80:
            at += 1
        return nominal - before + at

    @staticmethod
    def _is_quoted(window: bytes, before: int, end: int, quoted: bool) -> bool:
        if end < before:
            return True
        return quoted ^ bool(window.count(b'"', before, end) & 1)

    def _parse(self, index: int) -> Piece:
        start, end = self.start_of(index), self.start_of(index + 1)
        if self.cuts is None or end <= start:
            return Piece(index, start, max(start, end), (), 0)
        data = self._read(start, end - start)
        text = as_text(data)
        if self.problem is None and "\ufffd" in text and b"\xef\xbf\xbd" not in data:
            fix = "Repair a copy: forge-tui check FILE --fix DIR"
            self.problem = DataError("This is not UTF-8 text throughout.", fix=fix, file=self.path)
        repeated = self._head if self.cuts.repeat_header and index > 0 else b""
        entries, lines = entries_of(text, as_text(repeated), self.format, str(self.path), self.columns)
        opens = start == self.start_of(0) or self._opens(start)
        if not opens and entries and entries[0].document is None:
            first = entries[0]
            torn = Entry(first.first_line, first.last_line, text=first.text, torn=True)
            entries = [torn, *entries[1:]]
        return Piece(index, start, end, tuple(entries), lines)

    def _opens(self, offset: int) -> bool:
        """Whether a document begins here."""
        assert self.cuts is not None
        before = self._read(max(0, offset - 256), min(offset, 256))
        window = before + self._read(offset, 256)
        return any(match.end() == len(before) for match in self.cuts.pattern.finditer(window))

    def _read_head(self) -> None:
        entries: list[Entry] = []
        size = 0
        try:
            for document in read_documents(self.path, self.format, columns=self.columns, report=lambda problem: None):
                size += document.text_bytes
                if len(entries) >= HEAD_DOCUMENTS or size > HEAD_BYTES:
                    self.partial = True
                    break
                entries.append(Entry(document.first_line, document.last_line, document))
        except DataError as error:
            self.problem = error
        last = entries[-1].last_line if entries else 0
        self._parsed[0] = Piece(0, 0, self.size, tuple(entries), last)
        self._documents_before = [0, len(entries)]
        self.counted = self.size

    # ---- lines and documents

    def count(self, told: Callable[[], None] | None = None) -> None:
        """Go through the whole file once; afterwards every line can be found. Ends early when the file is closed."""
        if self.cuts is None:
            return
        step = 16 * PIECE
        lines = quotes = 0
        for start in range(0, self.size, step):
            data = self._read(start, min(step, self.size - start) + 1)
            if not data:
                return
            for at in range(0, min(step, len(data)), PIECE):
                until = min(at + PIECE, step)
                lines += data.count(b"\n", at, until)
                if b"\r" in data[at:until]:
                    lines += data.count(b"\r", at, until) - data.count(b"\r\n", at, until + 1)
                if self.cuts.quoted:
                    quotes ^= data.count(b'"', at, until) & 1
                if start + at + PIECE < self.size:
                    self._quotes_before.append(quotes)
                    self._lines_before.append(lines)
            self.counted = min(self.size, start + step)
            if told is not None:
                told()
        last = self._read(self.size - 1, 1)
        self.lines = lines + (last not in (b"\n", b"\r") if self.size else 0)
        if self.size <= COUNTED_DOCUMENTS:
            self._count_documents()

    def _count_documents(self) -> None:
        other = Outline(self.path, Sniff(self.format, "certain", ""), self._handle, self.size, self.stamp, self._head)
        other.cuts, other.pieces = self.cuts, self.pieces
        other._quotes_before, other._lock = self._quotes_before, self._lock
        before = [0]
        for index in range(self.pieces):
            before.append(before[-1] + sum(entry.document is not None for entry in other._parse(index).entries))
        self._documents_before = before

    def line_of(self, piece: Piece, line: int) -> int | None:
        """The number in the file of a line of a piece; None while it is not known yet."""
        if self.cuts is None:
            return line
        before = self._lines_at(piece.start)
        return None if before is None else before + line

    def _lines_at(self, offset: int) -> int | None:
        """Lines that end before a line's start."""
        nominal = offset // PIECE
        if nominal >= len(self._lines_before):
            return None
        if offset not in self._lines_known:
            self._lines_known[offset] = self._lines_before[nominal] + self._line_ends(nominal * PIECE, offset)
        return self._lines_known[offset]

    def _line_ends(self, start: int, end: int) -> int:
        """Line ends between two offsets; half of a CRLF is none."""
        data = self._read(start, end - start + 1)
        lines = data.count(b"\n", 0, end - start)
        if b"\r" in data:
            lines += data.count(b"\r", 0, end - start) - data.count(b"\r\n", 0, end - start + 1)
        return lines

    def document_number(self, piece: Piece, entry: Entry) -> int | None:
        """Which document of the file this is, counted from 1; None while it is not known."""
        if piece.index >= len(self._documents_before) or (piece.index and len(self._documents_before) == 1):
            return None
        number = self._documents_before[piece.index]
        for other in piece.entries:
            number += other.document is not None
            if other is entry:
                return number
        return None

    @property
    def documents(self) -> int | None:
        """All documents, when they are counted."""
        return self._documents_before[-1] if len(self._documents_before) == self.pieces + 1 else None

    def find_line(self, line: int) -> tuple[Piece, int] | None:
        """The piece that a line of the file lies in, and its number there; None while it is not known."""
        if self.cuts is None:
            piece = self.piece(0)
            return (piece, line) if line <= piece.lines else None
        block = bisect.bisect_left(self._lines_before, line) - 1
        if self.lines is None and block >= len(self._lines_before) - 1:
            return None
        if self.lines is not None and line > self.lines:
            return None
        block = max(0, block)
        left = line - 1 - self._lines_before[block]
        offset = block * PIECE
        if left > 0:
            data = self._read(offset, PIECE + 1)
            for match in _LINE_END.finditer(data):
                left -= 1
                if left == 0:
                    offset += match.end()
                    break
        return self.find_offset(offset)

    def find_offset(self, offset: int) -> tuple[Piece, int]:
        """The piece that a byte lies in, and the line there."""
        offset = min(max(offset, 0), max(0, self.size - 1))
        index = min(offset // PIECE, self.pieces - 1)
        while index > 0 and self.start_of(index) > offset:
            index -= 1
        while index < self.pieces - 1 and self.start_of(index + 1) <= offset:
            index += 1
        piece = self.piece(index)
        return piece, self._line_ends(piece.start, offset) + 1

    def search(self, text: str, after: int) -> int | None:
        """Offset of the next place after `after` that holds `text`, from the start again at the end; None without one.

        ASCII capitals count as small letters. Reads as far as it must: not for the app's own thread.
        """
        wanted = text.encode("utf-8", "surrogateescape").lower()
        first = self._first_match(wanted, after + 1, self.size)
        return first if first is not None else self._first_match(wanted, 0, min(self.size, after + 1))

    def _first_match(self, wanted: bytes, start: int, end: int) -> int | None:
        step = 1 << 20
        while start < end and wanted:
            data = self._read(start, min(step, end - start) + len(wanted) - 1)
            found = data.lower().find(wanted)
            if found >= 0:
                return start + found
            start += step if data else end
        return None
