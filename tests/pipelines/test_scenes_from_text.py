"""Scenes of a text by I-Scene: what a text names, the texts of rows, training, and the scene, with tiny networks."""

from dataclasses import replace

import loading
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tiny_generators import COND, tiny_generator
from tiny_scenes import ISCENE, SCENEGEN, tiny_flow, write_scenes

from kyvo.cli.main import run
from kyvo.data.scene_pictures import without_masks
from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.flow.conditions import ConditionError
from kyvo.models.slat.load import save_network
from kyvo.pipelines.scene_flows import IScene, ISceneFromText
from kyvo.pipelines.scenes import generate_scene
from kyvo.scene.files import load_scene
from kyvo.shapes.scene_flow_data import SceneRows
from kyvo.shapes.scene_texts import SceneText, object_phrases, row_texts

pytest.importorskip("open3d")

TEXT = "a red chair on a blue table beside a chair"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("scenes") / "set")


def config_of(objects, model=ISCENE, **conditions) -> dict:
    text = {"name": "SmallTextEncoder", "args": {"channels": COND, "num_blocks": 1}}
    return {
        "model": model,
        "conditions": conditions or {"text": text},
        "structure_encoder": str(objects / "ckpts" / "structure_encoder"),
        "train": {"steps": 2, "batch_size": 4, "learning_rate": 1e-3, "report_every": 1, "checkpoint_every": 2},
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    """The generator's folder, and that of a flow which was trained for two steps."""
    folder = tmp_path_factory.mktemp("text")
    tiny_generator().save_pretrained(folder / "objects")
    (folder / "config.yaml").write_text(yaml.safe_dump(config_of(folder / "objects")))
    words = ["--config", folder / "config.yaml", "--data", data, "--out", folder / "run"]
    with loading.program("recipes/flow.py") as recipe:
        recipe.main([str(word) for word in (*words, "--init", folder / "objects" / "ckpts" / "structure_flow")])
    return folder / "objects", folder / "run" / "step_000002" / "model"


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        (TEXT, ["a red chair", "a blue table", "a chair"]),
        ("A mug on top of a desk, next to it", ["A mug", "a desk", "it"]),
        ("a table with a round top and four legs and a chair", ["a table with a round top and four legs", "a chair"]),
        ("one; two, and three", ["one", "two", "three"]),
        ("a lion beside a son", ["a lion", "a son"]),
        ("a lantern", ["a lantern"]),
    ],
)
def test_a_text_is_parted_into_its_objects(text, phrases):
    assert object_phrases(text) == phrases


def test_what_names_no_scene_is_refused():
    with pytest.raises(ConditionError, match="The text is empty"):
        SceneText.of("  ")
    with pytest.raises(ConfigError, match="the text names 13 objects; a scene has at most 12"):
        SceneText.of(" beside ".join(["a chair"] * 13))


def test_the_texts_of_a_row_name_its_objects_and_what_stands_on_what(data):
    rows = SceneRows.open([data], resolution=16)
    row = replace(rows[0], on=(None, 0, *[None] * (len(rows[0]) - 2)))
    for seed in range(4):
        whole, *phrases = row_texts(row, np.random.default_rng(seed))
        assert len(phrases) == len(row) and sorted(object_phrases(whole)) == sorted(phrases)
        assert all(phrase.endswith(category) for phrase, category in zip(phrases, row.categories, strict=True))
        assert f"{phrases[1]} on {phrases[0]}" in whole and whole.count(" beside ") == len(row) - 2
        assert set(whole.replace(" an ", " a ").split()) <= {"a", "an", *rows.words}


def test_a_text_becomes_a_scene_in_one_cube_and_another_text_another(trained):
    objects, model = trained
    method = ISceneFromText.from_pretrained(model, objects=objects)
    given = SceneText.of(TEXT)
    made = generate_scene(method, given, seed=1)
    left_out = [name for name in given.names if any(name in words for words in made.warnings)]
    assert [item.name for item in made.objects] == [name for name in given.names if name not in left_out]
    joint = np.concatenate([item.triangles.reshape(-1, 3) for item in made.objects])
    assert np.ptp(joint, axis=0).max() < 1.1 and joint[:, 2].min() == pytest.approx(0, abs=1e-6)
    again, other = (
        generate_scene(method, SceneText.of(text), seed=1) for text in (TEXT, "a blue table beside a chair")
    )
    assert [item.pose for item in again.objects] == [item.pose for item in made.objects]
    assert [item.pose for item in other.objects] != [item.pose for item in made.objects]
    with torch.inference_mode():
        whole, *own = method.encoder([TEXT, *given.phrases])
    assert not torch.equal(whole, own[0])
    with pytest.raises(ConfigError, match="a text goes with ISceneFromText"):
        generate_scene(method, without_masks(np.random.default_rng(0).integers(0, 255, (20, 20, 3)).astype(np.uint8)))
    with pytest.raises(CheckpointError):
        IScene.from_pretrained(model, objects=objects)  # it was not trained on pictures


def call(capsys, *words) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped:
        run(["generate", "scene", *map(str, words)])
    return int(stopped.value.code or 0), capsys.readouterr().err


@pytest.mark.slow
def test_the_command_makes_files_of_a_text(trained, tmp_path, capsys):
    objects, model = trained
    words = ["--method", "iscene", "--model", model, "--objects", objects, "--text", TEXT]
    code, err = call(capsys, *words, "--out", tmp_path / "scene.json", "--out", tmp_path / "sheet.png")
    assert code == 0, err
    assert "chair" in load_scene(tmp_path / "scene.json").objects[0].category
    assert Image.open(tmp_path / "sheet.png").width > 1000


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--text", TEXT], "--text goes with --method iscene"),
        (["--text", TEXT, "--method", "iscene", "--masks", "masks"], "no option about a picture"),
        (["room.png", "--text", TEXT, "--method", "iscene"], "give a picture, or --text"),
        ([], "give a picture, or --text"),
    ],
)
def test_a_text_stands_alone(words, match, tmp_path, capsys):
    code, err = call(capsys, *words, "--out", tmp_path / "scene.glb")
    assert code == 2 and match in err, err


def test_a_flow_of_pictures_makes_no_scene_of_a_text(tmp_path):
    save_network(tiny_flow("iscene"), tmp_path / "flow")
    with pytest.raises(CheckpointError, match="its flow was not trained on texts"):
        ISceneFromText.from_pretrained(tmp_path, objects=tiny_generator())


def test_flows_that_take_no_text_are_refused(trained, data, tmp_path):
    objects, _ = trained
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config_of(objects, SCENEGEN)))
    words = ["--config", tmp_path / "config.yaml", "--data", data, "--out", tmp_path / "run"]
    with (
        loading.program("recipes/flow.py") as recipe,
        pytest.raises(ConfigError, match=r"conditions.text is for I-Scene"),
    ):
        recipe.main([str(word) for word in words])
