"""`export`: a model for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.errors import UsageError
from engine.exit_codes import ExitCode
from engine.files import os_error
from forge_tui import figures
from forge_tui.commands.here import current_project, existing_model
from forge_tui.printing import put, say

KINDS = ("f32", "f16", "bf16", "q8_0")


EPILOG = """\
GGUF files are opened again and compared with the model before they count. The model's folder is a Hugging Face model
as it is; --hf copies it without its runs.

  forge-tui export sacrifice --gguf q8_0
  ollama create sacrifice -f models/sacrifice/Modelfile
  forge-tui export sacrifice --hf ~/sacrifice
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `export`."""
    parser.epilog = EPILOG
    parser.add_argument("name", metavar="NAME", help="the model")
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument(
        "--gguf", metavar="KIND", choices=KINDS, help=f"for llama.cpp and Ollama, with a Modelfile: {', '.join(KINDS)}"
    )
    form.add_argument("--hf", metavar="DIR", help="a copy of the Hugging Face folder; DIR must be new or empty")
    parser.add_argument("--to", metavar="FILE", help="the GGUF file (default: in the model's folder)")


def run(args: argparse.Namespace) -> int:
    """Write it."""
    folder = existing_model(current_project(), args.name)
    if args.hf is not None:
        if args.to is not None:
            raise UsageError("--to belongs to --gguf.", fix=f"Write: --hf {args.to}")
        return _copy(folder, Path(args.hf))
    file = Path(args.to) if args.to is not None else folder / f"{folder.name}-{args.gguf.upper()}.gguf"
    return _gguf(folder, file.absolute(), args.gguf)


def _gguf(folder: Path, file: Path, kind: str) -> int:
    from engine.model.info import read_model
    from engine.runs.task import run_task

    read_model(folder)
    if not file.parent.is_dir():
        raise UsageError("There is no such folder.", file=file.parent, fix="Make it first.")
    if file.is_dir():
        raise UsageError("This is a folder, not a file.", file=file, fix=f"Write: --to {file}/{folder.name}.gguf")
    arguments = {"folder": str(folder), "file": str(file), "kind": kind}
    report = run_task("engine.model.exporting:export_gguf", arguments, hear=say)
    put(report["file"])
    say(f"{figures.size(report['bytes'])}. For Ollama: ollama create {folder.name} -f {report['modelfile']}")
    return int(ExitCode.DONE)


def _copy(folder: Path, target: Path) -> int:
    import shutil

    from engine.library.clone import copy_files
    from engine.model.card import CARD_FILE, README_FILE
    from engine.model.info import read_model

    info = read_model(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise UsageError("This folder is not empty.", file=target, fix="Name a new one.")
    except OSError as error:
        raise os_error(error, target) from error
    copy_files(info, target)
    try:
        for name in (README_FILE, CARD_FILE):
            if name in info.files:
                shutil.copyfile(info.files[name], target / name)
    except OSError as error:
        raise os_error(error, target) from error
    put(str(target))
    say(f'In Python: transformers.AutoModelForCausalLM.from_pretrained("{target}")')
    return int(ExitCode.DONE)
