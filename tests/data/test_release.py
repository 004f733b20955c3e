"""The released files come in and go out as the same ids, in every reading; what does not fit is named."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_scenes import scenes

from kyvo.data.release import (
    EDITS,
    find_release,
    load_token_file,
    release_rows,
    save_token_file,
)
from kyvo.data.release_codecs import COLUMNS, SceneCodec, SceneFormat, release_schema, release_vocabulary
from kyvo.errors import ConfigError, SceneError, TokenError
from kyvo.scene.files import scene_from_json
from kyvo.testing import tiny_text
from kyvo.tokenizers.scene import SceneTokenizer


def number(value: float) -> int:
    return 128_256 + round((value + 3) / 0.005)


def clevr_ids(llama, words=("large", "cyan", "metal", "cube"), at=(-0.55, 0.05, 0.7)) -> list[int]:
    """One scene of one object, by the released table of ids."""
    size, color, material, shape = (llama.encode(f" {word}") for word in words)
    fields = [129461, *size, 129462, *color, 129463, *material, 129464, *shape, 129465, *(number(v) for v in at)]
    return [129457, 129459, *fields, 129460, 129458]


def objaworld_ids(llama, pose) -> list[int]:
    at = [number(value) for value in (-2.7, -2.2, 0.2)]
    return [129457, 129459, 129464, *llama.encode(" table"), 129465, *at, *pose, 129460, 129458]


def objectron_ids(llama, word=" cereal_box") -> list[int]:
    # -0.10 and 0.05 of the fine bins, 1.20 and 0.60 of the coarse
    center, extent = [128266, 128281, 128316], [128304, 128304, 128304]
    return [128359, 128361, 128363, *llama.encode(word), 128364, *center, 128365, *extent, 128362, 128360]


def unspaced(token: int, llama) -> list[int]:
    return llama.encode(llama.decode([token])[1:]) if token < 128_000 else [token]


def written(folder: Path, data, name="train_tokenized_scenes.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(data))
    return path


def there_and_back(path, role, dataset, text):
    file = load_token_file(path, role, dataset=dataset, text=text)
    back = path.with_name("back.json")
    save_token_file(back, file.samples, file.codec, boxed=file.boxed)
    assert back.read_bytes() == path.read_bytes()
    assert not file.faults
    return file


def test_a_clevr_file_is_read_by_the_released_ids_and_written_back_byte_for_byte(llama, tmp_path):
    data = {f"CLEVR_{i}.png": {"token_ids": clevr_ids(llama, at=(-3 + i / 4, 3, 0.7))} for i in range(5)}
    file = there_and_back(written(tmp_path, data), "scene", "clevr", llama)
    assert all(len(ids["token_ids"]) == 16 for ids in data.values())
    item = file.samples["CLEVR_2.png"].objects[0]
    assert (item.size, item.color, item.material, item.shape) == ("large", "cyan", "metal", "cube")
    assert item.location == (-2.5, 3.0, 0.7) and file.samples["CLEVR_2.png"].image == "CLEVR_2.png"
    reading = "scenes with their markers, words with a leading space; numbers on a step of 0.05"
    assert file.lines() == [f"{file.path}: 5 samples fit: {reading}"]


def test_the_ids_are_those_of_our_scene_tokenizer(llama):
    codec = SceneCodec("clevr", llama, SceneFormat(bounded=True, space=True, pose="none"))
    ours = SceneTokenizer(schema=release_schema("clevr"), vocabulary=release_vocabulary("clevr"), text=llama)
    scene = codec.decode(clevr_ids(llama))
    assert ours.encode(scene) == clevr_ids(llama) == codec.encode(scene)


@given(data=st.data(), dataset=st.sampled_from(["clevr", "objaworld", "objectron"]))
def test_every_scene_comes_back_in_every_reading(llama, data, dataset):
    pose = data.draw(st.sampled_from(["azimuth", "spelt"])) if dataset == "objaworld" else "none"
    reading = SceneFormat(bounded=data.draw(st.booleans()), space=data.draw(st.booleans()), pose=pose)
    schema = release_schema(dataset)
    scene = schema.snap(data.draw(scenes(schema, max_objects=3)))
    codec = SceneCodec(dataset, llama, reading)
    if pose == "azimuth":
        flat = [item.with_values(pose=(0.0, 0.0, item.pose[2])) for item in scene.objects]
        scene = replace(scene, objects=tuple(flat))
    assert codec.decode(codec.encode(scene)) == scene


@pytest.mark.parametrize(
    ("change", "reading"),
    [
        (lambda ids, llama: ids[1:-1], "scenes without their markers, words with a leading space"),
        (
            lambda ids, llama: [part for token in ids for part in unspaced(token, llama)],
            "scenes with their markers, words without a leading space",
        ),
    ],
)
def test_a_file_written_otherwise_is_read_too_and_says_how(llama, tmp_path, change, reading):
    data = {"a.png": {"token_ids": change(clevr_ids(llama), llama)}}
    file = there_and_back(written(tmp_path, data), "scene", "clevr", llama)
    assert file.samples["a.png"].objects[0].color == "cyan"
    assert reading in file.lines()[0]


@pytest.mark.parametrize(
    ("pose", "expected", "reading"),
    [
        (lambda llama: [number(-0.1)], (0.0, 0.0, -0.1), "the azimuth as fourth number"),
        (
            lambda llama: [*llama.encode("[POSE]"), number(0), number(0.5), number(-0.1)],
            (0.0, 0.5, -0.1),
            "[POSE] in text ids",
        ),
    ],
)
def test_objaworlds_pose_is_read_as_fourth_number_and_spelt_out(llama, tmp_path, pose, expected, reading):
    data = {"park_1.png_a": {"token_ids": objaworld_ids(llama, pose(llama))}}
    file = there_and_back(written(tmp_path, data), "scene", "objaworld", llama)
    (item,) = file.samples["park_1.png_a"].objects
    assert (item.shape, item.location, item.pose) == ("table", (-2.7, -2.2, 0.2), expected)
    assert reading in file.lines()[0]


def test_the_step_of_the_numbers_is_told(llama, tmp_path):
    data = {"a.png": {"token_ids": clevr_ids(llama, at=(0.005, 0, 0))}}
    file = there_and_back(written(tmp_path, data), "scene", "clevr", llama)
    assert file.lines()[0].endswith("numbers on a step of 0.005")


def test_objectron_is_read_with_its_own_ids_file_paths_and_spellings(llama, tmp_path):
    words = (" cereal_box", " cereal box", " shoes", " teapot")
    data = {
        f"k{i}": {"token_ids": objectron_ids(llama, word), "string": {"file_path": f"objectron/{i}.jpg"}}
        for i, word in enumerate(words)
    }
    file = there_and_back(written(tmp_path, data), "scene", "objectron", llama)
    categories = [scene.objects[0].category for scene in file.samples.values()]
    assert categories == ["cereal_box", "cereal_box", "shoe", "teapot"]
    scene = file.samples["k1"]
    assert (scene.frame, scene.units, scene.image) == ("camera", "m", "objectron/1.jpg")
    assert (scene.objects[0].location, scene.objects[0].dimensions) == ((-0.1, 0.05, 1.2), (0.6, 0.6, 0.6))
    assert file.lines()[1].endswith("1 times category 'teapot', which our schema lacks")


@pytest.mark.parametrize(
    ("position", "token", "message"),
    [
        (3, 130_495, r"token_ids\[3\] is 130495, outside the vocabulary 'release-clevr' of the ids 0 to 130494"),
        (3, -1, r"token_ids\[3\] is -1, outside"),
        (3, "large", r"token_ids\[3\] is 'large', outside"),
        (0, 5, r"token_ids\[0\] is a text id; a scene starts with a marker"),
        (1, 129466, r"token_ids\[1\] is \[IMAGE-START\]; \[OBJECT-START\] is needed there"),
        (3, 128300, r"token_ids\[2\], \[SIZE\]: a word is needed, the ids \[128300\] stand there"),
        (12, 17, r"token_ids\[10\], \[LOCATION\]: 3 numbers are needed, the ids \[\d+, 17, \d+\] stand there"),
        (15, 129460, r"token_ids\[15\] is \[OBJECT-END\]; \[SCENE-END\] is needed there"),
    ],
)
def test_a_faulty_sample_is_named_with_its_place_and_costs_no_other(llama, tmp_path, position, token, message):
    bad = clevr_ids(llama)
    bad[position] = token
    good = {"token_ids": clevr_ids(llama)}
    path = written(tmp_path, {"one.png": good, "bad.png": {"token_ids": bad}, "two.png": good, "none.png": {"ids": []}})
    file = load_token_file(path, "scene", dataset="clevr", text=llama)
    assert list(file.samples) == ["one.png", "two.png"]
    with pytest.raises(TokenError, match=message):
        raise TokenError(file.faults[0])
    assert file.faults[0].startswith(f"{path}: 'bad.png': ")
    assert file.faults[1] == f"{path}: 'none.png': an object with token_ids is needed here."


def test_objectrons_unused_id_is_outside_its_vocabulary(llama, tmp_path):
    ids = objectron_ids(llama)
    ids[4] = 128_371
    with pytest.raises(TokenError, match=r"no sample fits\. In the reading .*token_ids\[4\] is 128371, outside"):
        load_token_file(written(tmp_path, {"a": {"token_ids": ids}}), "scene", dataset="objectron", text=llama)


@pytest.mark.parametrize("ids", [[], [0]])
def test_a_scene_cut_short_says_where_it_ends(llama, tmp_path, ids):
    whole = clevr_ids(llama)
    data = {"a": {"token_ids": whole}, "b": {"token_ids": whole[:8] + whole[-1:]}, "c": {"token_ids": ids}}
    file = load_token_file(written(tmp_path, data), "scene", dataset="clevr", text=llama)
    assert len(file.faults) == 2 and "[SHAPE] is needed at token_ids[9], where the scene ends" in file.faults[0]


@pytest.mark.parametrize(
    ("change", "reading"),
    [
        (lambda codes: codes, "codes, flat"),
        (lambda codes: [code + 129_471 for code in codes], "ids, flat"),
        (lambda codes: np.reshape(codes, (16, 16)).tolist(), "codes, rows"),
        (lambda codes: (np.reshape(codes, (16, 16)) + 129_471).tolist(), "ids, rows"),
    ],
)
def test_image_indices_are_read_with_and_without_their_offset(llama, tmp_path, change, reading):
    codes = np.random.default_rng(0).integers(0, 1024, 256).tolist()
    path = written(tmp_path, {"a.png": change(codes), "b.png": change(codes[::-1])}, "train_vqgan_indices.json")
    file = there_and_back(path, "image", "clevr", llama)
    assert file.samples["b.png"] == codes[::-1]
    assert file.lines()[0].endswith(reading)


def test_faulty_image_indices_are_named(llama, tmp_path):
    data = {"a": [0] * 256, "b": [0] * 255, "c": [0] * 9 + [1024] + [0] * 246, "d": 3}
    file = load_token_file(written(tmp_path, data), "image", dataset="objectron", text=llama)
    assert list(file.samples) == ["a"]
    assert [fault.partition(": '")[2] for fault in file.faults] == [
        "b': 255 image indices are there; a picture has 256.",
        "c': index[9] is 1024; image codes go from 0 to 1023.",
        "d': a list of ids is needed here.",
    ]


@pytest.mark.parametrize(("bounds", "reading"), [([129468, 129469], "with text markers"), ([], "without text markers")])
def test_texts_are_read_with_and_without_their_markers(llama, tmp_path, bounds, reading):
    inner = llama.encode("Is there a cube?")
    data = {"a.png": {"token_ids": [*bounds[:1], *inner, *bounds[1:]]}}
    file = there_and_back(written(tmp_path, data, "train_vqa_questions.json"), "text", "clevr", llama)
    assert file.samples == {"a.png": "Is there a cube?"}
    assert file.lines()[0].endswith(reading)


def test_a_text_with_other_ids_or_no_way_back_is_a_fault(llama, tmp_path):
    good = [129468, *llama.encode("yes"), 129469]
    broken = [129468, *b"yes", 129469]  # three bytes where the tokenizer has one piece
    data = {"a": {"token_ids": good}, "b": {"token_ids": [129468, 128_856, 129469]}, "c": {"token_ids": broken}}
    file = load_token_file(written(tmp_path, data), "answer", dataset="clevr", text=llama)
    assert file.faults[0].endswith("'b': token_ids[1] is 128856, a number id, in a text.")
    assert "'yes' is not spelt as the tokenizer spells it" in file.faults[1]


def test_rows_join_the_files_by_key_and_give_the_same_ids_back(llama, tmp_path):
    keys = ["a.png", "b.png"]
    codes = {key: [index] * 256 for index, key in enumerate([*keys, "lonely.png"])}
    ids = {key: {"token_ids": clevr_ids(llama)} for key in keys}
    question = {key: {"token_ids": [129468, *llama.encode("Is there a cube?"), 129469]} for key in keys}
    paths = {
        "image": written(tmp_path, codes, "train_vqgan_indices_for_vqa.json"),
        "scene": written(tmp_path, ids, "train_tokenized_scenes_for_vqa.json"),
        "text": written(tmp_path, question, "train_vqa_questions.json"),
    }
    files = {role: load_token_file(path, role, dataset="clevr", text=llama) for role, path in paths.items()}
    faults: list[str] = []
    rows = list(release_rows(files, faults.append))
    assert [row["name"] for row in rows] == keys
    assert rows[1]["codes"] == [1] * 256 and rows[1]["text"] == "Is there a cube?"
    assert len(faults) == 1 and "no usable sample 'lonely.png', which another file has" in faults[0]
    for role, kept in (("image", {key: codes[key] for key in keys}), ("scene", ids), ("text", question)):
        samples = {row["name"]: row[COLUMNS[role]] for row in rows}
        if role == "scene":
            samples = {name: scene_from_json(json.loads(text), name) for name, text in samples.items()}
        save_token_file(tmp_path / "back.json", samples, files[role].codec, boxed=files[role].boxed)
        assert json.loads((tmp_path / "back.json").read_text()) == kept


def test_a_scene_that_has_no_released_ids_is_not_written(llama, tmp_path):
    codec = SceneCodec("objaworld", llama, SceneFormat(bounded=True, space=True, pose="azimuth"))
    scene = codec.decode(objaworld_ids(llama, [number(1)]))
    tilted = scene.objects[0].with_values(pose=(0.5, 0.0, 1.0))
    bare = scene.objects[0].with_values(pose=None)
    between = scene.objects[0].with_values(location=(0.0012, 0.0, 0.0))
    for item, message in ((tilted, "no turn about z alone"), (bare, "has no pose"), (between, "has no number 0.0012")):
        with pytest.raises(TokenError, match=f"'key': .*{message}"):
            save_token_file(tmp_path / "x.json", {"key": replace(scene, objects=(item,))}, codec)


def test_another_tokenizer_a_broken_file_and_an_unknown_name_are_refused(llama, tmp_path):
    path = written(tmp_path, {"a": {"token_ids": clevr_ids(llama)}})
    with pytest.raises(TokenError, match="the text tokenizer has 445 ids, the released files 128256"):
        load_token_file(path, "scene", dataset="clevr", text=tiny_text())
    with pytest.raises(ConfigError, match="'arkit' is no released data set; known are clevr, objaworld, objectron"):
        load_token_file(path, "scene", dataset="arkit", text=llama)
    with pytest.raises(ConfigError, match="a released file holds no 'mesh'"):
        load_token_file(path, "mesh", dataset="clevr", text=llama)
    path.write_text(path.read_text()[:-9])
    with pytest.raises(SceneError, match="not a JSON file"):
        load_token_file(path, "scene", dataset="clevr", text=llama)
    with pytest.raises(TokenError, match="a token file is a JSON object with a key for each sample"):
        load_token_file(written(tmp_path, []), "scene", dataset="clevr", text=llama)


def test_the_released_file_names_are_found(tmp_path):
    names = [
        "clevr/images/train_vqgan_indices_merged_for_rendering_and_recognition.json",
        "clevr/3d-scenes/train_tokenized_scenes_merged_for_rendering_and_recognition.json",
        "clevr/images/test_vqgan_indices_for_vqa.json",
        "clevr/3d-scenes/test_tokenized_scenes_for_vqa.json",
        "clevr/text/test_vqa_questions.json",
        "clevr/text/test_vqa_answers.json",
        "objectron/images/test_vqgan_indices.json",
        "objectron/3d-scenes/test_tokenized_scenes.json",
    ]
    for kind in EDITS:
        names.append(f"clevr/text/instruction-following-eval/test_text_instructions_{kind}.json")
        for what, side in product(("images", "3d-scenes"), ("source", "target")):
            names.append(f"clevr/{what}/instruction-following-eval-{side}/test_{kind}.json")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {path.name for path in find_release(tmp_path, "clevr").values()} == {Path(name).name for name in names[:2]}
    assert set(find_release(tmp_path / "clevr", "clevr", "questions", "test")) == {"image", "scene", "text", "answer"}
    assert set(find_release(tmp_path, "objectron", split="test")) == {"image", "scene"}
    for kind in EDITS:
        roles = {"image", "scene", "target_image", "target_scene", "text"}
        assert set(find_release(tmp_path, "clevr", kind, "test")) == roles
    with pytest.raises(ConfigError, match=r"has 0 files images/train_vqgan_indices_source\.json; one is needed"):
        find_release(tmp_path, "clevr", "edits")
    with pytest.raises(ConfigError, match="objectron has no part 'edits' in the split train; known are pairs"):
        find_release(tmp_path, "objectron", "edits")
