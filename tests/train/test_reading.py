"""Objects read at half of the layers: what the targets are, and that the reading learns them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kyvo.data.clevr import sample_scenes
from kyvo.scene.schema import clevr_schema
from kyvo.train.reading import ObjectReading, object_rows, object_targets

ROWS, COLUMNS = 10, 15
SCHEMA = clevr_schema()


def scenes():
    return sample_scenes(range(4), seed=3, width=120, height=80)


def test_each_object_stands_in_the_cell_that_shows_it_with_the_places_of_its_values():
    for scene in scenes():
        snapped = SCHEMA.snap(scene, clamp=True)
        rows = object_rows(scene, SCHEMA, rows=ROWS, columns=COLUMNS)
        shown = np.flatnonzero(rows[:, 0] >= 0)
        assert len(scene) - 1 <= len(shown) <= len(scene)  # two centres may share a cell
        assert (rows[np.setdiff1d(np.arange(ROWS * COLUMNS), shown)] == -1).all()
        for cell in shown:
            number, size, color, material, shape, *bins = rows[cell].tolist()
            item = snapped.objects[number]
            x, y, _ = scene.camera.project(np.array([item.location]))[0]
            assert cell == int(y / 8) * COLUMNS + int(x / 8)
            words = zip(SCHEMA.fields, (size, color, material, shape), strict=False)
            told = [field.words[place] for field, place in words]
            assert told == [item.size, item.color, item.material, item.shape]
            axes = zip(SCHEMA.fields[-1].axes, bins, strict=True)
            assert [axis.values[place] for axis, place in axes] == list(item.location)


def test_targets_point_at_the_codes_of_their_own_sequence():
    first, second = (object_rows(scene, SCHEMA, rows=ROWS, columns=COLUMNS) for scene in scenes()[:2])
    places = np.full((3, 200), -1)
    places[0, 2:152] = places[2, 7:157] = np.arange(150)
    places[1, 2:152] = np.arange(150)
    targets = object_targets(list(places), [first, None, second], [0, 200, 400])
    assert targets is not None and len(targets.codes) == 300
    assert targets.codes.tolist() == [*range(2, 152), *range(407, 557)]
    whole = np.concatenate([first, second])
    assert targets.present.tolist() == (whole[:, 0] >= 0).tolist()
    assert (targets.values.numpy() == whole[whole[:, 0] >= 0]).all()
    assert object_targets(list(places), [None, None, None], [0, 200, 400]) is None


def test_states_that_hold_the_objects_are_soon_read_and_others_are_not():
    """The loss falls far below that of guessing on states that tell, and stays near it on shuffled ones."""
    torch.manual_seed(0)
    rows = [object_rows(scene, SCHEMA, rows=ROWS, columns=COLUMNS) for scene in scenes()]
    places = np.tile(np.arange(150), (4, 1))
    targets = object_targets(list(places), rows, [0, 150, 300, 450])
    states = torch.randn(4, 150, 64)
    reading = ObjectReading(SCHEMA, 64)
    optimizer = torch.optim.Adam(reading.parameters(), lr=0.02)
    for _ in range(150):
        loss = reading(states, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        told, shuffled = reading(states, targets), reading(states.flip(0), targets)
    assert told < 5.0 and shuffled > 20.0  # nats; guessing costs 22


def test_a_scene_without_a_camera_has_nowhere_to_be_read():
    with pytest.raises(ValueError, match="no camera"):
        object_rows(replace(scenes()[0], camera=None), SCHEMA, rows=ROWS, columns=COLUMNS)
