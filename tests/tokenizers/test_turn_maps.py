"""Maps of the faces of cubes, and the decoder that takes them."""

import math
from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera
from kyvo.testing import tiny_image
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.turn_maps import turn_maps
from kyvo.tokenizers.vqgan import VQGAN

SIZE = {"width": 120, "height": 80}
CAMERA = clevr_camera(480, 320)
CUBE = SceneObject(shape="cube", size="large", color="red", material="rubber", location=(0.0, 0.0, 0.7))
turns = st.floats(-10, 10)
places = st.tuples(st.floats(-2.5, 2.5), st.floats(-2.5, 2.5))


def turned(turn, x=0.0, y=0.0, **words) -> SceneObject:
    return replace(CUBE.with_values(rotation=turn, **words), location=(x, y, 0.7))


def scene(*objects: SceneObject) -> Scene:
    return Scene(objects=objects, camera=CAMERA)


@given(turn=turns, place=places, quarters=st.integers(-3, 3))
@settings(max_examples=40, deadline=None)
def test_a_map_shows_the_faces_that_the_camera_sees(turn, place, quarters):
    once, again = turn_maps([scene(turned(turn, *place)), scene(turned(turn + quarters * math.pi / 2, *place))], **SIZE)
    assert set(np.unique(once)) <= {0.0, 1.0} and once.sum(0).max(initial=0) <= 1
    assert abs(once - again).any(0).sum() <= 0.05 * once.any(0).sum() or jumps(turn, place)
    assert shown_at(once, [*place, 1.4]) in ("top", None)
    for side in range(4):
        normal = np.array([math.cos(turn + side * math.pi / 2), math.sin(turn + side * math.pi / 2), 0.0])
        center = np.array([*place, 0.7]) + 0.7 * normal
        to_camera = np.subtract(CAMERA.location, center)
        facing = normal @ to_camera / np.linalg.norm(to_camera)
        if facing > 0.2:  # another is too narrow for its middle's pixel
            near = "front" if facing > 0.75 else "side" if facing < 0.5 else None
            found = shown_at(once, center)
            assert found is None or found == near or (near is None and found in ("front", "side"))


def shown_at(map_, point) -> str | None:
    """Which face the map has where a point is seen; None outside of the picture."""
    column, row, _ = CAMERA.resized(**SIZE).project(np.array([point], dtype=float))[0]
    if not (0 <= row < SIZE["height"] and 0 <= column < SIZE["width"]):
        return None
    faces = map_[:, int(row), int(column)]
    assert faces.any()
    return ("top", "front", "side")[int(faces.argmax())]


def jumps(turn, place) -> bool:
    """Whether two sides look at the camera alike, so that rounding says which one is the front."""
    away = np.subtract(place, CAMERA.location[:2])
    relative = (turn - math.atan2(away[1], away[0]) + math.pi / 4) % (math.pi / 2)
    return min(relative, math.pi / 2 - relative) < 1e-6


def test_nearer_cubes_hide_farther_ones():
    near, far = turned(0.1, 0.0, -0.5), turned(0.5, 0.0, 0.5)
    if CAMERA.project(np.array([near.location, far.location]))[:, 2].argmin():
        near, far = far, near
    alone, both, other = turn_maps([scene(near), scene(near, far), scene(far, near)], **SIZE)
    assert np.array_equal(both, other)
    own = alone.any(0)
    assert np.array_equal(both[:, own], alone[:, own]) and both.sum() > alone.sum()


def test_what_has_no_turn_to_show_has_an_empty_map():
    without = [
        replace(scene(turned(0.3)), camera=None),
        scene(CUBE),
        scene(turned(0.3, shape="sphere")),
        scene(replace(turned(0.3), location=None)),
        scene(),
    ]
    assert turn_maps(without, **SIZE).shape == (5, 3, 80, 120) and not turn_maps(without, **SIZE).any()
    assert turn_maps([], **SIZE).shape == (0, 3, 80, 120)
    assert np.isfinite(turn_maps([scene(turned(1e308))], **SIZE)).all()


def test_a_decoder_with_turns_begins_as_one_without():
    plain = tiny_image()
    model = VQGAN(replace(plain.config, turns=True))
    missing, unknown = model.load_state_dict(plain.model.state_dict(), strict=False)
    assert not unknown and {name.split(".")[1] for name in missing} == {"turns"}
    codes = torch.arange(6)[None]
    maps = torch.from_numpy(turn_maps([scene(turned(0.3))], width=24, height=16))
    with torch.no_grad():
        assert torch.equal(model.eval().decode_codes(codes, maps), plain.model.decode_codes(codes))
    model.decode_codes(codes, maps).square().sum().backward()
    assert all(convolution.weight.grad.any() for convolution in model.decoder.turns)


def test_pictures_show_how_cubes_are_turned(tmp_path):
    tokenizer = tiny_image(turns=True)
    tokenizer.save(tmp_path)
    loaded, codes = ImageTokenizer.from_pretrained(tmp_path), np.arange(6)[None]
    assert loaded.config.turns
    vectors = loaded.codebook[torch.from_numpy(codes)].numpy()
    one, other = ([scene(turned(turn))] for turn in (0.1, 0.5))
    assert np.array_equal(loaded.decode(codes, scenes=one), loaded.decode_vectors(vectors, scenes=one))
    assert not np.array_equal(loaded.decode(codes, scenes=one), loaded.decode(codes, scenes=other))
    empty = [replace(one[0], camera=None)]
    assert np.array_equal(loaded.decode(codes, scenes=empty), loaded.decode(codes))
    plain = tiny_image()
    assert np.array_equal(plain.decode(codes, scenes=one), plain.decode(codes))
