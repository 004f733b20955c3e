"""Rendering by the ray tracer: its pictures, what it refuses, and `kyvo render`."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kyvo.cli.main import run
from kyvo.data.clevr.sampling import render_scenes, sample_scenes
from kyvo.errors import ConfigError, SceneError
from kyvo.generation.sampling import Sampling
from kyvo.pipelines.ray_tracing import RayTracing
from kyvo.pipelines.run import Run
from kyvo.scene.builtin_schemas import clevr_view_schema, objaworld_schema
from kyvo.scene.files import save_scene
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera
from kyvo.testing import tiny_kyvo, tiny_refiner
from kyvo.tokenizers.tasks import Segments

RED = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
FAR = RED.with_values(location=(5.0, 0.0, 0.7))  # beyond the model's bins
SCENES = sample_scenes(range(5), seed=3, width=120, height=80)


@pytest.fixture(scope="module")
def model():
    return tiny_kyvo()


def test_pictures_are_those_of_the_data_sets(model):
    traced = RayTracing(model.language_model, size=(60, 40))(SCENES, model.run())
    expected = render_scenes(SCENES, width=60, height=40)
    assert np.array_equal(np.stack([one.image for one in traced]), expected)


@pytest.mark.slow
def test_a_kyvo_draws_with_the_renderer_it_is_told(model):
    exact = tiny_kyvo(renderer="raytracer")
    assert exact.render(SCENES[:1])[0].shape == (320, 480, 3)
    assert np.array_equal(exact.render(SCENES[:1]), model.render(SCENES[:1], renderer="raytracer"))
    edited = exact.edit(Scene(objects=(RED,)), "Paint the cube blue.")
    assert np.array_equal(edited.image, exact.render([edited.scene])[0])
    assert exact.rendering_camera(SCENES[0]) == SCENES[0].camera.resized(480, 320)


def test_a_scene_as_drawn_has_turns_where_the_renderer_draws_them():
    turned = RED.with_values(rotation=0.3, note="mine")
    scene = Scene(objects=(turned,))
    exact, plain, view = (
        tiny_kyvo(**words).rendering.as_drawn(scene)
        for words in ({"renderer": "raytracer"}, {}, {"schema": clevr_view_schema()})
    )
    assert exact.objects == view.objects == (turned,)
    assert plain.objects == (RED.with_values(note="mine"),)
    assert exact.camera.width == 480 and plain.camera.width == 24


def test_a_decoder_that_is_told_of_turns_draws_them():
    kyvo = tiny_kyvo(refiner=tiny_refiner(), turns=True)
    turned, other = (Scene(objects=(RED.with_values(rotation=turn),)) for turn in (0.3, 0.7))
    assert kyvo.rendering.as_drawn(turned).objects == turned.objects
    assert kyvo.rendering.as_drawn(Scene(objects=(RED,))).objects == (RED.with_values(rotation=0.0),)
    pictures = kyvo.render([turned, other, Scene(objects=(RED,)), Scene(objects=(RED.with_values(rotation=0.0),))])
    assert not np.array_equal(pictures[0], pictures[1]) and np.array_equal(pictures[2], pictures[3])
    sampled = [
        kyvo.language_model.complete("rendering", [Segments(scene=replace(scene, camera=clevr_camera(24, 16)))])[
            0
        ].image
        for scene in (turned, other)
    ]
    assert not np.array_equal(*sampled)


def test_each_round_of_the_closed_loop_shows_the_turns_that_are_wanted(monkeypatch):
    kyvo, shown = tiny_kyvo(refiner=tiny_refiner(), turns=True), []
    decode = kyvo.processor.image.decode_vectors

    def spy(vectors, *, scenes):
        shown.extend(scenes)
        return decode(vectors, scenes=scenes)

    monkeypatch.setattr(kyvo.processor.image, "decode_vectors", spy)
    turned = RED.with_values(rotation=0.3)
    kyvo.render([Scene(objects=(turned,))])
    assert len(shown) > 1 and all(scene.objects == (turned,) and scene.camera is not None for scene in shown)


def test_an_object_beyond_the_bins_is_drawn(model):
    scene = Scene(objects=(FAR,))
    with pytest.raises(SceneError):
        model.render([scene])
    (picture,) = model.render([scene], renderer="raytracer")
    assert not np.array_equal(picture, model.render([Scene(objects=())], renderer="raytracer")[0])


def test_what_it_refuses(model):
    with pytest.raises(ConfigError, match="known are model, raytracer"):
        tiny_kyvo(renderer="blender")
    sampled = Run(model.language_model, sampling=Sampling(temperature=1.0))
    with pytest.raises(ConfigError, match="leave out temperature"):
        model.renderers["raytracer"](SCENES[:1], sampled)
    with pytest.raises(SceneError, match=r"objects\[0\].location is missing"):
        model.render([Scene(objects=(RED.with_values(location=None),))], renderer="raytracer")
    rooms = tiny_kyvo(schema=objaworld_schema())
    with pytest.raises(ConfigError, match="the ray tracer draws objects of size"):
        rooms.render([Scene(objects=())], renderer="raytracer")


def test_kyvo_render_keeps_what_can_be_drawn(tmp_path, capsys):
    def kyvo(*words):
        with pytest.raises(SystemExit) as stopped:
            run(["render", *map(str, words)])
        return stopped.value.code or 0, capsys.readouterr().err

    tiny_kyvo().model.save_pretrained(tmp_path / "model")
    tiny_kyvo().processor.save(tmp_path / "model")
    folder, out = tmp_path / "scenes", tmp_path / "out"
    folder.mkdir()
    for index, scene in enumerate(SCENES[:2]):
        save_scene(scene, folder / f"{index}.json")
    save_scene(Scene(objects=(RED.with_values(color="teal-ish"),)), folder / "odd.json")
    (folder / "cut.json").write_text("{")
    options = ("--out", out, "--model", tmp_path / "model", "--device", "cpu")
    code, said = kyvo(folder, tmp_path / "missing.json", "--renderer", "raytracer", "--size", "60x40", *options)
    assert code == 1 and "odd: scenes[0].objects[0].color is 'teal-ish'" in said
    assert "missing.json" in said and "cut.json" in said and "2 of 5 drawn" in said
    assert sorted(path.name for path in out.iterdir()) == ["0.png", "1.png"]
    assert Image.open(out / "0.png").size == (60, 40)
    code, said = kyvo(folder / "0.json", *options)
    assert code == 2 and "0.png exists" in said
    code, said = kyvo(folder / "0.json", "--overwrite", *options)
    assert code == 0 and Image.open(out / "0.png").size == (24, 16)
    code, said = kyvo(folder / "0.json", "--size", "60x40", *options)
    assert code == 2 and "--renderer raytracer" in said
