"""The right half of Data: a file's documents, how they are trained on, and what the check found in them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from engine.errors import ForgeError
from forge_tui import figures
from forge_tui.access import app_of
from forge_tui.data_checks import tokenizer_folder
from forge_tui.data_words import SEVERITIES, finding_fix, finding_words, severity_glyph
from forge_tui.palette import severity as level
from forge_tui.preview_rows import MaskedDocument, by_roles, by_tokens, shortened
from forge_tui.screens.base import ForgeScreen
from forge_tui.text import one_line, plain
from forge_tui.widgets.block_list import Block, BlockList
from forge_tui.widgets.document_pane import DocumentPane
from forge_tui.widgets.filter_bar import FilterBar
from forge_tui.widgets.pane_title import PaneTitle
from forge_tui.widgets.plain import Plain
from forge_tui.wrapping import wrap_line

if TYPE_CHECKING:
    from engine.job import Job
    from engine.text.conversation import Document
    from engine.text.findings.finding import Finding
    from engine.text.outline import Outline
    from engine.text.report import Report
    from engine.text.tokenizer import Tokenizer

Mask = Literal["off", "job", "other"]
MASKS: tuple[Mask, ...] = ("off", "job", "other")
CONTINUED_WEIGHT = 0.3
"""What "auto" makes of the prompt weight when a model goes on (engine.training.recipe)."""


class PreviewScreen(ForgeScreen):
    """Shows one file at a time; the list of files is the subclass's."""

    def __init__(self) -> None:
        super().__init__()
        self._outline: Outline | None = None
        self._wanted: tuple[Path, str] | None = None
        self._columns: Mapping[str, str] = {}
        self._mask: Mask = "off"
        self._tokenizer: tuple[Path, Tokenizer] | None = None
        self._pending = 0
        self._jumps: dict[str, tuple[str, int]] = {}
        self._fixes: dict[str, str] = {}
        self._searched = ""
        self._found_at = -1

    def preview_widgets(self) -> ComposeResult:
        """The preview's pane."""
        with Vertical(id="data-middle"):
            yield PaneTitle("preview", id="preview-title")
            yield DocumentPane(id="preview")
            yield FilterBar(id="preview-find")

    def finding_widgets(self) -> ComposeResult:
        """The findings' pane."""
        with Vertical(id="data-findings"):
            yield PaneTitle("findings", id="findings-title")
            yield BlockList(id="findings")
            yield Plain(id="finding-fix")

    @property
    def preview(self) -> DocumentPane:
        """The preview."""
        return self.query_one("#preview", DocumentPane)

    @property
    def _gone(self) -> bool:
        """Whether the app is leaving: what comes from the background then has no place any more."""
        return not self.query("#finding-fix")

    @property
    def opened(self) -> Path | None:
        """The file that is shown, or about to be."""
        return self._wanted[0] if self._wanted is not None else None

    # ---- opening

    def columns_of(self, path: Path) -> Mapping[str, str]:
        """What the fields of a file's records are called, where their names are not the usual ones."""
        return {}

    def open_file(self, path: Path, format: str = "auto", line: int = 0) -> None:  # noqa: A002
        """Show a file; at once if it is shown already."""
        app = app_of(self)
        outline, columns = self._outline, self.columns_of(path)
        known = self._wanted == (path, format) and self._columns == columns
        if outline is not None and known and not outline.changed:
            if line:
                self._go_line(line)
            return
        self._wanted, self._columns = (path, format), columns
        if outline is None or outline.path != path:
            self._close()
            self.preview.show(None, "opening ...")

        def failed(error: ForgeError) -> None:
            if self._gone:
                return
            self._close()
            self.preview.show(None, one_line(f"{error.text} {error.fix}", 400))
            self._title_preview()

        def look() -> Outline:
            from engine.text.outline import Outline  # brings all readers: not before the first picture

            return Outline.open(path, format, columns)

        app.background.start(
            look,
            lambda opened: self._show_outline(opened, line),
            failed,
            group="outline",
        )

    def _show_outline(self, outline: Outline, line: int) -> None:
        if self._gone:
            outline.close()
            return
        before = self.preview.line if self._outline is not None and self._outline.path == outline.path else None
        self._close()
        self._outline = outline
        self.preview.show(outline)
        self._pending = line or before or 0
        app_of(self).background.start(outline.count, lambda _: self._counted(outline))
        self._use_mask()
        self._look_pending()
        self._title_preview()
        self.refresh_bindings()

    def _counted(self, outline: Outline) -> None:
        if outline is self._outline and not self._gone:
            self._look_pending()
            self.preview.refresh()
            self._title_preview()

    def _close(self) -> None:
        if self._outline is not None:
            self._outline.close()
            self._outline = None
            self.preview.outline = None

    def close_file(self, words: str = "") -> None:
        """Show nothing, or some words."""
        self._wanted = None
        self._close()
        self.preview.show(None, words)
        self._title_preview()

    def look_at_file(self) -> None:
        """Has the file changed on the disk, or what its columns are called; are more of its lines counted by now?"""
        if self._outline is not None and self._wanted is not None:
            renamed = self._columns != self.columns_of(self._wanted[0])
            if renamed or self._outline.changed:
                self.open_file(*self._wanted, line=self.preview.line or 0)
        self._look_pending()

    def _go_line(self, line: int) -> None:
        self._pending = line
        self._look_pending()

    def _look_pending(self) -> None:
        if not self._pending or self._outline is None:
            return
        if self.preview.go_line(self._pending):
            self._pending = 0
        elif self._outline.cuts is None or self._outline.lines is not None:
            self._pending = 0
            where = "beyond what is shown of this file" if self._outline.partial else "not in the file any more"
            app_of(self).notify(f"This line is {where}. e opens the editor there.", timeout=4)

    # ---- titles

    @on(DocumentPane.Moved)
    def _moved(self, event: DocumentPane.Moved) -> None:
        event.stop()
        self._title_preview()

    def _title_preview(self) -> None:
        app = app_of(self)
        title = self.query_one("#preview-title", PaneTitle)
        outline, preview = self._outline, self.preview
        if outline is None:
            title.show(title=one_line(self.opened.name, 40) if self.opened is not None else "preview", state="")
            return
        parts = []
        if self._mask != "off":
            title.show(title=one_line(outline.path.name, 16), state=self._mask_words())
            return
        number, total, line = preview.number, outline.documents, preview.line
        if number is not None:
            parts.append(f"{number:,} of {total:,}" if total else f"{number:,}")
        if line is not None:
            parts.append(f"line {line:,} of {outline.lines:,}" if outline.lines else f"line {line:,}")
        if outline.partial:
            parts.append("only the beginning is shown")
        elif outline.cuts is not None and outline.lines is None:
            parts.append(f"counting lines {100 * outline.counted // max(1, outline.size)}%")
        if self.size.width >= 110 and outline.size > 1_000_000:
            parts.append(figures.size(outline.size))
        if outline.problem is not None:
            parts = [one_line(outline.problem.text, 60)]
        dot = f" {app.glyphs.separator} "
        title.show(title=one_line(outline.path.name, 40), state=dot.join(parts))

    # ---- the mask

    def job(self) -> Job | None:
        """The project's job, if it can be used."""
        workspace = app_of(self).workspace
        return workspace.job_or_none() if workspace is not None else None

    def tokenizer_folder(self) -> Path | None:
        """The model whose tokenizer will be used, if it is there already."""
        project, job = app_of(self).project, self.job()
        return tokenizer_folder(project, job) if project is not None and job is not None else None

    def _weight(self) -> float:
        """The prompt weight of the job, or of the opposite case."""
        job = self.job()
        continuing = self.tokenizer_folder() is not None and (job is None or job.train.method == "train")
        given = job.train.prompt_weight if job is not None else "auto"
        if self._mask == "other":
            return 1.0 if continuing else CONTINUED_WEIGHT
        if given != "auto":
            return float(given)
        return CONTINUED_WEIGHT if continuing else 1.0

    def _mask_words(self) -> str:
        glyphs, weight = app_of(self).glyphs, self._weight()
        if weight == 1.0:
            return f"from scratch: {glyphs.trained} everything is trained"
        signs = f"{glyphs.trained} trained {glyphs.weighted} x{weight:g} {glyphs.masked} not"
        return f"continuing: {signs}"

    def action_mask(self) -> None:
        """Next way to show the documents."""
        if self._outline is None:
            app_of(self).notify("Open a file first (enter).", timeout=3)
            return
        self._mask = MASKS[(MASKS.index(self._mask) + 1) % len(MASKS)]
        folder = self.tokenizer_folder()
        if self._mask == "job" and folder is None:
            app_of(self).notify("By speakers; exact tokens come with the model's tokenizer: the first run builds it.",
                                timeout=5)  # fmt: skip
        self._use_mask()

    def _use_mask(self) -> None:
        self.preview.mask = self._masked if self._mask != "off" else None
        self.preview.redraw()
        self._title_preview()
        folder = self.tokenizer_folder()
        if self._mask == "off" or folder is None or (self._tokenizer is not None and self._tokenizer[0] == folder):
            return

        def load() -> tuple[Path, Tokenizer]:
            from engine.text.tokenizer import Tokenizer

            assert folder is not None
            return folder, Tokenizer.load(folder)

        def done(found: tuple[Path, Tokenizer]) -> None:
            self._tokenizer = found
            self.preview.redraw()

        app_of(self).background.start(load, done, group="tokenizer")

    def _masked(self, document: Document) -> MaskedDocument:
        weight = self._weight()
        if self._tokenizer is None or self._tokenizer[0] != self.tokenizer_folder():
            return by_roles(document, weight)
        from engine.text.mask import mask_of

        job = self.job()
        length = job.train.sequence_length if job is not None else 512
        spans = mask_of(shortened(document), self._tokenizer[1], length if isinstance(length, int) else 512, weight)
        return by_tokens(document, spans, weight)

    # ---- searching

    def find_typed(self, text: str) -> None:
        """Go to the next place that holds what is typed."""
        self._searched = text
        self._found_at = -1
        if text:
            self._find(self.preview.offset_now - 1)

    @on(DocumentPane.Again)
    def search_on(self, event: DocumentPane.Again) -> None:
        """The next match."""
        event.stop()
        if not self._searched:
            app_of(self).notify("Type what to look for first (/).", timeout=3)
            return
        self._find(self._found_at if self._found_at >= 0 else self.preview.offset_now)

    def _find(self, after: int) -> None:
        outline, text = self._outline, self._searched
        if outline is None:
            return

        def done(offset: int | None) -> None:
            if outline is not self._outline or self._gone:
                return
            if offset is None:
                app_of(self).notify(f'"{text[:40]}" is nowhere in the file.', timeout=3)
                return
            self._found_at = offset
            self.preview.go_offset(offset)

        app_of(self).background.start(lambda: outline.search(text, max(-1, after)), done, group="find")

    # ---- findings

    def show_findings(self, report: Report | None, *, many: bool) -> None:
        """List what a check found; `many` names the file of each."""
        palette, glyphs = app_of(self).palette, app_of(self).glyphs
        blocks: list[Block] = []
        self._jumps, self._fixes = {}, {}
        findings = report.findings if report is not None else ()
        for severity in SEVERITIES:
            mine = [finding for finding in findings if finding.severity == severity]
            if mine:
                words = f"{severity_glyph(severity, glyphs)} {figures.counted(len(mine), severity)}"
                heading = plain(words, level(palette, severity))
                blocks.append(Block(severity, lambda width, heading=heading: [heading], heading=True))  # type: ignore[misc]
            for finding in mine:
                blocks += self._finding_blocks(finding, many=many)
        found = self.query_one("#findings", BlockList)
        found.show(blocks)
        state = "" if report is None else figures.counted(len(findings), "finding") if findings else "nothing found"
        self.query_one("#findings-title", PaneTitle).show(state=state)
        self._show_fix(found.marked)

    def _finding_blocks(self, finding: Finding, *, many: bool) -> list[Block]:
        key = f"{finding.code}:{finding.file}"
        words = finding_words(finding)
        search = f"{words} {finding.file} {' '.join(example.text for example in finding.examples)}"
        blocks = [Block(key, partial(self._finding_lines, finding, many), search=search)]
        self._jumps[key] = (finding.file, finding.line)
        self._fixes[key] = finding_fix(finding)
        if finding.count > 1 or many:
            for index, example in enumerate(finding.examples):
                own = f"{key}:{index}"
                blocks.append(Block(own, partial(self._example_lines, example.line, example.text), search=search))
                self._jumps[own] = (finding.file, example.line)
                self._fixes[own] = self._fixes[key]
        return blocks

    def _finding_lines(self, finding: Finding, many: bool, width: int) -> list[Text]:
        palette = app_of(self).palette
        rows = wrap_line(finding_words(finding), max(8, width))
        lines = [plain(row, palette.strong) for row in rows]
        if many and finding.file:
            lines.append(plain(one_line(Path(finding.file).name, width), palette.quiet))
        if finding.count == 1 and finding.line and not many:
            lines += self._example_lines(finding.line, finding.text, width)
        return lines

    def _example_lines(self, line: int, text: str, width: int) -> list[Text]:
        palette = app_of(self).palette
        where = f"{line:>6} " if line else "       "
        words = one_line(text, max(8, width - 7))
        return [Text.assemble((where, palette.accent), (words, palette.quiet), end="")]

    @on(BlockList.Marked, "#findings")
    def finding_marked(self, event: BlockList.Marked) -> None:
        """Show the line that it is about."""
        event.stop()
        self._show_fix(event.key)
        if self.focused is event.control:
            self.jump(event.key)

    def _show_fix(self, key: str | None) -> None:
        self.query_one("#finding-fix", Plain).show(plain(self._fixes.get(key or "", ""), app_of(self).palette.quiet))

    def jump(self, key: str | None) -> bool:
        """Show the line of a finding; False when it is about no line."""
        file, line = self._jumps.get(key or "", ("", 0))
        if not line:
            return False
        self.open_finding(Path(file), line)
        return True

    def open_finding(self, path: Path, line: int) -> None:
        """Show the line of a file that a finding names."""
        self.open_file(path, line=line)
