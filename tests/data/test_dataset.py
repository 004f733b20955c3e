"""Sets: the same bytes from any number of workers, after a kill, and through `kyvo data clevr`."""

import hashlib
import io
import json

import datasets
import numpy as np
import pyarrow as pa
import pytest
from datasets.arrow_writer import ArrowWriter
from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.data import app
from kyvo.data.clevr.sampling import render_scenes
from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet, EditSet, QuestionSet
from kyvo.data.language.edit_phrases import parse
from kyvo.data.language.edits import execute
from kyvo.data.language.question_programs import answer
from kyvo.errors import ConfigError, FileError, SceneError
from kyvo.files import locked
from kyvo.scene.clevr import to_clevr
from kyvo.scene.files import scene_from_json
from kyvo.scene.relations import relationships

RUN = ["clevr", "--size", "32x24", "--seed", "3"]


SMALL = ClevrSet(count=5, seed=3, width=32, height=24, block=2)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("data-*"))}


@pytest.mark.slow
def test_two_workers_write_the_bytes_that_one_writes(tmp_path):
    one = write_set(tmp_path / "one", SMALL, workers=1)
    two = write_set(tmp_path / "two", SMALL, workers=2)
    assert len(one["files"]) == 3
    assert one["files"] == two["files"] and digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_killed_run_goes_on_to_the_same_set(tmp_path):
    whole = write_set(tmp_path / "whole", SMALL)

    class Killed(Exception):
        pass

    def kill_after_a_block(done: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        write_set(tmp_path / "cut", SMALL, progress=kill_after_a_block)
    cut = tmp_path / "cut"
    (cut / "data-00001-of-00003.part").write_bytes(b"half a block")
    first = cut / "data-00000-of-00003.arrow"
    made = first.stat().st_mtime_ns
    assert len(open_set(cut)) == 2 and not (cut / "card.json").exists()

    steps: list[int] = []
    assert write_set(cut, SMALL, progress=steps.append)["files"] == whole["files"]
    assert steps == [2, 2, 1]
    assert first.stat().st_mtime_ns == made, "a finished block was made again"
    assert digests(cut) == digests(tmp_path / "whole")


def test_a_set_opens_with_its_pictures_and_scenes(tmp_path):
    write_set(tmp_path / "set", SMALL)
    rows = open_set(tmp_path / "set")
    assert rows.features == ClevrSet.features and len(rows) == 5
    assert len(set(rows["name"])) == 5
    for row in rows:
        scene = scene_from_json(json.loads(row["scene"]))
        assert (row["image"].size, row["image"].mode) == ((32, 24), "RGB")
        redone = render_scenes([scene], width=32, height=24)[0].astype(int)
        assert np.abs(redone - np.asarray(row["image"])).mean() < 0.05
    files = str(tmp_path / "set" / "data-*.arrow")
    stock = datasets.load_dataset("arrow", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert stock["scene"] == rows["scene"]


def test_the_card_says_how_the_set_was_made(tmp_path):
    out = tmp_path / "set"
    result = CliRunner().invoke(app, [*RUN, "--count", "3", "--out", str(out)])
    assert result.exit_code == 0, result.output
    card = json.loads((out / "card.json").read_text())
    assert card["settings"]["count"] == 3 and card["settings"]["rules"]["max_objects"] == 10
    assert (
        card["command"] == "kyvo data clevr --count 3 --out set --seed 3 --size 32x24 --min-objects 3 --max-objects 10 "
        "--camera-jitter 0.5 --schema clevr --renderer raytracer --device cpu"
    )
    assert card["files"] == digests(out)
    text = (out / "README.md").read_text()
    assert card["sha256"] in text and card["command"] in text
    assert result.stdout.count("\n") == 1 and card["sha256"][:16] in result.stdout


def test_pictures_are_lossless(tmp_path):
    write_set(tmp_path / "set", ClevrSet(count=1, seed=3, width=32, height=24))
    raw = open_set(tmp_path / "set").cast_column("image", datasets.Image(decode=False))[0]["image"]["bytes"]
    picture = Image.open(io.BytesIO(raw))
    assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "count"),
        (["--count", "2", "--size", "12by8"], "is no size"),
        (["--count", "2", "--size", "99999"], "is too large a size"),
        (["--count", "2", "--size", "0"], "must be at least 1"),
        (["--count", "2", "--min-objects", "7", "--max-objects", "4"], "are no range"),
    ],
)
def test_wrong_usage_exits_with_2(tmp_path, arguments, message):
    result = CliRunner().invoke(app, [*RUN, "--out", str(tmp_path / "set"), *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_another_set_is_not_overwritten(tmp_path):
    settings = ClevrSet(count=1, seed=3, width=32, height=24)
    write_set(tmp_path / "set", settings)
    with pytest.raises(ConfigError, match=r"holds a set with other settings \(seed 3\)"):
        write_set(tmp_path / "set", ClevrSet(count=1, seed=4, width=32, height=24))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("kept")
    with pytest.raises(ConfigError, match="is not empty and holds no set"):
        write_set(tmp_path / "notes", settings)


def test_settings_that_led_to_no_block_can_be_mended(tmp_path):
    run = [*RUN, "--count", "1", "--out", str(tmp_path / "set")]
    crowded = CliRunner().invoke(app, [*run, "--min-objects", "40", "--max-objects", "40"])
    assert crowded.exit_code == 2 and "found no place" in crowded.output
    assert CliRunner().invoke(app, run).exit_code == 0


@pytest.mark.parametrize("left", ["nothing", "half", "whole batches"])
def test_a_block_that_was_cut_is_named_and_made_anew_once_it_is_deleted(tmp_path, left):
    settings = ClevrSet(count=4, seed=3, width=32, height=24, block=2, batch=1)
    card = write_set(tmp_path / "set", settings)
    block = tmp_path / "set" / "data-00001-of-00002.arrow"
    whole = block.read_bytes()
    block.write_bytes(whole[: {"nothing": 0, "half": len(whole) // 2, "whole batches": -8}[left]])
    for read in (lambda: open_set(tmp_path / "set"), lambda: write_set(tmp_path / "set", settings)):
        with pytest.raises(ConfigError, match=r"data-00001-of-00002\.arrow is no whole Arrow file .* Delete it"):
            read()
    block.unlink()
    assert write_set(tmp_path / "set", settings)["files"] == card["files"]


def test_opening_a_set_reads_none_of_its_rows(tmp_path):
    features = datasets.Features({"scene": datasets.Value("string")})
    for block in range(20):
        with ArrowWriter(path=str(tmp_path / f"data-{block:05d}-of-00020.arrow"), features=features) as writer:
            writer.write_batch({"scene": [f"{block} " + "x" * 10_000] * 100})
            writer.finalize()
    before = pa.total_allocated_bytes()
    rows = open_set(tmp_path)
    assert len(rows) == 2000 and rows[1999]["scene"].startswith("19 x")
    assert pa.total_allocated_bytes() - before < 200_000  # of 20 MB


def test_an_unknown_engine_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="engine is 'spark'; known are processes, ray"):
        write_set(tmp_path / "set", SMALL, engine="spark")


def test_an_empty_folder_is_no_set(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no data-\*.arrow and no \*.parquet files; make a set"):
        open_set(tmp_path)


def test_edits_are_rendered_before_and_after_and_execute_to_their_target(tmp_path):
    write_set(tmp_path / "set", EditSet(count=6, seed=3, width=32, height=24, block=4))
    rows = open_set(tmp_path / "set")
    assert rows.features == EditSet.features and len(rows) == 6
    for row in rows:
        source, target = (scene_from_json(json.loads(row[name])) for name in ("scene", "target_scene"))
        assert execute(json.loads(row["program"]), source).objects == target.objects
        assert parse(row["instruction"]) == json.loads(row["program"])
        assert row["target_image"].size == (32, 24)
        assert np.asarray(row["image"]).tobytes() != np.asarray(row["target_image"]).tobytes()


def test_a_floor_may_be_bare(tmp_path):
    arguments = ["--count", "6", "--min-objects", "0", "--max-objects", "1", "--size", "24x16"]
    assert CliRunner().invoke(app, [*RUN, "--out", str(tmp_path / "set"), *arguments]).exit_code == 0
    counts = {len(scene_from_json(json.loads(text)).objects) for text in open_set(tmp_path / "set")["scene"]}
    assert counts == {0, 1}


def test_edits_of_one_scene_stand_beside_one_another(tmp_path):
    write_set(tmp_path / "set", EditSet(count=9, seed=3, width=32, height=24, pictures=False, each=3))
    rows = open_set(tmp_path / "set")
    assert [rows["scene"][index] == rows["scene"][index - index % 3] for index in range(9)].count(True) >= 8
    assert len(set(rows["scene"])) >= 3 and len(set(rows["instruction"])) == 9
    alone = tmp_path / "alone"
    write_set(alone, EditSet(count=3, seed=3, width=32, height=24, pictures=False))
    assert open_set(alone)["scene"][:] == rows["scene"][::3]


def test_sets_without_pictures_hold_the_same_scenes_and_texts(tmp_path):
    settings = dict(count=3, seed=3, width=32, height=24)
    write_set(tmp_path / "with", EditSet(**settings))
    write_set(tmp_path / "without", EditSet(**settings, pictures=False))
    whole, bare = (open_set(tmp_path / name) for name in ("with", "without"))
    assert set(whole.column_names) - set(bare.column_names) == {"image", "target_image"}
    assert whole.remove_columns(["image", "target_image"])[:] == bare[:]


def test_questions_come_with_answers_that_their_programs_give_and_with_what_guessing_scores(tmp_path):
    card = write_set(tmp_path / "set", QuestionSet(count=3, seed=3, width=32, height=24, questions=4))
    assert card["baselines"]["all"]["count"] == 12
    assert 0 < card["baselines"]["all"]["random"] < card["baselines"]["all"]["most_frequent"] <= 1
    for row in open_set(tmp_path / "set"):
        scene = scene_from_json(json.loads(row["scene"]))
        assert len({question["question"] for question in row["questions"]}) == 4
        for question in row["questions"]:
            assert answer(json.loads(question["program"]), scene) == question["answer"]


def test_questions_can_be_of_some_families_alone(tmp_path):
    settings = dict(count=2, seed=3, width=32, height=24, pictures=False)
    write_set(tmp_path / "set", QuestionSet(**settings, questions=6, families="zero_hop,one_hop"))
    rows = open_set(tmp_path / "set")["questions"]
    assert {question["family"] for row in rows for question in row} == {"zero_hop", "one_hop"}
    with pytest.raises(ConfigError, match="'zero_hops' is no family of these questions; known are zero_hop, one_hop"):
        QuestionSet(**settings, families="zero_hops")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [EditSet, QuestionSet])
def test_every_kind_is_the_same_from_any_number_of_workers(tmp_path, kind):
    settings = kind(count=4, seed=3, width=32, height=24, block=2)
    one = write_set(tmp_path / "one", settings, workers=1)
    assert one["files"] == write_set(tmp_path / "two", settings, workers=2)["files"]


def test_edits_that_no_scene_allows_are_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(EditSet, "max_attempts", 0)
    with pytest.raises(SceneError, match="no edit was found for row 0"):
        write_set(tmp_path / "set", EditSet(count=1, seed=3, width=32, height=24))


def test_clevr_scenes_carry_what_clevrs_own_tools_read(tmp_path):
    write_set(tmp_path / "set", ClevrSet(count=1, seed=3, width=32, height=24))
    scene = scene_from_json(json.loads(open_set(tmp_path / "set")[0]["scene"]))
    data = to_clevr(scene)
    assert data["relationships"] == relationships(scene)
    assert set(data["directions"]) == {"left", "right", "front", "behind", "above", "below"}
    assert {"3d_coords", "rotation", "pixel_coords"} <= data["objects"][0].keys()


def test_a_device_that_is_not_there_is_refused_before_the_work():
    with pytest.raises(ConfigError, match="device is 'tpu'; known are auto, cpu and cuda"):
        ClevrSet(count=1, seed=0, width=8, height=8, device="tpu")
    assert ClevrSet(count=1, seed=0, width=8, height=8, device="auto").device in ("cpu", "cuda")


def test_what_a_killed_run_left_half_written_goes_and_a_second_process_is_refused(tmp_path):
    out = tmp_path / "set"
    write_set(tmp_path / "whole", SMALL)
    out.mkdir()
    (out / ".data-00001-of-00003.arrow.99999999-456.part").write_text("half")
    with locked(out), pytest.raises(FileError, match="is being written by another process"):
        write_set(out, SMALL)
    write_set(out, SMALL)
    assert {path.name for path in out.iterdir()} == {path.name for path in (tmp_path / "whole").iterdir()}
    assert digests(out) == digests(tmp_path / "whole")
