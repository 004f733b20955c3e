"""Adapter folders: the merged model from its base, and what is refused."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from kyvo.api import Kyvo
from kyvo.errors import CheckpointError
from kyvo.files import read_json_object, write_plain_json
from kyvo.models.llama.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, placed_rows
from kyvo.models.weights import write_weights
from kyvo.testing import tiny_processor
from recipes import adapter_folder

SHORT = {"max_steps": 6, "warmup_steps": 1, "decay_steps": 2, "save_every": 6, "model_precision": "fp32"}


@pytest.fixture
def trained(runs):
    """A model's folder, the merged one of an adapter that was trained from it, and the adapter's."""
    runs.run("first", **SHORT)
    base = runs.newest("first") / "model"
    runs.run("second", sections={"peft": {"method": "lora", "rank": 4}}, init_weights=str(base), **SHORT)
    out = runs.folder / "adapter"
    adapter_folder.main(["--run", str(runs.folder / "second"), "--base", str(base), "--out", str(out)])
    return base, runs.newest("second") / "model", out


@pytest.mark.slow
def test_an_adapter_folder_is_the_merged_model(trained):
    base, merged, adapter = (Kyvo.from_pretrained(folder, device="cpu") for folder in trained)
    before, wanted, found = (one.model.state_dict() for one in (base, merged, adapter))
    assert any((wanted[name] - before[name]).abs().max() > 0.005 for name in wanted)
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-3)  # 16 bits
    assert (trained[2] / ADAPTER_WEIGHTS).stat().st_size < 0.5 * (trained[0] / "model.safetensors").stat().st_size
    assert adapter.processor.schema == base.processor.schema and adapter.name == "adapter"

    path = trained[2] / ADAPTER_CONFIG
    write_plain_json(path, read_json_object(path) | {"base_model_name_or_path": "../nowhere"})
    with pytest.raises(CheckpointError, match="nowhere"):
        Kyvo.from_pretrained(trained[2])


@pytest.mark.slow
def test_a_damaged_adapter_is_refused(trained):
    path = trained[2] / ADAPTER_WEIGHTS
    weights = load_file(path)
    write_weights(path, weights | {"model.layers.0.extra": torch.zeros(1)})
    with pytest.raises(
        CheckpointError, match=r"adapter_model\.safetensors: it has tensors that no adapter has: model\.layers"
    ):
        Kyvo.from_pretrained(trained[2])
    write_weights(path, {name: tensor for name, tensor in weights.items() if "lora_B" not in name})
    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors: cannot be read"):
        Kyvo.from_pretrained(trained[2])
    path.unlink()
    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors"):
        Kyvo.from_pretrained(trained[2])


def test_rows_stand_where_their_entries_do():
    old = tiny_processor().vocabulary
    new = replace(old, markers=(old.markers[0], "[NEW]", *old.markers[1:]), programs=("[P:count]",))
    table = torch.arange(len(old), dtype=torch.float32)[:, None] + 1
    ids = torch.tensor([new.marker_id("[NEW]"), new.ranges["program"].start])
    placed = placed_rows(table, torch.tensor([[-1.0], [-2.0]]), ids, old=old, new=new)
    assert placed[ids].flatten().tolist() == [-1, -2]
    assert all(placed[new.entries[entry]] == table[old.entries[entry]] for entry in old.entries)
    with pytest.raises(CheckpointError, match=r"1 ids have no row, such as \[P:count\]"):
        placed_rows(table, torch.zeros(1, 1), ids[:1], old=old, new=new)
    with pytest.raises(CheckpointError, match=r"its vocabulary lacks 2 entries of the base's, such as \[NEW\]"):
        placed_rows(placed, torch.zeros(0, 1), ids[:0], old=new, new=old)
