"""`kyvo data folder|omni3d|release`: files of others become sets, the faulty ones left out and told of."""

import json

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.data.dataset import open_set
from kyvo.data.omni3d import save_omni3d
from kyvo.data.release import save_token_file
from kyvo.data.release_codecs import ImageCodec, SceneCodec, SceneFormat, TextCodec
from kyvo.scene.files import scene_from_json, scene_to_json
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.training.data import COLUMNS

CUBE = SceneObject(shape="cube", size="large", color="red", material="metal", location=(0.5, -0.25, 0.7))
EYE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
PICTURE = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)


def run(*words, code=0):
    result = CliRunner().invoke(app, ["data", *map(str, words)])
    assert result.exit_code == code, result.output
    return result


def scenes_of(folder):
    return [scene_from_json(json.loads(text)) for text in open_set(folder)["scene"]]


def own_folder(path, colors):
    """Pairs of a picture and a scene, named a, b, ...; a colour that the schema lacks makes a fault."""
    path.mkdir()
    for name, color in zip("abcdefghijklmnopqrstuvwxyz", colors, strict=False):
        Image.fromarray(PICTURE).save(path / f"{name}.png")
        (path / f"{name}.json").write_text(json.dumps(scene_to_json(Scene(objects=(CUBE.with_values(color=color),)))))
    return path


def test_a_folder_of_ones_own_becomes_a_set_and_faulty_pairs_are_told_of(tmp_path):
    own = own_folder(tmp_path / "own", ("red", "pink", "blue"))
    (own / "d.png").write_bytes(b"no picture")
    (own / "d.json").write_bytes((own / "a.json").read_bytes())
    (own / "e.json").write_bytes((own / "a.json").read_bytes())
    result = run("folder", own, "--out", tmp_path / "set", code=1)
    assert "2 rows" in result.stdout
    said = result.stderr
    assert "left out: b.json: objects[0].color: color is 'pink'" in said
    assert "left out: d.png: is not a picture" in said and "left out: e.json: has no picture; e.png" in said
    assert "3 of 5 samples left out" in said
    card = json.loads((tmp_path / "set" / "card.json").read_text())
    assert card["command"] == "kyvo data folder own --out set --schema clevr"
    assert [line.partition(":")[0] for line in card["left_out"]] == ["b.json", "d.png", "e.json"]
    text = (tmp_path / "set" / "README.md").read_text()
    assert "3 of 5 samples left out" in text and "- b.json: objects[0].color: color is 'pink'" in text
    rows = open_set(tmp_path / "set")
    assert rows["name"][:] == ["a.png", "c.png"]
    assert np.array_equal(np.asarray(rows[1]["image"]), PICTURE)
    assert [scene.objects[0].color for scene in scenes_of(tmp_path / "set")] == ["red", "blue"]
    again = run("folder", own, "--out", tmp_path / "set", code=1)  # whole already, and told of all the same
    assert "3 of 5 samples left out" in again.stderr


def test_a_folder_without_a_fault_ends_with_0_and_one_without_a_good_pair_with_2(tmp_path):
    result = run("folder", own_folder(tmp_path / "good", ("red", "blue")), "--out", tmp_path / "set")
    assert (
        "left out" not in result.output and "Notes on the sources" not in (tmp_path / "set" / "README.md").read_text()
    )
    bad = run("folder", own_folder(tmp_path / "bad", ("pink", "pink")), "--out", tmp_path / "none", code=2)
    assert "none of 2 samples makes a row\n  a.json: objects[0].color: color is 'pink'" in bad.stderr
    assert "\n  b.json: objects[0].color" in bad.stderr
    assert not list((tmp_path / "none").glob("*.arrow")) and not (tmp_path / "none" / "card.json").exists()


def test_many_faults_are_counted_and_the_first_shown(tmp_path):
    own = own_folder(tmp_path / "own", ["red"] + ["pink"] * 25)
    said = run("folder", own, "--out", tmp_path / "set", code=1).stderr
    assert said.count("left out: ") == 20 and "25 of 26 samples left out; 5 more stand in" in said
    assert len(json.loads((tmp_path / "set" / "card.json").read_text())["left_out"]) == 25
    assert "- and 6 more, in `card.json`" in (tmp_path / "set" / "README.md").read_text()


def test_omni3d_annotations_become_a_set_with_mirror_images(tmp_path):
    camera = Camera(width=12, height=8, focal=9.0, center=(6.0, 4.0), location=(0.0, 0.0, 0.0), rotation=EYE)
    extra = {"R_cam": np.eye(3).tolist()}
    cup = SceneObject(category="cup", location=(0.1, 0.05, 1.5), dimensions=(0.1, 0.2, 0.1), extra=extra)
    scene = Scene(
        objects=(cup,), schema="objectron", frame="camera", up_axis="-y", units="m", camera=camera, image="a.png",
        extra={"image_size": [12, 8]},
    )  # fmt: skip
    save_omni3d([scene, scene], tmp_path / "annotations.json")
    data = json.loads((tmp_path / "annotations.json").read_text())
    data["images"][1]["file_path"] = "gone.png"
    (tmp_path / "annotations.json").write_text(json.dumps(data))
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    made = run("omni3d", tmp_path / "annotations.json", "--pictures", tmp_path, "--flips", "--out", tmp_path / "set")
    assert "left out: gone.png" in made.stderr and "2 of 4 samples left out" in made.stderr
    card = json.loads((tmp_path / "set" / "card.json").read_text())
    assert card["command"] == f"kyvo data omni3d annotations.json --pictures {tmp_path.name} --out set --flips"
    rows = open_set(tmp_path / "set")
    assert rows["name"][:] == ["a.png", "a_flipped.png"]
    assert np.array_equal(np.asarray(rows[1]["image"]), PICTURE[:, ::-1])
    assert [round(scene.objects[0].location[0], 6) for scene in scenes_of(tmp_path / "set")] == [0.1, -0.1]


def test_released_token_files_become_sets_that_training_reads(llama, tmp_path):
    scene_codec = SceneCodec("clevr", llama, SceneFormat(bounded=True, space=True, pose="none"))
    scene = scene_codec.decode(scene_codec.encode(Scene(objects=(CUBE.with_values(location=(0.5, -0.25, 0.7)),))))
    image_codec = ImageCodec("clevr", ("codes", "flat"))
    text_codec = TextCodec("clevr", llama, "with text markers")
    release = tmp_path / "release" / "clevr"
    contents = {
        "images/test_vqgan_indices_for_vqa.json": ({"k": list(range(256))}, image_codec, False),
        "3d-scenes/test_tokenized_scenes_for_vqa.json": ({"k": scene}, scene_codec, True),
        "text/test_vqa_questions.json": ({"k": "Is there a cube"}, text_codec, True),
        "text/test_vqa_answers.json": ({"k": "yes"}, text_codec, True),
    }
    for name, (samples, codec, boxed) in contents.items():
        (release / name).parent.mkdir(parents=True, exist_ok=True)
        save_token_file(release / name, samples, codec, boxed=boxed)
    model = tmp_path / "tokenizer.model"
    model.write_bytes(llama.path.read_bytes())
    words = ["--tokenizer", model, "--part", "questions", "--split", "test", "--out", tmp_path / "set"]
    result = run("release", tmp_path / "release", *words)
    assert "1 samples fit: scenes with their markers, words with a leading space" in result.output
    (row,) = open_set(tmp_path / "set")
    assert row["codes"] == list(range(256))
    assert row["questions"] == [{"question": "Is there a cube", "answer": "yes"}]
    assert row["instruction"] is None and row["target_codes"] is None
    needed = {column.split(".")[0] for side in COLUMNS["question_answering"] for column in side.values()}
    assert all(row[name] for name in needed)
