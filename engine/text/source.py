"""A text file opened with suspicion: checked before it is read, and never whole in memory."""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, cast

from engine.errors import DataError
from engine.text.encoding import binary_kind, encoding_of, wide_codec
from engine.text.sanitize import one_line

HEAD = 1 << 20
"""Bytes at the start of a file by which it is judged."""

CHUNK = 1 << 18
"""Bytes read at once: what is done with them finds them in the processor's cache."""

LONG_LINE = 4 << 20
"""Bytes after which a line without an end is handed on in pieces."""

BOMB_BYTES = 64 << 20
"""A gzip file may unpack to this much whatever its ratio."""

BOMB_RATIO = 200
"""Beyond BOMB_BYTES, text never packs this well: deflate's own limit is 1032."""

_BOM_AFTER_NEWLINE = re.compile(r"(?<=\n)\ufeff+")
_BOM_AT_LINE_START = re.compile(r"(?:\A|(?<=\n))\ufeff+")


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive whole lines of a file."""

    first_line: int
    """1-based number of the first line."""
    text: str
    """The lines joined by newlines, without a final one."""
    lines: list[str]
    """The same lines apart."""
    data: bytes
    """The text as UTF-8."""
    continued: bool = False
    """Whether the first line is the rest of the previous block's last line, which was too long for one piece."""
    open: bool = False
    """Whether the last line goes on in the next block."""


class NotUtf8Error(DataError):
    """The bytes of a file are text in another encoding, or damaged."""

    code = "not_utf8"


class TextSource:
    """An open text file: UTF-8, byte order marks removed, line ends all newlines, in blocks of about CHUNK bytes."""

    def __init__(self, path: Path, name: str, handle: IO[bytes], size: int, mtime_ns: int | None, packed: bool) -> None:
        self.path = path
        self.name = name
        self.size = size
        """Bytes on the disk when it was opened."""
        self.packed = packed
        """Whether it is gzip."""
        self.position = 0
        """Bytes of the disk file read so far."""
        self.text_bytes = 0
        """Bytes of text read so far, unpacked."""
        self.lines = 0
        """Lines handed out so far."""
        self.boms = 0
        """Byte order marks removed."""
        self.crlf = 0
        """Lines that ended in carriage return and newline."""
        self.cr = 0
        """Lines that ended in a lone carriage return."""
        self.long_lines = 0
        """Lines that were handed out in pieces."""
        self.changed = False
        """Whether the file on the disk was written to while it was read."""
        self.tap: Callable[[Block], None] | None = None
        """Called with each block before it is handed out."""
        self._handle = handle
        self._mtime_ns = mtime_ns
        self._stream = cast("IO[bytes]", gzip.GzipFile(fileobj=handle)) if packed else handle
        self._head: bytes | None = None

    def __enter__(self) -> TextSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks():
            yield from block.lines

    def head(self) -> bytes:
        """The first bytes, unpacked, without using them up."""
        if self._head is None:
            self._head = self._read(HEAD)
        return self._head

    def blocks(self) -> Iterator[Block]:
        """The text in order; once only.

        Raises:
            DataError: it is not UTF-8, shrinks while it is read, cannot be unpacked, or unpacks without end.
        """
        line, continued = 1, False
        for data, ends in self._pieces():
            text, clean = self._decode(data, line, continued)
            block = Block(line, text, text.split("\n"), clean, continued, not ends)
            if continued:
                self.lines -= 1
            elif not ends:
                self.long_lines += 1
            self.lines += len(block.lines)
            line += len(block.lines) if ends else len(block.lines) - 1
            continued = not ends
            if self.tap is not None:
                self.tap(block)
            yield block
        self._check_unchanged()

    def _pieces(self) -> Iterator[tuple[bytes, bool]]:
        """Bytes cut at line ends, and whether they end there (or in the middle of a long line)."""
        carry, first = self.head(), True
        while True:
            chunk = b"" if first and not carry else self._read(CHUNK)
            first = False
            carry += chunk
            if not chunk:
                break
            cut = carry.rfind(b"\n")
            if cut < 0:
                cut = carry.rfind(b"\r", 0, len(carry) - 1)  # the last byte may be half of a CRLF
            if cut >= 0:
                yield carry[: cut + 1], True
                carry = carry[cut + 1 :]
            elif len(carry) >= LONG_LINE:
                cut = _soft_cut(carry)
                yield carry[:cut], False
                carry = carry[cut:]
        if carry:
            yield carry, True

    def _read(self, most: int) -> bytes:
        try:
            if self.packed:
                data = self._stream.read(most)
                self.position = self._handle.tell()
            else:
                data = self._stream.read(min(most, self.size - self.position))
                self.position += len(data)
        except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
            raise DataError(
                "This gzip file is damaged or cut off.", fix="Pack it again, or unpack what is left.", file=self.name
            ) from problem
        except OSError as problem:
            raise _unreadable(self.name, problem) from problem
        self.text_bytes += len(data)
        if self.packed and self.text_bytes > BOMB_BYTES and self.text_bytes > BOMB_RATIO * max(self.position, 1):
            raise DataError(
                f"This gzip file unpacks to more than {BOMB_RATIO} times its size: no text does that.",
                fix="Look at what is in it; if it is meant, unpack it yourself and use the result.",
                file=self.name,
            )
        return data

    def _decode(self, data: bytes, line: int, continued: bool) -> tuple[str, bytes]:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as problem:
            before = data[: problem.start]
            line += before.count(b"\n") + before.replace(b"\r\n", b"").count(b"\r")
            looks = encoding_of(data[max(0, problem.start - 65536) : problem.start + 65536])
            raise NotUtf8Error(
                f"This is not UTF-8 text (byte 0x{data[problem.start]:02x}); it looks like {looks.label}.",
                fix=looks.fix(self.name),
                file=self.name,
                line=line,
            ) from problem
        if "\r" in text:
            pairs = text.count("\r\n")
            self.crlf += pairs
            self.cr += text.count("\r") - pairs
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            data = text.encode()
        if text.endswith("\n"):
            text, data = text[:-1], data[:-1]
        if "\ufeff" in text:
            pattern = _BOM_AFTER_NEWLINE if continued else _BOM_AT_LINE_START
            text, removed = pattern.subn("", text)
            self.boms += removed
            data = text.encode()
        return text, data

    def _check_unchanged(self) -> None:
        if not self.packed and self.position < self.size:
            raise DataError(
                f"The file shrank while it was read: {self.size:,} bytes at first, {self.position:,} now.",
                fix="Wait until nothing writes to it, then try again.",
                file=self.name,
            )
        if self._mtime_ns is None:
            return
        now = os.fstat(self._handle.fileno())
        self.changed = now.st_size != self.size or now.st_mtime_ns != self._mtime_ns


def open_text(path: Path | str) -> TextSource:
    """Open a text file for streaming; gzip is unpacked on the way.

    Raises:
        DataError: it is missing, a folder, a pipe or device, a loop of links, unreadable, empty, or not text.
    """
    handle, size, mtime_ns = open_regular(path)
    name = str(path)
    try:
        packed = handle.read(2) == b"\x1f\x8b"
        handle.seek(0)
        source = TextSource(Path(path), name, handle, size, mtime_ns, packed)
        kind = binary_kind(source.head())
        if kind:
            raise DataError(f"This is not text but {kind.label}.", fix=kind.fix, file=name)
        wide = wide_codec(source.head())
        if wide:
            looks = encoding_of(source.head())
            raise NotUtf8Error(
                f"This is not UTF-8 text; it looks like {looks.label}.", fix=looks.fix(name), file=name, line=1
            )
        if not source.head().removeprefix(b"\xef\xbb\xbf").strip() and len(source.head()) < HEAD:
            raise DataError("The file is empty.", fix="Put text into it, or leave it out.", file=name)
    except BaseException:
        handle.close()
        raise
    return source


def text_source(text: str, name: str = "") -> TextSource:
    """A source that reads from memory."""
    data = text.encode("utf-8", "replace")
    return TextSource(Path(name), name, io.BytesIO(data), len(data), None, packed=False)


def open_table(path: Path | str) -> TextSource:
    """Open a file that its reader takes apart itself; it is checked to be a regular, readable file and no more."""
    handle, size, mtime_ns = open_regular(path)
    return TextSource(Path(path), str(path), handle, size, mtime_ns, packed=False)


def open_regular(path: Path | str) -> tuple[IO[bytes], int, int]:
    """A regular file opened for reading, its size in bytes and its time of change in nanoseconds.

    Raises:
        DataError: it is missing, a folder, a pipe or device, a loop of links, or unreadable.
    """
    name = str(path)
    if "\0" in name:
        raise DataError(f"A file name cannot hold a NUL character: {one_line(name)}")
    try:
        # O_NONBLOCK: opening a pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        raise _unreadable(name, problem) from problem
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise DataError("This is a folder.", fix=f"Name its files: {one_line(name.rstrip('/'))}/*.txt", file=name)
        raise DataError(
            "This is a pipe or a device, not a file.", fix="Save its text to a file first: it is read twice.", file=name
        )
    return os.fdopen(descriptor, "rb"), status.st_size, status.st_mtime_ns


def _soft_cut(data: bytes) -> int:
    """Where to cut a long line: after a space near the end if there is one, never inside a character."""
    space = data.rfind(b" ", len(data) - 65536)
    if space > 0:
        return space + 1
    cut = len(data)
    while cut > len(data) - 4 and data[cut - 1] & 0xC0 == 0x80:
        cut -= 1
    return cut - 1 if data[cut - 1] >= 0xC0 else len(data)


def _unreadable(name: str, problem: OSError) -> DataError:
    if problem.errno == errno.ENOENT:
        return DataError(
            "There is no such file.", fix="Check the path; relative paths start at the project.", file=name
        )
    if problem.errno == errno.ELOOP:
        return DataError("These symbolic links lead in a circle.", fix="Point the link at a real file.", file=name)
    if problem.errno in (errno.EACCES, errno.EPERM):
        return DataError("You may not read this file.", fix="Change its permissions: chmod u+r", file=name)
    if problem.errno == errno.ENAMETOOLONG:
        return DataError("This file name is longer than the system allows.", fix="Check the path.", file=one_line(name))
    if problem.errno == errno.ENOTDIR:
        return DataError("Part of this path is a file, not a folder.", fix="Check the path.", file=name)
    reason = problem.strerror or type(problem).__name__
    return DataError(f"The file cannot be read: {reason}.", fix="Check the disk and the path.", file=name)
