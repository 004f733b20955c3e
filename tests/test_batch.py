import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from kyvo.batch import recognize_files
from kyvo.scene.files import load_scene
from kyvo.testing import tiny_kyvo


@pytest.fixture(scope="module")
def model():
    return tiny_kyvo()


def picture(path, mode="RGB", size=(48, 32)):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).convert(
        mode
    ).save(path)
    return path


def test_bad_inputs_are_lines_of_the_manifest_and_the_others_are_done(model, tmp_path):
    whole = picture(tmp_path / "whole.png")
    (tmp_path / "no_image.png").write_text("hello")
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:200])
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder").mkdir()
    huge = whole.read_bytes()[:16] + struct.pack(">II", 50_000, 50_000) + whole.read_bytes()[24:29]
    (tmp_path / "huge.png").write_bytes(huge + struct.pack(">I", zlib.crc32(huge[12:])) + whole.read_bytes()[33:])
    Image.fromarray(np.arange(48 * 32, dtype=np.uint16).reshape(32, 48) * 40).save(tmp_path / "deep.png")
    frames = [Image.new("RGB", (48, 32), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "animated.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "other").mkdir()
    good = [
        whole,
        picture(tmp_path / "with a space.png"),
        picture(tmp_path / "cmyk.jpg", "CMYK"),
        tmp_path / "deep.png",
        tmp_path / "animated.gif",
    ]
    bad = {
        tmp_path / "no_image.png": "not a picture",
        tmp_path / "cut.png": "truncated or damaged",
        tmp_path / "empty.png": "is empty",
        tmp_path / "folder": "is a directory",
        tmp_path / "huge.png": "is too large",
        tmp_path / "missing.png": "does not exist",
        picture(tmp_path / "other" / "whole.png"): "is written to",
    }  # fmt: skip
    order = [good[0], *bad, *good[1:]]
    lines = recognize_files(model, order, tmp_path / "out", batch_size=2)
    by_input = {line.input: line for line in lines}
    assert set(by_input) == {str(path) for path in order}
    for path, message in bad.items():
        assert by_input[str(path)].status == "failed" and message in by_input[str(path)].error
    for path in good:
        line = by_input[str(path)]
        assert line.status == "done" and line.error is None and line.seconds > 0
        scene = load_scene(tmp_path / "out" / f"{path.stem}.json")
        assert scene.image == path.name and len(scene) == line.objects
    manifest = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [line["input"] for line in manifest] == [line.input for line in lines]


def test_nothing_is_overwritten_unless_asked(model, tmp_path):
    path = picture(tmp_path / "a.png")
    assert recognize_files(model, [path], tmp_path)[0].status == "done"
    (tmp_path / "a.json").write_text("mine")
    line = recognize_files(model, [path], tmp_path)[0]
    assert line.status == "failed" and "pass --overwrite" in line.error
    assert (tmp_path / "a.json").read_text() == "mine"
    assert recognize_files(model, [path], tmp_path, overwrite=True)[0].status == "done"
    assert load_scene(tmp_path / "a.json").image == "a.png"
    assert len((tmp_path / "manifest.jsonl").read_text().splitlines()) == 3


def test_the_batch_size_does_not_change_the_scenes(model, tmp_path):
    paths = [picture(tmp_path / f"{index}.png", size=(48, 24 + index)) for index in range(5)]
    for size in (1, 5):
        recognize_files(model, paths, tmp_path / str(size), batch_size=size)
    for path in paths:
        alone, together = (load_scene(tmp_path / size / f"{path.stem}.json") for size in ("1", "5"))
        assert [item.location for item in alone.objects] == [item.location for item in together.objects]
