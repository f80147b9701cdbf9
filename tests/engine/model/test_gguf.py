from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gguf as library
import numpy as np
import pytest
import torch

from engine.errors import ForgeError, ModelError, UsageError
from engine.model import gguf
from engine.model.architecture import RopeScaling
from engine.model.card import ModelCard
from engine.model.folder import load_decoder
from engine.model.generate import Prompt, generate
from engine.model.gguf import GGUF_KINDS, GgufKind, write_gguf, write_modelfile
from engine.model.sampling import SamplingSettings
from engine.text.chat_template import render
from engine.text.conversation import Turn
from engine.text.tokenizer import Tokenizer

MakeModel = Callable[..., Path]

NASTY = [
    "What is Python?",
    "  two  spaces\n\n\tand tabs \r\n",
    "naïve café Ελλάδα 日本語 🍎🍏 e\u0301",
    "x=1234567; don't we'LL 'Re",
    "def add(a, b):\n    return a + b\n",
]

FAMILIES: dict[str, dict[str, Any]] = {
    "qwen3": {},
    "qwen2": {"qk_norm": False, "qkv_bias": True, "head_dim": 32},
    "llama": {"qk_norm": False, "tied": False, "rope_scaling": RopeScaling(8.0, 1.0, 4.0, 32), "head_dim": 32},
    "smollm3": {"qk_norm": False, "layers": 4, "nope_layers": (3,), "head_dim": 32},
}

# llama.cpp ends its process in its own time and way, so it runs in one of its own and is ended hard.
LLAMA_CPP = """
import json, os, sys, urllib.request
import xllamacpp

request = json.load(sys.stdin)
params = xllamacpp.CommonParams()
params.model.path = request["model"]
params.n_ctx = 96
params.n_parallel = 1
params.cpuparams.n_threads = 1
params.warmup = False
params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
server = xllamacpp.Server(params)

def ask(path, body):
    data = json.dumps(body).encode()
    call = urllib.request.Request(server.listening_address + path, data, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(call))

def complete(ids, count):
    return ask("/completion", {"prompt": ids, "n_predict": count, "temperature": 0.0, "n_probs": 5,
                               "return_tokens": True, "cache_prompt": False, "ignore_eos": True})

def top(ids):
    # No probabilities are reported for a token that is a part of a character.
    return {str(top["id"]): top["logprob"]
            for entry in complete(ids, 1).get("completion_probabilities", []) for top in entry["top_logprobs"]}

result = {
    "tokens": complete(request["ids"], 24)["tokens"],
    "top": [top(request["ids"][:end]) for end in range(1, len(request["ids"]) + 1)],
    "tokenized": [ask("/tokenize", {"content": text})["tokens"] for text in request["texts"]],
    "chat": ask("/apply-template", {"messages": request["messages"]})["prompt"],
    "chat_ids": ask("/tokenize", {"content": request["chat"], "parse_special": True})["tokens"],
}
os.write(3, json.dumps(result).encode())
os._exit(0)
"""

CHAT = [Turn("system", "Be brief."), Turn("user", "What is Python?")]


def llama_cpp(model: Path, ids: Sequence[int], tmp_path: Path) -> dict[str, Any]:
    request = {
        "model": str(model),
        "ids": list(ids),
        "texts": NASTY,
        "messages": [{"role": turn.role, "content": turn.text} for turn in CHAT],
        "chat": render(CHAT, answer_prompt=True),
    }
    out = tmp_path / "answer.json"
    command = ["bash", "-c", f'exec "{sys.executable}" -c "$0" 3> "{out}"', LLAMA_CPP]
    run = subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr.decode()[-2000:]
    found: dict[str, Any] = json.loads(out.read_text())
    return found


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed")
@pytest.mark.parametrize(
    ("family", "kind"), [*((family, "f32") for family in FAMILIES), ("qwen3", "f16"), ("qwen3", "q8_0")]
)
def test_llama_cpp_says_the_same(
    tmp_path: Path, make_model: MakeModel, tokenizer: Tokenizer, family: str, kind: GgufKind
) -> None:
    folder = make_model(family, **FAMILIES[family])
    model = write_gguf(folder, tmp_path / "model.gguf", kind).file
    prompt = tokenizer.encode("The quick brown fox jumps over the lazy dog")
    found = llama_cpp(model, prompt, tmp_path)
    assert found["tokenized"] == [tokenizer.encode(text) for text in NASTY]
    assert found["chat"] == render(CHAT, answer_prompt=True)
    assert found["chat_ids"] == tokenizer.encode_turns(CHAT, answer_prompt=True).ids
    decoder, _ = load_decoder(folder)
    with torch.no_grad():
        ours = decoder(torch.tensor([prompt]))[0].log_softmax(-1)
    errors = [
        abs(row[int(token)].item() - logprob)
        for row, top in zip(ours, found["top"], strict=True)
        for token, logprob in top.items()
    ]
    assert len(errors) >= 15
    assert max(errors) < {"f32": 0.01, "f16": 0.02, "q8_0": 0.3}[kind]
    if kind == "f32":
        greedy = SamplingSettings(temperature=0.0, repetition_penalty=1.0, max_tokens=24)
        assert list(generate(decoder, tokenizer, Prompt(prompt), greedy, stop_ids=()).tokens) == found["tokens"]


@pytest.mark.parametrize("kind", GGUF_KINDS)
def test_written_tensors_are_within_half_a_step(tmp_path: Path, make_model: MakeModel, kind: GgufKind) -> None:
    folder = make_model()
    report = write_gguf(folder, tmp_path / f"model-{kind}.gguf", kind)
    assert report.bytes == report.file.stat().st_size
    assert report.max_error == 0 if kind == "f32" else 0 < report.max_error < 0.005
    reader = library.GGUFReader(report.file)
    assert len(reader.tensors) == report.tensors == 2 + 2 * 11
    norms = [tensor for tensor in reader.tensors if tensor.name.endswith("norm.weight")]
    assert {tensor.tensor_type.name for tensor in norms} == {"F32"}
    matrix = next(tensor for tensor in reader.tensors if tensor.name == "blk.1.ffn_down.weight")
    assert matrix.tensor_type.name.lower() == kind
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_llama_cpp_needs_to_know(tmp_path: Path, make_model: MakeModel, tokenizer: Tokenizer) -> None:
    reader = library.GGUFReader(write_gguf(make_model("sample"), tmp_path / "m.gguf").file)
    fields = {name: reader.fields[name].contents() for name in reader.fields}
    assert fields["general.architecture"] == "qwen3" and fields["general.name"] == "sample"
    assert fields["tokenizer.ggml.pre"] == "qwen2" and fields["tokenizer.ggml.model"] == "gpt2"
    assert fields["qwen3.attention.key_length"] == fields["qwen3.attention.value_length"] == 64
    assert fields["qwen3.context_length"] == 96
    assert fields["tokenizer.ggml.eos_token_id"] == fields["tokenizer.ggml.eot_token_id"] == 2
    assert fields["tokenizer.ggml.add_bos_token"] is False and "tokenizer.ggml.bos_token_id" not in fields
    assert fields["tokenizer.ggml.token_type"][:8] == [3, 3, 3, 4, 4, 4, 4, 1]
    assert len(fields["tokenizer.ggml.tokens"]) == tokenizer.vocabulary


def test_ids_without_a_token_are_filled(tmp_path: Path, make_model: MakeModel, tokenizer: Tokenizer) -> None:
    size = tokenizer.vocabulary + 12
    reader = library.GGUFReader(write_gguf(make_model("sample", vocabulary=size), tmp_path / "m.gguf").file)
    tokens, types = (reader.fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type"))
    assert len(tokens) == size and tokens[-1] == f"[PAD{size - 1}]" and types[-12:] == [5] * 12


def test_a_file_that_differs_is_not_kept(
    tmp_path: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = make_model(), tmp_path / "m.gguf"
    file.write_bytes(b"old")
    right = library.quantize
    monkeypatch.setattr(gguf.gguf, "quantize", lambda data, kind: right(data * np.float32(1.01), kind))
    with pytest.raises(ForgeError, match="not written right"):
        write_gguf(folder, file)
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_what_llama_cpp_has_no_name_for_is_refused(tmp_path: Path, make_model: MakeModel) -> None:
    folder = make_model()
    with pytest.raises(UsageError, match="q3_k"):
        write_gguf(folder, tmp_path / "m.gguf", "q3_k")  # type: ignore[arg-type]
    table = json.loads((folder / "tokenizer.json").read_text())
    table["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\s+|\S+"
    (folder / "tokenizer.json").write_text(json.dumps(table))
    with pytest.raises(ModelError, match="splits text"):
        write_gguf(folder, tmp_path / "m.gguf")
    odd = make_model("odd", **FAMILIES["smollm3"] | {"nope_layers": (1,)})
    with pytest.raises(ModelError, match="every fourth"):
        write_gguf(odd, tmp_path / "m.gguf")
    wide = make_model("wide", **FAMILIES["qwen2"] | {"head_dim": 64})
    with pytest.raises(ModelError, match="head_dim"):
        write_gguf(wide, tmp_path / "m.gguf")
    with pytest.raises(ForgeError):
        write_gguf(make_model("other"), tmp_path / "missing" / "m.gguf")


def test_modelfile_stands_beside_the_model(tmp_path: Path, make_model: MakeModel) -> None:
    folder = make_model()
    file = write_gguf(folder, tmp_path / "m-f16.gguf").file
    text = write_modelfile(folder, file).read_text()
    assert (tmp_path / "Modelfile").exists()
    assert text.startswith("FROM ./m-f16.gguf\n") and "<|im_start|>assistant" in text
    assert "PARAMETER num_ctx 96" in text and 'PARAMETER stop "<|im_end|>"' in text
    teller = make_model("teller", card=replace(ModelCard(name="teller"), conversation=False))
    assert 'TEMPLATE """{{ .Prompt }}"""' in write_modelfile(teller, file).read_text()
