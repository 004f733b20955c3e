"""`kyvo data make`: each file of configs/data/ makes a small set, and what such a file cannot say is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.data.configs import load_settings
from kyvo.data.dataset import open_set
from kyvo.data.omni3d import save_omni3d
from kyvo.errors import ConfigError
from kyvo.scene.builtin_schemas import load_schema
from kyvo.scene.files import scene_from_json
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.validate import validate

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "data"
DRAWN = {
    "clevr": (256, 256),
    "clevr_edits": (256, 256),
    "clevr_questions": (256, 256),
    "clevr_tilted": (120, 80),
    "objaworld_park": (256, 256),
    "objaworld_living_room": (256, 256),
}  # and the size of its pictures
READ = {"objectron": "cup", "arkitscenes": "chair"}  # and a category of each
EYE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def make(config, out, *words):
    return CliRunner().invoke(app, ["data", "make", "--config", str(config), "--out", str(out), *map(str, words)])


def check_scenes(rows, schema):
    """Every scene of a set holds objects and fits its schema."""
    for name in {"scene", "target_scene"} & set(rows.column_names):
        for text in rows[name]:
            assert scene_from_json(json.loads(text)).objects
            assert validate(json.loads(text), load_schema(schema)) == []


def write_omni3d(config, category, folder):
    """Two pictures and their annotations where the config looks for them, the second with an object of no schema."""
    settings = yaml.safe_load(config.read_text())
    camera = Camera(width=12, height=8, focal=9.0, center=(6.0, 4.0), location=(0.0, 0.0, 0.0), rotation=EYE)
    extra = {"R_cam": np.eye(3).tolist()}
    item = SceneObject(category=category, location=(0.1, 0.05, 1.5), dimensions=(0.1, 0.2, 0.1), extra=extra)
    scenes = [
        Scene(
            objects=objects, schema=settings["schema"], frame="camera", up_axis="-y", units="m", camera=camera,
            image=name, extra={"image_size": [12, 8]},
        )
        for name, objects in (("a.png", (item,)), ("b.png", (item, item.with_values(category="dragon"))))
    ]  # fmt: skip
    annotations = folder / settings["annotations"]
    annotations.parent.mkdir(parents=True)
    save_omni3d(scenes, annotations)
    for scene in scenes:
        Image.new("RGB", (12, 8)).save(folder / settings["pictures"] / str(scene.image))


def test_the_configs_are_those_that_are_made_here():
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {*DRAWN, *READ}


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawn_set_has_the_size_asked_for(tmp_path, name):
    result = make(CONFIGS / f"{name}.yaml", tmp_path / "set", "--count", 1)
    assert result.exit_code == 0, result.output
    rows = open_set(tmp_path / "set")
    assert len(rows) == 1 and rows[0]["image"].size == DRAWN[name]
    check_scenes(rows, name.split("_")[0])


@pytest.mark.parametrize("name", READ)
def test_a_set_that_is_read_has_its_first_samples_or_all(tmp_path, monkeypatch, name):
    config = CONFIGS / f"{name}.yaml"
    write_omni3d(config, READ[name], tmp_path)
    monkeypatch.chdir(tmp_path)
    result = make(config, "all")
    assert result.exit_code == 0, result.output
    assert "1 annotations left out: " in result.stderr and "dragon" in result.stderr
    assert open_set(tmp_path / "all")["name"][:] == ["a.png", "a_flipped.png", "b.png", "b_flipped.png"]
    check_scenes(open_set(tmp_path / "all"), name)
    assert make(config, "some", "--count", 3).exit_code == 0
    assert open_set(tmp_path / "some")["name"][:] == ["a.png", "a_flipped.png", "b.png"]
    result = make(config, "more", "--count", 5)
    assert result.exit_code == 2 and "its sources hold 4 samples; --count can be no more" in result.stderr


def test_the_card_has_the_command_and_all_settings(tmp_path):
    (tmp_path / "mine.yaml").write_text("{kind: clevr, seed: 5, width: 24, height: 16, rules: {max_objects: 4}}")
    assert make(tmp_path / "mine.yaml", tmp_path / "set", "--count", 2, "--workers", 1).exit_code == 0
    card = json.loads((tmp_path / "set" / "card.json").read_text())
    assert card["command"] == "kyvo data make --config mine.yaml --out set --count 2"
    assert (card["settings"]["seed"], card["settings"]["rules"]["max_objects"]) == (5, 4)


SMALL = "kind: clevr\nseed: 0\nwidth: 24\nheight: 16\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: clever\n", r"kind is 'clever'; did you mean clevr\?"),
        ("kind: [clevr]\n", r"kind is \['clevr'\]; did you mean clevr\?"),
        ("seed: 0\n", "kind is None; known are clevr, edits"),
        (SMALL + "sede: 1\n", r"sede is not a setting; did you mean seed\?"),
        (SMALL + "count: 5\n", "count is not a setting; known are"),
        (SMALL + "rules: {max_object: 4}\n", r"rules\.max_object is not a setting; did you mean rules\.max_objects\?"),
        (SMALL + "rules: {gap: wide}\n", r"rules\.gap is 'wide'; it must be of type float"),
        (SMALL + "rules: 4\n", "rules is 4; it must be of type ClevrRules"),
        (SMALL.replace("24", "24 px"), "width is '24 px'; it must be of type int"),
        (SMALL.replace("24", "true"), "width is True; it must be of type int"),
        (SMALL.replace("width: 24", ""), "width is missing; it has no default"),
        ("kind: objaworld\nseed: 0\nwidth: 24\nheight: 16\npreset: zoo\n", "preset is 'zoo'; known are park"),
        ("- kind\n", "no settings; it needs `kind: clevr`"),
        ("kind: {\n", "no YAML file that can be read"),
    ],
)
def test_a_config_that_is_no_good_names_the_file_and_the_setting(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"mine\.yaml: {message}"):
        load_settings(tmp_path / "mine.yaml", count=1)


def test_a_drawn_set_needs_a_count_and_wrong_usage_exits_with_2(tmp_path):
    result = make(CONFIGS / "clevr.yaml", tmp_path / "set")
    assert result.exit_code == 2
    assert "a set of the kind clevr is drawn; say how many rows with --count" in result.stderr
    result = make(tmp_path / "none.yaml", tmp_path / "set", "--count", 1)
    assert result.exit_code == 2 and "none.yaml: no YAML file that can be read" in result.stderr
