import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kyvo.data.clevr.sampling import sample_scenes
from kyvo.errors import SceneError
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera
from kyvo.tokenizers.objects import ObjectHead, object_maps

SCHEMA = clevr_schema()


def maps_of(*scenes):
    return object_maps(scenes, SCHEMA, rows=10, columns=15)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_map_gives_back_where_each_object_is_seen(index):
    (scene,) = sample_scenes([index], seed=5, width=120, height=80)
    maps = maps_of(scene)
    cells = maps.present[0].nonzero()
    found = [
        (column.item() + 0.5 + x.item(), row.item() + 0.5 + y.item())
        for row, column in cells
        for x, y in [maps.offsets[0, :, row, column]]
    ]
    seen = scene.camera.project(np.array([item.location for item in scene.objects])) / 8
    for x, y in found:
        assert np.abs(seen[:, :2] - (x, y)).max(1).min() < 1e-4
    if len(found) == len(scene):
        words = {tuple(maps.words[0, :, row, column].tolist()) for row, column in cells}
        assert words == {
            tuple(field.words.index(item.get(field.name)) for field in SCHEMA.fields if field.words)
            for item in scene.objects
        }


def test_of_two_centres_in_one_cell_the_nearer_counts():
    camera = clevr_camera(120, 80)
    away = np.array(camera.rotation[2])
    near = SceneObject(shape="cube", size="small", color="red", material="metal", location=(0.0, 0.0, 0.35))
    far = SceneObject(
        shape="sphere", size="small", color="blue", material="metal", location=tuple(np.array(near.location) + 3 * away)
    )
    for objects in ((near, far), (far, near)):
        maps = maps_of(Scene(objects=objects, camera=camera))
        assert maps.present.sum() == 1
        assert maps.words[0, 1][maps.present[0]].item() == 1  # red


@pytest.mark.slow
def test_codes_that_tell_all_are_learnt_to_be_read():
    maps = maps_of(*sample_scenes(range(8), seed=5, width=120, height=80))
    head = ObjectHead(SCHEMA, embed_dim=21, rows=10, columns=15)
    head.expect(maps)
    told = [maps.present[:, None].float(), maps.offsets, maps.locations - head.expected]
    for number, field in enumerate(field for field in SCHEMA.fields if field.words):
        told.append(torch.nn.functional.one_hot(maps.words[:, number], len(field.words)).movedim(-1, 1).float())
    codes = torch.cat(told, dim=1) * maps.present[:, None]
    torch.manual_seed(0)
    for conv in (head.conv, head.location[0], head.location[2]):
        conv.reset_parameters()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        head.loss(codes, maps).backward()
        optimizer.step()
    scores = head.scores(codes, maps)
    assert min(scores[name] for name in ("object_f1", "size", "color", "material", "shape")) == 1.0
    assert scores["offset_cells"] < 0.05 and scores["location_error"] < 0.1
    assert head.scores(torch.zeros_like(codes), maps)["object_f1"] < 0.5


def test_a_scene_without_a_camera_is_refused():
    with pytest.raises(SceneError, match=r"scenes\[0\] has no camera"):
        maps_of(Scene(objects=()))
