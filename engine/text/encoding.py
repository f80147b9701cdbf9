"""What bytes are when they are not UTF-8 text: another encoding, or no text at all."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.text.sanitize import one_line

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "a Parquet table"),
    (b"PK\x03\x04", "a ZIP archive (or an office document)"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x7fELF", "a program"),
    (b"GGUF", "a GGUF model"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"SQLite format 3", "a SQLite database"),
    (b"ARROW1", "an Arrow table"),
    (b"RIFF", "a sound or video file"),
    (b"OggS", "a sound file"),
    (b"ID3", "a sound file"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
)
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")

_SINGLE_BYTE = ("cp1252", "mac_roman", "cp437", "cp1250", "cp1251", "koi8_r")
_MULTI_BYTE = ("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr")
_LABELS = {
    "cp1252": "Windows-1252 (Western European)",
    "mac_roman": "Mac Roman",
    "cp437": "DOS code page 437",
    "cp1250": "Windows-1250 (Central European)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "koi8_r": "KOI8-R (Cyrillic)",
    "shift_jis": "Shift JIS (Japanese)",
    "euc_jp": "EUC-JP (Japanese)",
    "gb18030": "GB 18030 (Chinese)",
    "big5": "Big5 (Chinese)",
    "euc_kr": "EUC-KR (Korean)",
    "utf-16-le": "UTF-16 (little endian)",
    "utf-16-be": "UTF-16 (big endian)",
    "utf-32-le": "UTF-32",
    "utf-32-be": "UTF-32",
    "utf-8": "UTF-8 with a few damaged bytes",
}
_COMMON = frozenset("äöüßéèêëàâçñáíóúøåæœÄÖÜÉÈÀÇÑØÅÆîïôûìòùãõ’‘“”„–—…«»°€£§·•´©®±½")
_CENTRAL = frozenset("ąćęłńóśźżĄĆĘŁŃÓŚŹŻčďěňřšťůžČĎĚŇŘŠŤŮŽőűŐŰ")


@dataclass(frozen=True, slots=True)
class Looks:
    """What bytes seem to be."""

    codec: str
    """Python's name of the encoding, or an empty string when they are not text."""
    label: str
    """The same for people."""

    def fix(self, name: str) -> str:
        """What to do about the file `name`."""
        if not self.codec:
            return "Convert it to plain UTF-8 text first."
        return f"Repair a copy: forge-tui check {one_line(name)} --fix DIR"


@dataclass(frozen=True, slots=True)
class BinaryKind:
    """A kind of file that holds no text."""

    label: str
    """What it is, with an article."""
    fix: str
    """What to do."""


def binary_kind(head: bytes) -> BinaryKind | None:
    """What a file with these first bytes is when it is not text; None when it may be text (in any encoding)."""
    for magic, label in _MAGIC:
        if head.startswith(magic):
            if "archive" in label:
                return BinaryKind(label, "Unpack it first (gzip is read as it is).")
            if magic == b"PAR1":
                return BinaryKind(label, 'Set its format to "parquet" and install forge-tui[parquet].')
            return BinaryKind(label, "Extract its text into a UTF-8 file first.")
    sample = head[:65536]
    if not sample or wide_codec(sample):
        return None
    odd = sample.count(b"\0") + len(_CONTROL.findall(sample))
    if odd > len(sample) * 0.05:
        share = 100 * odd / len(sample)
        return BinaryKind(f"binary data ({share:.0f} % of its first bytes are control characters)", "Use a text file.")
    return None


def encoding_of(data: bytes) -> Looks:
    """The encoding that bytes which are not UTF-8 most likely have."""
    wide = wide_codec(data)
    if wide:
        return Looks(wide, _LABELS[wide])
    high = sum(byte >= 0x80 for byte in data)
    if not high:
        return Looks("cp1252", _LABELS["cp1252"])
    # decode(errors="replace") turns each bad byte into one U+FFFD: few of them among much good UTF-8 is damage.
    lenient = data.decode("utf-8", "replace")
    damaged = lenient.count("\ufffd")
    good = sum(character > "\x7f" for character in lenient) - damaged
    if good > 4 * damaged:
        return Looks("utf-8", _LABELS["utf-8"])
    best, best_score = "cp1252", -1.0
    for codec in _MULTI_BYTE + _SINGLE_BYTE:
        score = _plausibility(data, codec)
        if score > best_score:
            best, best_score = codec, score
    return Looks(best, _LABELS[best])


def wide_codec(data: bytes) -> str:
    """UTF-16 or UTF-32 by its byte order mark or by the zero bytes of Latin text; empty for anything else."""
    for mark, codec in (
        (b"\xff\xfe\0\0", "utf-32-le"),
        (b"\0\0\xfe\xff", "utf-32-be"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ):
        if data.startswith(mark):
            return codec
    sample = data[:4096]
    pairs = len(sample) // 2
    if pairs < 4:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.6 * pairs and even < 0.05 * pairs:
        return "utf-16-le"
    if even > 0.6 * pairs and odd < 0.05 * pairs:
        return "utf-16-be"
    return ""


def _plausibility(data: bytes, codec: str) -> float:
    """How much like ordinary writing `data` is when read as `codec`: higher is likelier, -1 impossible."""
    try:
        text = data.decode(codec, "strict" if codec not in _MULTI_BYTE else "replace")
    except UnicodeDecodeError:
        return -1.0
    foreign = [character for character in text if character > "\x7f"]
    if not foreign:
        return -1.0
    if codec in _MULTI_BYTE:
        bad = sum(character == "\ufffd" or "\ue000" <= character <= "\uf8ff" for character in foreign)
        if bad > 0.05 * len(foreign):
            return -1.0
        return _east_asian_score(foreign, codec)
    if codec in ("cp1251", "koi8_r"):
        lower = sum("а" <= character <= "я" or character == "ё" for character in foreign)
        # A Cyrillic text is mostly Cyrillic letters: a few accents among Latin words are not.
        return lower / len(foreign) if len(foreign) > 0.2 * len(text) else 0.1 * lower / len(foreign)
    common = _COMMON | _CENTRAL if codec == "cp1250" else _COMMON
    score = sum(character in common for character in foreign) / len(foreign)
    if codec == "cp1250":
        score -= 0.02 if any(character in _CENTRAL for character in foreign) else 0.2
    return score


def _east_asian_score(foreign: list[str], codec: str) -> float:
    kana = sum("\u3041" <= character <= "\u30ff" for character in foreign)
    hangul = sum("\uac00" <= character <= "\ud7a3" for character in foreign)
    han = sum("\u4e00" <= character <= "\u9fff" for character in foreign)
    half = sum("\uff61" <= character <= "\uff9f" for character in foreign)
    total = len(foreign)
    if codec in ("shift_jis", "euc_jp"):
        return (2 * kana + han - half) / (2 * total) + (0.3 if kana > 0.1 * total else -0.6)
    if codec == "euc_kr":
        return hangul / total - 0.05
    return 0.9 * han / total - 0.1 * (codec == "gb18030") if total > 4 else -1.0
