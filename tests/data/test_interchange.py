"""Sets as Hugging Face's tools take them: on disk, as Parquet, as JSON Lines and as WebDataset."""

import json
import warnings

import datasets
import numpy as np
import pytest
from huggingface_hub import DatasetCard
from typer.testing import CliRunner

from kyvo.cli.data import app
from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet, EditSet, QuestionSet
from kyvo.errors import ConfigError
from kyvo.scene.files import scene_from_json

SIZE = {"seed": 3, "width": 24, "height": 16}
KINDS = {
    "clevr": ClevrSet(count=5, block=2, **SIZE),
    "edits": EditSet(count=3, **SIZE),
    "questions": QuestionSet(count=3, questions=2, **SIZE),
}
FORMS = ("parquet", "jsonl", "webdataset")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A set of each kind."""
    root = tmp_path_factory.mktemp("sets")
    for kind, settings in KINDS.items():
        write_set(root / kind, settings)
    return root


@pytest.fixture
def loaded(tmp_path):
    """`loaded(folder)` -> its splits by `datasets.load_dataset`, which warns of nothing."""

    def load(folder):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))

    return load


def export(*words):
    result = CliRunner().invoke(app, ["export", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("kind", KINDS)
def test_load_from_disk_opens_a_set(sets, kind):
    rows, ours = datasets.load_from_disk(str(sets / kind)), open_set(sets / kind)
    assert rows.features == ours.features and len(rows) == len(ours)
    assert rows["scene"][:] == ours["scene"][:]
    assert np.array_equal(np.asarray(rows[0]["image"]), np.asarray(ours[0]["image"]))


def test_a_set_of_before_there_were_state_files_still_opens(sets, tmp_path):
    for path in (sets / "clevr").iterdir():
        if path.name not in ("state.json", "dataset_info.json"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert open_set(tmp_path)["scene"][:] == open_set(sets / "clevr")["scene"][:]
    write_set(tmp_path, KINDS["clevr"])  # whole already: the state files alone are new
    assert len(datasets.load_from_disk(str(tmp_path))) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_has_what_the_hub_reads(sets, kind):
    card = DatasetCard.load(sets / kind / "README.md").data.to_dict()
    assert card["license"] == "apache-2.0" and card["size_categories"] == ["n<1K"]
    assert card["configs"][0]["data_files"] == [{"split": "train", "path": "data-*.arrow"}]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_form_holds_every_row(sets, tmp_path, loaded, kind, form):
    out = tmp_path / "out"
    code, text = export(sets / kind, "--format", form, "--out", out)
    assert code == 0, text
    DatasetCard.load(out / "README.md")
    rows, ours = loaded(out)["train"], open_set(sets / kind)
    assert len(rows) == len(ours)
    pictures = {"jsonl": "image", "parquet": "image", "webdataset": "png"}[form]
    order = sorted(range(len(ours)), key=lambda index: ours[index]["name"])
    for index, row in zip(order, sorted(rows, key=lambda row: (row.get("json") or row)["name"]), strict=True):
        content = row["json"] if form == "webdataset" else row
        scene = content["scene"] if isinstance(content["scene"], dict) else json.loads(content["scene"])
        wanted = json.loads(ours[index]["scene"])
        found = [(item["shape"], item["color"], item["location"]) for item in scene["objects"]]
        assert found == [(item["shape"], item["color"], item["location"]) for item in wanted["objects"]]
        assert np.array_equal(np.asarray(row[pictures].convert("RGB")), np.asarray(ours[index]["image"]))
        if kind == "edits":
            target = row["target_image.png" if form == "webdataset" else "target_image"]
            assert np.array_equal(np.asarray(target.convert("RGB")), np.asarray(ours[index]["target_image"]))


def test_parquet_has_typed_columns_and_reads_back(sets, tmp_path, loaded):
    for kind in KINDS:
        assert export(sets / kind, "--format", "parquet", "--out", tmp_path / kind)[0] == 0
        ours, back = open_set(sets / kind), open_set(tmp_path / kind)
        assert back["scene"][:] == ours["scene"][:] and back["name"][:] == ours["name"][:]
        assert [scene_from_json(json.loads(text)) for text in back["scene"]]
    rows = loaded(tmp_path / "edits")["train"]
    colors = [[item["color"] for item in json.loads(text)["objects"]] for text in rows["target_scene"]]
    assert [[item["color"] for item in objects] for objects in rows["target_objects"]] == colors
    asked = loaded(tmp_path / "questions")["train"][0]["questions"][0]
    assert [step["function"] for step in asked["steps"]] == [step["function"] for step in json.loads(asked["program"])]


def test_splits_are_sets_or_shares_of_one(sets, tmp_path, loaded):
    words = (f"train={sets / 'clevr'}", f"validation={sets / 'clevr'}", "--format", "parquet", "--out")
    assert export(*words, tmp_path / "two")[0] == 0
    assert {name: len(rows) for name, rows in loaded(tmp_path / "two").items()} == {"train": 5, "validation": 5}
    with pytest.raises(ConfigError, match="holds the splits train, validation; give the folder of one"):
        open_set(tmp_path / "two")
    assert len(open_set(tmp_path / "two" / "validation")) == 5

    code, _ = export(sets / "clevr", "--shares", "train=0.6,test=0.4", "--format", "parquet", "--out", tmp_path / "cut")
    assert code == 0
    found = loaded(tmp_path / "cut")
    assert [*found["train"]["name"], *found["test"]["name"]] == open_set(sets / "clevr")["name"][:]
    assert {name: len(rows) for name, rows in found.items()} == {"train": 3, "test": 2}


@pytest.mark.parametrize("form", ["parquet", "webdataset"])
def test_shards_are_of_the_size_asked_for(sets, tmp_path, loaded, form):
    code, text = export(sets / "clevr", "--format", form, "--shard-size", "0.004", "--out", tmp_path / "out")
    shards = sorted((tmp_path / "out" / "train").glob("data-*"))
    assert code == 0 and len(shards) > 1 and f"in {len(shards)} files" in text
    assert len(loaded(tmp_path / "out")["train"]) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b"], "the split train has two sets, a and b"),
        (["nowhere"], "holds no data-.*arrow and no"),
        (["SET", "--shares", "train=0.5,test=0.6"], "add up to 1"),
        (["SET", "--shares", "half"], "no list of shares"),
        (["train=SET", "test=SET", "--shares", "a=1"], "shares cut one set"),
    ],
)
def test_wrong_usage_is_told(sets, tmp_path, words, message):
    words = [word.replace("SET", str(sets / "clevr")) for word in words]
    code, text = export(*words, "--format", "parquet", "--out", tmp_path / "out")
    assert code == 2 and __import__("re").search(message, " ".join(text.split()))


def test_a_folder_with_files_is_not_written_into(sets, tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    code, text = export(sets / "clevr", "--format", "jsonl", "--out", tmp_path)
    assert code == 2 and "is not empty" in text
