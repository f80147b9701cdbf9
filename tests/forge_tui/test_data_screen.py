"""The Data screen: every key at the two sizes, files of any size and any content, and what the check says."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.job import DataFile
from engine.job_file import edit_job_text, load_job
from engine.project import Project
from forge_tui import editor
from forge_tui.app import ForgeApp
from forge_tui.picks import picks_of, swapped
from forge_tui.screens.ask import Ask
from forge_tui.screens.choose import Choose
from forge_tui.screens.data import DataScreen
from forge_tui.screens.data_review import Review
from forge_tui.widgets.block_list import BlockList
from forge_tui.widgets.document_pane import DocumentPane
from forge_tui.widgets.fact_list import FactList
from forge_tui.widgets.pick_list import PickList
from tests.forge_tui.conftest import SIZES, MakeApp, Settle, screen_text, screen_words, wait_for

both_sizes = pytest.mark.parametrize("size", SIZES)
PATIENCE = 60.0
"""Seconds that a check may take on a busy machine."""

FLAWED = """\
Q: What is this?
A: ok

Q: Lost question

Q: Use the tool, please.
A: <tool_call>{"tool": "x", }</tool_call>
Done, that has worked very well.

Q: caf\u00c3\u00a9?
A: The caf\u00c3\u00a9 is open until late today.
"""


def data_of(app: ForgeApp) -> DataScreen:
    """The Data screen that is shown."""
    screen = app.screen
    assert isinstance(screen, DataScreen)
    return screen


def facts(app: ForgeApp) -> str:
    """All facts of the marked file, those that are scrolled away included."""
    shown = data_of(app).query_one("#data-facts", FactList)._facts
    return "\n".join(f"{name} {value}" for name, value in shown)


def pane(app: ForgeApp, name: str) -> str:
    """The words in one pane, whatever the lines they stand on."""
    region = app.screen.query_one(name).region
    rows = screen_text(app).split("\n")[region.y : region.bottom]
    return " ".join(" ".join(row[region.x : region.right] for row in rows).split())


def mark(app: ForgeApp, name: str) -> None:
    """Put the cursor on a file."""
    screen = data_of(app)
    assert screen._folder is not None
    screen.query_one("#files", PickList).mark(str(screen._folder / name))


async def open_file(pilot: Pilot[Any], settle: Settle, name: str) -> DocumentPane:
    """Open a file's preview."""
    app = pilot.app
    assert isinstance(app, ForgeApp)
    mark(app, name)
    await pilot.press("enter")
    await settle(pilot)
    return data_of(app).preview


def files_of(project: Project) -> list[Any]:
    """data.files as forge.toml has it now."""
    return load_job(project.job_file).data.files


@pytest.fixture
def project(project: Project) -> Project:
    """With a few files more."""
    (project.data / "flawed.txt").write_text(FLAWED)
    (project.data / "table.csv").write_text("question,answer\nWhat is it?,It is a small thing of wood.\n" * 1)
    (project.data / "more").mkdir()
    (project.data / "more" / "inner.txt").write_text("Q: Who?\nA: Somebody who is not here.\n")
    project.job_file.write_text('# mine\n[model]\nname = "sacrifice"\nsize = "nano"\n')
    return project


@both_sizes
async def test_files_and_what_the_check_says_of_the_marked_one(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="data")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        text = screen_text(app)
        for part in ("[1 Data]", "[x] combine", "[ ] flawed.txt", "more/", "../", "1 chosen", "? all keys"):
            assert part in text, part
        mark(app, "flawed.txt")
        await wait_for(pilot, lambda: "nano has" in facts(app), PATIENCE)
        words = facts(app)
        assert "Q/A, certain" in pane(app, "#data-facts")
        for part in ("3 dialogues", "length of a document in tokens", "1 error", "~", "suit the size nano"):
            assert part in words, part
        assert len(screen_text(app).split("\n")) == size[1]


@both_sizes
async def test_space_chooses_and_leaves_out_and_keeps_the_comments(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="data")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        mark(app, "flawed.txt")
        await pilot.press("space")
        await settle(pilot)
        assert files_of(project) == ["data/combined_action_training.txt", "data/flawed.txt"]
        assert project.job_file.read_text().startswith("# mine\n")
        assert "2 chosen" in screen_text(app)
        await pilot.press("plus", "plus")
        assert files_of(project)[1] == DataFile("data/flawed.txt", "auto", 2.0)
        assert "x2" in screen_text(app)
        await pilot.press("minus", "minus", "minus")
        assert files_of(project)[1].weight == 0.75
        await pilot.press("space")
        assert files_of(project) == ["data/combined_action_training.txt"]
        await pilot.press("plus")
        await pilot.pause()
        assert "Choose the file first" in screen_text(app)
        mark(app, "combined_action_training.txt")
        await pilot.press("space")
        await pilot.pause()
        assert "only file that is chosen" in screen_words(app)
        assert files_of(project) == ["data/combined_action_training.txt"]


async def test_a_glob_is_written_out_when_one_of_its_files_is_left_out(
    project: Project, make_app: MakeApp, settle: Settle
) -> None:
    project.job_file.write_text('[data]\nfiles = ["data/*.txt"]\n')
    app = make_app(project, start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "2 chosen" in screen_text(app)
        mark(app, "flawed.txt")
        await pilot.press("space")
        await settle(pilot)
    assert files_of(project) == ["data/combined_action_training.txt"]


@both_sizes
async def test_the_preview_names_speakers_and_scrolls(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="data")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        preview = await open_file(pilot, settle, "combined_action_training.txt")
        text = screen_text(app)
        for part in ("user ", "assistant ", "What is Python?", "dialogue 1, line 1", "1 of 40", "line 1 of 120"):
            assert part in text, part
        assert preview.has_focus
        for key, number in (("G", 40), ("g", 1), ("right_square_bracket", 2), ("left_square_bracket", 1)):
            await pilot.press(key)
            assert preview.number is not None
            assert (preview.number > 30) if key == "G" else preview.number == number, key
        await pilot.press("j", "j", "j", "j")
        assert preview.number == 2
        await pilot.press("k", "k", "k", "k")
        assert preview.line == 1
        await pilot.press("ctrl+d")
        assert preview.number is not None and preview.number > 2
        await pilot.press("ctrl+u")
        assert preview.line == 1
        await pilot.press("escape")
        assert data_of(app).query_one("#files").has_focus


@both_sizes
async def test_findings_jump_to_their_lines(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="data")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        preview = await open_file(pilot, settle, "flawed.txt")
        findings = data_of(app).query_one("#findings", BlockList)
        await wait_for(pilot, lambda: bool(findings.keys), PATIENCE)
        assert "1 error" in pane(app, "#findings")
        assert any(key.startswith("orphan_question") for key in findings.keys)
        assert "left out" in pane(app, "#preview")
        findings.focus()
        await pilot.press("g")
        assert findings.marked is not None and findings.marked.startswith("tool_json")
        await pilot.press("enter")
        assert preview.line == 7 and preview.has_focus
        findings.focus()
        while not (findings.marked or "").startswith("mojibake"):
            before = findings.marked
            await pilot.press("j")
            assert findings.marked != before
        await settle(pilot)
        assert preview.line == 10, "the preview follows the cursor"


@both_sizes
async def test_the_mask_tells_what_is_trained_without_colour(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="data")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await open_file(pilot, settle, "combined_action_training.txt")
        await pilot.press("m")
        await settle(pilot)
        text = screen_text(app)
        assert "█ What is Python?<|im_end|>" in text and "100% of" in text and "from scratch" in text
        assert "first run builds it" in screen_words(app), "why there are no tokens yet"
        await pilot.press("m")
        await settle(pilot)
        text = screen_text(app)
        assert "▒ What is Python?<|im_end|>" in text and "█ A programming language." in text
        assert "continuing" in text and "x0.3" in text
        await pilot.press("m")
        await settle(pilot)
        assert "<|im_end|>" not in screen_text(app)


async def test_the_mask_counts_tokens_with_the_models_own_tokenizer(
    project: Project, make_app: MakeApp, settle: Settle
) -> None:
    from engine.text.tokenizer import Tokenizer

    folder = project.models / "sacrifice"
    folder.mkdir()
    Tokenizer.train(["What is Python? A programming language."] * 9, 300).save(folder)
    app = make_app(project, start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await open_file(pilot, settle, "combined_action_training.txt")
        await pilot.press("m")
        await settle(pilot)
        text = screen_text(app)
        assert "of " in text and " tokens" in text and "x0.3" in text


@both_sizes
async def test_enter_esc_and_the_folder_keys(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="data")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        mark(app, "more")
        await pilot.press("enter")
        await settle(pilot)
        assert "inner.txt" in screen_text(app) and "flawed.txt" not in screen_text(app)
        await pilot.press("h")
        await settle(pilot)
        assert "flawed.txt" in screen_text(app)
        assert data_of(app).marked == str(project.data / "more"), "the cursor is where one came from"
        await pilot.press("o")
        assert isinstance(app.screen, Ask)
        await pilot.press(*"nowhere", "enter")
        assert isinstance(app.screen, Ask) and "nothing of this name" in screen_words(app)
        await pilot.press("escape")
        await pilot.press("o")
        await pilot.pause()
        await pilot.press(*"more", "enter")
        await settle(pilot)
        assert "inner.txt" in screen_text(app)


@both_sizes
async def test_the_filter_and_the_search(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    (project.data / "long.txt").write_text("".join(f"Q: Question {n}?\nA: Answer number {n}.\n\n" for n in range(300)))
    app = make_app(project, start="data")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("slash", *"flaw", "enter")
        await settle(pilot)
        assert "flawed.txt" in screen_text(app) and "long.txt" not in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        preview = await open_file(pilot, settle, "long.txt")
        await pilot.press("slash", *"NUMBER 2", "enter")
        await settle(pilot)
        assert preview.line == 8, "capitals do not matter"
        preview.focus()
        await pilot.press("full_stop")
        await settle(pilot)
        assert preview.line == 62, "the next one is number 20"
        await pilot.press("slash", *"zebra")
        await settle(pilot)
        assert "is nowhere in the file" in screen_words(app)


@both_sizes
async def test_the_editor_is_opened_at_the_line(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[Path, int | None]] = []

    def edit(app: ForgeApp, path: Path, line: int | None = None) -> bool:
        opened.append((path, line))
        path.write_text(path.read_text() + "\nQ: One more?\nA: Yes, there is one more now.\n")
        return True

    monkeypatch.setattr(editor, "edit", edit)
    app = make_app(project, start="data")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        preview = await open_file(pilot, settle, "flawed.txt")
        assert preview.go_line(6)
        await pilot.press("e")
        await settle(pilot)
        assert opened == [(project.data / "flawed.txt", 6)]
        await wait_for(pilot, lambda: data_of(app)._outline is not None and data_of(app)._outline.lines == 14)
        assert data_of(app).preview.line == 6, "the place is kept"


def test_editors_are_told_the_line_in_their_own_way() -> None:
    path = Path("/tmp/-x.txt")
    for chosen, command in (
        ("vim", ["vim", "+7", "/tmp/-x.txt"]),
        ("code -n", ["code", "-n", "--wait", "--goto", "/tmp/-x.txt:7"]),
        ("/usr/bin/hx", ["/usr/bin/hx", "/tmp/-x.txt:7"]),
    ):
        assert editor.editor_command(path, 7, {"EDITOR": chosen}) == command
    assert editor.editor_command(path, None, {"VISUAL": "joe", "EDITOR": "vim"}) == ["joe", "/tmp/-x.txt"]


@both_sizes
async def test_a_new_file_from_a_template(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editor, "edit", lambda app, path, line=None: True)
    app = make_app(project, start="data")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("n")
        await pilot.pause()
        assert isinstance(app.screen, Choose) and "Dialogues with tools" in screen_text(app)
        await pilot.press("j", "enter")
        await pilot.pause()
        assert isinstance(app.screen, Ask)
        await pilot.press("ctrl+u", *"flawed.txt", "enter")
        assert "such a file already" in screen_words(app)
        await pilot.press("ctrl+u", *"talks.txt", "enter")
        await settle(pilot)
        assert (project.data / "talks.txt").read_text().startswith("System:")
        assert data_of(app).file == project.data / "talks.txt"


@both_sizes
async def test_a_repaired_copy_is_shown_first_and_takes_the_files_place(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="data")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        mark(app, "flawed.txt")
        await pilot.press("space", "f")
        await wait_for(pilot, lambda: isinstance(app.screen, Review), PATIENCE)
        await settle(pilot)
        words = screen_words(app)
        assert "lines restored" in words and "café" in words and "line 10" in words
        await pilot.press("n")
        await settle(pilot)
        assert not list(project.data.glob("*repaired*")), "nothing is kept without a yes"
        await pilot.press("f")
        await wait_for(pilot, lambda: isinstance(app.screen, Review), PATIENCE)
        await settle(pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, Ask)
        await pilot.press("enter")
        await settle(pilot)
        assert "café" in (project.data / "flawed.repaired.txt").read_text()
        assert (project.data / "flawed.txt").read_text() == FLAWED
        assert files_of(project) == ["data/combined_action_training.txt", "data/flawed.repaired.txt"]
        assert not list((project.cache / "copies").iterdir())


@both_sizes
async def test_a_converted_copy_tells_what_it_cannot_hold(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(project, start="data")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        mark(app, "flawed.txt")
        await pilot.press("c")
        await pilot.pause()
        assert isinstance(app.screen, Choose)
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, Review), PATIENCE)
        await settle(pilot)
        words = screen_words(app)
        assert "3 documents are in the copy" in words and "1 lines are not" in words
        await pilot.press("y")
        await pilot.pause()
        await pilot.press("enter")
        await settle(pilot)
        assert len((project.data / "flawed.jsonl").read_text().splitlines()) == 3


@both_sizes
async def test_the_format_of_a_file(project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]) -> None:
    app = make_app(project, start="data")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        preview = await open_file(pilot, settle, "combined_action_training.txt")
        await pilot.press("t")
        await pilot.pause()
        assert isinstance(app.screen, Choose)
        choices = app.screen.query_one(BlockList)
        choices.mark("text")
        await pilot.press("enter")
        await settle(pilot)
        assert files_of(project) == [DataFile("data/combined_action_training.txt", "text", 1.0)]
        await wait_for(pilot, lambda: preview.outline is not None and preview.outline.format == "text")
        assert "assistant" not in screen_text(app)


async def test_all_chosen_files_are_checked_together(project: Project, make_app: MakeApp, settle: Settle) -> None:
    copy = project.data / "copy.txt"
    copy.write_bytes((project.data / "combined_action_training.txt").read_bytes())
    project.job_file.write_text(
        '[data]\nfiles = ["data/combined_action_training.txt", "data/copy.txt", "data/no.txt"]\n'
    )
    app = make_app(project, start="data")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("g")
        await wait_for(pilot, lambda: "2 files" in facts(app), PATIENCE)
        assert "trained on together" in screen_text(app) and "1 missing" in screen_text(app)
        assert "there is no such file" in facts(app)
        assert any("duplicate" in key for key in data_of(app).query_one("#findings", BlockList).keys)


async def test_checking_again_and_what_is_remembered(project: Project, make_app: MakeApp, settle: Settle) -> None:
    app = make_app(project, start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        mark(app, "table.csv")
        await wait_for(pilot, lambda: "CSV" in screen_text(app), PATIENCE)
    stored = set((project.cache / "checks").glob("*.json"))
    assert stored
    again = make_app(project, start="data")
    async with again.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        mark(again, "table.csv")
        await settle(pilot)
        assert "CSV" in screen_text(again), "what was found out is known at once"
        await pilot.press("r")
        await pilot.pause()
        assert "CSV," not in screen_text(again)
        await wait_for(pilot, lambda: "CSV," in screen_text(again), PATIENCE)


async def test_a_big_file_opens_at_once_and_scrolls(project: Project, make_app: MakeApp, settle: Settle) -> None:
    big = project.data / "big.txt"
    block = "".join(f"Q: Question {n}?\nA: Answer number {n}, in a sentence.\n\n" for n in range(20_000))
    with big.open("w") as stream:
        for _ in range(60):
            stream.write(block)
    assert big.stat().st_size > 50_000_000
    app = make_app(project, start="data")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        mark(app, "big.txt")
        await pilot.press("enter")
        preview = data_of(app).preview
        await wait_for(pilot, lambda: preview.outline is not None)
        assert preview.outline is not None and preview.outline.lines is None, "shown before its lines are counted"
        for key in ["j", "ctrl+d", "G", "ctrl+u", "k", "left_square_bracket", "g"] * 3:
            await pilot.press(key)
        await wait_for(pilot, lambda: preview.outline is not None and preview.outline.lines is not None, 60)
        assert preview.outline is not None and preview.outline.lines == 60 * 60_000
        assert preview.go_line(3_000_001)
        await pilot.pause()
        assert "Question 0?" in screen_text(app)


HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x1b[0m [/bold] [red] \u202egnp.exe \u200b\x9b2J {link}"


@both_sizes
async def test_hostile_names_and_contents_show_nothing_but_glyphs(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    name = "evil\x1b[31m[red]\u202etxt"
    (project.data / name).write_text(f"Q: {HOSTILE}\nA: {HOSTILE} and so on.\n\n{HOSTILE}\n\nA: {HOSTILE}\n")
    (project.data / "raw.bin").write_bytes(bytes(range(256)) * 30)
    (project.data / "wide.txt").write_text("Q: " + "x" * 1_000_000 + "\nA: " + "字" * 100_000 + "\n")
    (project.data / "latin.txt").write_bytes("Q: Wie geht es?\nA: Schön, über alle Maßen.\n".encode("latin-1"))
    app = make_app(project, start="data")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        for file in (name, "wide.txt", "latin.txt", "raw.bin"):
            await pilot.press("escape")
            await open_file(pilot, settle, file)
            await wait_for(pilot, lambda: not data_of(app).checks.busy, PATIENCE)
            for key in ("j", "m", "m", "G", "m", "t"):
                await pilot.press(key)
                await pilot.pause()
                bad = [char for char in screen_text(app) if unicodedata.category(char) in ("Cc", "Cf") and char != "\n"]
                assert not bad, (file, key, bad)
            await pilot.press("escape")
        assert "not text but" in screen_words(app) or "cannot" in screen_words(app)


@both_sizes
async def test_without_a_project_and_with_a_broken_job(
    project: Project, make_app: MakeApp, settle: Settle, size: tuple[int, int]
) -> None:
    app = make_app(None, start="data")
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        assert "No project here" in screen_text(app)
        await pilot.press("enter", "space", "plus", "m", "e", "f", "c", "t", "r", "o", "n", "h", "slash", "escape")
        await settle(pilot)
    project.job_file.write_text("[train]\nepoch = 3\n")
    app = make_app(project, start="data")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        assert "forge.toml cannot be used" in screen_text(app)
        mark(app, "flawed.txt")
        await pilot.press("space")
        await pilot.pause()
        assert 'Unknown key "train.epoch"' in screen_words(app)
    assert project.job_file.read_text() == "[train]\nepoch = 3\n"


async def test_usable_at_the_smallest_size(project: Project, make_app: MakeApp, settle: Settle) -> None:
    app = make_app(project, start="data")
    async with app.run_test(size=(60, 16)) as pilot:
        await settle(pilot)
        assert "flawed.txt" in screen_text(app)
        await open_file(pilot, settle, "flawed.txt")
        await wait_for(pilot, lambda: "1 error" in screen_words(app), PATIENCE)
        assert "What is this?" in screen_text(app)


async def test_column_names_of_the_job_are_used_and_kept(project: Project, make_app: MakeApp, settle: Settle) -> None:
    (project.data / "fragen.csv").write_text("frage,antwort\nWhat is iron?,It is a metal that rusts in the rain.\n")
    file = DataFile("data/fragen.csv", columns={"prompt": "frage", "completion": "antwort"})
    text = project.job_file.read_text()
    project.job_file.write_text(edit_job_text(text, {"data.files": ["data/flawed.txt", file]}))
    app = make_app(project, start="data")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await open_file(pilot, settle, "fragen.csv")
        await wait_for(pilot, lambda: "1 dialogue" in facts(app), PATIENCE)
        assert "What is iron?" in screen_text(app) and "It is a metal that rusts" in screen_text(app)
        await pilot.press("escape", "plus")
        await settle(pilot)
        assert files_of(project)[1] == replace(file, weight=1.5)
        swapped_names = replace(file, columns={"prompt": "antwort", "completion": "frage"})
        text = edit_job_text(project.job_file.read_text(), {"data.files": ["data/flawed.txt", swapped_names]})
        project.job_file.write_text(text)
        before = screen_words(app)
        await pilot.press("4", "1")  # coming back reads the job again, and the open file with it
        await wait_for(
            pilot, lambda: 0 < screen_words(app).find("It is a metal") < screen_words(app).find("What is iron")
        )
        assert before.find("It is a metal") > before.find("What is iron") > 0
        project.job_file.write_text(edit_job_text(text, {"data.files": ["data/flawed.txt", replace(file, weight=1.5)]}))
    picks = picks_of(project, load_job(project.job_file))
    for name, columns in (("repaired.csv", file.columns), ("converted.jsonl", {})):
        kept = swapped(project, picks, picks[1].path, project.data / name)[1]
        assert (kept.name, kept.weight, kept.columns) == (f"data/{name}", 1.5, columns)
