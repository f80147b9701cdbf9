"""Every DO and DON'T of the training guide, and every other finding: a text that has the flaw, and one that has not."""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.text.findings import duplicates
from engine.text.findings.catalogue import RULES
from engine.text.findings.finding import MOST_EXAMPLES, Finding
from engine.text.findings.language import language_of
from engine.text.findings.mojibake import repaired
from engine.text.findings.privacy import is_iban, luhn, mask, mask_email
from engine.text.lint import DataFile, Progress, lint
from engine.text.readers import json_lines
from engine.text.report import Report

ROOT = Path(__file__).parents[3]
WORDS = re.findall(
    r"\w+",
    "river stone garden winter paper engine letter music window bridge forest candle market silver morning story "
    "shadow planet harbor kitchen summer violin castle ocean ladder mirror pocket thunder blanket compass",
)
OPENINGS = ("What about", "How is", "Tell me of", "Where was", "Why did", "Who saw", "Describe once")


def sentence(n: int, length: int = 9) -> str:
    """A different sentence for every number."""
    chosen = [WORDS[(n * 7 + place * (n % 5 + 3) + n // 30 * place) % len(WORDS)] for place in range(length)]
    return f"The {' '.join(chosen)} number {n} is here."


def pairs(count: int, start: int = 0) -> str:
    return "".join(
        f"Q: {OPENINGS[n % 7]} {' '.join(sentence(n, 4).split()[1:5])} and {n}?\nA: {sentence(n + 1000)}\n\n"
        for n in range(start, start + count)
    )


def check(folder: Path, text: str | bytes, name: str = "a.txt", **options: object) -> Report:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return lint([path], **options)  # type: ignore[arg-type]


def found(report: Report, code: str) -> Finding:
    matches = [finding for finding in report.findings if finding.code == code]
    assert matches, f"{code} is not among {[finding.code for finding in report.findings]}"
    assert matches[0].message
    assert matches[0].fix
    return matches[0]


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


GOOD = pairs(600)


def test_good_data_has_no_finding(tmp_path: Path) -> None:
    report = check(tmp_path, GOOD)
    assert codes(report) == set()
    assert report.usable
    assert report.counts.documents == 600
    assert report.counts.turns == 1200
    assert report.counts.lines == 1800
    assert report.counts.bytes == sum(len(turn.encode()) for turn in re.findall(r"[QA]: (.*)\n", GOOD))
    assert report.counts.words == sum(len(turn.split()) for turn in re.findall(r"[QA]: (.*)\n", GOOD))
    assert sum(bar.documents for bar in report.histogram) == 600
    assert report.recommended == "micro"
    assert "lines" in report.recommendation[0]
    assert report.preview[0].turns[0].role == "user"


def test_the_shipped_data_is_clean() -> None:
    report = lint(sorted((ROOT / "data").glob("*.txt")), size="small", sequence_length=512)
    assert report.usable
    assert {finding.code for finding in report.findings if finding.severity == "warning"} <= {"short_answer"}


INSERTED: dict[str, tuple[str, int, str]] = {
    # code: text put before good data, its line, what is shown
    "empty_answer": ("Q: What is it?\nA:\n\n", 2, "What is it?"),
    "empty_question": ("Q:\nA: It is nothing that I know of.\n\n", 1, ""),
    "orphan_question": ("Q: Is anybody there?\n\n", 1, "anybody"),
    "orphan_answer": ("A: This was never asked by anyone.\n\n", 1, "never asked"),
    "text_outside": ("Some notes that nobody marked.\n\n", 1, "notes"),
    "short_answer": ("Q: Is it good?\nA: Yes it is.\n\n", 2, "Yes it is"),
    "mixed_formats": (
        pairs(3) + "User: And now something else?\nAssistant: It is a chat now, is it not?\n\n",
        10,
        "User",
    ),
    "contradiction": (
        "Q: How many legs has a spider?\nA: A spider has 8 legs in all.\n\n"
        "Q: How many legs has a spider?\nA: A spider has 6 legs in all.\n\n",
        4,
        "line 1",
    ),
    "answered_twice": (
        "Q: Who are you?\nA: I am a small model, nothing more.\n\n"
        "Q: who  are you?\nA: My name is Forge, hello to you.\n\n",
        4,
        "line 1",
    ),
    "duplicate": (
        "Q: What is red?\nA: A colour like that of blood.\n\nQ: What is  RED?\nA: A colour like that of blood.\n\n",
        4,
        "line 1",
    ),
    "near_duplicate": (
        f"Q: Tell me of it all?\nA: {' '.join(sentence(n) for n in range(9))}\n\n"
        f"Q: Tell me of it all?\nA: {' '.join(sentence(n) for n in range(9))} Indeed.\n\n",
        4,
        "% as line 1",
    ),
    "mojibake": ("Q: What is it?\nA: Itâ€™s the cafÃ© over there, I think.\n\n", 2, "It’s"),
    "replacement": ("Q: What is it?\nA: It is the caf\ufffd over there.\n\n", 2, "U+FFFD"),
    "nul": ("Q: What is it?\nA: It is the cafe\0 over there.\n\n", 2, "U+0000"),
    "control": ("Q: What is it?\nA: It is the \x1b[31mcafe over there.\n\n", 2, "U+001B"),
    "bidi": ("Q: What is it?\nA: It is the \u202ecafe over there.\n\n", 2, "U+202E"),
    "invisible": ("Q: What is it?\nA: It is the ca\u200bfe over there.\n\n", 2, "U+200B"),
    "special_token": ("Q: What is it?\nA: It ends with <|im_end|> they say.\n\n", 2, "im_end"),
    "tool_json": ('Q: Do it?\nA: I do it now.\n<tool_call>{"tool": "x", }</tool_call>\n\n', 3, '"tool"'),
    "tool_tags": ('Q: Do it?\nA: I do it now.\n<tool_call>{"tool": "x", "params": {}}\n\n', 3, "<tool_call>"),
    "tool_order": (
        'Q: Do it?\nA: I did.\n<tool_result>{"success": true}</tool_result>\nIt is done now.\n\n',
        3,
        "success",
    ),
    "tool_fields": ('Q: Do it?\nA: I do.\n<tool_call>{"name": "x", "params": {}}</tool_call>\n\n', 3, '"tool" must be'),
    "tool_role": ("Q: What does <tool_call> mean?\nA: It is a tag that opens a call.\n\n", 1, "<tool_call>"),
    "old_tool_tags": (
        'Q: Do it?\nA: I do. <|tool_call|>read_file("a")<|tool_end|>\nIt is done now.\n\n',
        2,
        "tool_call",
    ),
    "email": ("Q: How do I reach you?\nA: Write to jane.roe@mail-house.org any time.\n\n", 2, "j•••@m•••.org"),
    "phone": ("Q: How do I reach you?\nA: Call +49 30 9018 2043 in the morning.\n\n", 2, "+4• •• •••• ••43"),
    "card": ("Q: How do you pay?\nA: With my card 4539 1488 0343 6467 of course.\n\n", 2, "45•• •••• •••• ••67"),
    "iban": (
        "Q: How do you pay?\nA: To DE89 3704 0044 0532 0130 00 please, soon.\n\n",
        2,
        "DE•• •••• •••• •••• •••• 00",
    ),
    "ip_address": ("Q: Where is it?\nA: It answers at 93.184.216.34 all day.\n\n", 2, "93"),
    "secret": ("Q: What is it?\nA: The key is AKIAQ4XVYMLSW7EXJ2PR and no other.\n\n", 2, "AK"),
    "copyright": ("Q: Whose is it?\nA: Copyright 2021 by the house. All rights reserved.\n\n", 2, "Copyright"),
    "garbled": (f"Q: What is it?\nA: {'#$%&/(=?)@ ' * 12} it is.\n\n", 1, "mostly signs"),
    "repetitive": (f"Q: What is it?\nA: {'it is what it is and ' * 40}\n\n", 1, "it is what"),
    "too_long": (f"Q: What is it?\nA: {' '.join(sentence(n) for n in range(80))}\n\n", 1, "tokens"),
}


@pytest.mark.parametrize("code", INSERTED)
def test_each_flaw_is_found_at_its_line(tmp_path: Path, code: str) -> None:
    text, line, shown = INSERTED[code]
    finding = found(check(tmp_path, text + GOOD, sequence_length=512), code)
    assert finding.line == line
    assert finding.file == str(tmp_path / "a.txt")
    assert shown in finding.text
    assert finding.where == f"{finding.file}:{line}"


@pytest.mark.parametrize("code", INSERTED)
def test_flaws_are_grouped_and_counted(tmp_path: Path, code: str) -> None:
    text, _, _ = INSERTED[code]
    # A mark keeps the copies from being duplicates of one another; it stands where no finding looks.
    copies = [re.sub(r"(?m)^(Q|User): ", lambda m, n=n: f"{m[1]}: Number {n} ", text) for n in range(30)]
    report = check(tmp_path, "".join(copies) + GOOD, sequence_length=512)
    matches = [finding for finding in report.findings if finding.code == code]
    assert len(matches) == 1
    expected = 1 if code == "text_outside" else 30
    assert matches[0].count >= min(expected, 29)
    assert len(matches[0].examples) <= MOST_EXAMPLES


def test_private_data_is_never_shown_whole(tmp_path: Path) -> None:
    for code in ("email", "phone", "card", "iban", "ip_address", "secret"):
        text, _, _ = INSERTED[code]
        shown = found(check(tmp_path, text + GOOD), code).text
        assert "•" in shown
        assert shown not in text


FILES: dict[str, tuple[bytes, str]] = {
    "not_utf8": (GOOD.replace("number", "nümber").encode("cp1252"), "Windows-1252"),
    "bom": (b"\xef\xbb\xbf" + GOOD.encode(), ""),
    "line_ends": (GOOD.replace("\n", "\r\n", 30).encode(), ""),
    "no_documents": (b"A: one\n\nA: two\n\nA: three\n", "Q/A"),
    "mostly_outside": (b"Q: a b c d\nA: e f g h i\nA: again and again\n" + b"A: it goes on like this\n" * 40, "lines"),
    "low_diversity": (
        b"".join(b"Q: How do I do %d?\nA: Like number %d of it.\n\n" % (n, n) for n in range(99)),
        "how do",
    ),
    "one_sided": ("".join(f"Q: Go {n}\nA: {' '.join([sentence(n)] * 9)}\n\n" for n in range(40)).encode(), ""),
    "sloppy_sentences": (
        "".join(f"Q: What about {sentence(n)}\nA: {sentence(n + 500)[4:-1].lower()}\n\n" for n in range(300)).encode(),
        "",
    ),
    "prose_in_answer": (GOOD.encode() + b"\nOnce upon a time there was a mill by a river. " * 8, "Once upon a time"),
    "few_lines": (pairs(40).encode(), ""),
    "one_document": (b"Q: What is it?\nA: It is all there is.\n", ""),
    "language_mix": (
        (
            pairs(300)
            + "".join(
                f"Q: Was ist das und wie ist es mit der {w} {n}?\nA: Das ist nicht die {w}, ich bin auf der Suche.\n\n"
                for n, w in enumerate(WORDS * 20)
            )
        ).encode(),
        "German",
    ),
}


@pytest.mark.parametrize("code", FILES)
def test_flaws_of_whole_files(tmp_path: Path, code: str) -> None:
    content, shown = FILES[code]
    finding = found(check(tmp_path, content), code)
    assert shown in f"{finding.text} {finding.detail}"
    assert finding.severity == RULES[code].severity


def test_prose_after_an_answer_is_named_with_its_line_where_answers_have_no_paragraphs(tmp_path: Path) -> None:
    lines = GOOD.rstrip("\n").count("\n") + 1
    tale = "\n\nA mill stood by the river, and nobody knew who had built it. " * 6
    finding = found(check(tmp_path, GOOD.rstrip("\n") + tale), "prose_in_answer")
    assert finding.line == lines + 2 and finding.count == 1
    divided = "".join(f"Q: What is {sentence(n)}\nA: {sentence(n + 9)}{tale}\n\n" for n in range(60))
    assert not [one for one in check(tmp_path, divided).findings if one.code == "prose_in_answer"]


def test_errors_make_data_unusable_and_some_lose_nothing(tmp_path: Path) -> None:
    report = check(tmp_path, INSERTED["tool_json"][0] + GOOD)
    assert (report.usable, report.loses_nothing) == (False, True)
    report = check(tmp_path, FILES["not_utf8"][0])
    assert (report.usable, report.loses_nothing) == (False, False)
    report = check(tmp_path, '{"text": "a"}\n{"text": \n', "a.jsonl")
    assert found(report, "bad_json").line == 2
    assert (report.usable, report.loses_nothing) == (False, False)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("a.jsonl", '{"text": "a"}\n{"other": 1}\n', "json_shape"),
        ("a.jsonl", '{"text": "a"}\n{"text": ""}\n', "empty_record"),
        ("a.jsonl", '{"text": "a", "summary": "b"}\n', "unused_fields"),
        (
            "a.jsonl",
            '{"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": ""}]}\n',
            "empty_turn",
        ),
        ("a.csv", "prompt,completion\na,b,c\na,b\n", "bad_row"),
        ("a.txt", "<|im_start|>wizard\na<|im_end|>\n<|im_start|>user\na<|im_end|>\n", "unknown_role"),
        ("a.json", "{", "guessed_format"),
        ("a.json", "[1, 2", "bad_json"),
    ],
)
def test_flaws_of_records(tmp_path: Path, name: str, text: str, code: str) -> None:
    report = check(tmp_path, text, name)
    assert code in codes(report) or (code == "guessed_format" and "no_documents" in codes(report))


def test_amount_of_text_for_a_size(tmp_path: Path) -> None:
    report = check(tmp_path, GOOD, size="large")
    assert "10,000 are recommended for large" in found(report, "few_lines").detail
    finding = found(report, "memorises")
    assert finding.severity == "warning"
    assert "it will memorise" in finding.detail
    assert "large has 2" in report.recommendation[1]
    assert "memorises" not in codes(check(tmp_path, "".join(pairs(900, start=n) for n in (0, 900, 1800)), size="nano"))
    with pytest.raises(UsageError, match='no size "big"'):
        lint([tmp_path / "a.txt"], size="big")


def test_long_records_count_as_several_lines(tmp_path: Path) -> None:
    record = '{"text": "' + " ".join(sentence(n) for n in range(30)) + '"}\n'
    assert "few_lines" not in codes(check(tmp_path, record * 60, "a.jsonl"))


def test_duplicates_across_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(GOOD)
    (tmp_path / "b.txt").write_text(pairs(3) + pairs(600, start=5000))
    report = lint([tmp_path / "a.txt", tmp_path / "b.txt"])
    finding = found(report, "duplicate")
    assert finding.file == str(tmp_path / "b.txt")
    assert finding.count == 3
    assert f"{tmp_path / 'a.txt'}:1" in finding.text or "a.txt" in finding.text


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(GOOD)
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    report = lint([tmp_path / "a.txt", tmp_path / "b.txt"])
    assert codes(report) == {"duplicate_file"}
    assert report.counts.documents == 600


def test_what_cannot_be_read_is_a_finding_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "half.gz").write_bytes(gzip.compress(GOOD.encode())[:-20])
    (tmp_path / "good.txt").write_text(GOOD)
    names = ["none.txt", "fifo", "loop", "empty.txt", "half.gz", ".", "good.txt"]
    report = lint([*(tmp_path / name for name in names), "/dev/zero", "a\0b"])
    unreadable = [finding for finding in report.findings if finding.code == "unreadable"]
    assert len(unreadable) == 8
    assert all(finding.fix and finding.text for finding in unreadable if finding.file != "a\0b")
    assert not report.usable
    assert report.counts.documents >= 600


def test_a_file_that_is_written_to_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(GOOD * 20)
    touched = []

    def touch(progress: Progress) -> None:
        if not touched:
            touched.append(progress)
            with path.open("a") as stream:
                stream.write("Q: more\n")

    assert "changed" in codes(lint([path], progress=touch))
    assert touched[0].bytes_total > 0


def test_a_long_line_is_told(tmp_path: Path) -> None:
    report = check(tmp_path, "word " * 2_000_000)
    assert found(report, "long_line").count == 1
    assert report.counts.bytes > 9_900_000


def test_exact_tokens_with_a_tokenizer(tmp_path: Path) -> None:
    class Counter:
        vocabulary = 512

        def count(self, documents: object) -> list[int]:
            return [7 for _ in documents]  # type: ignore[attr-defined]

    report = check(tmp_path, GOOD, tokenizer=Counter())
    assert report.counts.tokens == 7 * 600
    assert report.counts.tokens_estimated == 7 * 600
    assert report.histogram[0].low == 4


def test_formats_and_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text('{"frage": "What is it?", "antwort": "It is what it is, they say."}\n')
    report = lint([DataFile(str(path), "jsonl", {"prompt": "frage", "completion": "antwort"})])
    assert report.counts.turns == 2
    assert report.files[0].label == "JSON Lines, as named"


def test_the_report_is_json(tmp_path: Path) -> None:
    report = json.loads(json.dumps(check(tmp_path, INSERTED["email"][0] + GOOD).to_json()))
    assert report["usable"] is True
    assert report["findings"][0]["code"] == "email"
    assert report["counts"]["documents"] == 601


CLEAN = [
    "Ein schöner Tag für „große“ Übungen – naïve Idee, oder?",
    "« L’été à la montagne », ça va très bien… été » où ?",
    "CAFÉ” and “É” are quoted capitals; Ä“ as well",
    "Привет, как дела? Сегодня хорошая погода.",
    "今日はとても良い天気ですね。公園に行きましょう。",
    "naïve café — 20 °C ± 2, § 5, ©2020, “quoted”, ‘single’… 50 €",
    "Tree:\n├── a\n│   └── b\n└──┐",
    "═══╗ ║ box ║ ╚═══╝ ┌─┬─┐",
    "Größe: 5 µm × 3 µm, π ≈ 3.14, √2 ≈ 1.41, ∑ x² ≤ ∞",
    "Română: â, î, ș, ț – ‘când’ și „unde”",
    "Português: não, ação, à “avó”, é…",
    "Emoji 👩‍💻 🚀 ✅ and flags 🇩🇪",
    "العربية مرحبا ‏ עברית שלום",
    "Tiếng Việt: đường phố, người",
]


@pytest.mark.parametrize("text", CLEAN)
def test_clean_text_is_no_mojibake(text: str) -> None:
    assert repaired(text) == text


@pytest.mark.parametrize("codec", ["cp1252", "mac_roman", "latin-1", "cp437"])
@pytest.mark.parametrize("text", ["It’s “quoted” — yes…", "Der Müller trägt große Säcke über Brücken.", "Done ✅ 🚀!"])
def test_mojibake_is_undone(text: str, codec: str) -> None:
    try:
        broken = text.encode().decode(codec)
    except UnicodeDecodeError:
        broken = "".join(
            bytes([byte]).decode(codec, "ignore") or chr(byte) for byte in text.encode()
        )  # editors map the holes of cp1252 to controls
    assert broken != text
    assert repaired(broken) == text


def test_the_guide_itself_has_three(tmp_path: Path) -> None:
    text = "‚úÖ **DO:**\n\n‚ùå **DON'T:**\n\n**Happy Training!** \uf8ffüöÄ\n\n"
    finding = found(check(tmp_path, text * 2, "a.md"), "mojibake")
    assert finding.count == 6
    assert repaired(text) == "✅ **DO:**\n\n❌ **DON'T:**\n\n**Happy Training!** 🚀\n\n"


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Co", "Cn"]), max_size=60))
def test_repairing_twice_changes_nothing_more(text: str) -> None:
    once = repaired(text)
    assert repaired(repaired(once)) == repaired(once)


NO_NUMBERS = [
    "In 2021-03-04 and 04/05/2021 we met; 1,234,567 people, 12 345 678 in all, 3.14159265358979.",
    "ISBN 978-3-16-148410-0? The version is 10.2.33.4 beta and 1.2.3.4.5 too.",
    "Call 555-0100 or +1 555 010 0199. The order #123456789012 is $ 12345678.",
    "127.0.0.1 and 192.168.1.10 and 10.0.0.1 are local; so is fe80::1 and std::vector::size.",
    "The number 1234 5678 9012 3456 is no card; 0000 0000 0000 0000 neither.",
    "write to me@example.com or you@test",
    "time 12:30:45 and ratio 16:9:4, hash 9f86d081884c7d659a2feaa0c55ad015",
]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_ordinary_numbers_are_no_personal_data(tmp_path: Path, text: str) -> None:
    report = check(tmp_path, f"{text}\n\n{text}")
    assert codes(report) & {"email", "phone", "card", "iban", "ip_address", "secret"} == set()


PERSONAL = {
    "phone": [
        "+49 (0)30 901820-43",
        "(212) 736-5000",
        "0171 / 234 56 78",
        "+4915123456780",
        "044 668 18 00",
        "212-736-5000",
    ],
    "card": ["4539148803436467", "5425-2334-3010-9903", "3782 822463 10005"],
    "iban": ["GB29NWBK60161331926819", "FR76 3000 6000 0112 3456 7890 189", "NL91 ABNA 0417 1643 00"],
    "ip_address": ["8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "2a00:1450:4001:82a::200e", "http://151.101.1.69/"],
    "secret": [
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "sk-proj-abcdEFGHijklMNOPqrst1234",
        "-----BEGIN RSA PRIVATE KEY-----",
        "password: hunter2hunter2",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN",
    ],
    "email": ["a.b+c@sub.house.co.uk", "x@y.de"],
}


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in PERSONAL.items() for text in texts])
def test_personal_data_is_found(tmp_path: Path, code: str, text: str) -> None:
    report = check(tmp_path, f"Here it is: {text} and so on.\n\nSecond line, {text}.\n")
    assert found(report, code).count == 2


def test_checksums() -> None:
    assert luhn("4539148803436467")
    assert not luhn("4539148803436468")
    assert is_iban("DE89 3704 0044 0532 0130 00")
    assert not is_iban("DE88 3704 0044 0532 0130 00")
    assert mask("abc") == "•••"
    assert mask_email("jane@mail.house.org") == "j•••@m•••.org"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the best way to learn how to cook for my family?", "English"),
        ("Was ist das und wie geht es mit der Arbeit, die ich nicht kenne?", "German"),
        ("Comment est-ce que je peux apprendre à cuisiner pour ma famille, et avec qui ?", "French"),
        ("¿Cómo es la casa de los abuelos y qué hay para comer en el pueblo?", "Spanish"),
        ("Привет, как дела? Сегодня хорошая погода.", "Cyrillic"),
        ("今日はとても良い天気ですね。", "Chinese or Japanese"),
        ("x = 1; y = 2; print(x + y)", ""),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert language_of(text) == language


def test_code_and_tables_are_not_garbled(tmp_path: Path) -> None:
    code = "def f(x):\n    return {k: v[0] for k, v in x.items() if (k, v) != (1, 2)}\n\n\n" * 3
    report = check(tmp_path, f"Q: Write it down?\nA: Like this:\n```python\n{code}```\nThat is all of it.\n\n" + GOOD)
    assert "garbled" not in codes(report)


def test_a_topic_that_most_documents_share(tmp_path: Path) -> None:
    shared = re.sub(r"(?m)^A: The", "A: With lanterns, the", GOOD)
    assert '"lanterns"' in found(check(tmp_path, shared), "narrow_topic").detail
    half = shared[: len(shared) // 3] + GOOD[len(GOOD) // 3 :]
    assert "narrow_topic" not in codes(check(tmp_path, half))


def test_more_documents_than_are_remembered_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "REMEMBERED", 256)
    assert found(check(tmp_path, GOOD + pairs(600, start=2000)), "sketch_full").count > 12


def test_a_record_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "ROW_LIMIT", 1 << 20)
    long = json.dumps({"text": "word " * 1_200_000})
    finding = found(check(tmp_path, f'{{"text": "a"}}\n{long}\n{{"text": "b"}}\n', "a.jsonl"), "row_too_long")
    assert (finding.line, finding.lost) == (2, 1)


def test_every_rule_can_be_found(tmp_path: Path) -> None:
    tested = {
        *INSERTED,
        *FILES,
        *("unreadable", "changed", "long_line", "duplicate_file", "memorises", "bad_json", "json_shape", "bad_row"),
        *("empty_record", "unknown_role", "guessed_format", "unused_fields", "empty_turn"),
        *("narrow_topic", "sketch_full", "row_too_long"),
    }
    assert set(RULES) == tested
