"""The flow recipe trains SceneGen and I-Scene from an object's flow, and goes on to the bit."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import loading
import pytest
import torch
import yaml
from tiny_generators import tiny_generator
from tiny_scenes import ENCODER, ISCENE, SCENEGEN, write_scenes
from trainings import lines

from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.slat.load import build_network, load_network, save_network

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("open3d")


@pytest.fixture(scope="module")
def recipe() -> Iterator[ModuleType]:
    with loading.program("recipes/flow.py") as module:
        yield module


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The networks of a generator of objects."""
    folder = tmp_path_factory.mktemp("objects")
    tiny_generator().save_pretrained(folder)
    return folder / "ckpts"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes") / "set")


def write_config(folder: Path, objects: Path, model: dict, **train) -> Path:
    config = {
        "model": model,
        "conditions": {"picture": str(objects / "picture_encoder"), "scene": ENCODER},
        "structure_encoder": str(objects / "structure_encoder"),
        "train": {"steps": 4, "batch_size": 4, "learning_rate": 1e-3, "report_every": 1, "checkpoint_every": 2} | train,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def weights(out: Path, step: int) -> dict[str, torch.Tensor]:
    state = torch.load(out / f"step_{step:06d}" / "state.pt", weights_only=True)
    found = {f"{part}.{name}": value for part in ("model", "encoders") for name, value in state[part].items()}
    return found | {f"average.{number}": value for number, value in enumerate(state["average"])}


@pytest.mark.parametrize(("model", "only_new"), [(SCENEGEN, True), (ISCENE, False)], ids=["scenegen", "iscene"])
def test_a_training_that_goes_on_is_the_same_to_the_bit(recipe, objects, data, tmp_path, capsys, model, only_new):
    config = write_config(tmp_path, objects, model, only_new=only_new, keep_last=3)
    common = ["--config", str(config), "--data", str(data), "--init", str(objects / "structure_flow")]
    recipe.main([*common, "--out", str(tmp_path / "whole")])
    assert ("start anew: global_blocks." in capsys.readouterr().err) == only_new
    recipe.main([*common, "--out", str(tmp_path / "cut"), "--set", "train.steps=2"])
    recipe.main([*common, "--out", str(tmp_path / "cut"), "--resume"])
    one, other = weights(tmp_path / "whole", 4), weights(tmp_path / "cut", 4)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert [line["loss"] for line in lines(tmp_path / "whole")] == [line["loss"] for line in lines(tmp_path / "cut")]

    # What the object's flow has stays as it is, or moves; the averaged flow is what was saved.
    start = load_network(objects / "structure_flow").state_dict()
    moved = [name for name, value in start.items() if not torch.equal(value, one[f"model.{name}"])]
    assert bool(moved) == (not only_new)
    flow = load_network(tmp_path / "whole" / "step_000004" / "model" / "flow")
    assert type(flow).__name__ == model["name"]
    if only_new:
        assert not torch.equal(flow.query_tokens, one["model.query_tokens"])
        line = lines(tmp_path / "whole")[0]
        assert line["loss"] == pytest.approx(line["flow"] + line["pose"] + line["collision"], rel=1e-4)
    assert (tmp_path / "whole" / "step_000004" / "model" / "scene_encoder.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("model", [SCENEGEN, ISCENE], ids=["scenegen", "iscene"])
def test_the_loss_falls(recipe, objects, data, tmp_path, model):
    config = write_config(
        tmp_path, objects, model, steps=150, report_every=50, checkpoint_every=200, learning_rate=3e-3
    )
    recipe.main(["--config", str(config), "--data", str(data), "--out", str(tmp_path / "out")])
    found = lines(tmp_path / "out")
    assert found[-1]["loss"] < 0.8 * found[0]["loss"]
    if model is SCENEGEN:
        assert found[-1]["pose"] < found[0]["pose"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"train": {"steps": 1, "batch_size": 1}}, "A scene has 3 items and train.batch_size is 1"),
        ({"conditions": {"scene": ENCODER}}, "conditions.picture is missing"),
        ({"conditions": {"text": ENCODER}}, "conditions.text is not a condition; known are picture, scene"),
        ({"model": ISCENE, "train": {"steps": 1, "only_new": True}}, "has no part that an object's flow lacks"),
    ],
)
def test_settings_that_do_not_fit_are_refused(recipe, objects, data, tmp_path, change, match):
    config = yaml.safe_load(write_config(tmp_path, objects, SCENEGEN).read_text()) | change
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match=match):
        recipe.main(["--config", str(tmp_path / "config.yaml"), "--data", str(data), "--out", str(tmp_path / "out")])


def test_a_start_of_other_sizes_is_refused(recipe, objects, data, tmp_path):
    small = {"name": "SparseStructureFlowModel", "args": {**ISCENE["args"], "num_blocks": 1}}
    save_network(build_network(small), tmp_path / "small")
    config = write_config(tmp_path, objects, SCENEGEN)
    with pytest.raises(CheckpointError, match="has other sizes than the model section"):
        recipe.main(
            ["--config", str(config), "--data", str(data), "--out", str(tmp_path), "--init", str(tmp_path / "small")]
        )


@pytest.mark.parametrize("name", ["scenegen_mini", "iscene_mini"])
def test_a_config_that_is_shipped_fits_the_small_structure_flow(recipe, name):
    config = yaml.safe_load((ROOT / "configs" / "flow" / f"{name}.yaml").read_text())
    plain = yaml.safe_load((ROOT / "configs" / "flow" / "structure_mini.yaml").read_text())
    network, start = (build_network(about["model"], device="meta") for about in (config, plain))
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    assert {key: value.shape for key, value in start.state_dict().items()}.items() <= shapes.items()
    recipe.from_section(recipe.FlowArgs, config["train"], prefix="train.")
    encoder = build_network(config["conditions"]["scene"], device="meta")
    assert encoder.channels == network.config.cond_channels
    assert set(config) <= set(recipe.SECTIONS)
