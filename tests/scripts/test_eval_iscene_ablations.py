"""The ablations of I-Scene: what each training lacks, and what comes out of a run."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import loading
import pytest
import torch
from tiny_generators import SIDE, tiny_generator
from tiny_scenes import ISCENE, write_config, write_scenes

from kyvo.models.slat.load import build_network
from kyvo.shapes.scene_flow_data import SceneRows

pytest.importorskip("open3d")


@pytest.fixture(scope="module")
def program() -> Iterator[ModuleType]:
    with loading.program("eval/iscene_ablations.py") as module:
        yield module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes") / "set")


def test_without_its_context_an_instance_does_not_see_its_scene(program):
    whole = build_network(ISCENE)
    whole.initialize()
    for parameter in whole.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    alone = program.Alone(whole.config)
    alone.load_state_dict(whole.state_dict())
    x = torch.randn(2, whole.config.in_channels, *[whole.config.resolution] * 3)
    other = torch.cat([torch.randn_like(x[:1]), x[1:]])  # another scene of the same instance
    rest = (torch.full((2,), 0.5), torch.randn(2, 3, whole.config.cond_channels), torch.tensor([0, 0]))
    assert torch.equal(alone(x, *rest)[1], alone(other, *rest)[1])
    assert not torch.allclose(whole(x, *rest)[1], whole(other, *rest)[1])


def test_turned_scenes_keep_their_cells_and_their_pictures(program, data):
    rows = SceneRows.open([data], resolution=SIDE)
    turned = program.TurnedRows(rows=rows.rows, resolution=rows.resolution)
    size = {"crop_size": 8, "picture_size": 8}
    every = range(len(rows))
    before, after = rows.instances(every, **size), turned.instances(every, **size)
    assert torch.equal(before.pictures, after.pictures) and torch.equal(before.masks, after.masks)
    assert torch.equal(before.occupancy.sum((3, 2, 1)), after.occupancy.sum((3, 2, 1)))  # heights stay
    assert not torch.equal(before.occupancy, after.occupancy)
    again = turned.instances(every, **size)
    assert torch.equal(after.occupancy, again.occupancy)


def test_a_run_measures_all_three(program, data, tmp_path):
    tiny_generator().save_pretrained(tmp_path / "objects")
    parts = tmp_path / "objects" / "ckpts"
    path = write_config(tmp_path, parts, ISCENE, learning_rate=1e-2)
    words = ["--config", path, "--init", parts / "structure_flow", "--data", data, "--held-out", data]
    results = program.main([*map(str, words), "--steps", "2", "--out", str(tmp_path / "out")])
    losses = {arm.name: results.figure(f"loss, {arm.name}").value for arm in program.ARMS}
    assert len(set(losses.values())) == 3
    for arm in program.ARMS[1:]:
        grown = results.figure(f"growth {arm.name}")
        assert grown.value == pytest.approx(losses[arm.name] - losses["as published"])
        assert grown.low <= grown.value <= grown.high
    again = program.main([*map(str, words), "--steps", "2", "--out", str(tmp_path / "out")])  # nothing is left to train
    assert [figure.value for figure in again.figures] == [figure.value for figure in results.figures]
