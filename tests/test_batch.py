import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kyvo.api import Kyvo
from kyvo.batch import recognize_batches, recognize_files
from kyvo.batch.inputs import find_pictures
from kyvo.errors import ConfigError, FileError
from kyvo.files import locked
from kyvo.scene.clevr import load_clevr
from kyvo.scene.files import load_scene, scene_from_json
from kyvo.testing import same_score, tiny_kyvo, tiny_refiner


@pytest.fixture(scope="module")
def model():
    return tiny_kyvo(seed=5)  # one that sees objects


def picture(path, mode="RGB", size=(48, 32), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).convert(
        mode
    ).save(path)
    return path


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def statuses(lines):
    return {Path(line.input).name: line.status for line in lines}


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
    good = [
        whole,
        picture(tmp_path / "with a space.png"),
        picture(tmp_path / "cmyk.jpg", "CMYK"),
        tmp_path / "deep.png",
        tmp_path / "animated.gif",
        picture(tmp_path / "day" / "whole.png"),
    ]
    bad = {
        tmp_path / "no_image.png": "not a picture",
        tmp_path / "cut.png": "truncated or damaged",
        tmp_path / "empty.png": "is empty",
        tmp_path / "folder": "holds no picture",
        tmp_path / "huge.png": "is too large",
        tmp_path / "missing.png": "does not exist",
        tmp_path / "none*.png": "matches no picture",
        picture(tmp_path / "whole.jpg"): "is written to whole already",
    }  # fmt: skip
    order = [good[0], *bad, *good[1:]]
    lines = recognize_files(model, order, tmp_path / "out", batch_size=2)
    by_input = {line.input: line for line in lines}
    assert set(by_input) == {str(path) for path in order} and len(lines) == len(order)
    for path, message in bad.items():
        assert by_input[str(path)].status == "failed" and message in by_input[str(path)].error
    for path in good:
        line = by_input[str(path)]
        assert line.status == "done" and line.error is None and line.seconds > 0
        scene = load_scene(tmp_path / "out" / path.relative_to(tmp_path).with_suffix(".json"))
        assert scene.image == path.name and len(scene) == line.objects
    assert [line["input"] for line in rows(tmp_path / "out" / "manifest.jsonl")] == [line.input for line in lines]


def test_hostile_pictures_are_lines_of_the_manifest_and_the_others_are_done(model, tmp_path):
    good = picture(tmp_path / "a.png")
    small, large = good.read_bytes(), tmp_path / "large.jpg"
    Image.new("RGB", (2000, 2000), "red").save(large, progressive=True)
    scans = large.read_bytes()
    last = scans[scans.rindex(b"\xff\xda") : -2]
    (tmp_path / "scans.jpg").write_bytes(scans[:-2] + last * 1500 + scans[-2:])
    frame = b"\0\0\0\x1afcTL" + bytes(26) + struct.pack(">I", zlib.crc32(b"fcTL" + bytes(26)))
    (tmp_path / "frame.png").write_bytes(small[:33] + frame + small[33:])
    (tmp_path / "header.png").write_bytes(small[:8] + b"\0\0\0\4IHDR" + small[16:20] + small[20:])
    (tmp_path / "other.png").write_bytes(b"P6 9 9 99999999999 \0")
    (tmp_path / "wall.png").write_bytes(png_of(1, 30_000))
    lines = recognize_files(model, [tmp_path], tmp_path / "out", batch_size=2)
    failed = {Path(line.input).name for line in lines if line.status == "failed"}
    assert failed >= {"scans.jpg", "header.png", "other.png"}
    assert {"a.png", "large.jpg", "wall.png"} <= {Path(line.input).name for line in lines} - failed
    assert all(line.error and line.input in line.error for line in lines if line.status == "failed")


def png_of(width, height):
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_nothing_is_overwritten_unless_asked(model, tmp_path):
    path = picture(tmp_path / "a.png")
    assert recognize_files(model, [path], tmp_path)[0].status == "done"
    (tmp_path / "a.json").write_text("mine")
    line = recognize_files(model, [path], tmp_path)[0]
    assert line.status == "failed" and "pass --overwrite" in line.error
    assert (tmp_path / "a.json").read_text() == "mine"
    assert recognize_files(model, [path], tmp_path, overwrite=True)[0].status == "done"
    assert load_scene(tmp_path / "a.json").image == "a.png"
    assert len(rows(tmp_path / "manifest.jsonl")) == 3


def test_a_file_that_no_run_wrote_is_not_replaced_by_going_on(model, tmp_path):
    path = picture(tmp_path / "a.png")
    (tmp_path / "a.json").write_text("the truth, beside its picture")
    line = recognize_files(model, [path], tmp_path, resume=True)[0]
    assert line.status == "failed" and "a.json exists" in line.error
    assert (tmp_path / "a.json").read_text() == "the truth, beside its picture"


def test_the_batch_size_does_not_change_the_scenes(model, tmp_path):
    paths = [picture(tmp_path / f"{index}.png", size=(48, 24 + index)) for index in range(5)]
    for size in (1, 5):
        recognize_files(model, paths, tmp_path / str(size), batch_size=size)
    for path in paths:
        alone, together = (load_scene(tmp_path / size / f"{path.stem}.json") for size in ("1", "5"))
        assert [item.location for item in alone.objects] == [item.location for item in together.objects]


NEAR = 1e-3  # of places and confidences; docs/serving.md says it


def alike(found, known):
    """Words are equal; places and confidences are near."""
    assert len(found) == len(known)
    for one, other in zip(found.objects, known.objects, strict=True):
        words = ("shape", "size", "color", "material")
        assert [one.get(name) for name in words] == [other.get(name) for name in words]
        np.testing.assert_allclose(one.location, other.location, atol=NEAR, rtol=0)
        assert abs(one.confidence - other.confidence) <= NEAR


@pytest.mark.parametrize("size", [2, 7, 20])
def test_words_and_places_do_not_depend_on_the_batch(model, monkeypatch, size):
    monkeypatch.setattr(model, "processor", replace(model.processor, refiner=tiny_refiner()))
    pictures = np.random.default_rng(3).integers(256, size=(size, 32, 48, 3), dtype=np.uint8)
    alone = [model.recognize([picture])[0] for picture in pictures[:4]]
    for found, known in zip(model.recognize(list(pictures)), alone, strict=False):
        alike(found, known)


@pytest.mark.slow
def test_nor_do_those_of_the_bundled_model():
    bundled = Kyvo.from_pretrained("mini", device="cpu")
    paths = sorted((Path(str(files("kyvo"))) / "assets" / "samples").glob("*.png"))[:4]
    alone = [bundled.recognize([path])[0] for path in paths]
    for size in (3, 16):
        order = (paths * size)[:size]
        for index, found in enumerate(bundled.recognize(order)):
            alike(found, alone[index % len(paths)])


def test_going_on_skips_what_is_done_and_unchanged_and_does_the_rest(model, tmp_path):
    folder, out = tmp_path / "photos", tmp_path / "out"
    for name in ("kept", "changed", "lost"):
        picture(folder / f"{name}.png")
    assert set(statuses(recognize_files(model, [folder], out)).values()) == {"done"}
    picture(folder / "changed.png", size=(50, 32))
    picture(folder / "new" / "kept.png")
    (out / "lost.json").unlink()
    stamp = (out / "kept.json").stat().st_mtime_ns
    lines = recognize_files(model, [folder], out, resume=True)
    found = {Path(line.input).relative_to(folder).as_posix(): line.status for line in lines}
    assert found == {"kept.png": "skipped", "changed.png": "done", "lost.png": "done", "new/kept.png": "done"}
    assert (out / "kept.json").stat().st_mtime_ns == stamp and (out / "new" / "kept.json").is_file()
    assert set(statuses(recognize_files(model, [folder], out, resume=True)).values()) == {"skipped"}
    again = recognize_files(model, [folder], out, resume=True, min_confidence=0.5)
    assert set(statuses(again).values()) == {"done"}, "under other settings nothing is done"


def test_half_a_line_at_the_end_of_the_manifest_is_nobodys(model, tmp_path):
    paths = [picture(tmp_path / f"{name}.png") for name in "ab"]
    recognize_files(model, paths, tmp_path)
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-40])
    assert statuses(recognize_files(model, paths, tmp_path, resume=True)) == {"a.png": "skipped", "b.png": "failed"}
    (tmp_path / "b.json").unlink()
    assert statuses(recognize_files(model, paths, tmp_path, resume=True)) == {"a.png": "skipped", "b.png": "done"}


def test_what_was_in_flight_when_a_run_was_killed_is_done_again(model, tmp_path):
    paths = [picture(tmp_path / f"{name}.png") for name in "ab"]
    recognize_files(model, paths, tmp_path)
    assert not (tmp_path / ".in_flight.json").exists()
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(manifest.read_text().splitlines()[0] + "\n")  # b.json was written, its line was not
    (tmp_path / ".in_flight.json").write_text('["b"]')
    assert statuses(recognize_files(model, paths, tmp_path, resume=True)) == {"a.png": "skipped", "b.png": "done"}


def test_pictures_are_read_two_batches_ahead_and_no_more(model, tmp_path):
    items = find_pictures([picture(tmp_path / f"{index:02}.png") for index in range(20)])
    taken = []
    batches = recognize_batches(model, (taken.append(item) or item for item in items), batch_size=2)
    assert len(next(batches)) == 2 and 6 <= len(taken) <= 7
    assert [len(batch) for batch in batches] == [2] * 9 and len(taken) == 20


def test_the_manifest_tells_confidences_and_unsure_objects_are_left_out_and_counted(model, tmp_path):
    paths = [picture(tmp_path / f"{index}.png", seed=index) for index in range(6)]
    everything = recognize_files(model, paths, tmp_path / "all")
    line = max(everything, key=lambda line: line.objects)
    sure = [item.confidence for item in load_scene(tmp_path / "all" / line.output).objects]
    assert line.objects == len(sure) > 1 and line.dropped == 0
    assert line.confidence == pytest.approx(np.mean(sure), abs=1e-5)
    assert line.lowest_confidence == pytest.approx(min(sure), abs=1e-5)
    limit = (min(sure) + max(sure)) / 2
    (some,) = recognize_files(model, [line.input], tmp_path / "some", min_confidence=limit)
    kept = load_scene(tmp_path / "some" / line.output).objects
    expected = [value for value in sure if value >= limit]
    assert [item.confidence for item in kept] == pytest.approx(expected, abs=1e-5)  # another batch, other roundings
    assert some.dropped == len(sure) - len(kept) > 0 and some.lowest_confidence >= limit
    (none,) = recognize_files(model, [line.input], tmp_path / "none", min_confidence=1.0)
    assert (none.status, none.objects, none.confidence) == ("done", 0, None)


def test_every_format_reads_back_as_the_same_scene(model, tmp_path):
    paths = [picture(tmp_path / "x" / "a.png"), picture(tmp_path / "y" / "a.png", seed=1)]
    for name in ("kyvo", "clevr", "jsonl"):
        recognize_files(model, paths, tmp_path / name, format=name)
    lines = {row["key"]: scene_from_json(row["scene"]) for row in rows(tmp_path / "jsonl" / "scenes.jsonl")}
    assert set(lines) == {"x/a", "y/a"}
    assert any(map(len, lines.values()))
    for key, scene in lines.items():
        assert scene == load_scene(tmp_path / "kyvo" / f"{key}.json")
        (clevr,) = load_clevr(tmp_path / "clevr" / f"{key}.clevr.json")
        assert [item.location for item in clevr.objects] == [item.location for item in scene.objects]
    with pytest.raises(ConfigError, match="omni3d holds scenes of camera, -y, m; this model's have world"):
        recognize_files(model, paths, tmp_path / "omni3d", format="omni3d")
    assert not (tmp_path / "omni3d").exists()
    with pytest.raises(ConfigError, match="known are kyvo, clevr, omni3d, jsonl"):
        recognize_files(model, paths, tmp_path / "glb", format="glb")


def test_lines_are_replaced_by_their_keys(model, tmp_path):
    paths = [picture(tmp_path / f"{name}.png") for name in "ab"]
    lines = tmp_path / "scenes.jsonl"
    recognize_files(model, paths, tmp_path, format="jsonl")
    lines.write_text(lines.read_text().replace('.png"', '.old"'))
    assert set(statuses(recognize_files(model, paths, tmp_path, format="jsonl")).values()) == {"failed"}
    picture(paths[0], size=(64, 32))
    found = statuses(recognize_files(model, paths, tmp_path, format="jsonl", resume=True))
    assert found == {"a.png": "done", "b.png": "skipped"}
    assert sorted((row["key"], row["scene"]["image"]) for row in rows(lines)) == [("a", "a.png"), ("b", "b.old")]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["kyvo", "jsonl"])
def test_a_killed_run_loses_at_most_its_batch_and_goes_on(model, tmp_path, form):
    folder, out, count, batch = tmp_path / "photos", tmp_path / "out", 60, 2
    for index in range(count):
        picture(folder / f"{index:02}.png", seed=index)
    model.model.save_pretrained(tmp_path / "tiny")
    model.processor.save(tmp_path / "tiny")
    program = [sys.executable, "-c", "from kyvo.cli.main import run; run()", "recognize"]
    options = ["--out", out, "--model", tmp_path / "tiny", "--batch-size", batch, "--format", form]
    command = list(map(str, [*program, folder, *options]))
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    manifest = out / "manifest.jsonl"
    while process.poll() is None and not (manifest.is_file() and len(manifest.read_bytes().splitlines()) >= 6):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = [line for line in manifest.read_bytes().splitlines() if line.endswith(b"}")]
    assert 6 <= len(done) < count, "it was killed in the middle"
    if form == "kyvo":
        written = {path.stem: load_scene(path) for path in out.glob("*.json") if not path.name.startswith(".")}
        stamps = {path: path.stat().st_mtime_ns for path in out.glob("[0-9]*.json")}
        assert len(done) <= len(written) <= len(done) + batch
    lines = recognize_files(_named(model, tmp_path / "tiny"), [folder], out, batch_size=batch, format=form, resume=True)
    assert [line.status for line in lines].count("skipped") == len(done)
    assert [line.status for line in lines].count("done") == count - len(done)
    if form == "kyvo":
        kept = {out / json.loads(line)["output"] for line in done}
        assert all(stamps[path] == path.stat().st_mtime_ns for path in kept)
        assert len(list(out.glob("[0-9]*.json"))) == count
    else:
        keys = [row["key"] for row in rows(out / "scenes.jsonl")]
        assert sorted(keys) == [f"{index:02}" for index in range(count)]


def _named(model, folder):
    """The same model, loaded: what is done is so under its name."""
    return type(model).from_pretrained(folder, device="cpu")


def test_a_second_process_is_refused_while_the_first_one_writes(model, tmp_path):
    pictures, out = [picture(tmp_path / "a.png")], tmp_path / "out"
    out.mkdir()
    with locked(out), pytest.raises(FileError, match=r"out is being written by another process"):
        recognize_files(model, pictures, out, resume=True)
    assert statuses(recognize_files(model, pictures, out, resume=True)) == {"a.png": "done"}


def test_a_manifest_that_cannot_be_written_ends_the_run_with_its_name(model, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.jsonl").symlink_to("/dev/full")
    with pytest.raises(FileError, match=r"manifest\.jsonl: cannot be written \(No space left on device\)"):
        recognize_files(model, [picture(tmp_path / "a.png")], out, format="jsonl")


def test_a_picture_unlike_the_models_is_warned_of_and_fails_where_that_is_asked_for(tmp_path):
    picture(tmp_path / "a.png")
    unlike = tiny_kyvo(seed=5, in_domain=same_score(0.125))
    (line,) = recognize_files(unlike, [tmp_path / "a.png"], tmp_path / "out")
    assert line.status == "done" and line.in_domain == 0.125 and "unlike those that" in line.warnings[0]
    assert load_scene(tmp_path / "out" / "a.json").extra["source"]["in_domain"] == 0.125
    (line,) = recognize_files(unlike, [tmp_path / "a.png"], tmp_path / "strict", strict=True)
    assert line.status == "failed" and "unlike those that" in line.error and "a.png" in line.error
    assert not (tmp_path / "strict" / "a.json").exists()
    (line,) = recognize_files(tiny_kyvo(seed=5), [tmp_path / "a.png"], tmp_path / "none", strict=True)
    assert line.status == "done" and line.in_domain is None and line.warnings == []
