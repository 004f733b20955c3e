"""Blender's pictures against the ray tracer's and against Camera.project; all but the first tests skip without it."""

from importlib.util import find_spec

import numpy as np
import pytest

from kyvo.data.clevr.blender import explain_bpy
from kyvo.data.clevr.sampling import render_scenes
from kyvo.errors import ConfigError, SceneError
from kyvo.extras import MissingDependency
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera

needs_blender = pytest.mark.skipif(find_spec("bpy") is None, reason='needs pip install "kyvo[blender]"')
SIZE = {"width": 48, "height": 32}


def solid(shape: str, location: tuple[float, float, float], **values) -> SceneObject:
    looks = {"shape": shape, "size": "large", "color": "yellow", "material": "rubber", "location": location}
    return SceneObject().with_values(**(looks | values))


def blend(*scenes: Scene, width: int = 48, height: int = 32) -> np.ndarray:
    return render_scenes(scenes, width=width, height=height, samples=4, renderer="blender")


def test_a_missing_blender_is_answered_with_the_extra():
    error = ModuleNotFoundError("No module named 'bpy'", name="bpy")
    assert str(explain_bpy(error)).endswith('pip install "kyvo[blender]"')


def test_a_missing_system_library_is_named_with_the_line_that_installs_it():
    error = ImportError("libXi.so.6: cannot open shared object file: No such file or directory")
    with pytest.raises(MissingDependency, match=r"library libXi\.so\.6, .* apt-get install -y .*libxi6 "):
        raise explain_bpy(error)


def test_any_other_failure_of_blender_keeps_its_own_words():
    assert "undefined symbol: PyFoo" in str(explain_bpy(ImportError("undefined symbol: PyFoo")))


@pytest.mark.skipif(find_spec("bpy") is not None, reason="Blender is installed")
def test_asking_for_blender_without_it_says_what_to_install():
    with pytest.raises(MissingDependency, match=r'pip install "kyvo\[blender\]"'):
        blend(Scene(objects=()))


def test_an_unknown_renderer_is_refused():
    with pytest.raises(ConfigError, match="no renderer is called 'povray'; known are raytracer, blender"):
        render_scenes([], width=8, height=4, renderer="povray")


def test_a_scene_that_the_ray_tracer_refuses_is_refused_before_blender_starts():
    with pytest.raises(SceneError, match=r"scenes\[0\]\.objects\[0\]\.shape is 'torus'"):
        blend(Scene(objects=(solid("torus", (0.0, 0.0, 0.7)),)))


@needs_blender
def test_both_renderers_put_the_same_solids_in_the_same_pixels():
    objects = (
        solid("cube", (0.5, -1.5, 0.7), color="red", rotation=0.4),
        solid("sphere", (-1.5, 1.5, 0.7), color="cyan"),
        solid("cylinder", (1.5, 1.5, 0.35), size="small", color="purple"),
    )
    camera = clevr_camera(**SIZE, location=(7.3, -6.2, 5.6))
    scene = Scene(objects=objects, camera=camera)
    theirs, ours = blend(scene)[0].astype(int), render_scenes([scene], **SIZE)[0].astype(int)
    colored = [np.ptp(picture, axis=2) > 40 for picture in (theirs, ours)]
    assert (colored[0] & colored[1]).sum() / (colored[0] | colored[1]).sum() > 0.85
    assert np.abs(theirs - ours).mean() < 12


@needs_blender
def test_metal_shows_its_neighbour_more_clearly_than_rubber_takes_on_its_color():
    def beside(material: str, color: str) -> np.ndarray:
        ball = solid("sphere", (0.0, 0.0, 0.7), color="gray", material=material)
        cube = solid("cube", (1.2, 1.2, 0.7), color=color)
        return blend(Scene(objects=(ball, cube)), width=72, height=48)[0].astype(int)

    column, row, _ = clevr_camera(72, 48).project(np.array([[0, 0, 0.7]]))[0].astype(int)
    around = (slice(row - 3, row + 4), slice(column - 3, column + 4))  # inside the ball
    change = {m: np.abs(beside(m, "red")[around] - beside(m, "cyan")[around]).max() for m in ("metal", "rubber")}
    assert change["metal"] > 1.5 * change["rubber"] > 0


@needs_blender
def test_a_picture_does_not_depend_on_the_batch_it_is_in():
    scenes = [
        Scene(objects=(solid("cube", (1.0, 0.5, 0.7)),)),
        Scene(objects=(solid("sphere", (-1.0, 1.0, 0.7), material="metal"), solid("cylinder", (1.0, 0.0, 0.7)))),
    ]
    together = blend(*scenes)
    alone = np.concatenate([blend(scene) for scene in scenes])
    assert together.shape == (2, 32, 48, 3) and together.dtype == np.uint8
    assert np.array_equal(together, alone)


@needs_blender
def test_no_scenes_and_empty_scenes_render():
    assert blend().shape == (0, 32, 48, 3)
    floor = blend(Scene(objects=()))[0]
    assert floor.min() > 50 and np.ptp(floor.astype(int), axis=2).max() < 30
