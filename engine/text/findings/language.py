"""Which languages a corpus is in: by its script, and by the commonest small words of Latin ones."""

from __future__ import annotations

import re
from collections import Counter

from engine.text.findings.batch import Batch
from engine.text.findings.check import Check
from engine.text.findings.finding import Ledger

STRIDE = 8
"""One document of so many is looked at."""

CLOSELY = 2_000
"""Documents from which on only every SPARSE-th is."""

SPARSE = 128

SAMPLE = 400
"""Characters of a turn that are looked at."""

LEAST_SHARE = 0.05
"""A language with less than this share is a few quotations."""

_SCRIPTS = {
    "Chinese or Japanese": re.compile("[\u3041-\u30ff\u4e00-\u9fff]"),
    "Korean": re.compile("[\uac00-\ud7a3]"),
    "Cyrillic": re.compile("[\u0400-\u04ff]"),
    "Greek": re.compile("[\u0370-\u03ff]"),
    "Arabic": re.compile("[\u0600-\u06ff]"),
    "Hebrew": re.compile("[\u0590-\u05ff]"),
    "Devanagari": re.compile("[\u0900-\u097f]"),
    "Thai": re.compile("[\u0e00-\u0e7f]"),
}

_SMALL_WORDS = {
    "English": "the and of to is that it was you with for are this have not be what how can your",
    "German": "der die und das ist nicht ich ein eine zu mit den auf sich auch wie für dass sie wir",
    "French": "le les et des est une dans que pour qui pas sur vous avec nous cette ce sont il elle",
    "Spanish": "el los las que una es por con para como pero más está muy todo esto hay del ser sus",
    "Portuguese": "não uma os para com que mais como mas foi ele das tem seu sua você isso em são dos",
    "Italian": "il che di è non per una sono con della come anche più ma gli nel questo alla lo ho",
    "Dutch": "het een van en niet dat is op te zijn met voor aan er ook maar wat naar bij je",
    "Polish": "nie się jest na że to jak do ale czy tak po są dla od przez było może być tym",
    "Swedish": "och att det är som inte på för jag med har till den av ett om men var kan hur",
    "Turkish": "bir ve bu için çok ne da de daha ile gibi var ben değil kadar mi olarak sonra",
}
_LANGUAGE_OF: dict[str, list[str]] = {}
for _name, _words in _SMALL_WORDS.items():
    for _word in _words.split():
        _LANGUAGE_OF.setdefault(_word, []).append(_name)


def language_of(text: str) -> str:
    """The language of a text, or an empty string when it is too short or unknown."""
    sample = text[:SAMPLE]
    if not sample.isascii():
        letters = sum(char.isalpha() for char in sample)
        for name, script in _SCRIPTS.items():
            if len(script.findall(sample)) > 0.3 * max(letters, 1):
                return name
    votes: Counter[str] = Counter()
    words = re.findall(r"[^\W\d_]+", sample.lower())
    for word in words:
        for name in _LANGUAGE_OF.get(word, ()):
            votes[name] += 1
    (best, most), (_, second) = [*votes.most_common(2), ("", 0), ("", 0)][:2]
    return best if most >= 3 and most >= 1.3 * second and most >= 0.08 * len(words) else ""


class Languages(Check):
    """Samples documents and tells when the corpus is in several languages."""

    def __init__(self) -> None:
        self._count = 0
        self._found: Counter[str] = Counter()
        self._first: dict[str, tuple[int, str]] = {}

    def batch(self, batch: Batch, ledger: Ledger) -> None:
        """A sample of the documents."""
        stride = STRIDE if self._count < CLOSELY else SPARSE
        for document in batch.documents[::stride]:
            said = [turn.text[:SAMPLE] for turn in document.turns[:4] if turn.role in ("user", "assistant", "text")]
            text = " ".join(said)
            name = language_of(text)
            if name:
                self._found[name] += stride
                self._first.setdefault(name, (document.first_line, f"{name}: {text[:120]}"))
        self._count += len(batch.documents)

    def finish(self, ledger: Ledger) -> None:
        """The languages with a share that matters."""
        total = sum(self._found.values())
        shares = [(name, count / total) for name, count in self._found.most_common() if count >= LEAST_SHARE * total]
        if total >= 20 * STRIDE and len(shares) > 1:
            detail = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares)
            ledger.add("language_mix", 0, self._first[shares[1][0]][1], detail=detail, everywhere=True)
