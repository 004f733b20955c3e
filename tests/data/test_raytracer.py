"""The ray tracer against geometry worked out by hand, and against Camera.project."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from kyvo.data.clevr.primitives import CONE, normals, span
from kyvo.data.clevr.raytracer import LAMPS, render, visible_fraction
from kyvo.data.clevr.sampling import render_scenes, sample_scenes, scene_batch
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import CLEVR_CAMERA, clevr_camera


def scene(shape: str, location: tuple[float, float, float] = (0.0, 0.0, 0.7), **values) -> Scene:
    looks = {"shape": shape, "size": "large", "color": "yellow", "material": "rubber", "location": location}
    return Scene(objects=(SceneObject().with_values(**(looks | values)),))


def object_mask(picture: np.ndarray) -> np.ndarray:
    """Pixels that are plainly yellow; the floor, lit or not, is grey."""
    red, green, blue = picture[..., 0].astype(int), picture[..., 1].astype(int), picture[..., 2].astype(int)
    return np.minimum(red, green) > 1.5 * blue


def test_a_sphere_covers_the_area_of_its_cone():
    camera = clevr_camera(240, 160)
    fraction = visible_fraction(scene_batch([scene("sphere")]), width=240, height=160)[0, 0].item()
    distance = float(np.linalg.norm(np.subtract(CLEVR_CAMERA, (0, 0, 0.7))))
    opening = math.asin(0.7 / distance)
    off_axis = math.acos(camera.project(np.array([[0, 0, 0.7]]))[0, 2] / distance)
    # A cone of half-angle a whose axis is b off the optical axis cuts the picture in an ellipse of this area.
    ellipse = math.sin(opening) ** 2 * math.cos(opening) * math.cos(off_axis)
    area = math.pi * camera.focal**2 * ellipse / (math.cos(off_axis) ** 2 - math.sin(opening) ** 2) ** 1.5
    assert fraction * 240 * 160 == pytest.approx(area, rel=0.01)


@pytest.mark.parametrize("location", [(0.0, 0.0, 0.7), (2.0, -1.0, 0.7), (-2.5, 2.0, 0.7)])
def test_a_sphere_stands_where_the_camera_projects_it(location):
    mask = object_mask(render_scenes([scene("sphere", location)], width=240, height=160)[0])
    rows, columns = mask.nonzero()
    column, row, _ = clevr_camera(240, 160).project(np.array([location]))[0]
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((column, row), abs=1.0)


@pytest.mark.parametrize("rotation", [0.0, 0.3, 2.0])
def test_the_silhouette_of_a_cube_is_the_hull_of_its_projected_corners(rotation):
    from scipy.spatial import ConvexHull

    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.7
    cos, sin = math.cos(rotation), math.sin(rotation)
    corners = signs @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) + (1.0, 0.5, 0.7)
    pixels = clevr_camera(240, 160).project(corners)[:, :2]
    rows, columns = object_mask(
        render_scenes([scene("cube", (1.0, 0.5, 0.7), rotation=rotation)], width=240, height=160)[0]
    ).nonzero()
    seen = np.stack([columns, rows], axis=1) + 0.5
    hull = ConvexHull(pixels)
    outside = (seen @ hull.equations[:, :2].T + hull.equations[:, 2]).max(axis=1)
    assert outside.max() < 1.5
    assert 0.87 < len(seen) / hull.volume < 1.01  # its edges are cut a little


def in_cone(points: np.ndarray) -> np.ndarray:
    """Whether points [..., 3] lie in the cone with radius 1 at z = -1 and its tip at z = 1."""
    x, y, z = np.moveaxis(points, -1, 0)
    return (np.hypot(x, y) <= (1 - z) / 2) & (np.abs(z) <= 1)


@pytest.mark.slow
def test_rays_meet_a_cone_where_points_along_them_enter_it():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(400, 3)) * [2, 2, 3]
    steep = np.concatenate([rng.normal(size=(200, 3)), rng.normal(size=(200, 3)) * [0.1, 0.1, 1]])
    aimed = rng.uniform(-0.6, 0.6, (400, 3)) - start
    direction = np.where(np.arange(400)[:, None] % 2, steep, aimed)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    enter, leave = span(CONE, *(torch.tensor(part.T, dtype=torch.double) for part in (start, direction)))
    way = np.linspace(-15, 15, 30_001)
    inside = in_cone(start[:, None] + direction[:, None] * way[:, None])
    met = (enter < leave).numpy()
    assert 150 < met.sum() < 390
    assert not inside[~met].any()
    first, last = way[inside.argmax(1)], way[::-1][inside[:, ::-1].argmax(1)]
    seen = met & inside.any(1)
    assert seen.sum() > 0.97 * met.sum()  # the others touch it between two points
    np.testing.assert_allclose(enter.numpy()[seen], first[seen], atol=2e-3)
    np.testing.assert_allclose(leave.numpy()[seen], last[seen], atol=2e-3)


def test_the_silhouette_of_a_cone_is_the_hull_of_its_rim_and_tip():
    from scipy.spatial import ConvexHull

    around = np.linspace(0, 2 * math.pi, 400)
    rim = np.stack([np.cos(around), np.sin(around), -np.ones(400)], axis=1)
    points = np.concatenate([rim, [[0, 0, 1]]]) * 0.7 + (1.0, 0.5, 0.7)
    pixels = clevr_camera(240, 160).project(points)[:, :2]
    rows, columns = object_mask(render_scenes([scene("cone", (1.0, 0.5, 0.7))], width=240, height=160)[0]).nonzero()
    seen, hull = np.stack([columns, rows], axis=1) + 0.5, ConvexHull(pixels)
    assert (seen @ hull.equations[:, :2].T + hull.equations[:, 2]).max() < 1.0
    assert 0.97 < len(seen) / hull.volume < 1.02


def test_the_normals_of_a_cone_stand_on_its_wall():
    batch = scene_batch([scene("cone", (1.0, 2.0, 0.7))])
    down, around = torch.tensor([1.0, 0.0, -2.0]), torch.tensor([0.0, 1.0, 0.0])  # along the wall, at its +x side
    place = torch.tensor([1.0, 2.0, 1.4]) + 0.3 * 0.7 * down
    normal = normals(batch, torch.tensor([0]), place[:, None])[:, 0]
    assert normal @ down == pytest.approx(0, abs=1e-6) and normal @ around == pytest.approx(0, abs=1e-6)
    assert normal.norm() == pytest.approx(1) and normal[0] > 0


def test_any_color_of_css_is_drawn():
    picture = render_scenes([scene("sphere", color="orange")], width=120, height=80)[0]
    red, green, blue = picture[object_mask(picture)].astype(float).mean(0)
    assert red > 1.3 * green > 2 * blue


def test_the_shadow_falls_away_from_the_lamp():
    lamp = [6.0, 0.0, 5.0]
    shaded = scene("sphere")
    batch = replace(scene_batch([shaded]), lamps=torch.tensor([[lamp, lamp, lamp]]))
    bare = replace(batch, valid=torch.zeros(1, 1, dtype=torch.bool))
    darker = render(bare, width=120, height=80)[0].float() - render(batch, width=120, height=80)[0].float()
    column, row, _ = clevr_camera(120, 80).project(np.array([[-1.2, 0, 0], [1.2, 0, 0]])).T.round().astype(int)
    behind, before = darker[row[0], column[0]].mean(), darker[row[1], column[1]].mean()
    assert behind > 20
    assert before == 0


def test_metal_mirrors_its_neighbour_and_rubber_does_not():
    def beside(material: str, color: str) -> np.ndarray:
        ball = SceneObject(shape="sphere", size="large", color="gray", material=material, location=(0.0, 0.0, 0.7))
        cube = SceneObject(shape="cube", size="large", color=color, material="rubber", location=(1.2, 1.2, 0.7))
        return render_scenes([Scene(objects=(ball, cube))], width=120, height=80)[0].astype(int)

    column, row, _ = clevr_camera(120, 80).project(np.array([[0, 0, 0.7]]))[0].astype(int)
    around = (slice(row - 6, row + 7), slice(column - 6, column + 7))
    change = {m: np.abs(beside(m, "red")[around] - beside(m, "cyan")[around]).max() for m in ("metal", "rubber")}
    assert change["rubber"] == 0
    assert change["metal"] > 10


def test_a_nearer_object_hides_a_farther_one():
    toward = np.array(CLEVR_CAMERA[:2]) / np.linalg.norm(CLEVR_CAMERA[:2])
    near = SceneObject(shape="cube", size="large", color="red", material="rubber", location=(*(toward * 1.5), 0.7))
    far = SceneObject(shape="sphere", size="small", color="blue", material="rubber", location=(*(toward * 0.2), 0.35))
    fractions = visible_fraction(scene_batch([Scene(objects=(far, near)), Scene(objects=(far,))]), width=120, height=80)
    assert fractions[0, 0] == 0
    assert fractions[1, 0] > 0.002
    assert fractions[1, 1] == 0  # padding


def test_pictures_do_not_depend_on_the_batch_they_are_in():
    scenes = [scene("cube"), scene("sphere", (1.0, 1.0, 0.7), material="metal"), scene("cylinder", color="cyan")]
    together = render_scenes(scenes, width=32, height=24)
    alone = np.concatenate([render_scenes([one], width=32, height=24) for one in scenes])
    assert together.shape == (3, 24, 32, 3)
    assert np.array_equal(together, alone)


@pytest.mark.gpu
def test_pictures_on_a_gpu_differ_by_roundings():
    scenes = sample_scenes(range(60), seed=0, width=48, height=32)
    here, there = (render_scenes(scenes, width=48, height=32, device=device).astype(int) for device in ("cpu", "cuda"))
    assert np.mean(np.abs(here - there) > 1) < 0.002  # an edge may fall to the other side of a ray


def test_no_scenes_and_empty_scenes_render():
    assert render_scenes([], width=8, height=4).shape == (0, 4, 8, 3)
    floor = render_scenes([Scene(objects=())], width=8, height=4)
    assert floor.shape == (1, 4, 8, 3) and floor.min() > 50
    assert len(LAMPS) == 3


def test_pictures_resemble_those_of_clevr(shared_data):
    """Real pictures of real scenes, with the mean camera and lamps: the cameras differ by up to 0.5 an axis."""
    import json

    from PIL import Image

    data = json.loads((shared_data / "clevr/clevr_pairs_scenes.json").read_text())["scenes"][:8]
    scenes = []
    for row in data:
        objects = tuple(
            SceneObject(
                shape=o["shape"], size=o["size"], color=o["color"], material=o["material"],
                location=tuple(o["3d_coords"]), extra={"rotation": o["rotation"]},
            )
            for o in row["objects"]
        )  # fmt: skip
        scenes.append(Scene(objects=objects))
    ours = render_scenes(scenes, width=120, height=80).astype(float)
    paths = [shared_data / "clevr/real_v1/images" / row["image_filename"] for row in data]
    real = np.stack(
        [np.asarray(Image.open(path).convert("RGB").resize((120, 80), Image.Resampling.BOX)) for path in paths]
    )
    psnr = 10 * np.log10(255**2 / ((ours - real) ** 2).mean(axis=(1, 2, 3)))
    print(f"PSNR {psnr.round(1)}")
    assert psnr.mean() > 20
