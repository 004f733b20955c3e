import json
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.models.heads.refiner import save_refiner
from kyvo.scene.files import load_scene, save_scene
from kyvo.scene.scene import Scene
from kyvo.scene.schema import clevr_camera
from kyvo.testing import same_score, tiny_kyvo, tiny_refiner


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    model = tiny_kyvo()
    model.model.save_pretrained(path)
    model.processor.save(path)
    return path


def picture(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((32, 48, 3), value, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def recognize(folder, tmp_path):
    """Runs `kyvo recognize` with the tiny model into `out`."""

    def call(*arguments, **options):
        words = ["recognize", "--out", str(tmp_path / "out"), "--model", str(folder), "--device", "cpu"]
        return CliRunner().invoke(app, [*words, *map(str, arguments)], **options)

    return call


def told(done) -> list[str]:
    """What stderr says, but for what the model's folder lacks."""
    return [line for line in done.stderr.splitlines() if " has no " not in line]


def test_exit_codes_are_0_done_1_some_failed_2_usage(recognize, tmp_path):
    good, broken = picture(tmp_path / "a b.png"), tmp_path / "broken.png"
    broken.write_text("no picture")
    done = recognize(good)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out" / "a b.json").read_text())["image"] == "a b.png"
    assert "1 of 1 pictures recognised" in done.stdout and not told(done), "a pipe is quiet"
    some = recognize(broken, good, "--overwrite")
    assert some.exit_code == 1 and "not a picture" in some.stderr and "1 of 2 pictures" in some.stdout
    for wrong in ([good, "--batch-size", 0], [good, "--model", "maxi"], [], [good, "--format", "glb"]):
        assert recognize(*wrong).exit_code == 2, wrong


def test_pictures_unlike_the_models_are_counted_and_fail_with_strict(recognize, folder, tmp_path):
    strange = copytree(folder, tmp_path / "strange")
    same_score(0.125).save(strange, {})
    pictures = [picture(tmp_path / f"{value}.png", value) for value in (10, 200)]
    done = recognize(*pictures, "--model", strange, "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["warned"] == 2
    assert "warning: 2 of 2 pictures may show no such scene; the first is" in done.stderr
    strict = recognize(*pictures, "--model", strange, "--strict", "--overwrite")
    assert strict.exit_code == 1 and strict.stderr.count("unlike those that the model knows") == 2
    assert "0 of 2 pictures recognised" in strict.stdout


def test_a_picture_of_another_shape_gets_a_note(recognize, tmp_path):
    shapes = {"square": (48, 48), "wide": (96, 32), "right": (48, 32), "nearly": (150, 101)}
    for name, size in shapes.items():
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    done = recognize(*(tmp_path / f"{name}.png" for name in shapes))
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    notes = {Path(line["input"]).stem: line["note"] for line in lines}
    assert notes["right"] is None and notes["nearly"] is None
    assert (
        "it has 48x48 px" in notes["square"]
        and "33% of its rows, at the top and the bottom, are cut" in notes["square"]
    )
    assert "its top and bottom rows are repeated to fill 50% of the height" in notes["wide"]
    assert (
        len(told(done)) == 1 and "note: 2 pictures are of another shape or brightness than the model's" in told(done)[0]
    )


@pytest.mark.slow
def test_the_program_itself_runs_and_tells_errors_without_a_traceback(folder, tmp_path):
    command = [Path(sys.executable).with_name("kyvo"), "recognize", picture(tmp_path / "a.png"), "--out", tmp_path]
    done = subprocess.run([*map(str, command), "--model", folder, "--format", "omni3d"], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "--format omni3d holds scenes of camera" in done.stderr


def test_folders_lists_and_patterns_are_inputs_and_the_summary_is_json(recognize, tmp_path):
    for name in ("photos/day1/a.png", "photos/day2/a.png", "more/b.png", "more/c.png"):
        picture(tmp_path / name)
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'more' / 'b.png'}\n")
    done = recognize(tmp_path / "photos", "--list", tmp_path / "list.txt", f"{tmp_path}/more/c*", "--json")
    summary = json.loads(done.stdout)
    assert (summary["pictures"], summary["done"], summary["failed"]) == (4, 4, 0), done.output
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.json")}
    assert found == {"photos/day1/a.json", "photos/day2/a.json", "more/b.json", "more/c.json"}
    assert summary["objects"] == sum(len(load_scene(tmp_path / "out" / name)) for name in found)
    again = recognize("--list", "-", "--resume", "--json", input=f"{tmp_path / 'photos'}\n{tmp_path / 'more'}\n")
    assert json.loads(again.stdout)["skipped"] == 4


def test_a_known_camera_is_taken(folder, tmp_path):
    camera = clevr_camera(480, 320, (7.4, -6.2, 5.2))
    save_scene(Scene(objects=(), camera=camera), tmp_path / "camera.json")
    save_scene(Scene(objects=()), tmp_path / "none.json")
    picture(tmp_path / "photos" / "a.png")

    def call(model, *more):
        words = ["recognize", "photos", "--out", "out", "--model", model, "--device", "cpu", "--json", *more]
        return CliRunner().invoke(app, [str(word if "photos" not in str(word) else tmp_path / word) for word in words])

    refining = tmp_path / "refining"
    copytree(folder, refining)
    save_refiner(refining, tiny_refiner())
    out = ("--out", tmp_path / "out")
    done = call(refining, *out, "--camera", tmp_path / "camera.json")
    assert done.exit_code == 0, done.output
    found = load_scene(tmp_path / "out" / "a.json").camera
    assert (found.width, found.height, found.location) == (24, 16, camera.location)
    assert json.loads(call(refining, *out, "--camera", tmp_path / "camera.json", "--resume").stdout)["skipped"] == 1
    assert json.loads(call(refining, *out, "--resume").stdout)["done"] == 1  # another camera is another result
    for model, file, message in ((refining, "none.json", "without a camera"), (folder, "camera.json", "no refiner")):
        wrong = call(model, *out, "--camera", tmp_path / file)
        assert wrong.exit_code == 2 and message in wrong.output


def test_without_ray_the_command_says_how_to_install_it(recognize, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # `import ray` fails as where it is not installed
    done = recognize(picture(tmp_path / "a.png"), "--engine", "ray")
    assert done.exit_code == 1 and 'pip install "kyvo[ray]"' in str(done.exception)
    assert not (tmp_path / "out").exists()
