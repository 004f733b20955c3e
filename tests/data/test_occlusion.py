"""Contact shadows: as much as the sky that a sphere hides, on the floor alone."""

import numpy as np
import pytest
import torch

from kyvo.data.clevr.occlusion import sky_hidden, with_contact_shadows
from kyvo.data.clevr.raytracer import floor_points
from kyvo.data.clevr.sampling import render_scenes, scene_batch
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera

BALL = SceneObject(size="large", color="red", material="rubber", shape="sphere", location=(0.5, -1.0, 0.7))
CUBE = SceneObject(size="large", color="blue", material="rubber", shape="cube", location=(0.5, -1.0, 0.7))


def scene(*objects: SceneObject) -> Scene:
    return Scene(objects=objects, camera=clevr_camera(240, 160))


@pytest.mark.parametrize("away", [0.0, 0.3, 0.7, 1.5])
def test_a_sphere_hides_as_much_of_the_sky_as_rays_meet_it(away):
    """Rays of a surface that is lit evenly from all around: as many as their cosine."""
    rng = np.random.default_rng(0)
    height, turn = np.sqrt(rng.random(200_000)), 2 * np.pi * rng.random(200_000)
    flat = np.sqrt(1 - height**2)
    rays = np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)
    centre = np.array([-away, 0.0, 0.7])
    along = rays @ centre
    met = ((centre @ centre - along**2) < 0.7**2) & (along > 0)
    points = torch.tensor([[[[0.5 + away], [-1.0]]]])
    hidden = sky_hidden(points.float(), scene_batch([scene(BALL)]))
    assert hidden.item() == pytest.approx(met.mean(), abs=0.005)


def test_the_floor_beside_a_sphere_is_darker_and_nothing_else_is():
    scenes = [scene(BALL), scene(CUBE), scene()]
    before = torch.from_numpy(render_scenes(scenes, width=240, height=160))
    after = with_contact_shadows(before, scene_batch(scenes))
    assert torch.equal(after[1:], before[1:]) and (after <= before).all()
    points, bare = floor_points(scene_batch(scenes[:1]), width=240, height=160)
    away = (points[0] - torch.tensor([0.5, -1.0])[:, None]).norm(dim=1) / 0.7
    darker = (before[0].float() - after[0].float()).mean(-1).flatten()
    under = (bare[0] & (away < 0.6)).all(0)
    far = (away > 6).all(0)
    assert under.any() and darker[under].min() > 10
    assert darker[far].max() < 2 and darker[~bare[0].any(0)].max() == 0
