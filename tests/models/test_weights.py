"""Damaged model folders: every file is named, whatever is wrong with it, and no changed weight loads."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kyvo.api import Kyvo
from kyvo.errors import CheckpointError, KyvoError
from kyvo.generation.calibration import Calibration
from kyvo.models.heads.refiner import save_refiner
from kyvo.models.weights import CHECKSUMS, check_weights, read_weights, record_checksums, write_weights
from kyvo.testing import tiny_kyvo, tiny_refiner


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model folder with all that one may have."""
    folder = tmp_path_factory.mktemp("model")
    kyvo = tiny_kyvo()
    kyvo.processor.save(folder)
    kyvo.model.save_pretrained(folder)
    record_checksums(folder, ["model.safetensors"])
    save_refiner(folder, tiny_refiner())
    Calibration(scale=1.0, shift=0.0).save(folder, {})
    Kyvo.from_pretrained(folder)
    return folder


FILES = (
    "calibration.json", "config.json", "generation_config.json", "image_tokenizer.json", "image_tokenizer.safetensors",
    "model.safetensors", "refiner.safetensors", "schema.json", "sequence.json",
    "tokenizer.model", "vocabulary.json", CHECKSUMS,
)  # fmt: skip
DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "noise": lambda data: bytes(range(256)) * 8,
    "zeros": lambda data: b"\0" * len(data),
    "deep": lambda data: b"[" * 100_000,
    "list": lambda data: b"[1, 2]",
    "other object": lambda data: b'{"a": {"b": [null]}}',
    "header": lambda data: b"\xff" * 8 + data[8:],
    "number": lambda data: data.replace(b"2", b"9", 1),
}


QUICK = ("cut", "noise", "deep", "other object")


@pytest.mark.parametrize(
    "damage", [damage if damage in QUICK else pytest.param(damage, marks=pytest.mark.slow) for damage in DAMAGE]
)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(name, damage, whole, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    (folder / name).write_bytes(DAMAGE[damage]((folder / name).read_bytes()))
    try:
        Kyvo.from_pretrained(folder)
    except KyvoError as error:
        assert isinstance(error, CheckpointError) and str(folder) in str(error)
        if name not in ("config.json", "vocabulary.json", "schema.json"):  # which may fit another file no more
            assert name in str(error)
    else:
        whole_still = ("generation_config.json", "calibration.json", "sequence.json")  # with another number
        assert name in whole_still or (name == CHECKSUMS and damage == "empty")


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".safetensors")])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_flipped_bit_is_found(name, share, whole, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    data = bytearray((folder / name).read_bytes())
    data[int(share * len(data))] ^= 4
    (folder / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=name):
        Kyvo.from_pretrained(folder)


def test_a_folder_without_checksums_loads(whole, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    (folder / CHECKSUMS).unlink()
    Kyvo.from_pretrained(folder)


def test_the_bundled_folder_is_as_it_was_written():
    folder = Path(__file__).resolve().parents[2] / "kyvo" / "assets" / "mini"
    files = sorted(folder.glob("*.safetensors"))
    assert {line.split()[1] for line in (folder / CHECKSUMS).read_text().splitlines()} == {
        path.name for path in files if path.name != "image_tokenizer.safetensors"
    }
    check_weights(files)


def test_a_file_that_is_written_again_is_recorded_again(tmp_path):
    for value in (0.0, 1.0):
        write_weights(tmp_path / "a.safetensors", {"a": torch.full((3,), value)})
        assert read_weights(tmp_path / "a.safetensors")["a"].tolist() == [value] * 3
    write_weights(tmp_path / "b.safetensors", {"b": torch.ones(2)})
    assert len((tmp_path / CHECKSUMS).read_text().splitlines()) == 2
    assert load_file(tmp_path / "b.safetensors")["b"].tolist() == [1.0, 1.0]
