"""Folders of pictures to results: what is compared, what is left out, and what a wrong object does."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.errors import ConfigError, ImageError
from kyvo.evaluation.inputs import read_scenes
from kyvo.evaluation.perceptual import load_networks
from kyvo.evaluation.pictures import evaluate_pictures, rerecognition
from kyvo.evaluation.results import load_results, save_results
from kyvo.metrics.scenes import CLEVR
from kyvo.scene.files import save_scene
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera

SIZE = (96, 64)  # width, height


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


def folder(tmp_path, name, **pictures):
    path = tmp_path / name
    path.mkdir()
    for stem, picture in pictures.items():
        Image.fromarray(picture).save(path / f"{stem}.png")
    return path


def scene(*places):
    objects = tuple(
        SceneObject(shape="cube", size="small", color="red", material="metal", location=(x, y, 0.35)) for x, y in places
    )
    return Scene(objects=objects, camera=clevr_camera(*SIZE))


def scenes_of(tmp_path, **found):
    path = tmp_path / "scenes"
    path.mkdir()
    for stem, value in found.items():
        save_scene(value, path / f"{stem}.json")
    return read_scenes(path)


def test_equal_pictures_are_perfect_and_have_no_psnr(tmp_path):
    ours, theirs = (folder(tmp_path, name, a=noise(0), b=noise(1)) for name in ("ours", "theirs"))
    results = evaluate_pictures(ours, theirs)
    assert results.figure("ssim").value == pytest.approx(1.0)
    assert results.figure("l2").value == 0.0
    assert results.figure("psnr").value is None
    assert results.tables["equal pictures"] == 2
    assert results.figure("coverage").value == 1.0


def test_figures_are_means_over_pictures_by_hand(tmp_path):
    flat = np.full((16, 16, 3), 100, dtype=np.uint8)
    ours = folder(tmp_path, "ours", a=flat + np.uint8(51), b=flat)
    theirs = folder(tmp_path, "theirs", a=flat, b=flat)
    results = evaluate_pictures(ours, theirs)
    assert results.figure("l2").value == pytest.approx(0.2**2 / 2)
    assert results.figure("psnr").value == pytest.approx(13.9794, abs=1e-4)
    assert results.figure("psnr").count == 1


def test_what_cannot_be_compared_is_listed_and_the_rest_goes_on(tmp_path):
    ours = folder(tmp_path, "ours", a=noise(0), small=noise(1)[:32], broken=noise(2))
    theirs = folder(tmp_path, "theirs", a=noise(0), small=noise(1), broken=noise(2), missing=noise(3))
    (ours / "broken.png").write_bytes(b"no picture")
    results = evaluate_pictures(ours, theirs)
    reasons = {row["key"]: row["reason"] for row in results.excluded}
    assert reasons.keys() == {"small", "broken", "missing"}
    assert "96x32 and 96x64 px" in reasons["small"]
    assert "is not a picture" in reasons["broken"]
    assert [item["key"] for item in results.items] == ["a"]
    assert results.figure("coverage").value == 1 / 4
    save_results(results, tmp_path / "results.json")
    assert load_results(tmp_path / "results.json").to_json() == results.to_json()


def test_no_pair_at_all_is_an_error(tmp_path):
    ours, theirs = folder(tmp_path, "ours", a=noise(0)[:32]), folder(tmp_path, "theirs", a=noise(0))
    with pytest.raises(ImageError, match="no pair can be compared; the first reason: the two pictures"):
        evaluate_pictures(ours, theirs)


def test_a_wrong_object_shows_around_it_and_hardly_in_the_whole(tmp_path):
    true = np.full((SIZE[1], SIZE[0], 3), 120, dtype=np.uint8)
    ours = true.copy()
    column, row, _ = clevr_camera(*SIZE).project(np.array([[0.0, 0, 0.35]]))[0]
    ours[int(row) - 2 : int(row) + 2, int(column) - 2 : int(column) + 2] = (255, 0, 0)
    predictions, truth = folder(tmp_path, "ours", a=ours), folder(tmp_path, "theirs", a=true)
    results = evaluate_pictures(predictions, truth, scenes=scenes_of(tmp_path, a=scene((0, 0), (-2, 2))))
    near, far = results.items[0]["objects"]
    assert near["ssim"] < results.figure("ssim").value - 0.2
    assert far["ssim"] == pytest.approx(1.0)
    assert results.figure("ssim around objects").value == pytest.approx((near["ssim"] + far["ssim"]) / 2)


def test_objects_outside_and_scenes_that_are_missing_are_listed(tmp_path):
    ours, theirs = (folder(tmp_path, name, a=noise(0), b=noise(1)) for name in ("ours", "theirs"))
    results = evaluate_pictures(ours, theirs, scenes=scenes_of(tmp_path, a=scene((0, 0), (40, -40))))
    reasons = {row["key"]: row["reason"] for row in results.excluded}
    assert reasons == {
        "a": "1 of 2 objects have no square in the picture",
        "b": "only as a whole picture: there is no scene of this name",
    }


def test_the_released_figures_are_those_of_grey_pictures(tmp_path):
    first, second = noise(0), noise(1)
    ours, theirs = folder(tmp_path, "ours", a=first), folder(tmp_path, "theirs", a=second)
    gray = [(picture / 255) @ np.array([0.2125, 0.7154, 0.0721]) for picture in (first, second)]
    results = evaluate_pictures(ours, theirs, released=True)
    assert results.figure("l2").value == pytest.approx(((gray[0] - gray[1]) ** 2).mean())
    assert results.protocol["name"] == "release"


def test_rerecognition_takes_any_recogniser(tmp_path):
    given = scene((0, 0), (1, 1))
    ours, theirs = folder(tmp_path, "ours", a=noise(0)), folder(tmp_path, "theirs", a=noise(1))

    def recognise(pictures):
        """Sees one object in the first picture, the rendered one, and all in the true one."""
        assert np.array_equal(pictures[0], noise(0))
        return [replace(given, objects=given.objects[:1]), given]

    results = evaluate_pictures(
        ours, theirs, scenes=scenes_of(tmp_path, a=given), recognise=recognise, recogniser="half blind"
    )
    assert results.figure("rerecognition").value == 1 / 2
    assert results.figure("rerecognition of the truth").value == 1.0
    assert "half blind" in results.protocol["rerecognition"]
    assert rerecognition(given, given, CLEVR) == 1.0
    with pytest.raises(ConfigError, match="pass --scenes"):
        evaluate_pictures(ours, theirs, recognise=recognise)


def test_networks_need_their_weights(tmp_path):
    assert load_networks().lpips is None
    with pytest.raises(ConfigError, match="LPIPS needs two files"):
        load_networks(lpips_trunk=tmp_path)


def test_perceptual_figures_stand_in_the_results_with_their_sources(tmp_path):
    from kyvo.metrics.perceptual import ALEX

    sizes, channels, trunk = {0: 11, 3: 5}, 3, {}
    torch.manual_seed(0)
    for index in [layer[0] for layer in ALEX if not isinstance(layer, str)]:
        size = sizes.get(index, 3)
        trunk |= {f"features.{index}.weight": torch.randn(2, channels, size, size)}
        trunk |= {f"features.{index}.bias": torch.randn(2)}
        channels = 2
    torch.save(trunk, tmp_path / "alexnet.pth")
    torch.save({f"lin{i}.model.1.weight": torch.rand(1, 2, 1, 1) for i in range(5)}, tmp_path / "alex.pth")
    networks = load_networks(lpips_trunk=tmp_path / "alexnet.pth", lpips_heads=tmp_path / "alex.pth")
    ours = folder(tmp_path, "ours", a=noise(0), b=noise(1))
    theirs = folder(tmp_path, "theirs", a=noise(0), b=noise(2))
    results = evaluate_pictures(ours, theirs, networks=networks)
    same, other = (item["lpips"] for item in results.items)
    assert same == 0.0 < other
    assert results.figure("lpips").value == pytest.approx(other / 2)
    assert results.protocol["lpips weights"] == "alex: alexnet.pth, alex.pth"


def test_the_command_prints_figures_and_lists_what_was_left_out(tmp_path):
    ours = folder(tmp_path, "ours", a=noise(0), extra=noise(1))
    theirs = folder(tmp_path, "theirs", a=noise(2))
    found = CliRunner().invoke(app, ["evaluate", "pictures", str(ours), str(theirs), "--json"])
    assert found.exit_code == 0, found.output
    figures = {row["name"]: row["value"] for row in json.loads(found.stdout)["figures"]}
    assert figures["l2"] == pytest.approx(((noise(0) / 255 - noise(2) / 255) ** 2).mean())
    assert "extra: the truth has no such name" in found.stderr
