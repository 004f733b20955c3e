"""The time of every command on a scene grows with its objects, and not with their square."""

import json
import math
import time

import numpy as np
import pytest

from kyvo.errors import SceneError
from kyvo.export.formats import export_scene
from kyvo.export.view import draw_view
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.clevr import to_clevr
from kyvo.scene.diff import MAX_COMPARED, diff
from kyvo.scene.files import load_scene, read_json, save_scene
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera
from kyvo.scene.validate import validate_file

SIZES = (100, 800)
PICTURE = np.zeros((32, 48, 3), np.uint8)
COMMANDS = {
    "read": lambda path: load_scene(path),
    "write": lambda path: save_scene(load_scene(path), path.with_name("out.json")),
    "validate": lambda path: validate_file(path),
    "validate words": lambda path: validate_file(path, clevr_schema()),
    "clevr": lambda path: to_clevr(load_scene(path)),
    "view": lambda path: draw_view(load_scene(path)),
    "view over a picture": lambda path: draw_view(load_scene(path), picture=PICTURE),
} | {
    suffix: lambda path, suffix=suffix: export_scene(load_scene(path), path.with_name(f"out{suffix}"))
    for suffix in (".glb", ".usdc", ".html", ".py")
}

SECONDS = {"view", "view over a picture", ".usdc"}  # these take some


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A scene file of each size; objects of one shape with few corners stand everywhere."""
    folder, rng, found = tmp_path_factory.mktemp("scenes"), np.random.default_rng(0), []
    for size in SIZES:
        places = [tuple(place) for place in rng.uniform(-3, 3, (size, 3)).round(3).tolist()]
        objects = [
            SceneObject(size="small", color="red", material="metal", shape="cube", location=place) for place in places
        ]
        found.append(folder / f"{size}.json")
        save_scene(Scene(objects=tuple(objects), camera=clevr_camera(480, 320)), found[-1])
    return found


def exponent(run, inputs, sizes):
    """Of the growth of the processor's time, the least of four runs each; the first call's imports do not count."""
    run(inputs[0])
    seconds = []
    for given in inputs:
        starts = [time.process_time()]
        for _ in range(4):
            run(given)
            starts.append(time.process_time())
        seconds.append(min(np.diff(starts)))
    return math.log(seconds[-1] / max(seconds[0], 0.005)) / math.log(sizes[-1] / sizes[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SECONDS else name for name in COMMANDS]
)
def test_the_time_of_a_command_grows_with_the_objects(name, files):
    assert exponent(COMMANDS[name], files, SIZES) < 1.5


def test_the_check_for_a_key_that_stands_twice_grows_with_the_keys(tmp_path):
    sizes = (20_000, 160_000)
    for size in sizes:
        keys = ", ".join(f'"k{number}": 0' for number in range(size))
        (tmp_path / f"{size}.json").write_text(f'{{{keys}, "k{size - 1}": 1}}')

    def refused(path):
        with pytest.raises(SceneError, match="stands twice"):
            read_json(path)

    assert exponent(refused, [tmp_path / f"{size}.json" for size in sizes], sizes) < 1.5


def test_a_scene_that_is_too_large_is_refused_at_once(tmp_path):
    path = tmp_path / "a.json"
    head = {"format": "kyvo-scene", "version": 1, "schema": "a", "frame": "world", "up_axis": "+z", "units": "m"}
    path.write_text(json.dumps({**head, "objects": [{"location": [0, 0, 0]}] * 100_000}))
    start = time.process_time()
    with pytest.raises(SceneError, match=r"objects has 100,000 entries; a scene has at most 10,000"):
        load_scene(path)
    assert "at most 10,000" in validate_file(path)[0]
    assert time.process_time() - start < 5


def test_scenes_that_are_too_large_to_compare_are_refused_at_once():
    scene = Scene(objects=(SceneObject(),) * (MAX_COMPARED + 1))
    with pytest.raises(SceneError, match=r"have 2,001 and 0 objects; those of up to 2,000 are compared"):
        diff(scene, Scene(objects=()))
