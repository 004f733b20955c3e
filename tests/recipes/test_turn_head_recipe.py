"""The recipe of the turn head: its network goes with a generator, and comes back with it."""

from pathlib import Path

import loading
import pytest
import torch
from tiny_generators import COND, tiny_generator
from trainings import lines

from kyvo.data.dataset import write_set
from kyvo.errors import ConfigError
from kyvo.models.slat.load import load_network
from kyvo.pipelines.objects import ObjectGenerator
from kyvo.shapes.scene_sets import SceneSet

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def recipe():
    with loading.program("recipes/turn_head.py") as module:
        yield module


@pytest.mark.slow
def test_the_head_is_trained_beside_a_generator_and_saved_with_it(recipe, tmp_path):
    pytest.importorskip("open3d")
    write_set(tmp_path / "scenes", SceneSet(count=2, seed=0, size=64, max_objects=3))
    tiny_generator().save_pretrained(tmp_path / "objects")
    command = ["--config", str(ROOT / "configs/flow/turn_head_mini.yaml"), "--data", str(tmp_path / "scenes")]
    command += [
        "--objects",
        str(tmp_path / "objects"),
        "--out",
        str(tmp_path / "out"),
        "--set",
        f"head.channels={COND}",
    ]
    few = ["train.steps=4", "train.batch_size=2", "train.held_out=1", "train.report_every=2"]
    recipe.main([*command, *few])
    assert [line["step"] for line in lines(tmp_path / "out")] == [2, 4]
    assert 0 <= lines(tmp_path / "out")[-1]["held_out_within_30_degrees"] <= 1
    head = load_network(tmp_path / "out" / "turn_head")

    tiny_generator(turn_head=head).save_pretrained(tmp_path / "joined")
    again = ObjectGenerator.from_pretrained(tmp_path / "joined").turn_head
    assert again is not None
    torch.testing.assert_close(again.state_dict(), head.state_dict())
    more = [*command[:-3], str(tmp_path / "more"), "--init", str(tmp_path / "joined"), *command[-2:]]
    recipe.main([*more, *few, "train.steps=1", "train.learning_rate=0"])
    torch.testing.assert_close(load_network(tmp_path / "more" / "turn_head").state_dict(), head.state_dict())
    with pytest.raises(ConfigError, match=r"--data has \d objects and train.held_out is 1000"):
        recipe.main(command)
