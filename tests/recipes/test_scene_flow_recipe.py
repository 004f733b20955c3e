"""The flow recipe trains SceneGen and I-Scene from an object's flow, and goes on to the bit."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import loading
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tiny_generators import SIDE, tiny_generator
from tiny_scenes import ENCODER, ISCENE, SCENEGEN, write_config, write_scenes
from tiny_vggt import write_tiny_vggt
from trainings import flow_resumed_to_the_bit, flow_weights, lines, train_flow_in_two_ranks

from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.flow.scenegen import SceneGenFlowModel
from kyvo.models.slat.load import build_network, load_network, save_network
from kyvo.pipelines.objects import ObjectGenerator
from kyvo.pipelines.scene_flows import IScene, SceneGen
from kyvo.pipelines.scenes import generate_scene
from kyvo.shapes.flow_args import FlowArgs
from kyvo.shapes.scene_flow_data import SceneRows
from kyvo.shapes.scene_objective import SceneObjective

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


@pytest.mark.parametrize(
    ("model", "only_new"),
    [pytest.param(SCENEGEN, True, id="scenegen", marks=pytest.mark.slow), pytest.param(ISCENE, False, id="iscene")],
)
def test_a_training_that_goes_on_is_the_same_to_the_bit(recipe, objects, data, tmp_path, capsys, model, only_new):
    config = write_config(tmp_path, objects, model, only_new=only_new, keep_last=3)
    common = ["--config", str(config), "--data", str(data), "--init", str(objects / "structure_flow")]
    one = flow_resumed_to_the_bit(recipe, common, tmp_path)
    assert ("start anew: global_blocks." in capsys.readouterr().err) == only_new

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
def test_joined_flows_share_what_they_left_as_it_was_with_the_generator(recipe, objects, data, tmp_path):
    for model, name, only_new in ((SCENEGEN, "scenegen", True), (ISCENE, "iscene", False)):
        config = write_config(tmp_path, objects, model, only_new=only_new, learning_rate=0.1)
        start = ["--init", str(objects / "structure_flow")]
        recipe.main(["--config", str(config), "--data", str(data), "--out", str(tmp_path / name), *start])
    runs = [word for name in ("scenegen", "iscene") for word in (f"--{name}", str(tmp_path / name))]
    with loading.program("recipes/join_scene_flows.py") as program:
        program.main(["--objects", str(objects.parent), *runs, "--half", "--out", str(tmp_path / "joined")])
    generator = ObjectGenerator.from_pretrained(objects.parent)
    for method in (SceneGen, IScene):
        made = method.from_pretrained(tmp_path / "joined", objects=generator)
        trained = method.from_pretrained(tmp_path / method.name / "step_000004" / "model", objects=generator)
        for name, tensor in trained.flow.state_dict().items():
            assert torch.allclose(made.flow.state_dict()[name], tensor, atol=2e-3, rtol=2e-3), name
    written = load_file(tmp_path / "joined" / "scenegen" / "flow.safetensors")
    assert written and all(name.startswith(SceneGenFlowModel.new_parts) for name in written)
    (tmp_path / "joined" / "scenegen" / "flow.safetensors").unlink()
    save_file(
        {name: tensor for name, tensor in written.items() if name != "query_tokens"},
        tmp_path / "joined" / "scenegen" / "flow.safetensors",
    )
    with pytest.raises(CheckpointError, match=r"missing \['query_tokens'\]"):
        SceneGen.from_pretrained(tmp_path / "joined", objects=generator)


@pytest.mark.parametrize(("model", "owner"), [(SCENEGEN, SceneGen), (ISCENE, IScene)], ids=["scenegen", "iscene"])
def test_a_geometry_network_of_the_users_sees_the_scene(recipe, objects, data, tmp_path, model, owner):
    network = write_tiny_vggt(tmp_path / "vggt")
    config = write_config(tmp_path, objects, model, steps=2)
    settings = yaml.safe_load(config.read_text())
    scene = {**ENCODER, "args": {**ENCODER["args"], "geometry_channels": network.channels}}
    settings["conditions"] |= {"geometry": str(tmp_path / "vggt"), "scene": scene}
    config.write_text(yaml.safe_dump(settings))
    recipe.main(["--config", str(config), "--data", str(data), "--out", str(tmp_path / "out")])
    folder = tmp_path / "out" / "step_000002" / "model"
    row = SceneRows.open([data], resolution=SIDE)[0]
    seen = owner.from_pretrained(folder, objects=objects.parent, geometry=tmp_path / "vggt")
    views = seen.scene_tokens([row.picture, row.picture])
    assert not torch.equal(*views)  # the second view is not the reference
    assert generate_scene(seen, row.picture).objects
    with pytest.raises(ConfigError, match="of 32 channels, and none was given"):
        generate_scene(owner.from_pretrained(folder, objects=objects.parent), row.picture)


@pytest.mark.slow
@pytest.mark.parametrize("model", [SCENEGEN, ISCENE], ids=["scenegen", "iscene"])
def test_half_precision_and_gradient_checkpointing_change_the_loss_little(recipe, objects, data, tmp_path, model):
    for name, changes in (("plain", {}), ("half", {"precision": "bf16", "gradient_checkpointing": True})):
        config = write_config(tmp_path, objects, model, steps=1, **changes)
        init = ["--init", str(objects / "structure_flow")]
        recipe.main(["--config", str(config), "--data", str(data), "--out", str(tmp_path / name), *init])
    plain, half = (lines(tmp_path / name)[0]["loss"] for name in ("plain", "half"))
    assert half == pytest.approx(plain, rel=0.05) and half != plain


def test_the_items_of_a_batch_are_what_the_rows_say(data):
    rows = SceneRows.open([data], resolution=SIDE)
    counts = [rows.num_objects[index] for index in (2, 0)]
    assets = rows.assets([2, 0], np.random.default_rng(0), crop_size=16, picture_size=32)
    assert assets.scene_of.tolist() == [0] * counts[0] + [counts[0]] * counts[1]
    assert assets.is_query[: counts[0]].sum() == assets.is_query[counts[0] :].sum() == 1
    assert assets.occupancy.sum((1, 2, 3, 4)).tolist() == [
        len(cells) for index in (2, 0) for cells in rows[index].cells
    ]
    query = int(assets.is_query.nonzero()[0])
    for item in range(counts[0]):
        expected = rows[2].poses[item].relative_to(rows[2].poses[query])
        np.testing.assert_allclose(assets.poses[item].numpy(), expected.vector, atol=1e-5)
    assert assets.points.abs().max() <= 0.5 and assets.crops.max() <= 1
    given = {"crop_size": 16, "picture_size": 32, "pose_frame": "view"}
    in_cube = rows.assets([2, 0], np.random.default_rng(0), **given)
    np.testing.assert_allclose(in_cube.poses[0], rows[2].poses[0].relative_to(rows[2].cube).vector, atol=1e-5)
    assert in_cube.poses[:, :3].abs().max() < 0.5 and (in_cube.scene_size == 1).all()
    # What loads twice is drawn from the generator alone.
    again = rows.assets([2, 0], np.random.default_rng(0), crop_size=16, picture_size=32)
    assert torch.equal(assets.points, again.points) and torch.equal(assets.crops, again.crops)

    items = rows.instances([2, 0], crop_size=16, picture_size=32)
    assert items.scene_of.tolist() == [0] * (1 + counts[0]) + [1 + counts[0]] * (1 + counts[1])
    scene, instances = items.occupancy[0], items.occupancy[1 : 1 + counts[0]]
    assert torch.equal(scene, instances.amax(0)) and items.masks[0].all() and not items.masks[1].all()


@pytest.mark.slow
@pytest.mark.parametrize("frame", ["query", "view"])
def test_scenegen_learns_where_the_objects_of_one_scene_stand(objects, tmp_path, frame):
    folder = write_scenes(tmp_path / "one", count=1, seed=1)
    rows = SceneRows.open([folder], resolution=SIDE)
    model = build_network({**SCENEGEN, "args": {**SCENEGEN["args"], "pose_frame": frame}})
    encoder = build_network(ENCODER)
    model.initialize()
    objective = SceneObjective(
        rows=rows,
        args=FlowArgs(steps=1, collision_weight=0.0, condition_dropout=0.0),
        structure_encoder=load_network(objects / "structure_encoder"),
        encoders={"picture": load_network(objects / "picture_encoder"), "scene": encoder},
        device=torch.device("cpu"),
    )
    optimizer = torch.optim.Adam([*model.parameters(), *encoder.parameters()], lr=3e-3)
    losses = []
    for step in range(400):
        generator = torch.Generator().manual_seed(step)
        rng = np.random.default_rng(step % 2)  # two queries
        loss, parts, _ = objective.loss(model, [0], rng=rng, generator=generator, epoch=0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(parts["pose"])
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])


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


@pytest.mark.slow
def test_two_ranks_share_the_weights_and_one_goes_on_from_their_checkpoint(recipe, objects, data, tmp_path):
    config, out = write_config(tmp_path, objects, SCENEGEN, only_new=True), tmp_path / "out"
    given = ["--config", str(config), "--data", str(data), "--out", str(out)]
    train_flow_in_two_ranks([*given, "--set", "train.steps=2"])
    recipe.main([*given, "--resume"])
    assert [line["step"] for line in lines(out)] == [1, 2, 3, 4]
    assert flow_weights(out, 2).keys() == flow_weights(out, 4).keys()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"train": {"steps": 1, "batch_size": 1}}, "A scene has 3 items and train.batch_size is 1"),
        ({"conditions": {"scene": ENCODER}}, "conditions.picture is missing"),
        ({"conditions": {"sound": ENCODER}}, "conditions.sound is not a condition; known are picture, scene"),
        (
            {"model": {**SCENEGEN, "args": {**SCENEGEN["args"], "pose_frame": "world"}}},
            "is 'world'; it is query or view",
        ),
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
