"""Sets: the same bytes from any number of workers, after a kill, and through `kyvo data clevr`."""

import hashlib
import io
import json

import datasets
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.data import app
from kyvo.data import dataset
from kyvo.data.clevr import render_scenes
from kyvo.data.dataset import SetSettings, open_set, write_clevr
from kyvo.errors import ConfigError
from kyvo.scene.files import scene_from_json

RUN = ["clevr", "--size", "32x24", "--seed", "3"]


SMALL = SetSettings(count=5, seed=3, width=32, height=24, block=2)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("data-*"))}


def test_two_workers_write_the_bytes_that_one_writes(tmp_path):
    one = write_clevr(tmp_path / "one", SMALL, workers=1)
    two = write_clevr(tmp_path / "two", SMALL, workers=2)
    assert len(one["files"]) == 3
    assert one["files"] == two["files"] and digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_killed_run_goes_on_to_the_same_set(tmp_path):
    whole = write_clevr(tmp_path / "whole", SMALL)

    class Killed(Exception):
        pass

    def kill_after_a_block(done: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        write_clevr(tmp_path / "cut", SMALL, progress=kill_after_a_block)
    cut = tmp_path / "cut"
    (cut / "data-00001-of-00003.part").write_bytes(b"half a block")
    first = cut / "data-00000-of-00003.arrow"
    made = first.stat().st_mtime_ns
    assert len(open_set(cut)) == 2 and not (cut / "card.json").exists()

    steps: list[int] = []
    assert write_clevr(cut, SMALL, progress=steps.append)["files"] == whole["files"]
    assert steps == [2, 2, 1]
    assert first.stat().st_mtime_ns == made, "a finished block was made again"
    assert digests(cut) == digests(tmp_path / "whole")


def test_a_set_opens_with_its_pictures_and_scenes(tmp_path):
    write_clevr(tmp_path / "set", SMALL)
    rows = open_set(tmp_path / "set")
    assert rows.features == dataset.FEATURES and len(rows) == 5
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
        card["command"] == "kyvo data clevr --count 3 --out set --seed 3 --size 32x24 --min-objects 3 --max-objects 10"
    )
    assert card["files"] == digests(out)
    text = (out / "README.md").read_text()
    assert card["sha256"] in text and card["command"] in text
    assert result.stdout.count("\n") == 1 and card["sha256"][:16] in result.stdout


def test_pictures_are_lossless(tmp_path):
    write_clevr(tmp_path / "set", SetSettings(count=1, seed=3, width=32, height=24))
    raw = open_set(tmp_path / "set").cast_column("image", datasets.Image(decode=False))[0]["image"]["bytes"]
    picture = Image.open(io.BytesIO(raw))
    assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "count"),
        (["--count", "2", "--size", "12by8"], "is no size"),
        (["--count", "2", "--size", "0"], "must be at least 1"),
        (["--count", "2", "--min-objects", "7", "--max-objects", "4"], "are no range"),
        (["--count", "2", "--min-objects", "40", "--max-objects", "40"], "found no place"),
    ],
)
def test_wrong_usage_exits_with_2(tmp_path, arguments, message):
    result = CliRunner().invoke(app, [*RUN, "--out", str(tmp_path / "set"), *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_another_set_is_not_overwritten(tmp_path):
    settings = SetSettings(count=1, seed=3, width=32, height=24)
    write_clevr(tmp_path / "set", settings)
    with pytest.raises(ConfigError, match=r"holds a set with other settings \(seed 3\)"):
        write_clevr(tmp_path / "set", SetSettings(count=1, seed=4, width=32, height=24))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("kept")
    with pytest.raises(ConfigError, match="is not empty and holds no set"):
        write_clevr(tmp_path / "notes", settings)


def test_settings_that_led_to_no_block_can_be_mended(tmp_path):
    run = [*RUN, "--count", "1", "--out", str(tmp_path / "set")]
    assert CliRunner().invoke(app, [*run, "--min-objects", "40", "--max-objects", "40"]).exit_code == 2
    assert CliRunner().invoke(app, run).exit_code == 0


def test_an_empty_folder_is_no_set(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no data-\*.arrow files; make a set there"):
        open_set(tmp_path)
