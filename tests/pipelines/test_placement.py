"""Places fitted to masks: nearer to the truth than what the head says, and pictures whose boxes are the masks'."""

import math

import numpy as np
import pytest
import torch

from kyvo.models.slat.flexicubes import Surface
from kyvo.pipelines.placement import fit_to_masks, hidden_sides, mask_boxes
from kyvo.scene.pose import Pose
from kyvo.scene.scene import Camera
from kyvo.shapes.placed import PlacedObject

CORNERS = torch.tensor([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
SIZE = (96, 128)  # height and width of the pictures


def box(pose: Pose, *, index: int = 0) -> PlacedObject:
    """Of 1 x 0.6 x 0.8."""
    surface = Surface(
        vertices=CORNERS * torch.tensor([1.0, 0.6, 0.8]),
        faces=torch.tensor([[0, 1, 2]]),
        attributes=torch.zeros(len(CORNERS), 0),
    )
    return PlacedObject(name=str(index), surface=surface, pose=pose)


def place(item: PlacedObject) -> np.ndarray:
    return np.array([*item.pose.translation, math.log(item.pose.scale)])


def a_scene(rng: np.random.Generator) -> tuple[list[PlacedObject], np.ndarray]:
    """Boxes on one floor, and the boxes of their pictures as masks."""
    spots = [(-0.3, -0.2), (0.3, -0.3), (0.0, 0.3), (0.35, 0.25)]
    true = []
    for index, (x, y) in enumerate(spots):
        scale = rng.uniform(0.2, 0.35)
        at = (x, y, 0.4 * scale - 0.15)
        true.append(box(Pose.of_turn(rng.uniform(-3, 3), translation=at, scale=scale), index=index))
    pitch = rng.uniform(0.4, 0.75)
    away = (0.0, -2.2 * math.cos(pitch), 2.2 * math.sin(pitch))
    height, width = SIZE
    camera = Camera.look_at(location=away, focal=width / 2 / math.tan(0.37), width=width, height=height)
    masks = np.zeros((len(true), *SIZE), dtype=bool)
    for mask, item in zip(masks, true, strict=True):
        seen = camera.project(item.pose.apply(item.surface.vertices.numpy()))
        (left, top), (right, bottom) = np.floor(seen[:, :2].min(0)), np.ceil(seen[:, :2].max(0))
        mask[int(top) : int(bottom), int(left) : int(right)] = True
    return true, masks


@pytest.mark.parametrize("seed", range(3))
def test_places_come_nearer_to_the_truth(seed):
    rng = np.random.default_rng(seed)
    true, masks = a_scene(rng)
    said = [
        box(
            Pose(
                translation=tuple(np.array(item.pose.translation) + rng.normal(0, 0.04, 3)),
                quaternion_wxyz=item.pose.quaternion_wxyz,
                scale=item.pose.scale * math.exp(rng.normal(0, 0.1)),
            ),
            index=index,
        )
        for index, item in enumerate(true)
    ]
    found = fit_to_masks(said, masks)
    assert [item.name for item in found] == [item.name for item in said]
    assert [item.pose.quaternion_wxyz for item in found] == [item.pose.quaternion_wxyz for item in said]
    before, after = (
        np.abs(np.array([place(a) - place(b) for a, b in zip(some, true, strict=True)])) for some in (said, found)
    )
    assert after.mean() < 0.7 * before.mean()


def test_an_object_on_another_stays_there():
    rng = np.random.default_rng(3)
    true, masks = a_scene(rng)
    lifted = box(Pose(translation=(-0.3, -0.2, 0.35), scale=0.15), index=4)
    rows, columns = np.nonzero(masks[0])
    above = np.zeros((1, *SIZE), dtype=bool)
    above[0, max(rows.min() - 14, 0) : rows.min(), columns.min() + 4 : columns.max() - 4] = True
    found = fit_to_masks([*true, lifted], np.concatenate([masks, above]))
    floor = np.median([item.triangles[..., 2].min() for item in found[:4]])
    assert found[4].triangles[..., 2].min() > floor + 0.15


def test_one_flat_object_is_fitted_too():
    flat = box(Pose(scale=0.5))
    flat = PlacedObject(
        name=flat.name,
        surface=Surface(
            vertices=flat.surface.vertices * torch.tensor([1.0, 1.0, 0.0]),
            faces=flat.surface.faces,
            attributes=flat.surface.attributes,
        ),
        pose=flat.pose,
    )
    mask = np.zeros((1, *SIZE), dtype=bool)
    mask[0, 40:60, 30:90] = True
    (found,) = fit_to_masks([flat], mask)
    assert np.isfinite(place(found)).all()


def test_a_side_at_another_mask_or_at_the_edge_may_be_hidden():
    masks = np.zeros((3, 10, 12), dtype=bool)
    masks[0, 2:6, 0:3] = True  # at the picture's left edge
    masks[1, 4:8, 3:6] = True  # touches the first on its left
    masks[2, 3:5, 8:10] = True  # free
    assert mask_boxes(masks).tolist() == [[0, 2, 3, 6], [3, 4, 6, 8], [8, 3, 10, 5]]
    assert hidden_sides(masks).tolist() == [
        [True, False, True, False],
        [True, False, False, False],
        [False, False, False, False],
    ]
