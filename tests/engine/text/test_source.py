"""Opening a file: what is refused and how that is said, and what comes out of what is not."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DataError
from engine.exit_codes import ExitCode
from engine.text import source as source_module
from engine.text.source import LONG_LINE, open_text, text_source


def lines(path: Path) -> list[str]:
    with open_text(path) as source:
        return list(source)


def refusal(path: Path | str) -> DataError:
    with pytest.raises(DataError) as caught, open_text(path) as source:
        list(source)
    assert caught.value.exit_code is ExitCode.DATA
    assert caught.value.file is not None
    return caught.value


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends_become_newlines(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(ending.join(["one", "two", "", "três"]).encode())
    assert lines(path) == ["one", "two", "", "três"]


def test_byte_order_marks_are_removed_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo \xef\xbb\xbf\n")
    with open_text(path) as source:
        assert list(source) == ["one", "two \ufeff"]
        assert source.boms == 2


def test_gzip_is_unpacked_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(gzip.compress(b"one\ntwo"))
    assert lines(path) == ["one", "two"]


@given(st.text(alphabet="ab\r\n é日\ufeff", max_size=60), st.integers(min_value=1, max_value=9))
@settings(max_examples=300)
def test_chunks_do_not_show(text: str, chunk: int) -> None:
    whole = text.replace("\r\n", "\n").replace("\r", "\n")
    expected = [line.lstrip("\ufeff") for line in whole.removesuffix("\n").split("\n")] if text else []
    before = source_module.CHUNK
    try:
        source_module.CHUNK = chunk
        blocks = list(text_source(text).blocks())
    finally:
        source_module.CHUNK = before
    assert [line for block in blocks for line in block.lines] == expected
    numbers = [block.first_line + index for block in blocks for index in range(len(block.lines))]
    assert numbers == list(range(1, len(expected) + 1))


def test_long_lines_come_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    long = "é日x" * (LONG_LINE // 3)
    path.write_text(f"first\n{long}\nlast", encoding="utf-8")
    with open_text(path) as source:
        blocks = list(source.blocks())
    assert "".join(line for block in blocks for line in block.lines) == f"first{long}last"
    assert max(len(block.text.encode()) for block in blocks) <= LONG_LINE + (1 << 20)
    assert [block.continued for block in blocks[1:]] == [block.open for block in blocks[:-1]]
    assert {block.first_line for block in blocks if block.continued} == {2}
    assert blocks[-1].first_line + len(blocks[-1].lines) - 1 == 3


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.txt").text
    assert "folder" in refusal(tmp_path).text
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert "pipe" in refusal(fifo).text
    assert "device" in refusal("/dev/zero").text
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "circle" in refusal(tmp_path / "loop").text
    assert "longer" in refusal(tmp_path / ("x" * 300)).text
    assert "not a folder" in refusal(Path(__file__) / "x").text
    with pytest.raises(DataError, match="NUL"):
        open_text("a\0b")


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    assert lines(tmp_path / "b.txt") == ["hello"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("hello")
    path.chmod(0)
    assert "may not read" in refusal(path).text


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for content in (b"", b"\n\n  \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", gzip.compress(b"")):
        path.write_bytes(content)
        assert "empty" in refusal(path).text


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG"),
        (b"PK\x03\x04" + bytes(50), "ZIP"),
        (b"\x80\x04\x95" + bytes(50), "pickle"),
        (b"BZh91AY&SY", "bzip2"),
        (bytes(range(32)) * 20, "binary"),
        (bytes(1000), "binary"),
        (b"PAR1" + bytes(20), "Parquet"),
    ],
)
def test_binary(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert word in refusal(path).text


@pytest.mark.parametrize(
    ("codec", "text", "label"),
    [
        ("cp1252", "Ein schöner Tag für „große“ Übungen, naïve café – déjà vu.", "Windows-1252"),
        ("latin-1", "El niño comió en el café de la señora García.", "Windows-1252"),
        ("mac_roman", "Ein schöner Tag für große Übungen. L’été à la montagne, ça va très bien.", "Mac Roman"),
        ("utf-16", "Hello there, this is a longer text.", "UTF-16"),
        ("utf-16-le", "Hello there, this is a longer text.", "UTF-16"),
        ("utf-32", "Hello there, this is a longer text.", "UTF-32"),
        ("cp1251", "Привет, как дела? Сегодня хорошая погода, пойдём гулять в парк.", "Windows-1251"),
        ("koi8_r", "Привет, как дела? Сегодня хорошая погода, пойдём гулять в парк.", "KOI8-R"),
        ("shift_jis", "今日はとても良い天気ですね。公園に行きましょう。", "Shift JIS"),
        ("euc_jp", "今日はとても良い天気ですね。公園に行きましょう。", "EUC-JP"),
        ("gb18030", "今天天气很好，我们去公园散步吧。你觉得怎么样？", "GB 18030"),
        ("euc_kr", "오늘은 날씨가 정말 좋네요. 공원에 산책하러 갑시다.", "EUC-KR"),
    ],
)
def test_another_encoding_is_named_with_its_line(tmp_path: Path, codec: str, text: str, label: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(("plain\r\nplain\n" * 2 + text + "\n").encode(codec))
    problem = refusal(path)
    assert "not UTF-8" in problem.text
    assert label in problem.text
    assert "--fix" in problem.fix
    assert problem.line == (5 if "utf" not in codec else 1)


def test_damaged_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    packed = gzip.compress(os.urandom(2000).hex().encode())
    for content in (packed[:-200], packed[:100] + b"\0\0\0\0" + packed[104:], packed[:-8] + b"\0" * 8, packed[:3]):
        path.write_bytes(content)
        assert "damaged" in refusal(path).text


def test_a_gzip_bomb_stops_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "BOMB_BYTES", 8 << 20)
    path = tmp_path / "a.gz"
    with gzip.open(path, "wb") as stream:
        for _ in range(16):
            stream.write(b"a\n" * (1 << 19))
    assert "unpacks to more" in refusal(path).text


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"some text\n" * 400_000)
    with pytest.raises(DataError, match="shrank"), open_text(path) as source:
        for index, _ in enumerate(source.blocks()):
            if index == 0:
                os.truncate(path, 2 << 20)


def test_a_file_that_grows_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"some text\n" * 200_000)
    with open_text(path) as source:
        count = 0
        for index, block in enumerate(source.blocks()):
            count += len(block.lines)
            if index == 0:
                with path.open("ab") as stream:
                    stream.write(b"more\n" * 100)
        assert count == 200_000
        assert source.changed


def test_opening_a_pipe_does_not_wait(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    thread = threading.Thread(target=refusal, args=(fifo,))
    thread.start()
    thread.join(timeout=60)
    assert not thread.is_alive()
