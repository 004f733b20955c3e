"""Turns of cubes: what the network is given, what recognition makes of what it says, and the file."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kyvo.api import Kyvo
from kyvo.data.clevr.sampling import ClevrRules, render_scenes, sample_scenes
from kyvo.errors import CheckpointError
from kyvo.models.heads.cube_turns import (
    CUBE_TURNS_NAME,
    CubeTurns,
    CubeTurnsConfig,
    load_cube_turns,
    read_turns,
)
from kyvo.scene.cube_views import cube_views, is_seen_cube, viewing_directions
from kyvo.scene.scene import Scene, SceneObject, turn_error
from kyvo.scene.schema import clevr_camera
from kyvo.testing import tiny_cube_turns, tiny_kyvo, tiny_processor, tiny_refiner

CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
PICTURE = np.random.default_rng(0).integers(256, size=(32, 48, 3), dtype=np.uint8)


class Knowing(CubeTurns):
    """Says the true turns."""

    def __init__(self, turns: np.ndarray) -> None:
        super().__init__(CubeTurnsConfig(width=48, height=32, side=16, channels=(8, 8, 8), dim=16))
        self.turns = torch.from_numpy(turns).float()

    def forward(self, pixels, picture_of, views):
        return torch.stack([(4 * self.turns).cos(), (4 * self.turns).sin()], dim=1)


@given(
    turns=st.lists(st.floats(-7, 7), min_size=1, max_size=4),
    camera=st.tuples(st.floats(4, 9), st.floats(-9, 9), st.floats(3, 7)),
)
def test_a_turn_that_is_said_relative_to_the_camera_is_one_in_the_scene(turns, camera):
    cubes = [CUBE.with_values(location=(index - 1.5, 0.5 * index, 0.7)) for index in range(len(turns))]
    scene = Scene(objects=tuple(cubes), camera=clevr_camera(48, 32, camera))
    network = Knowing(np.array(turns) - viewing_directions(scene.camera, cubes))
    [found] = read_turns(network, [scene], [PICTURE])
    for item, cube, turn in zip(found.objects, cubes, turns, strict=True):
        assert -math.pi / 4 <= item.turn <= math.pi / 4
        assert turn_error(item, cube.with_values(rotation=turn)) < 1e-3
        assert replace(item, extra={}) == cube


def test_only_cubes_of_scenes_with_a_camera_are_turned():
    others = (replace(CUBE, shape="sphere"), replace(CUBE, size="huge"), replace(CUBE, location=None))
    scene = Scene(objects=(*others, CUBE), camera=clevr_camera(48, 32))
    [found, plain, empty] = read_turns(
        tiny_cube_turns(), [scene, replace(scene, camera=None), Scene(objects=())], [PICTURE] * 3
    )
    assert found.objects[:3] == others and found.objects[3].turn is not None
    assert plain == replace(scene, camera=None) and len(empty) == 0


def test_views_say_where_a_cube_is_seen_and_how_large():
    camera = clevr_camera(240, 160)
    near, far = (replace(CUBE, location=place) for place in ((2.0, -2.0, 0.7), (-2.0, 2.0, 0.7)))
    (x, y, size, down), (_, other_y, other_size, other_down), small = cube_views(
        camera, [near, far, replace(near, size="small")]
    )
    column, row, depth = camera.project(np.array([near.location]))[0]
    assert (x, y) == pytest.approx(((column - 120) / 240, (row - 80) / 240))
    assert math.exp(size) == pytest.approx(0.7 * camera.focal / 240 / depth)
    assert other_size < size and other_y < y and other_down < down
    assert math.exp(size - small[2]) == pytest.approx(2)
    # A picture of another size is seen alike.
    np.testing.assert_allclose(cube_views(camera.resized(48, 32), [near]), cube_views(camera, [near]), atol=1e-9)


def test_crops_show_the_cube_and_not_the_rest_of_the_picture():
    rules = ClevrRules(min_objects=4, max_objects=4, shapes=("cube",))
    [scene] = sample_scenes([0], seed=3, width=240, height=160, rules=rules)
    [picture] = render_scenes([scene], width=240, height=160, samples=1)
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    torch.manual_seed(0)
    network = CubeTurns(CubeTurnsConfig()).eval()
    cubes = [item for item in scene.objects if is_seen_cube(item)]
    views = torch.from_numpy(cube_views(scene.camera, cubes)).float()
    which = torch.zeros(len(cubes), dtype=torch.long)
    with torch.inference_mode():
        seen = network(pixels, which, views)
        x, y, size, _ = views[0].tolist()
        half = network.config.span * math.exp(size) / 2 + 2 / 240
        outside = torch.ones(160, 240, dtype=torch.bool)
        rows, columns = (torch.arange(count) + 0.5 - count / 2 for count in (160, 240))
        outside[((rows / 240 - y).abs() < half)[:, None] & ((columns / 240 - x).abs() < half)] = False
        other = pixels.clone()
        other[0, :, outside] = 0
        torch.testing.assert_close(network(other, which, views)[0], seen[0])
        assert not torch.allclose(network(torch.zeros_like(pixels), which, views)[0], seen[0])


def test_recognition_turns_cubes_after_all_else_and_only_where_it_refines():
    processor = replace(tiny_processor(), refiner=tiny_refiner())
    plain = tiny_kyvo(refiner=tiny_refiner())
    model = Kyvo(model=plain.model, processor=replace(processor, cube_turns=tiny_cube_turns()))
    pictures = list(np.random.default_rng(1).integers(256, size=(6, 64, 96, 3), dtype=np.uint8))
    without, found = plain.recognize(pictures), model.recognize(pictures)
    cubes = [item for scene in found for item in scene.objects if item.shape == "cube"]
    assert cubes and all(cube.turn is not None for cube in cubes)
    bare = [replace(scene, objects=tuple(replace(item, extra={}) for item in scene.objects)) for scene in found]
    assert bare == without
    assert model.recognize(pictures, refine=False) == plain.recognize(pictures, refine=False)


def test_a_folder_keeps_it_and_one_of_other_pictures_is_refused(tmp_path):
    network = tiny_cube_turns()
    replace(tiny_processor(), cube_turns=network).save(tmp_path)
    again = load_cube_turns(tmp_path)
    for name, weight in again.state_dict().items():
        torch.testing.assert_close(weight, network.state_dict()[name].bfloat16().float())
    assert load_cube_turns(tmp_path / "none") is None
    with pytest.raises(CheckpointError, match="reads 240x160 px, and this model's pictures are 48x32 px"):
        replace(tiny_processor(), cube_turns=CubeTurns(CubeTurnsConfig()))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / CUBE_TURNS_NAME).write_bytes((tmp_path / "image_tokenizer.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=r"recipes/cube_turns\.py"):
        load_cube_turns(tmp_path / "other")
