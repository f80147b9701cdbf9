"""`forge-tui models`: the models of a project listed, shown, renamed, copied, deleted and brought back."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from engine.errors import UsageError
from engine.exit_codes import ExitCode
from engine.library import about, clone, comparison, rename, restoration, trash, verification
from engine.library.catalogue import find_entry, list_models
from engine.library.checkpoints import delete_checkpoint, find_checkpoint, inspect_checkpoint, list_checkpoints
from engine.library.disk_use import KINDS, clean, disk_use
from engine.library.lineage import tree
from engine.project import Project
from forge_tui import figures, model_words
from forge_tui.commands.here import current_project
from forge_tui.printing import put, put_facts, put_table, say

EPILOG = """\
A model is found whatever its capitals. Nothing is changed while a run holds the model (exit code 75).
What is deleted or replaced lies in models/.trash until the trash is emptied, and can be used from there.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `models`; without one it lists."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _json(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="WHAT", title="what to do (without: list)")

    def verb(
        name: str, summary: str, work: Callable[[Project, argparse.Namespace], int], *names: str
    ) -> argparse.ArgumentParser:
        text = summary[:1].upper() + summary[1:] + "."
        added = verbs.add_parser(name, help=summary, description=text, allow_abbrev=False)
        added.set_defaults(work=work)
        for place in names:
            added.add_argument(place, metavar="NEW" if place == "new" else "NAME")
        return added

    one = verb("list", "all models, those that came from another one below it", _list)
    one.add_argument("words", nargs="*", metavar="WORD", help="only with these in name, size, tags, note or data")
    _json(one)
    _json(verb("show", "everything about one model", _show, "name"))
    verb("rename", "give a model another name", _rename, "name", "new")
    verb("clone", "copy a model, without its runs", _clone, "name", "new")
    one = verb("note", "read or write a note on a model", _note, "name")
    one.add_argument("text", metavar="TEXT", nargs="?", help='the new note; "" removes it; without it: show the note')
    one = verb("tag", "add and remove tags", _tag, "name")
    one.add_argument("tags", metavar="TAG", nargs="*")
    one.add_argument("--remove", metavar="TAG", nargs="+", default=[], help="tags to take away")
    one = verb("delete", "move models to the trash", _delete)
    one.add_argument("names", metavar="NAME", nargs="+")
    one = verb("restore", "bring something back from the trash", _restore)
    one.add_argument("which", metavar="NAME", help="a name, or an id as `trash` lists it")
    one.add_argument("--as", dest="new", metavar="NEW", default="", help="under another name")
    one = verb("trash", "what is in the trash; or empty it", _trash)
    one.add_argument("action", nargs="?", choices=("list", "empty"), default="list")
    one.add_argument("which", metavar="ID", nargs="*", help="only these")
    _json(one)
    _yes(one)
    one = verb("verify", "check every byte of models and checkpoints", _verify)
    one.add_argument("names", metavar="NAME", nargs="*", help="without: all")
    _json(one)
    one = verb("checkpoints", "list, inspect, restore or delete the checkpoints of a model", _checkpoints, "name")
    one.add_argument("action", nargs="?", choices=("list", "show", "restore", "delete"), default="list")
    one.add_argument("which", metavar="WHICH", nargs="?", default="", help="a step, best, newest, or RUN/step-...")
    _json(one)
    _yes(one)
    _json(verb("compare", "two models side by side", _compare, "first", "second"))
    one = verb("clean", "what could be freed; or free it", _clean)
    one.add_argument("kinds", metavar="WHAT", nargs="*", help=f"free these: {', '.join(KINDS)}")
    _json(one)
    _yes(one)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")


def _yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask before something is removed for good")


def run(args: argparse.Namespace) -> int:
    """Do what the command line says.

    Raises:
        ForgeError: with the exit code of the contract.
    """
    project = current_project()
    args.json = getattr(args, "json", False)
    if getattr(args, "work", None) is None:
        args.words, args.work = [], _list
    return int(args.work(project, args))


def _put_json(value: Any) -> None:
    # json leaves DEL as it is; everything else that moves a cursor is escaped already
    print(json.dumps(value, indent=1, allow_nan=False).replace("\x7f", "\\u007f"), flush=True)


def _confirmed(args: argparse.Namespace, what: str) -> bool:
    """Whether to go on with something that cannot be undone.

    Raises:
        UsageError: nobody can be asked.
    """
    if args.yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{what} This cannot be undone.", fix="Add --yes.")
    say(f"{what} This cannot be undone. Go on? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _list(project: Project, args: argparse.Namespace) -> int:
    entries = [entry for entry in list_models(project) if entry.matches(" ".join(args.words))]
    if args.json:
        _put_json([entry.to_dict() for entry in entries])
        return ExitCode.DONE
    if not entries:
        say("No model has these words." if args.words else "There are no models yet: `forge-tui train` builds one.")
        return ExitCode.DONE
    now = time.time()
    rows = [("name", "size", "parameters", "val bits/byte", "trained", "data", "tags", "")]
    for branch in tree(entries):
        entry = branch.entry
        rows.append(
            (
                model_words.indented(branch) + entry.name,
                entry.size or "-",
                figures.count(entry.parameters) if entry.parameters else "-",
                figures.loss(entry.val_bpb),
                model_words.since(entry.trained, now),
                model_words.data_words(entry),
                " ".join(entry.tags),
                model_words.state_words(entry),
            )
        )
    put_table(rows, right=(2, 3))
    for entry in entries:
        if entry.problem:
            say(f"{entry.name}: {entry.problem}")
    return ExitCode.DONE


def _show(project: Project, args: argparse.Namespace) -> int:
    entry = find_entry(project, args.name)
    use = next((use for use in disk_use(project).models if use.name == entry.name), None)
    if args.json:
        found = entry.to_dict()
        if use is not None:
            found["disk"] = {"total": use.total, "model": use.published, "checkpoints": use.checkpoints}
        found["checkpoints"] = [checkpoint.to_dict() for checkpoint in list_checkpoints(project, entry.name)]
        _put_json(found)
        return ExitCode.DONE
    facts = [("name", entry.name), *model_words.facts(entry)]
    if use is not None:
        facts.append(("disk", model_words.disk_words(use)))
    put_facts(facts)
    return ExitCode.DONE


def _rename(project: Project, args: argparse.Namespace) -> int:
    folder = rename.rename(project, args.name, args.new)
    say(f"Renamed: it is {project.relative(folder)} now.")
    return ExitCode.DONE


def _clone(project: Project, args: argparse.Namespace) -> int:
    folder = clone.clone(project, args.name, args.new)
    say(f"Copied to {project.relative(folder)}.")
    return ExitCode.DONE


def _note(project: Project, args: argparse.Namespace) -> int:
    if args.text is None:
        put(find_entry(project, args.name).note)
    else:
        note = about.set_note(project, args.name, args.text).note
        say("Noted." if note else "The note is removed.")
    return ExitCode.DONE


def _tag(project: Project, args: argparse.Namespace) -> int:
    if args.tags or args.remove:
        tags = about.change_tags(project, args.name, add=args.tags, remove=args.remove).tags
    else:
        tags = find_entry(project, args.name).tags
    put(" ".join(tags))
    return ExitCode.DONE


def _delete(project: Project, args: argparse.Namespace) -> int:
    for name in args.names:
        trashed = trash.delete(project, name)
        say(f"{trashed.name} is in the trash. Back: forge-tui models restore {trashed.id}")
    return ExitCode.DONE


def _restore(project: Project, args: argparse.Namespace) -> int:
    folder = trash.restore(project, args.which, new_name=args.new)
    say(f"Back as {project.relative(folder)}.")
    return ExitCode.DONE


def _trash(project: Project, args: argparse.Namespace) -> int:
    entries = trash.list_trash(project)
    if args.action == "empty":
        entries = [trash.find_trashed(project, which) for which in args.which] or entries
        things = f"{len(entries)} thing" + ("" if len(entries) == 1 else "s")
        if not entries:
            say("The trash is empty.")
        elif _confirmed(args, f"{things} in the trash will be removed."):
            gone = trash.empty(project, [entry.id for entry in entries])
            say(f"Removed: {', '.join(entry.id for entry in gone)}.")
    elif args.json:
        _put_json([entry.to_dict() for entry in entries])
    elif not entries:
        say("The trash is empty.")
    else:
        now = time.time()
        rows = [("id", "what", "when")]
        rows += [(e.id, model_words.trashed_words(e), model_words.since(e.label.time, now)) for e in entries]
        put_table(rows)
    return ExitCode.DONE


def _verify(project: Project, args: argparse.Namespace) -> int:
    names = [find_entry(project, name).name for name in args.names] or [entry.name for entry in list_models(project)]
    found = {name: verification.verify(project, name) for name in names}
    bad = any(finding.verdict == "bad" for findings in found.values() for finding in findings)
    if args.json:
        _put_json({name: [finding.to_dict() for finding in findings] for name, findings in found.items()})
    elif not names:
        say("There are no models yet.")
    else:
        rows = [("model", "part", "verdict", "")]
        for name, findings in found.items():
            rows += [(name, f.part, f.verdict, f"{f.text} {f.fix}".strip()) for f in findings]
        put_table(rows)
    return ExitCode.FAILED if bad else ExitCode.DONE


def _checkpoints(project: Project, args: argparse.Namespace) -> int:
    if args.action == "list":
        return _list_checkpoints(project, args)
    if not args.which:
        raise UsageError("Which checkpoint?", fix=f"`forge-tui models checkpoints {args.name}` lists them.")
    checkpoint = find_checkpoint(project, args.name, args.which)
    if args.action == "show":
        inspection = inspect_checkpoint(checkpoint)
        if args.json:
            _put_json(checkpoint.to_dict() | {"files": inspection.files, "problem": inspection.problem})
        else:
            put_facts([("checkpoint", checkpoint.id), *model_words.inspection_facts(inspection)])
        return ExitCode.FAILED if inspection.problem else ExitCode.DONE
    if args.action == "restore":
        _, kept = restoration.restore_checkpoint(project, args.name, checkpoint.id)
        before = f" What it was before: forge-tui models restore {kept.id} --as NAME" if kept else ""
        say(f"{checkpoint.model} is its step {checkpoint.step:,} now.{before}")
    elif _confirmed(args, f"{checkpoint.id} ({figures.size(checkpoint.bytes)}) will be removed."):
        delete_checkpoint(project, args.name, checkpoint.id)
        say(f"Removed {checkpoint.id}.")
    return ExitCode.DONE


def _list_checkpoints(project: Project, args: argparse.Namespace) -> int:
    entries = list_checkpoints(project, args.name)
    if args.json:
        _put_json([entry.to_dict() for entry in entries])
    elif not entries:
        say("Its runs left no checkpoints.")
    else:
        now = time.time()
        rows = [("run", "checkpoint", "val bits/byte", "size", "saved", "")]
        for entry in entries:
            value, size = figures.loss(entry.val_bpb), figures.size(entry.bytes)
            saved = model_words.since(entry.saved, now)
            rows.append((entry.run, entry.name, value, size, saved, model_words.checkpoint_words(entry)))
        put_table(rows, right=(2, 3))
    return ExitCode.DONE


def _compare(project: Project, args: argparse.Namespace) -> int:
    found = comparison.compare(project, args.first, args.second)
    if args.json:
        _put_json(found.to_dict())
        return ExitCode.DONE
    rows = [("", found.first.entry.name, found.second.entry.name, "")]
    for figure in found.figures:
        first, second = model_words.figure_words(figure)
        rows.append((figure.label, first, second, ""))
    for row in (*found.model, *found.training, *found.data):
        rows.append((row.label, row.first, row.second, "differs" if row.differs else ""))
    put_table(rows)
    say(found.relation)
    say(found.comparable)
    return ExitCode.DONE


def _clean(project: Project, args: argparse.Namespace) -> int:
    unknown = [kind for kind in args.kinds if kind not in KINDS]
    if unknown:
        raise UsageError(f'There is no "{unknown[0][:40]}" to clean.', fix=f"There are: {', '.join(KINDS)}.")
    use = disk_use(project)
    if not args.kinds and args.json:
        _put_json({"free": use.free, "total": use.total, "reclaimable": [r.to_dict() for r in use.reclaimable]})
        return ExitCode.DONE
    wanted = [entry for entry in use.reclaimable if not args.kinds or entry.kind in args.kinds]
    if not wanted:
        say("There is nothing to free.")
        return ExitCode.DONE
    if not args.kinds:
        rows = [("what", "name", "would free", "")]
        put_table(rows + [(r.kind, r.name, figures.size(r.bytes), r.held) for r in wanted], right=(2,))
        say(f"Free it: forge-tui models clean {' '.join(dict.fromkeys(entry.kind for entry in wanted))}")
        return ExitCode.DONE
    words = "; ".join(KINDS[kind] for kind in KINDS if kind in args.kinds)
    if _confirmed(args, f"{figures.size(sum(entry.bytes for entry in wanted))} will be freed: {words}."):
        freed, kept = clean(project, wanted)
        say(f"Freed {figures.size(freed)}.")
        for text in kept:
            say(f"Left alone: {text}")
    return ExitCode.DONE
