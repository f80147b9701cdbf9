from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.errors import DiskFullError, ForgeError, ModelError
from engine.model.architecture import Architecture
from engine.model.card import ModelCard
from engine.model.folder import load_decoder, load_tokenizer, open_model, write_model_files
from engine.model.info import read_model
from engine.model.transformer import Decoder
from engine.text.tokenizer import Tokenizer
from tests.engine.model.conftest import SMALL

FILES = {
    "README.md",
    "chat_template.jinja",
    "config.json",
    "forge.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}

MakeModel = Callable[..., Path]


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def rewrite_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """What another program does: change the weights, lose our metadata."""
    path = (folder / "model.safetensors").resolve()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


def test_written_and_loaded_again_is_the_same(make_model: MakeModel, decoder: Decoder, tokenizer: Tokenizer) -> None:
    folder = make_model()
    assert {path.name for path in folder.iterdir() if path.is_file()} == FILES
    loaded, architecture = load_decoder(folder)
    assert architecture == decoder.architecture
    for name, value in decoder.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in loaded.parameters())
    assert load_tokenizer(read_model(folder)).hash == tokenizer.hash


def test_a_loaded_decoder_can_be_trained_without_touching_the_file(make_model: MakeModel) -> None:
    folder = make_model()
    before = (folder / "model.safetensors").read_bytes()
    loaded, architecture = load_decoder(folder)
    ids = torch.arange(20).reshape(1, 20) % architecture.vocabulary
    loaded.loss(ids, ids, torch.ones(1, 20)).backward()
    with torch.no_grad():
        for parameter in loaded.parameters():
            assert parameter.grad is not None
            parameter.add_(1.0)
    assert (folder / "model.safetensors").read_bytes() == before


def test_what_is_known_is_written_down(make_model: MakeModel, tokenizer: Tokenizer) -> None:
    folder = make_model(card=ModelCard(name="sample", step=12, run="r1", metrics={"val_bpb": 1.5, "bad": float("nan")}))
    record = json.loads((folder / "forge.json").read_text())
    assert record["tokenizer_hash"] == tokenizer.hash
    assert record["parameters"] == sum(t.numel() for t in load_file(folder / "model.safetensors").values())
    assert record["metrics"] == {"val_bpb": 1.5}
    assert record["updated"] >= record["created"] > 1e9
    assert read_model(folder).weights.metadata == {"format": "pt", "forge": "1", "step": "12", "run": "r1"}
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [0, 2]


def test_files_have_the_modes_that_the_umask_gives(umask: None, make_model: MakeModel) -> None:
    folder = make_model()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()}
    assert set(modes.values()) == {0o640}, modes


def test_stored_as_bfloat16_and_loaded_as_either(tmp_path: Path, decoder: Decoder, tokenizer: Tokenizer) -> None:
    write_model_files(
        tmp_path, decoder.state_dict(), decoder.architecture, tokenizer, ModelCard(name="x"), dtype=torch.bfloat16
    )
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    assert load_decoder(tmp_path)[0].embed.weight.dtype is torch.bfloat16
    full, _ = load_decoder(tmp_path, dtype="float32")
    torch.testing.assert_close(full.embed.weight, decoder.embed.weight, rtol=0.01, atol=0.01)
    assert full.cosine.dtype is torch.float32


def test_weights_that_are_not_numbers_are_not_written(tmp_path: Path, decoder: Decoder, tokenizer: Tokenizer) -> None:
    state = {name: value.clone() for name, value in decoder.state_dict().items()}
    state["norm.weight"][3] = float("nan")
    with pytest.raises(ModelError, match=r"model\.norm\.weight holds values that are not numbers"):
        write_model_files(tmp_path, state, decoder.architecture, tokenizer, ModelCard(name="x"))
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_larger_than_the_model_is_not_written(tmp_path: Path, tokenizer: Tokenizer) -> None:
    small = Architecture.of(SMALL, 300, 32)
    with pytest.raises(ModelError, match="only 300"):
        write_model_files(tmp_path, Decoder(small), small, tokenizer, ModelCard(name="x"))


def test_no_space_is_said(tmp_path: Path, decoder: Decoder, tokenizer: Tokenizer) -> None:
    child = os.fork()
    if child == 0:
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            write_model_files(tmp_path, decoder, decoder.architecture, tokenizer, ModelCard(name="x"))
        except DiskFullError:
            os._exit(6)
        except BaseException:  # noqa: BLE001  the child must never return into pytest
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6


def test_a_flipped_bit_is_noticed(make_model: MakeModel) -> None:
    path = (make_model() / "model.safetensors").resolve()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="digest"):
        load_decoder(path.parent)


def test_weights_changed_by_another_program_are_accepted(make_model: MakeModel) -> None:
    folder = make_model()
    rewrite_weights(folder, lambda tensors: tensors["model.norm.weight"].fill_(2.0))
    assert torch.all(load_decoder(folder)[0].norm.weight == 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("model.norm.weight"), r"lack model\.norm\.weight"),
        (lambda tensors: tensors.update(extra=torch.zeros(2)), "hold extra"),
        (lambda tensors: tensors.update({"model.norm.weight": torch.zeros(5)}), "is 5, but config.json says 64"),
        (lambda tensors: tensors.update({"model.norm.weight": torch.zeros(64).to(torch.int8)}), "I8"),
    ],
)
def test_wrong_weights_are_refused(make_model: MakeModel, change: Callable[[object], object], words: str) -> None:
    folder = make_model()
    rewrite_weights(folder, change)
    with pytest.raises(ModelError, match=words):
        load_decoder(folder)


@pytest.mark.parametrize("name", ["config.json", "forge.json", "generation_config.json"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"1" * 5_000_000 + b"}"]
)
def test_damaged_json_is_refused(make_model: MakeModel, name: str, content: bytes) -> None:
    folder = make_model()
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        open_model(folder)
    assert name in caught.value.where
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("empty", [True, False])
def test_missing_and_empty_files_are_refused(make_model: MakeModel, name: str, empty: bool) -> None:
    folder = make_model()
    if empty:
        (folder / name).write_bytes(b"")
    else:
        (folder / name).resolve().unlink()
    with pytest.raises(ModelError):
        load_tokenizer(open_model(folder)[0])


def test_a_pickle_is_refused_whether_named_or_found(tmp_path: Path, make_model: MakeModel) -> None:
    folder = make_model()
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    for path in (folder, folder / "pytorch_model.bin"):
        with pytest.raises(ModelError, match="pickle"):
            load_decoder(path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, make_model: MakeModel) -> None:
    folder = make_model()
    secret = tmp_path / "secret.json"
    shutil.copy(folder / "config.json", secret)
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(secret)
    with pytest.raises(ModelError, match="leads out of the model folder"):
        load_decoder(folder)
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("nothing-here")
    with pytest.raises(ModelError, match="missing"):
        load_decoder(folder)


def test_a_current_version_outside_the_folder_is_refused(tmp_path: Path, make_model: MakeModel) -> None:
    folder, other = make_model("one"), make_model("two")
    (folder / ".current").unlink()
    (folder / ".current").symlink_to((other / ".current").resolve())
    with pytest.raises(ModelError, match="leads out"):
        load_decoder(folder)


def test_a_snapshot_of_the_hugging_face_cache_is_read(tmp_path: Path, make_model: MakeModel) -> None:
    source = make_model()
    snapshot = tmp_path / "hub" / "models--x--y" / "snapshots" / "abc"
    blobs = tmp_path / "hub" / "models--x--y" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, name in enumerate(sorted(FILES)):
        shutil.copy(source / name, blobs / f"{number:040x}")
        (snapshot / name).symlink_to(f"../../blobs/{number:040x}")
    info, loaded = open_model(snapshot)
    assert torch.equal(loaded.embed.weight, load_decoder(source)[0].embed.weight)
    assert load_tokenizer(info).vocabulary == info.architecture.vocabulary


def test_a_tokenizer_of_another_model_is_refused(make_model: MakeModel) -> None:
    folder = make_model()
    Tokenizer.train(["other words, other merges, other tokens " * 50], 300).save(folder)
    with pytest.raises(ModelError, match="not the model's own"):
        load_tokenizer(open_model(folder)[0])


def test_errors_are_short_and_never_a_traceback_of_ours(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(ForgeError) as caught:
            load_decoder(path)
        assert str(path) in str(caught.value)
