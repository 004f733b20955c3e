"""Rays on triangles: Open3D and the tree in numpy give the same places."""

import logging
import sys
from collections.abc import Callable

import numpy as np
import pytest
import trimesh

from kyvo.data.meshes import rays
from kyvo.data.meshes.bvh import BVH
from kyvo.data.meshes.rays import Open3DScene, RayScene, ray_scene
from kyvo.extras import import_open3d

BALL = np.asarray(trimesh.creation.icosphere(subdivisions=3, radius=0.4).triangles)
BOX = np.asarray(trimesh.creation.box().triangles)


def open3d_scene(triangles: np.ndarray) -> RayScene:
    pytest.importorskip("open3d")
    return Open3DScene(triangles, import_open3d())


both = pytest.mark.parametrize("make", [BVH, open3d_scene])


@both
def test_a_ray_meets_the_nearer_side_of_a_box(make: Callable[[np.ndarray], RayScene]) -> None:
    starts = np.array([[0.1, 0.2, 5.0], [0.1, 0.2, -5.0], [0.1, 0.2, 0.0], [2.0, 0.0, 5.0]])
    directions = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [0.0, 0.0, -2.0], [0.0, 0.0, -1.0]])
    scene = make(BOX)
    found = scene.first_hits(starts, directions)
    np.testing.assert_allclose(found.distance, [4.5, 4.5, 0.25, np.inf], atol=1e-6)
    places = (BOX[found.triangle[:3]] * found.weights[:3, :, None]).sum(1)
    np.testing.assert_allclose(places, [[0.1, 0.2, 0.5], [0.1, 0.2, -0.5], [0.1, 0.2, -0.5]], atol=1e-6)
    assert scene.occluded(starts, directions).tolist() == [True, True, True, False]


@both
def test_the_nearest_place_of_a_box(make: Callable[[np.ndarray], RayScene]) -> None:
    points = np.array([[0.1, 0.2, 2.0], [3.0, 3.0, 3.0], [0.0, 0.1, 0.4]])  # beside a side, beside a corner, inside
    found = make(BOX).nearest(points)
    places = (BOX[found.triangle] * found.weights[..., None]).sum(1)
    np.testing.assert_allclose(places, [[0.1, 0.2, 0.5], [0.5, 0.5, 0.5], [0.0, 0.1, 0.5]], atol=1e-6)
    np.testing.assert_allclose(found.distance, [1.5, np.sqrt(3 * 2.5**2), 0.1], atol=1e-6)


@both
def test_a_triangle_without_area_is_never_met(make: Callable[[np.ndarray], RayScene]) -> None:
    scene = make(np.zeros((1, 3, 3)))
    start, direction = np.array([[0.0, 0.0, 1.0]]), np.array([[0.0, 0.0, -1.0]])
    assert scene.first_hits(start, direction).distance.tolist() == [np.inf]
    assert scene.occluded(start, direction).tolist() == [False]


def test_the_tree_finds_what_open3d_finds() -> None:
    rng = np.random.default_rng(0)
    starts = np.array([0.0, -2.0, 0.3]) + rng.normal(0, 0.01, (3000, 3))
    directions = rng.uniform(-0.5, 0.5, (3000, 3)) - starts
    triangles = BALL + rng.normal(0, 0.002, BALL.shape)  # cracked, so that no two edges meet
    tree, other = BVH(triangles), open3d_scene(triangles)
    ours, theirs = tree.first_hits(starts, directions), other.first_hits(starts, directions)
    met = np.isfinite(theirs.distance)
    assert 0.2 < met.mean() < 0.9
    assert (np.isfinite(ours.distance) == met).mean() > 0.999
    met &= np.isfinite(ours.distance)
    assert (ours.triangle == theirs.triangle)[met].mean() > 0.999
    np.testing.assert_allclose(ours.distance[met], theirs.distance[met], atol=1e-4)
    np.testing.assert_allclose(tree.nearest(starts).distance, other.nearest(starts).distance, atol=1e-6)


def test_without_open3d_the_tree_answers_and_says_what_would_be_faster(monkeypatch, caplog) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    rays._open3d.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            assert isinstance(ray_scene(BOX), BVH) and isinstance(ray_scene(BALL), BVH)
    finally:
        rays._open3d.cache_clear()
    (said,) = caplog.messages
    assert 'pip install "kyvo[mesh]"' in said
