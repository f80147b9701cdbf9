"""Personal data and keys. What is found is shown masked: the report must not become another copy of it.

Looking for digits in every line costs more than reading it, so numpy first marks the few places that can hold a number,
and the patterns see only those.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger
from engine.text.source import Block

_AT = re.compile(rb"@(?:[A-Za-z0-9\-]{1,63}\.){1,6}[A-Za-z]{2,24}(?![A-Za-z0-9])")
_LOCAL = re.compile(rb"[A-Za-z0-9._%+\-]{1,64}\Z")
_NUMBER = re.compile(rb"\+?\(?[0-9](?:[ .\-/()]{0,3}[0-9]){6,30}")
_IBAN = re.compile(rb"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![A-Za-z0-9])")
_IPV4 = re.compile(rb"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w]|\.[0-9])")
_IPV6 = re.compile(rb"(?<![:\w.])[0-9A-Fa-f:]{3,39}(?![:\w]|\.\w)")
_DATE = re.compile(r"\(?(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})\b")

SECRETS: tuple[tuple[bytes, re.Pattern[bytes]], ...] = (
    (b"-----BEGIN", re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")),
    (b"AKIA", re.compile(rb"AKIA[0-9A-Z]{16}\b")),
    (b"ghp_", re.compile(rb"ghp_[A-Za-z0-9]{36,}\b")),
    (b"github_pat_", re.compile(rb"github_pat_[A-Za-z0-9_]{22,}")),
    (b"glpat-", re.compile(rb"glpat-[A-Za-z0-9_\-]{20,}")),
    (b"hf_", re.compile(rb"hf_[A-Za-z0-9]{30,}\b")),
    (b"sk-", re.compile(rb"sk-[A-Za-z0-9_\-]{20,}")),
    (b"xox", re.compile(rb"xox[abprs]-[A-Za-z0-9\-]{10,}")),
    (b"AIza", re.compile(rb"AIza[A-Za-z0-9_\-]{35}\b")),
    (b"eyJ", re.compile(rb"eyJ[A-Za-z0-9_\-]{10,}\.eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}")),
    *(
        (word, re.compile(word + rest + rb"[ \t]*[=:][ \t]*[\"']?(?=[^\s\"']{0,64}[0-9])[^\s\"'<>{}$(),;]{8,64}"))
        for word, rest in ((b"passw", rb"(?:or)?d"), (b"Passw", rb"(?:or)?d"), (b"PASSW", rb"(?:OR)?D"))
    ),
)
"""What a secret starts with, and the pattern that then decides."""

_EXAMPLE_DOMAINS = re.compile(
    r"(?:^|\.)(?:example(?:\.\w+)?|test|invalid|localhost|local|(?:your)?(?:domain|email)\.com)$", re.IGNORECASE
)
_CARD_STARTS = re.compile(r"4|5[1-5]|2[2-7]|3[47]|30|36|38|6011|65|62|35")
IBAN_LENGTHS = range(15, 35)

_WITH_BLANKS = (b"-----BEGIN", b"passw", b"Passw", b"PASSW")
_SHORTEST_KEY = 15
"""Bytes without a blank that any other secret has at least."""
_WINDOW = 20
"""Bytes in which the first eight digits of a telephone or card number lie."""

Hit = tuple[int, str, str]
"""Offset in the block, code, masked text."""


class Privacy(Check):
    """Looks for e-mail addresses, telephone, card and account numbers, public IP addresses and keys."""

    def block(self, block: Block, ledger: Ledger) -> None:
        """Search the whole block; the line of a hit is computed only when there is one."""
        hits = [*_emails(block.data), *_secrets(block.data), *_numbers(block.data)]
        if not hits:
            return
        newlines = np.flatnonzero(np.frombuffer(block.data, np.uint8) == 10)
        for offset, code, shown in sorted(hits):
            ledger.add(code, block.first_line + int(np.searchsorted(newlines, offset)), shown)


def _emails(data: bytes) -> Iterator[Hit]:
    if b"@" not in data:
        return
    for match in _AT.finditer(data):
        local = _LOCAL.search(data, max(match.start() - 64, 0), match.start())
        domain = match[0][1:].decode("ascii")
        if local is None or _EXAMPLE_DOMAINS.search(domain) or domain.lower().endswith((".png", ".jpg", ".gif")):
            continue
        yield local.start(), "email", mask_email(local[0].decode("ascii") + match[0].decode("ascii"))


def _secrets(data: bytes) -> Iterator[Hit]:
    words = _long_words(data)
    for start, pattern in SECRETS:
        if start not in (words if start not in _WITH_BLANKS else data):
            continue
        place = data.find(start)
        while place >= 0:
            match = pattern.match(data, place)
            if match and not data[max(place - 1, 0) : place].isalnum():
                yield place, "secret", mask(match[0].decode("utf-8", "replace"))
            place = data.find(start, place + len(start))


def _long_words(data: bytes) -> bytes:
    """What a secret without blanks can be in."""
    blanks = np.flatnonzero(np.frombuffer(data, np.uint8) <= 32)
    if not len(blanks):
        return data
    long = np.flatnonzero(np.diff(blanks) > _SHORTEST_KEY)
    spans = zip(blanks[long].tolist(), blanks[long + 1].tolist(), strict=True)
    return b" ".join([data[: blanks[0]], *(data[start + 1 : end] for start, end in spans), data[blanks[-1] + 1 :]])


def _numbers(data: bytes) -> Iterator[Hit]:
    raw = np.frombuffer(data, np.uint8)
    places = np.flatnonzero((raw - np.uint8(ord("0"))) < 10)
    for start, end in _digit_spans(places):
        for match in _NUMBER.finditer(data, start, end):
            code = _number_kind(data, match)
            if code:
                yield match.start(), code, mask(match[0].decode("ascii"))
    pairs = places[:-1][np.diff(places) == 1]
    pairs = pairs[pairs >= 2]
    for start in (pairs[_is_capital(raw[pairs - 1]) & _is_capital(raw[pairs - 2])] - 2).tolist():
        found = _IBAN.match(data, start)
        if found and not data[max(start - 1, 0) : start].isalnum() and is_iban(found[0].decode("ascii")):
            yield start, "iban", mask(found[0].decode("ascii"))
    yield from _addresses(data, raw, places)


def _is_capital(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return (raw - np.uint8(ord("A"))) < 26


def _digit_spans(places: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Stretches of bytes in which eight of the digits at `places` lie close together: only there a number can be."""
    close = places[:-7][places[7:] - places[:-7] < _WINDOW]
    if not len(close):
        return
    breaks = np.flatnonzero(np.diff(close) > _WINDOW)
    firsts = close[np.concatenate([[0], breaks + 1])]
    lasts = close[np.concatenate([breaks, [len(close) - 1]])]
    end_before = 0
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        start = max(first - _WINDOW, end_before)
        end_before = last + _WINDOW + 40
        yield start, end_before


def _addresses(data: bytes, raw: npt.NDArray[np.uint8], places: npt.NDArray[np.int64]) -> Iterator[Hit]:
    """Public IP addresses: three dots between digits close together, or two colons side by side."""
    gaps = np.flatnonzero(np.diff(places) == 2)
    dots = places[gaps] + 1
    dots = dots[raw[dots] == ord(".")]
    end = 0
    for place in np.flatnonzero(dots[2:] - dots[:-2] <= 8).tolist():
        first = int(dots[place])
        if first < end:
            continue
        match = _IPV4.search(data, max(first - 3, 0), first + 13)
        if match and _public(match[0]):
            end = match.end()
            yield match.start(), "ip_address", mask(match[0].decode("ascii"))
    for start, end in _colon_spans(raw):
        for match in _IPV6.finditer(data, start, end):
            if (b"::" in match[0] or match[0].count(b":") == 7) and _public(match[0]):
                yield match.start(), "ip_address", mask(match[0].decode("ascii"))


def _colon_spans(raw: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Stretches of bytes around two colons side by side, or seven close together."""
    colons = np.flatnonzero(raw == ord(":"))
    crowded = np.concatenate([colons[:-1][np.diff(colons) == 1], colons[:-6][colons[6:] - colons[:-6] <= 30]])
    if not len(crowded):
        return
    crowded.sort()
    breaks = np.flatnonzero(np.diff(crowded) > 80)
    firsts = crowded[np.concatenate([[0], breaks + 1])]
    lasts = crowded[np.concatenate([breaks, [len(crowded) - 1]])]
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        yield max(first - 40, 0), last + 41


def mask(text: str) -> str:
    """`text` with everything but its first and last two characters hidden, in its own shape."""
    if len(text) <= 6:
        return "•" * len(text)
    hidden = re.sub(r"[^\s.\-/()]", "•", text[2:-2])
    return f"{text[:2]}{hidden[:24]}{text[-2:]}"


def mask_email(address: str) -> str:
    """An address with its first letters and the top domain left: `j•••@e•••.org`."""
    name, _, domain = address.rpartition("@")
    host, _, top = domain.rpartition(".")
    return f"{name[:1]}•••@{host[:1]}•••.{top}"


def luhn(digits: str) -> bool:
    """Whether a number passes the check digit of payment cards (ISO/IEC 7812-1)."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_iban(text: str) -> bool:
    """Whether an account number passes its check (ISO 13616: the rearranged number modulo 97 is 1)."""
    compact = text.replace(" ", "").upper()
    if len(compact) not in IBAN_LENGTHS or not compact.isalnum() or not compact.isascii():
        return False
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


def _number_kind(data: bytes, match: re.Match[bytes]) -> str:
    """The code of a run of digits, or an empty string when it is an ordinary number."""
    before, after = data[max(match.start() - 1, 0) : match.start()], data[match.end() : match.end() + 1]
    if before.isalnum() or (before and before in b"._-/#$@=\xa3\xac") or after.isalpha() or (after and after in b"_%$"):
        return ""
    text = match[0].decode("ascii")
    digits = re.sub(r"\D", "", text)
    if 13 <= len(digits) <= 19 and _CARD_STARTS.match(digits) and luhn(digits) and len(set(digits)) > 3:
        return "card"
    return "phone" if _is_phone(text, digits) else ""


def _is_phone(text: str, digits: str) -> bool:
    """A telephone number has a country or area code set apart, and the length of one (ITU-T E.164: at most 15)."""
    if not 8 <= len(digits) <= 15 or len(set(digits)) < 3 or _DATE.match(text):
        return False
    if "55501" in digits or digits.startswith(("123456", "012345")):
        return False  # numbers set aside for fiction, and counting
    groups = [group for group in re.split(r"\D+", text) if group]
    if text.startswith("+"):
        return digits[0] != "0"
    if len(groups) < 3 or ("." in text and "-" not in text):
        return False
    if any(len(group) > 5 for group in groups[:-1]) or (len({len(group) for group in groups}) == 1 and len(groups) > 3):
        return False
    if text.startswith("(") or (groups[0].startswith("0") and 2 <= len(groups[0]) <= 6):
        return True
    return [len(group) for group in groups[-3:]] == [3, 3, 4] and "/" not in text


def _public(text: bytes) -> bool:
    try:
        return ipaddress.ip_address(text.decode("ascii")).is_global
    except ValueError:
        return False
