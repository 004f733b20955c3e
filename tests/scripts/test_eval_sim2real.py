import json
from dataclasses import replace
from pathlib import Path

import loading
import numpy as np
import pytest
from PIL import Image

from kyvo.data.clevr.sampling import render_scenes, sample_scenes
from kyvo.errors import SceneError
from kyvo.scene.clevr import save_clevr


@pytest.fixture(scope="module")
def program():
    with loading.program("eval/sim2real.py") as module:
        yield module


@pytest.fixture(scope="module")
def scenes():
    return sample_scenes(range(3), seed=0, width=96, height=64)


@pytest.fixture(scope="module")
def files(scenes, tmp_path_factory) -> tuple[Path, Path]:
    """What CLEVR gives out: pictures, and scenes that do not say where their camera stood."""
    folder = tmp_path_factory.mktemp("clevr")
    known = []
    for index, (scene, picture) in enumerate(zip(scenes, render_scenes(scenes, width=96, height=64), strict=True)):
        Image.fromarray(picture).save(folder / f"{index}.png")
        extra = {key: value for key, value in scene.extra.items() if key != "lamps"}
        known.append(replace(scene, camera=None, image=f"{index}.png", extra=extra))
    save_clevr(known, folder / "scenes.json")
    return folder / "scenes.json", folder


def test_the_camera_is_found_from_whole_pixels_and_depths(program, scenes):
    for scene in scenes:
        fitted = program.fit_camera(replace(scene, camera=None), width=96, height=64)
        assert fitted.location == pytest.approx(scene.camera.location, abs=0.02)
        assert (fitted.width, fitted.height, fitted.focal) == (96, 64, 105.0)


def test_pixel_coords_of_another_picture_size_are_refused(program, scenes):
    with pytest.raises(SceneError, match=r"the best is off by \d+\.\d px\. Its picture has 480x320 px"):
        program.fit_camera(scenes[0], width=480, height=320)


def test_scenes_without_pixel_coords_are_refused(program, scenes):
    bare = replace(scenes[0], objects=tuple(replace(item, extra={}) for item in scenes[0].objects))
    with pytest.raises(SceneError, match="fitted to the objects' pixel_coords, and they are missing"):
        program.fit_camera(bare, width=96, height=64)


def test_pictures_are_reduced_by_area_without_stretching(program):
    picture = np.zeros((320, 480, 3), dtype=np.uint8)
    picture[:, ::2] = 200
    assert program.reduced(picture, 128).shape == (85, 128, 3)
    half = program.reduced(picture, 240)
    assert half.shape == (160, 240, 3) and set(np.unique(half)) == {100}


def test_our_own_pictures_are_most_like_themselves(program, files, tmp_path):
    scenes, images = files
    out, sheet = tmp_path / "new" / "sim2real.json", tmp_path / "sheet.png"
    arguments = ["--clevr", str(scenes), "--images", str(images), "--widths", "48", "32"]
    results = program.main([*arguments, "--out", str(out), "--sheet", str(sheet)])
    small, large = results["similarity"]
    assert (small["width"], small["height"], large["width"], large["height"]) == (32, 21, 48, 32)
    for similarity in (small, large):
        # Only the lamps differ, which a file of CLEVR's does not tell.
        assert 20 < similarity["psnr"] < 60 and 0.8 < similarity["ssim"] < 1
        assert len(similarity["psnr_by_picture"]) == 3
        assert similarity["psnr"] == pytest.approx(np.mean(similarity["psnr_by_picture"]))
    assert json.loads(out.read_text()) == results
    assert "in-sample" in results["constants"]["raytracer"]
    assert Image.open(sheet).width == 8 + 2 * (48 + 8)


def test_a_scene_without_its_picture_is_named(program, files, tmp_path):
    with pytest.raises(SceneError, match=r"3 of the 3 scenes in .*scenes\.json have no picture in .*first is 0\.png"):
        program.main(["--clevr", str(files[0]), "--images", str(tmp_path)])


def test_no_scenes_to_compare_is_wrong_usage(program, files, capsys):
    with pytest.raises(SystemExit, match="2"):
        program.main(["--clevr", str(files[0]), "--images", str(files[1]), "--limit", "0"])
    assert "must be at least 1" in capsys.readouterr().err


def test_real_pictures_resemble_their_rendered_scenes(program, shared_data, tmp_path):
    """The ray tracer's constants were fitted to these very pictures, with their cameras; this holds them in place."""
    clevr = shared_data / "clevr"
    sources = ["--clevr", str(clevr / "clevr_pairs_scenes.json"), "--images", str(clevr / "real_v1" / "images")]
    (similarity,) = program.main([*sources, "--limit", "6", "--widths", "96"])["similarity"]
    assert similarity["psnr"] > 26 and similarity["ssim"] > 0.85
