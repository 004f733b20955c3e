"""The flow recipe learns, goes on to the bit, and shares its weights out among ranks."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import loading
import numpy as np
import pytest
import torch
import yaml
from tiny_conditions import write_tiny_clip, write_tiny_dino
from trainings import flow_resumed_to_the_bit, flow_weights, lines, train_flow_in_two_ranks

from kyvo.data.dataset import write_set
from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.flow.published import PUBLISHED_FLOWS
from kyvo.models.slat.load import build_network, load_network, save_network
from kyvo.shapes.flow_data import ObjectRows, PackPosition, Packs
from kyvo.shapes.object_sets import ObjectSet

ROOT = Path(__file__).resolve().parents[2]
SIDE = 16
SHARED = {"model_channels": 24, "cond_channels": 8, "num_blocks": 2, "num_heads": 2, "qk_rms_norm": True}
SMALL = {
    "picture": {"name": "SmallPictureEncoder", "args": {"channels": 8, "num_blocks": 1, "picture_size": 32}},
    "text": {"name": "SmallTextEncoder", "args": {"channels": 8, "num_blocks": 1, "num_places": 16}},
}
STRUCTURE = {
    "name": "SparseStructureFlowModel",
    "args": {**SHARED, "resolution": 4, "in_channels": 3, "out_channels": 3},
}
SLAT = {
    "name": "ElasticSLatFlowModel",
    "args": {
        **SHARED,
        "resolution": SIDE,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "io_block_channels": [8],
    },
}


@pytest.fixture(scope="module")
def recipe() -> Iterator[ModuleType]:
    with loading.program("recipes/flow.py") as module:
        yield module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("open3d")
    folder = tmp_path_factory.mktemp("objects") / "set"
    write_set(folder, ObjectSet(count=6, seed=3, resolution=SIDE, pictures=2, size=32))
    return folder


def write_config(folder: Path, model: dict, *, conditions: dict | None = None, **train) -> Path:
    config = {"model": model, "conditions": SMALL if conditions is None else conditions}
    if model is STRUCTURE:
        torch.manual_seed(0)
        about = {"latent_channels": 3, "num_res_blocks": 1, "num_res_blocks_middle": 1, "channels": [4, 8, 8]}
        save_network(build_network({"name": "SparseStructureEncoder", "args": about}), folder / "ss_enc")
        config["structure_encoder"] = str(folder / "ss_enc")
    config["train"] = {
        "steps": 4,
        "batch_size": 2,
        "max_voxels": 3000,
        "learning_rate": 1e-3,
        "report_every": 1,
        "checkpoint_every": 2,
    } | train
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize(
    ("model", "precision"),
    [
        pytest.param(STRUCTURE, "fp32", id="structure-fp32"),
        pytest.param(STRUCTURE, "bf16", id="structure-bf16", marks=pytest.mark.slow),
        pytest.param(SLAT, "fp32", id="slat-fp32", marks=pytest.mark.slow),
        pytest.param(SLAT, "bf16", id="slat-bf16", marks=pytest.mark.slow),
    ],
)
def test_a_training_that_goes_on_is_the_same_to_the_bit(recipe, data, tmp_path, model, precision):
    config = write_config(tmp_path, model, precision=precision, gradient_checkpointing=precision == "bf16", keep_last=3)
    one = flow_resumed_to_the_bit(recipe, ["--config", str(config), "--data", str(data)], tmp_path)
    before = flow_weights(tmp_path / "whole", 2)
    moved = [name for name in one if not torch.equal(one[name], before[name])]
    assert {name.split(".")[0] for name in moved} == {"model", "encoders", "average"}

    folder = tmp_path / "whole" / "step_000004" / "model"
    flow = load_network(folder / "flow")
    averages = [one[f"average.{number}"] for number in range(len(list(flow.parameters())))]
    for parameter, average in zip(flow.parameters(), averages, strict=True):
        assert torch.equal(parameter, average)
    text = load_network(folder / "text_encoder")
    assert "red" in text.config.words or "blue" in text.config.words
    assert (folder / "slat_normalization.json").exists() == (model is SLAT)


@pytest.mark.slow
@pytest.mark.parametrize("model", [STRUCTURE, SLAT], ids=["structure", "slat"])
def test_the_loss_falls(recipe, data, tmp_path, model):
    config = write_config(tmp_path, model, steps=120, report_every=40, checkpoint_every=200, learning_rate=3e-3)
    recipe.main(["--config", str(config), "--data", str(data), "--out", str(tmp_path / "out")])
    losses = [line["loss"] for line in lines(tmp_path / "out")]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.slow
def test_encoders_of_the_user_stay_as_they_are(recipe, data, tmp_path):
    conditions = {
        "picture": str(write_tiny_dino(tmp_path / "dino")),
    }
    model = {**SLAT, "args": {**SLAT["args"], "cond_channels": 16}}
    config = write_config(tmp_path, model, conditions=conditions, steps=1)
    recipe.main(["--config", str(config), "--data", str(data), "--out", str(tmp_path / "out")])
    folder = tmp_path / "out" / "step_000001" / "model"
    assert sorted(path.name for path in folder.iterdir()) == [
        "checksums.sha256",
        "flow.json",
        "flow.safetensors",
        "slat_normalization.json",
        "trained_with.json",
    ]
    # The weights go on from a network of the same size, and not from another.
    again = ["--config", str(config), "--data", str(data), "--out", str(tmp_path / "again")]
    recipe.main([*again, "--init", str(folder / "flow")])
    write_tiny_clip(tmp_path / "clip")
    other = {**SLAT, "args": {**SLAT["args"], "cond_channels": 12}}
    config = write_config(tmp_path, other, conditions={"text": str(tmp_path / "clip")}, steps=1)
    with pytest.raises(CheckpointError, match="has other sizes than the model section"):
        recipe.main([*again, "--init", str(folder / "flow")])


def test_encoders_beside_the_first_network_are_begun_with_too(recipe, data, tmp_path, capsys):
    config = write_config(tmp_path, SLAT, steps=1)
    recipe.main(["--config", str(config), "--data", str(data), "--out", str(tmp_path / "first")])
    first = tmp_path / "first" / "step_000001" / "model"
    more = ["--init", str(first / "flow"), "--set", "train.learning_rate=0", "train.seed=5"]
    recipe.main(["--config", str(config), "--data", str(data), "--out", str(tmp_path / "more"), *more])
    for name in ("flow", "picture_encoder", "text_encoder"):
        old, new = (load_network(folder / name) for folder in (first, tmp_path / "more" / "step_000001" / "model"))
        torch.testing.assert_close(new.state_dict(), old.state_dict())
    assert "the text encoder goes on from the one beside the network" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("model", [STRUCTURE, SLAT], ids=["structure", "slat"])
def test_two_ranks_share_the_weights_and_one_goes_on_from_their_checkpoint(recipe, data, tmp_path, model):
    config = write_config(tmp_path, model, batch_size=1, max_voxels=2000)
    out = tmp_path / "out"
    options = ["--config", str(config), "--data", str(data), "--out", str(out)]
    train_flow_in_two_ranks([*options, "--set", "train.steps=2", "train.gradient_checkpointing=true"])
    recipe.main([*options, "--resume"])
    assert [line["step"] for line in lines(out)] == [1, 2, 3, 4]
    # Two ranks' checkpoint is a whole one, as one rank would have written it.
    folder = out / "step_000004" / "model"
    assert {path.name for path in folder.iterdir()} >= {"flow.json", "flow.safetensors", "text_encoder.json"}
    assert load_network(folder / "flow").config.num_blocks == 2
    assert flow_weights(out, 2).keys() == flow_weights(out, 4).keys()


CONFIGS = sorted(
    {*(ROOT / "configs" / "flow").glob("s[lt]*.yaml")} - {*(ROOT / "configs" / "flow").glob("structure_vae*")}
)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_that_is_shipped_is_valid_and_takes_a_step_at_toy_size(recipe, data, tmp_path, path):
    config = yaml.safe_load(path.read_text())
    assert set(config) <= set(recipe.SECTIONS)
    network = build_network(config["model"], device="meta")
    args = recipe.from_section(recipe.FlowArgs, config["train"], prefix="train.")
    if args.device == "cuda":  # of a published size: too large for a step here
        assert path.stem == "structure_image_large"
        assert config["model"] == PUBLISHED_FLOWS["ss_flow_img_dit_L_16l8_fp16"]
        return
    for kind, about in config["conditions"].items():
        if isinstance(about, dict):
            about["args"] |= {"channels": 8, "num_blocks": 1}
            assert about["name"] in ("SmallPictureEncoder", "SmallTextEncoder"), kind
        else:
            config["conditions"][kind] = SMALL[kind]
    model = STRUCTURE if network.config.resolution == 8 else SLAT
    small = yaml.safe_load(write_config(tmp_path, model).read_text())
    small_args = {name: value for name, value in model["args"].items() if name in config["model"]["args"]}
    config["model"]["args"] |= small_args
    config["train"] |= {"steps": 1, "batch_size": 2}
    config |= {name: value for name, value in small.items() if name == "structure_encoder"}
    (tmp_path / "shipped.yaml").write_text(yaml.safe_dump(config))
    recipe.main(["--config", str(tmp_path / "shipped.yaml"), "--data", str(data), "--out", str(tmp_path / "out")])
    assert (tmp_path / "out" / "step_000001" / "model" / "flow.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"train": {"steps": 1, "precision": "fp8"}}, "precision is 'fp8'"),
        ({"train": {"steps": 1, "condition_dropout": 2.0}}, "condition_dropout is 2.0"),
        ({"train": {"steps": 1, "stepz": 2}}, "train.stepz is not a setting"),
        ({"train": {"steps": 1, "max_voxels": 5}}, r"cells and train.max_voxels is 5; raise it"),
        ({"conditions": {}}, "conditions names none of picture, text"),
        ({"conditions": {"sound": "x"}}, "conditions.sound is not a condition"),
        ({"extra": 1}, "extra is not a section"),
        ({"model": {"name": "SLatEncoder", "args": {}}}, "SLatEncoder needs the argument"),
        ({"model": {"name": SMALL["picture"]["name"], "args": {"channels": 8}}}, "a flow model is trained here"),
        ({"model": STRUCTURE}, "structure_encoder is missing"),
        ({"model": {**SLAT, "args": {**SLAT["args"], "resolution": 64}}}, "Make the set with --resolution 64"),
    ],
)
def test_settings_that_do_not_fit_are_refused(recipe, data, tmp_path, change, match):
    config = yaml.safe_load(write_config(tmp_path, SLAT).read_text()) | change
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match=match):
        recipe.main(["--config", str(tmp_path / "config.yaml"), "--data", str(data), "--out", str(tmp_path / "out")])


def test_packs_hold_each_row_once_an_epoch_and_keep_to_their_budget():
    sizes = np.random.default_rng(0).integers(1, 40, 50).tolist()
    packs = Packs(sizes=sizes, budget=100, seed=1)
    for number in range(3):
        found = packs.epoch(number)
        assert sorted(row for pack in found for row in pack) == list(range(50))
        assert all(sum(sizes[row] for row in pack) <= 100 for pack in found)
        assert sum(sum(sizes[row] for row in pack) < 60 for pack in found) <= 2
    assert packs.epoch(0) == packs.epoch(0) != packs.epoch(1)
    position = PackPosition(packs=packs)
    taken = position.take(3) + position.take(2 * len(packs.epoch(0)))
    assert taken == (packs.epoch(0) + packs.epoch(1) + packs.epoch(2))[: len(taken)]


def test_rows_come_back_as_the_set_has_them(data):
    objects = ObjectRows.open([data], resolution=SIDE)
    x = objects.sparse([1, 0])
    assert x.voxels.batch_size == 2
    assert torch.bincount(x.voxels.coords[:, 0]).tolist() == [objects.sizes[1], objects.sizes[0]]
    assert objects.occupancy([1, 0]).sum((1, 2, 3, 4)).tolist() == [objects.sizes[1], objects.sizes[0]]
    assert x.feats.shape[1] == 12
    rng = np.random.default_rng(0)
    assert objects.captions([0], rng)[0] in objects.rows[0]["captions"]
    assert objects.pictures([0, 1], rng, size=16).shape == (2, 3, 16, 16)
    mean, std = objects.statistics()
    assert len(mean) == len(std) == 12
    assert json.dumps(mean)


def test_mirrored_objects_follow_the_others_with_pictures_to_match(data):
    plain, both = (ObjectRows.open([data], resolution=SIDE, mirrored=mirrored) for mirrored in (False, True))
    assert len(both) == 2 * len(plain) == 12 and both.sizes == plain.sizes * 2
    rows = [0, 4]
    assert torch.equal(both.occupancy([6, 10]), plain.occupancy(rows).flip(2))
    assert torch.equal(both.sparse(rows).feats, plain.sparse(rows).feats)
    pictures = [
        objects.pictures(of, np.random.default_rng(0), size=16) for objects, of in ((plain, rows), (both, [6, 10]))
    ]
    assert torch.equal(pictures[1], pictures[0].flip(3))
    assert both.captions([6], np.random.default_rng(0)) == plain.captions([0], np.random.default_rng(0))
