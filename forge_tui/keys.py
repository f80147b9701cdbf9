"""Every key of the app, in one place: the screens bind from here, the help and docs/keys.md are written from here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that a key does."""

    id: str
    """`scope.name`; what a user's keys.toml says."""
    keys: str
    """Textual key names with commas between alternatives, the one that is shown first."""
    action: str
    """Textual action, such as `pause` or `show('train')`."""
    label: str
    """One or two words for the bottom line."""
    help: str
    """A sentence for the help and the documentation."""
    hint: bool = True
    """Whether the bottom line shows it."""
    priority: bool = False
    """Whether it works before the focused widget sees the key (also inside a text field)."""

    @property
    def scope(self) -> str:
        """Where it works."""
        return self.id.partition(".")[0]


SCOPES: dict[str, str] = {
    "app": "Everywhere",
    "data": "Data",
    "preview": "Preview of a file",
    "models": "Models",
    "job": "Job",
    "train": "Train",
    "manager": "Manager",
    "chat": "Chat",
    "runs": "Runs",
    "chart": "Loss chart",
    "log": "Log",
    "list": "Lists",
    "filter": "Lists that can be narrowed",
    "text": "Texts that scroll",
    "modal": "Dialogs",
    "confirm": "Questions",
    "review": "Looking at changes",
    "ask": "Text fields in dialogs",
    "help": "This list",
    "overlay": "Choosing overlays",
    "choice": "Choosing one of several",
    "form": "Forms in dialogs",
    "checkpoints": "Checkpoints",
    "compare": "Two models compared",
    "trash": "Trash",
    "disk": "Disk",
    "reading": "Reading",
    "text_edit": "Writing in dialogs",
}
"""Scope to its title, in the order of the documentation."""

KEYS: tuple[Key, ...] = (
    Key("app.data", "1", "show('data')", "data", "Go to Data", hint=False),
    Key("app.models", "2", "show('models')", "models", "Go to Models", hint=False),
    Key("app.train", "3", "show('train')", "train", "Go to Train", hint=False),
    Key("app.manager", "4", "show('manager')", "manager", "Go to Manager", hint=False),
    Key("app.chat", "5", "show('chat')", "chat", "Go to Chat", hint=False),
    Key("app.runs", "6", "show('runs')", "runs", "Go to Runs", hint=False),
    Key("app.help", "question_mark", "help", "all keys", "Show the keys that work here", hint=False),
    Key("app.help_always", "f1", "help", "all keys", "The same, also while typing", hint=False, priority=True),
    Key("app.palette", "ctrl+p", "command_palette", "commands", "Find any command by name", hint=False, priority=True),
    Key("app.next_pane", "tab", "focus_next", "next pane", "Go to the next pane or field", hint=False),
    Key("app.previous_pane", "shift+tab", "focus_previous", "previous pane", "Go to the previous one", hint=False),
    Key("app.back", "escape", "back", "back", "Close the innermost thing, or go back; never quits", hint=False),
    Key("app.theme", "ctrl+t", "next_theme", "theme", "Next theme; the choice is remembered", hint=False),
    Key(
        "app.suspend", "ctrl+z", "suspend_process", "suspend", "Back to the shell until `fg`", hint=False, priority=True
    ),
    Key("app.quit", "q", "quit", "quit", "Leave the app; runs go on", hint=False),
    Key("app.quit_always", "ctrl+q", "quit", "quit", "The same, also while typing", hint=False, priority=True),
    Key("data.open", "enter,right,l", "open", "open", "Open the folder or the file; of a finding: go to its line"),
    Key("data.pick", "space", "pick", "choose", "Train on this file, or no longer"),
    Key("data.heavier", "plus,equals_sign", "weigh(1)", "more", "See its documents more often in an epoch"),
    Key("data.lighter", "minus", "weigh(-1)", "less", "See its documents less often", hint=False),
    Key("data.mask", "m", "mask", "mask", "Show how each token is trained on: as the job says, the other way, not"),
    Key("data.edit", "e", "edit", "edit", "Open your editor at this line ($VISUAL, $EDITOR)"),
    Key("data.fix", "f", "fix", "fix", "Make a repaired copy; every change is shown first"),
    Key("data.convert", "c", "convert", "convert", "Make a copy in another format; what it cannot hold is told first"),
    Key("data.new", "n", "new", "new file", "Begin a file from a template of any format", hint=False),
    Key("data.format", "t", "format", "format", "Say which format the file is in", hint=False),
    Key("data.check", "r", "check", "check again", "Check the data again", hint=False),
    Key("data.parent", "backspace,left,h", "parent", "folder above", "The folder above; the list again", hint=False),
    Key("data.go", "o", "go", "other folder", "Go to a folder by typing its path", hint=False),
    Key("preview.down", "j,down", "line_down", "down", "One line down", hint=False),
    Key("preview.up", "k,up", "line_up", "up", "One line up", hint=False),
    Key("preview.page_down", "ctrl+d,pagedown", "page_down", "page down", "One page down", hint=False),
    Key("preview.page_up", "ctrl+u,pageup", "page_up", "page up", "One page up", hint=False),
    Key("preview.top", "g,home", "top", "top", "To the first document", hint=False),
    Key("preview.bottom", "G,end", "bottom", "bottom", "To the last document", hint=False),
    Key("preview.next", "right_square_bracket", "next_document", "next document", "To the next document", hint=False),
    Key(
        "preview.previous",
        "left_square_bracket",
        "previous_document",
        "previous document",
        "To the document before",
        hint=False,
    ),
    Key("preview.again", "full_stop", "search_on", "next match", "To the next place that holds the text", hint=False),
    Key("models.choose", "enter", "choose", "choose", "Train this size, or go on with this model; then the job form"),
    Key("models.grow", "w", "grow", "grow", "Grow the marked model to a larger size (exact), then train on"),
    Key("models.start", "s", "start", "start", "Start training the job as it is"),
    Key("models.job", "f", "job", "job form", 'Every key of the job, with what each "auto" means'),
    Key("models.name", "n", "name", "name", "Name the model that is trained"),
    Key("models.epochs", "e", "epochs", "epochs", "Set the number of passes over the data"),
    Key("job.edit", "enter", "edit", "change", "Change the value of this key"),
    Key("job.start", "s", "start", "start", "Start training with exactly this job"),
    Key("job.default", "d,delete,backspace", "default", "default", "Back to the default: the key leaves forge.toml"),
    Key("job.auto", "a", "auto", "auto", 'Have it decided: set the value to "auto"'),
    Key("job.pin", "p", "pin", "pin", 'Write down what "auto" is now, so that it stays so', hint=False),
    Key("job.undo", "u", "undo", "undo", "Take the last change back"),
    Key("job.open", "e", "open_editor", "editor", "Open forge.toml in your editor, at this key", hint=False),
    Key("job.add_stage", "n", "add_stage", "new stage", "Add a stage: more data after this one", hint=False),
    Key("job.drop_stage", "D", "drop_stage", "drop stage", "Remove the stage under the cursor", hint=False),
    Key("job.guide", "i", "guide", "rate guide", "The learning-rate guide of the training guide", hint=False),
    Key("train.next", "enter", "next", "next", "Start the job, or continue the run"),
    Key("train.pause", "p", "pause", "pause", "Pause, or go on (memory stays in use)"),
    Key("train.stop", "s", "stop", "stop", "Finish the step, save, stop; again: stop now"),
    Key("train.save", "c", "save", "save", "Save a checkpoint now"),
    Key("train.rate", "r", "rate", "rate", "Set the learning rate"),
    Key("train.sample", "t", "sample", "sample", "Have the model answer a prompt now"),
    Key("train.overlay", "o", "overlay", "overlay", "Draw the curves of other runs beside this one"),
    Key("train.view", "v", "view", "view", "Next view of the lower pane: log, samples, plan"),
    Key("train.fix", "f", "fix", "fix", "Do what the newest advice says", hint=False),
    Key("train.why", "F", "why", "why", "Read all advice of this run", hint=False),
    Key(
        "train.stop_now",
        "S",
        "stop_now",
        "stop now",
        "End the run at once; goes back to the last checkpoint",
        hint=False,
    ),
    Key(
        "train.detach", "d", "detach", "leave run", "Stop watching this run (it goes on) and show all runs", hint=False
    ),
    Key(
        "train.again",
        "n",
        "again",
        "new run",
        "Start a new run of forge.toml, even if it has finished already",
        hint=False,
    ),
    Key(
        "train.maximise",
        "m",
        "maximise",
        "one pane",
        "Give the focused pane the whole screen; esc gives it back",
        hint=False,
    ),
    Key("chart.zoom", "z", "zoom", "zoom", "Zoom: all, the last half, quarter, tenth, twentieth"),
    Key("chart.closer", "plus,equals_sign", "closer", "closer", "Zoom in", hint=False),
    Key("chart.wider", "minus", "wider", "wider", "Zoom out", hint=False),
    Key("chart.earlier", "left,h", "earlier", "earlier", "Move to earlier steps when zoomed in", hint=False),
    Key("chart.later", "right,l", "later", "later", "Move to later steps when zoomed in", hint=False),
    Key("chart.scale", "y", "scale", "log scale", "Linear or logarithmic", hint=False),
    Key("chart.unit", "u", "unit", "unit", "Loss in nats per token, or bits per byte", hint=False),
    Key("chart.smooth", "e", "smooth", "smoothing", "Even the training curve out: off, some, much", hint=False),
    Key("chart.axis", "x", "axis", "axis", "Count epochs or steps along the bottom", hint=False),
    Key("log.search", "slash", "search", "search", "Show only the lines that contain a text; esc shows all"),
    Key("log.level", "L", "level", "level", "Everything, news without progress, warnings, errors", hint=False),
    Key("log.down", "j,down", "scroll_down", "down", "One line down", hint=False),
    Key("log.up", "k,up", "scroll_up", "up", "One line up; following stops", hint=False),
    Key("log.page_down", "ctrl+d,pagedown", "page_down", "page down", "One page down", hint=False),
    Key("log.page_up", "ctrl+u,pageup", "page_up", "page up", "One page up; following stops", hint=False),
    Key("log.top", "g,home", "scroll_home", "top", "To the first line", hint=False),
    Key("log.bottom", "G,end", "follow", "follow", "To the newest line, and follow again", hint=False),
    Key("list.down", "j,down", "cursor_down", "down", "Next entry", hint=False),
    Key("list.up", "k,up", "cursor_up", "up", "Previous entry", hint=False),
    Key("list.page_down", "ctrl+d,pagedown", "page_down", "page down", "One page down", hint=False),
    Key("list.page_up", "ctrl+u,pageup", "page_up", "page up", "One page up", hint=False),
    Key("list.top", "g,home", "first", "first", "First entry", hint=False),
    Key("list.bottom", "G,end", "last", "last", "Last entry", hint=False),
    Key("text.down", "j,down", "scroll_down", "down", "One line down", hint=False),
    Key("text.up", "k,up", "scroll_up", "up", "One line up", hint=False),
    Key("text.page_down", "ctrl+d,pagedown", "page_down", "page down", "One page down", hint=False),
    Key("text.page_up", "ctrl+u,pageup", "page_up", "page up", "One page up", hint=False),
    Key("text.top", "g,home", "scroll_home", "top", "To the first line", hint=False),
    Key("text.bottom", "G,end", "scroll_end", "bottom", "To the last line", hint=False),
    Key("manager.talk", "enter", "talk", "talk", "Talk to the model on the Chat screen"),
    Key("manager.checkpoints", "p", "checkpoints", "checkpoints", "Inspect, restore or delete its checkpoints"),
    Key("manager.compare", "c", "compare", "compare", "Compare it with another model"),
    Key("manager.rename", "r", "rename", "rename", "Give it another name"),
    Key("manager.clone", "y", "clone", "copy", "Copy it under another name, without its runs"),
    Key("manager.note", "n", "note", "note", "Write a note on it"),
    Key("manager.tags", "t", "tags", "tags", "Change its tags"),
    Key("manager.delete", "D,delete", "delete", "delete", "Move it to the trash"),
    Key("manager.verify", "v", "verify", "verify", "Check every byte of it and of its checkpoints", hint=False),
    Key("manager.trash", "x", "trash", "trash", "What is in the trash: bring back, remove, empty", hint=False),
    Key("manager.undo", "U", "undo", "undo", "Bring back what was deleted last", hint=False),
    Key("manager.disk", "u", "disk", "disk use", "Where the space goes, and what could be freed", hint=False),
    Key("manager.order", "o", "order", "order", "By family, best first, newest first", hint=False),
    Key("chat.type", "enter,i", "type", "type", "Go to the line; there: ask what is typed"),
    Key("chat.stop", "f9,s", "stop", "stop", "Stop the answer (as esc)"),
    Key("chat.model", "f2,m", "model", "model", "Choose the model or checkpoint to talk to"),
    Key("chat.beside", "f3,b", "beside", "beside", "A second model that answers beside the first, or no longer"),
    Key("chat.settings", "f4,o", "settings", "sampling", "Temperature and other sampling settings"),
    Key("chat.again", "f5,r", "again", "again", "Have the last question answered again"),
    Key("chat.system", "f6,p", "system", "system", "The system prompt"),
    Key("chat.save", "f7,w", "save", "save", "Add the conversation to a file of training data"),
    Key("chat.new", "f8,n", "new", "new", "Begin a new conversation"),
    Key("chat.recall_up", "up", "recall(1)", "earlier", "While typing: earlier questions", hint=False),
    Key("chat.recall_down", "down", "recall(-1)", "later", "While typing: later questions", hint=False),
    Key("chat.page_up", "pageup", "page(-1)", "page up", "Scroll back, also while typing", hint=False),
    Key("chat.page_down", "pagedown", "page(1)", "page down", "Scroll on, also while typing", hint=False),
    Key("runs.attach", "enter", "attach", "attach", "Watch this run on the Train screen"),
    Key("runs.stop", "s", "stop", "stop", "Finish the step, save, and stop"),
    Key("runs.continue", "c", "continue_run", "continue", "Go on with a stopped, failed or interrupted run"),
    Key("runs.overlay", "o", "overlay", "overlay", "Draw this run's curve beside the one that is watched"),
    Key("runs.delete", "D,delete", "delete", "delete", "Move the run to the trash"),
    Key("runs.undo", "U", "undo", "undo", "Bring the run back that was deleted last", hint=False),
    Key("filter.open", "slash", "filter", "filter", "Show only the entries that contain a text; esc shows all"),
    Key("modal.close", "escape", "close", "close", "Close without doing anything"),
    Key("confirm.yes", "y", "yes", "yes", "Do it"),
    Key("confirm.no", "n,q", "close", "no", "Do not"),
    Key("confirm.other", "tab,left,right,h,l,j,k,up,down", "other", "other", "The other button", hint=False),
    Key("confirm.press", "enter,space", "press", "press", "Press the marked button", hint=False),
    Key("review.accept", "enter,y", "accept", "keep", "Keep the copy, under a name that is asked for next"),
    Key("review.refuse", "n", "close", "leave it", "Leave everything as it is"),
    Key("overlay.toggle", "space,x", "choose", "choose", "Choose or unchoose the run"),
    Key("overlay.accept", "enter", "accept", "draw", "Draw the chosen curves"),
    Key("form.accept", "enter,ctrl+s", "accept", "accept", "Accept what is typed", priority=True),
    Key("form.down", "down", "next_field(1)", "next", "Next field (as tab)", hint=False),
    Key("form.up", "up", "next_field(-1)", "previous", "Previous field", hint=False),
    Key("form.defaults", "ctrl+r", "defaults", "defaults", "Put the usual values back"),
    Key("choice.accept", "enter", "accept", "choose", "Choose the marked one"),
    Key("checkpoints.inspect", "enter,i", "inspect", "inspect", "Check every byte of it and show what it holds"),
    Key("checkpoints.restore", "r", "restore", "restore", "Make its weights the model; the old ones go to the trash"),
    Key("checkpoints.talk", "t", "talk", "talk", "Talk to it on the Chat screen"),
    Key("checkpoints.delete", "D,delete", "delete", "delete", "Remove it for good"),
    Key("compare.view", "v,right,l", "view(1)", "view", "Next view: facts, curves, answers"),
    Key("compare.back", "left,h", "view(-1)", "back", "The view before", hint=False),
    Key("compare.differences", "d", "differences", "differences", "Only what differs, or everything"),
    Key("compare.ask", "a", "ask", "ask", "Ask both the same"),
    Key("compare.close", "q", "close", "close", "Close the comparison", hint=False),
    Key("trash.restore", "enter,r", "restore", "bring back", "Bring it back"),
    Key("trash.remove", "D,delete", "remove", "remove", "Remove it for good"),
    Key("trash.empty", "E", "empty", "empty", "Remove everything in the trash for good"),
    Key("disk.choose", "space,x", "choose", "choose", "Choose or unchoose it"),
    Key("disk.all", "a", "choose_all", "all", "Choose everything, or nothing"),
    Key("disk.free", "enter", "free", "free", "Free what is chosen"),
    Key("reading.close", "enter,q", "close", "close", "Close", hint=False),
    Key("text_edit.accept", "ctrl+s", "accept", "keep", "Keep what is written", priority=True),
    Key("help.close", "q,question_mark,f1", "close", "close", "Close the list", hint=False),
    Key("help.down", "j,down", "down", "down", "One line down"),
    Key("help.up", "k,up", "up", "up", "One line up"),
    Key("help.page_down", "ctrl+d,pagedown,space", "page_down", "page down", "One page down", hint=False),
    Key("help.page_up", "ctrl+u,pageup", "page_up", "page up", "One page up", hint=False),
    Key("ask.accept", "enter", "accept", "accept", "Accept what is typed", priority=True),
)

BY_ID: dict[str, Key] = {key.id: key for key in KEYS}
ORDER: dict[str, int] = {key.id: index for index, key in enumerate(KEYS)}

_SHOWN = {
    "question_mark": "?", "slash": "/", "escape": "esc", "enter": "enter", "pagedown": "pgdn", "pageup": "pgup",
    "plus": "+", "minus": "-", "equals_sign": "=", "left": "left", "right": "right", "delete": "del",
    "full_stop": ".", "comma": ",", "underscore": "_", "left_square_bracket": "[", "right_square_bracket": "]",
}  # fmt: skip


def bindings(*scopes: str) -> list[BindingType]:
    """Textual bindings for the `BINDINGS` of a screen or widget, from the registry."""
    wanted = [key for scope in scopes for key in KEYS if key.scope == scope]
    if not wanted:
        raise ValueError(f"no keys in {scopes}")
    return [
        Binding(key.keys, key.action, key.label, show=key.hint, priority=key.priority, tooltip=key.help, id=key.id)
        for key in wanted
    ]


def shown(key: str) -> str:
    """A Textual key name as people write it: `^p`, `?`, `pgdn`."""
    if key.startswith("ctrl+"):
        return "^" + shown(key.removeprefix("ctrl+"))
    if key.startswith("shift+"):
        return "shift+" + shown(key.removeprefix("shift+"))
    if key[:1] == "f" and key[1:].isdigit():
        return key.upper()
    return _SHOWN.get(key, key)


def shown_all(keys: str) -> str:
    """Alternatives as people write them: `j down`."""
    return " ".join(shown(key.strip()) for key in keys.split(","))


def keys_of(identity: str, keymap: Mapping[str, str]) -> str:
    """The keys of an id, a user's own choice included."""
    return keymap.get(identity, BY_ID[identity].keys)


def check_keymap(wanted: Mapping[str, object]) -> tuple[dict[str, str], list[str]]:
    """A user's `[keys]` table as a Textual keymap, and what is wrong with it in sentences.

    Entries that are wrong are left out: a typing error never locks anybody out of the app.
    """
    from difflib import get_close_matches

    keymap: dict[str, str] = {}
    problems: list[str] = []
    for identity, value in wanted.items():
        keys = [value] if isinstance(value, str) else value
        if identity not in BY_ID:
            near = get_close_matches(identity, BY_ID, n=1)
            problems.append(f'"{identity}" is no key id.' + (f' Did you mean "{near[0]}"?' if near else ""))
        elif not isinstance(keys, list) or not keys or not all(isinstance(key, str) and key.strip() for key in keys):
            problems.append(f'"{identity}" needs a key, or a list of keys.')
        else:
            keymap[identity] = ",".join(_textual_name(key.strip()) for key in keys)
    for first, second, key in _clashes(keymap):
        problems.append(f'"{key}" is both {first} and {second}; {second} keeps its own key.')
        keymap.pop(second, None)
    return keymap, problems


def _textual_name(key: str) -> str:
    """`?` or `^p` as Textual calls them."""
    if len(key) == 2 and key[0] == "^":
        return "ctrl+" + key[1].lower()
    names = {shown_name: name for name, shown_name in _SHOWN.items() if len(shown_name) == 1}
    return names.get(key, key)


def _clashes(keymap: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    """Pairs of ids in the same scope that a user's choice gave the same key."""
    for scope in SCOPES:
        owner: dict[str, str] = {}
        members = [key for key in KEYS if key.scope == scope]
        for key in sorted(members, key=lambda member: member.id in keymap):
            for name in keys_of(key.id, keymap).split(","):
                if name in owner and (key.id in keymap or owner[name] in keymap):
                    yield owner[name], key.id, shown(name)
                owner.setdefault(name, key.id)


def document() -> str:
    """docs/keys.md."""
    lines = [
        "# Keys",
        "",
        "Written by `python -m forge_tui.keys` from the registry that the app itself uses; do not edit by hand.",
        "",
        "Any key can be changed in `keys.toml` in the user's configuration folder",
        "(`~/.config/forge-tui/keys.toml` on Linux), by its id:",
        "",
        "```toml",
        "[keys]",
        '"train.pause" = "space"',
        '"app.quit" = ["q", "ctrl+x"]',
        "```",
        "",
        "A mistake in that file is reported when the app starts, and the key keeps its default.",
        "",
    ]
    for scope, title in SCOPES.items():
        members = [key for key in KEYS if key.scope == scope]
        if not members:
            continue
        lines += [f"## {title}", "", "| key | does | id |", "|---|---|---|"]
        lines += [
            f"| {' '.join(f'`{shown(name)}`' for name in key.keys.split(','))} | {key.help} | `{key.id}` |"
            for key in members
        ]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Print docs/keys.md."""
    print(document(), end="")


if __name__ == "__main__":
    main()
