from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "engine" / "library"


def test_the_library_imports_neither_torch_nor_numpy() -> None:
    names = [path.stem for path in FOLDER.glob("[a-z]*.py")]
    assert len(names) > 10
    program = "\n".join(
        [
            "import importlib, sys",
            f"for name in {names!r}: importlib.import_module('engine.library.' + name)",
            "print([name for name in ('torch', 'numpy', 'textual', 'rich', 'tokenizers') if name in sys.modules])",
        ]
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
