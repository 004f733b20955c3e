"""The refiner's training: it learns where things are seen, goes on as if never stopped, and says what it cannot use."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import loading
import numpy as np
import pytest
import torch
import yaml
from trainings import lines, stopped_and_resumed

from kyvo.data.clevr.sampling import ClevrRules
from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet
from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.heads.refiner import load_refiner
from kyvo.processor import Processor
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.files import scene_from_json
from kyvo.scene.schema import CLEVR_CAMERA

BUNDLED = loading.ROOT / "kyvo" / "assets" / "mini"
SIZE = {"width": 48, "height": 32}
MODEL = SIZE | {"side": 16, "channels": [32, 48], "blocks": 1, "dim": 32, "layers": 1}


@pytest.fixture(scope="module")
def program():
    with loading.program("recipes/refiner.py") as module:
        yield module


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """24 pictures with scenes."""
    folder = tmp_path_factory.mktemp("refiner") / "set"
    write_set(folder, ClevrSet(count=24, seed=5, **SIZE))
    return folder


def write_config(path: Path, *, schema: str = "clevr", model: dict | None = None, **train) -> Path:
    train = {"steps": 4, "batch_size": 4, "held_out": 6, "report_every": 2} | train
    path.write_text(yaml.safe_dump({"schema": schema, "model": MODEL if model is None else model, "train": train}))
    return path


def run(program, config: Path, data: Path, out: Path, *options: str) -> Path:
    return program.main(["--config", str(config), "--data", str(data), "--out", str(out), *options])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_learns_the_pictures_it_is_shown(program, data, tmp_path):
    config = write_config(tmp_path / "c.yaml", steps=300, batch_size=16, learning_rate=3e-3, report_every=10)
    out = run(program, config, data, tmp_path / "out")
    log = lines(out)
    first, last = ({name: sum(line[name] for line in part) for name in log[0]} for part in (log[:4], log[-4:]))
    assert log[-1]["step"] == 300 and last["pixels"] < first["pixels"]
    assert last["words"] < 0.5 * first["words"] and last["camera"] < 0.7 * first["camera"]
    assert {"held_out_place", "held_out_pixels", "held_out_camera", "held_out_words"} <= log[-1].keys()
    assert load_refiner(out).config.width == 48


@pytest.mark.slow
def test_a_resumed_training_ends_as_one_that_was_never_stopped(program, data, tmp_path, monkeypatch):
    config = write_config(tmp_path / "c.yaml")
    whole = run(program, config, data, tmp_path / "whole")
    halves = stopped_and_resumed(program, monkeypatch, partial(run, program, config, data, tmp_path / "halves"))
    assert torch.load(halves / "training.pt", weights_only=True)["step"] == 4
    for name, weight in load_refiner(whole).state_dict().items():
        torch.testing.assert_close(load_refiner(halves).state_dict()[name], weight, rtol=0, atol=0)


def test_a_state_of_another_model_or_none_is_refused(program, data, tmp_path):
    config = write_config(tmp_path / "c.yaml")
    with pytest.raises(CheckpointError, match="There is no"):
        run(program, config, data, tmp_path / "nothing", "--resume")
    out = run(program, config, data, tmp_path / "out")
    other = write_config(tmp_path / "other.yaml", model=MODEL | {"dim": 16})
    with pytest.raises(CheckpointError, match="trained with another model section"):
        run(program, other, data, out, "--resume")


@pytest.mark.slow
def test_a_training_that_starts_from_a_refiner_has_its_weights(program, data, tmp_path):
    other = run(program, write_config(tmp_path / "c.yaml", learning_rate=3e-3), data, tmp_path / "other")
    still = write_config(tmp_path / "still.yaml", learning_rate=0.0)
    out = run(program, still, data, tmp_path / "out", "--init", str(other))
    for name, weight in load_refiner(other).state_dict().items():
        torch.testing.assert_close(load_refiner(out).state_dict()[name], weight, rtol=0, atol=0)


def test_a_training_adds_the_words_that_its_start_has_not(program, data, tmp_path):
    other = run(program, write_config(tmp_path / "c.yaml", learning_rate=3e-3), data, tmp_path / "other")
    more = tmp_path / "more.yaml"
    more.write_text(clevr_schema().with_words("shape", ["cone"], name="more").to_yaml())
    still = write_config(tmp_path / "still.yaml", schema=str(more), learning_rate=0.0)
    grown = load_refiner(run(program, still, data, tmp_path / "out", "--init", str(other)))
    assert grown.config.words == (2, 8, 2, 4)
    torch.testing.assert_close(grown.words[3].weight[:3], load_refiner(other).words[3].weight, rtol=0, atol=0)


def test_a_folder_without_such_a_refiner_is_no_start(program, data, tmp_path):
    config = write_config(tmp_path / "c.yaml")
    with pytest.raises(CheckpointError, match="has no such network; leave --init out"):
        run(program, config, data, tmp_path / "out", "--init", str(tmp_path))
    with pytest.raises(CheckpointError, match="has another model section; use its config"):
        run(program, config, data, tmp_path / "out", "--init", str(BUNDLED))


def true_samples(program, cameras: torch.Tensor) -> object:
    """Three objects in each of 400 pictures, at the origin."""
    return program.Samples(
        pictures=torch.zeros(400, 1, 1, 3, dtype=torch.uint8),
        words=torch.zeros(400, 5, 4, dtype=torch.long),
        locations=torch.zeros(400, 5, 3),
        valid=torch.tensor([True] * 3 + [False] * 2).expand(400, 5),
        cameras=cameras,
        frames=torch.zeros(400, 2),
    )


def test_mistakes_are_those_of_a_recognised_scene(program):
    truth = true_samples(program, torch.tensor(CLEVR_CAMERA).expand(400, 3))
    config = program.RefinerConfig(words=(2, 8, 2, 3))
    words, locations, valid = program.mistaken(truth, config, torch.Generator().manual_seed(0))
    assert valid.any(1).all() and not valid[:, 3:].any() and 0.93 < valid[:, :3].float().mean() < 0.99
    assert 0.05 < locations[..., :2].abs().mean() < 0.25 and (locations[..., 2] == 0).float().mean() > 0.9
    for field, count in enumerate(config.words):
        assert words[..., field].max() == count - 1 and 0 < (words[..., field] != 0).float().mean() < 0.13


def test_mistaken_places_do_not_tell_where_the_camera_stood(program):
    around = torch.linspace(-0.1, 0.1, 400)  # rad
    x, y, z = CLEVR_CAMERA
    cameras = torch.stack(
        [x * around.cos() - y * around.sin(), x * around.sin() + y * around.cos(), torch.full_like(around, z)], dim=1
    )
    truth = replace(true_samples(program, cameras), locations=torch.tensor([2.0, 1.0, 0.7]).expand(400, 5, 3))
    nowhere = program.Mistakes(spread=(1e-9, 1e-8), far=(0.0, 0.0), height=(0.0, 0.0))
    config = program.RefinerConfig(words=(2, 8, 2, 3))
    locations = program.mistaken(truth, config, torch.Generator().manual_seed(0), nowhere)[1]
    turned = torch.atan2(locations[:, 0, 1], locations[:, 0, 0]) - torch.atan2(torch.tensor(1.0), torch.tensor(2.0))
    assert turned.std() > 0.05  # seen alike, it is turned by another camera less its own
    assert abs(torch.corrcoef(torch.stack([turned + around, around]))[0, 1]) < 0.2


def test_sets_without_the_camera_it_needs_are_refused(program, data, tmp_path):
    config = program.RefinerConfig(words=(2, 8, 2, 3), **SIZE)
    rows = [json.loads(row) for row in open_set(data)["scene"]]
    beside = [row | {"camera": row["camera"] | {"rotation": np.eye(3).tolist()}} for row in rows]
    without = [{name: value for name, value in row.items() if name != "camera"} for row in rows]
    for changed, message in ((beside, "does not look at the origin"), (without, "has no camera")):
        folder = tmp_path / message.split()[0]
        scenes = open_set(data).remove_columns("scene").add_column("scene", [json.dumps(row) for row in changed])
        folder.mkdir()
        scenes.save_to_disk(folder)
        with pytest.raises(ConfigError, match=message):
            program.read_samples([folder], clevr_schema(), config, program.RefinerArgs(steps=1))


@pytest.fixture(scope="module")
def tilted(tmp_path_factory) -> Path:
    """24 pictures that are tilted and cropped."""
    folder = tmp_path_factory.mktemp("refiner") / "tilted"
    write_set(folder, ClevrSet(count=24, seed=6, **SIZE, rules=ClevrRules(camera_roll=6, camera_crop=0.07)))
    return folder


def test_tilted_pictures_are_read_by_their_own_cameras(program, tilted):
    config = program.RefinerConfig(words=(2, 8, 2, 3), frames=True, **SIZE)
    truth = program.read_samples([tilted], clevr_schema(), config, program.RefinerArgs(steps=1))
    scenes = [scene_from_json(json.loads(row)) for row in open_set(tilted)["scene"]]
    assert truth.frames.abs().max(0).values.min() > 0.05 and truth.frames[:, 1].min() > 0
    seen = program._seen(truth, config)
    for number, scene in enumerate(scenes):
        expected = scene.camera.project(np.array([item.location for item in scene.objects]))[:, :2]
        np.testing.assert_allclose(seen[number, : len(scene)].numpy() * 48 + (24, 16), expected, atol=0.01)


def test_tilted_pictures_need_a_refiner_of_frames(program, tilted, tmp_path):
    with pytest.raises(ConfigError, match=r"tilted or cropped; set model.frames to true"):
        run(program, write_config(tmp_path / "c.yaml"), tilted, tmp_path / "out")
    config = write_config(tmp_path / "frames.yaml", model=MODEL | {"frames": True}, degrade=0.5)
    out = run(program, config, tilted, tmp_path / "out")
    assert lines(out)[-1]["held_out_frame"] > 0 and load_refiner(out).frame.bias.abs().min() > 0


def test_a_share_of_the_pictures_gets_contact_shadows(program, data):
    config = program.RefinerConfig(words=(2, 8, 2, 3), **SIZE)
    plain, shaded = (
        program.read_samples([data], clevr_schema(), config, program.RefinerArgs(steps=1, contact_shadows=share))
        for share in (0.0, 0.5)
    )
    changed = (plain.pictures != shaded.pictures).flatten(1).any(1)
    assert 3 <= changed.sum() <= 16 and (shaded.pictures <= plain.pictures).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "objectron"}, "'objectron' has no locations in a world frame"),
        ({"model": {"sides": 3}}, "model.sides is not a setting; did you mean model.side?"),
        ({"model": {"channels": "wide"}}, "model.channels is .wide.; it must be of type tuple"),
        ({"rate": 1}, "train.rate is not a setting"),
        ({"held_out": 24}, "--data has 24 pictures with objects and train.held_out is 24"),
    ],
)
def test_bad_settings_are_named(program, data, tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        run(program, write_config(tmp_path / "c.yaml", **change), data, tmp_path / "out")


def test_the_bundled_config_is_of_the_bundled_model(program):
    sections = yaml.safe_load((loading.ROOT / "configs" / "refiner.yaml").read_text())
    processor = Processor.from_pretrained(BUNDLED)
    assert sections["schema"] == processor.schema.name
    size = {name: getattr(processor.image.config, name) for name in ("width", "height")}
    assert processor.refiner is not None and sections["model"] == size | {"frames": processor.refiner.config.frames}
