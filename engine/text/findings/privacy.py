"""Personal data and keys. What is found is shown masked: the report must not become another copy of it."""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from itertools import accumulate

from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger
from engine.text.source import Block

_EMAIL = re.compile(r"[A-Za-z0-9._%+\-]{1,64}@(?:[A-Za-z0-9\-]{1,63}\.){1,6}[A-Za-z]{2,24}\b")
_NUMBER = re.compile(r"\+?\(?\d(?:[ .\-/()]{0,2}\d){6,30}")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_IPV6 = re.compile(
    r"(?<![:\w.])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){1,7}(?![:\w.])|(?<![:\w])(?:[0-9A-Fa-f]{1,4}:){1,6}:(?:[0-9A-Fa-f]{1,4})(?![:\w])"
)
_IPV4 = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")
_DATE = re.compile(r"\(?(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})\b")

SECRETS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("-----BEGIN", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")),
    ("AKIA", re.compile(r"\bAKIA[0-9A-Z]{16}\b")),
    ("ghp_", re.compile(r"\bghp_[A-Za-z0-9]{36,}\b")),
    ("github_pat_", re.compile(r"\bgithub_pat_[A-Za-z0-9_]{22,}")),
    ("glpat-", re.compile(r"\bglpat-[A-Za-z0-9_\-]{20,}")),
    ("hf_", re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")),
    ("sk-", re.compile(r"\bsk-[A-Za-z0-9_\-]{20,}")),
    ("xox", re.compile(r"\bxox[abprs]-[A-Za-z0-9\-]{10,}")),
    ("AIza", re.compile(r"\bAIza[A-Za-z0-9_\-]{35}\b")),
    ("eyJ", re.compile(r"\beyJ[A-Za-z0-9_\-]{10,}\.eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}")),
    (
        "assw",
        re.compile(r"(?i)\bpass(?:word|wd)?[ \t]*[=:][ \t]*[\"']?(?=[^\s\"']*\d)(?=[^\s\"']*[a-z])[^\s\"'<>{}$()]{8,}"),
    ),
)
"""A literal that must be there, and the pattern that then decides."""

_EXAMPLE_DOMAINS = re.compile(
    r"(?:^|\.)(?:example(?:\.\w+)?|test|invalid|localhost|local|domain\.com|email\.com)$", re.IGNORECASE
)
IBAN_LENGTHS = range(15, 35)
_CARD_STARTS = re.compile(r"4|5[1-5]|2[2-7]|3[47]|30|36|38|6011|65|62|35")


class Privacy(Check):
    """Looks for e-mail addresses, telephone, card and account numbers, public IP addresses and keys."""

    def block(self, block: Block, ledger: Ledger) -> None:
        """Search the whole block; the line of a hit is computed only when there is one."""
        text = block.text
        hits: list[tuple[int, str, str]] = []
        if "@" in text:
            hits.extend(
                (match.start(), "email", mask_email(match[0])) for match in _EMAIL.finditer(text) if _real(match)
            )
        for match in _NUMBER.finditer(text):
            code = _number_kind(match)
            if code:
                hits.append((match.start(), code, mask(match[0])))
        for match in _IBAN.finditer(text):
            if is_iban(match[0]):
                hits.append((match.start(), "iban", mask(match[0])))
        if "::" in text or ":0:" in text:
            hits.extend((m.start(), "ip_address", mask(m[0])) for m in _IPV6.finditer(text) if _public(m[0]))
        for literal, pattern in SECRETS:
            if literal in text:
                hits.extend((match.start(), "secret", mask(match[0])) for match in pattern.finditer(text))
        if hits:
            _note(hits, block, ledger)


def _note(hits: list[tuple[int, str, str]], block: Block, ledger: Ledger) -> None:
    starts = list(accumulate((len(line) + 1 for line in block.lines), initial=0))
    for offset, code, shown in sorted(hits):
        ledger.add(code, block.first_line + bisect_right(starts, offset) - 1, shown)


def mask(text: str) -> str:
    """`text` with everything but its first and last two characters hidden, in its own shape."""
    if len(text) <= 4:
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


def _real(match: re.Match[str]) -> bool:
    domain = match[0].rpartition("@")[2]
    return not _EXAMPLE_DOMAINS.search(domain) and not domain.lower().endswith((".png", ".jpg", ".gif"))


def _number_kind(match: re.Match[str]) -> str:
    """The code of a run of digits, or an empty string when it is an ordinary number."""
    text = match[0]
    before = match.string[max(match.start() - 1, 0) : match.start()]
    after = match.string[match.end() : match.end() + 1]
    if before.isalnum() or (before in "._-/#$€£@=" and before) or after.isalpha() or (after in "_%€$£" and after):
        return ""
    digits = re.sub(r"\D", "", text)
    if _IPV4.fullmatch(text):
        return "ip_address" if _public(text) else ""
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
        return True
    if len(groups) < 3 or ("." in text and "-" not in text):
        return False
    if any(len(group) > 5 for group in groups[:-1]) or (len({len(group) for group in groups}) == 1 and len(groups) > 3):
        return False
    if text.startswith("(") or (groups[0].startswith("0") and 2 <= len(groups[0]) <= 6):
        return True
    return [len(group) for group in groups[-3:]] == [3, 3, 4] and "/" not in text


def _public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False
