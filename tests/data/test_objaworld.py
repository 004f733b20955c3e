"""ObjaWorld scenes obey their rules, fit the schema, and are seen where they say they are."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
import yaml

from kyvo.data.meshes.assets import INDEX, Asset, AssetError, load_library
from kyvo.data.meshes.mesh_renderer import FLOOR, Environment, PlacedAsset, render, visible
from kyvo.data.meshes.objaworld import (
    LIVING_ROOM,
    PARK,
    STILL_LIFE,
    ObjaWorldRules,
    make_sample,
    place,
    render_scene,
    sample_scene,
    view_centric,
)
from kyvo.data.meshes.procedural import procedural_library
from kyvo.errors import ConfigError, SceneError
from kyvo.scene.builtin_schemas import objaworld_schema
from kyvo.scene.files import scene_from_json, scene_to_json
from kyvo.scene.scene import Camera, SceneObject

LIBRARY = procedural_library(variants=2)
SIZE = {"width": 64, "height": 64}


def drawn(rules: ObjaWorldRules, seed: int):
    return sample_scene(LIBRARY, rng=np.random.default_rng(seed), rules=rules, **SIZE)


@pytest.mark.parametrize("rules", [PARK, LIVING_ROOM, STILL_LIFE], ids=["park", "living room", "still life"])
def test_drawn_scenes_obey_their_rules_and_fit_their_schema(rules: ObjaWorldRules) -> None:
    for seed in range(6):
        scene = drawn(rules, seed)
        assert rules.min_objects <= len(scene) <= rules.max_objects
        assert {item.shape for item in scene.objects} <= {*rules.categories, rules.table, *rules.on_table}
        assert scene.schema == rules.schema.name
        assert rules.schema.count_clamped(scene) == 0
        snapped = replace(rules.schema, order="given").snap(scene)
        for item, near in zip(scene.objects, snapped.objects, strict=True):
            assert near.location == pytest.approx(item.location, abs=0.0251)
            assert near.shape == item.shape


def test_the_published_categories_keep_the_published_schema() -> None:
    assert PARK.schema == LIVING_ROOM.schema == objaworld_schema()
    assert STILL_LIFE.schema.fields[0].words == ("chair", "crate", "barrel", "plant", "table", "bottle", "vase")


def test_objects_stand_on_the_floor_and_do_not_meet() -> None:
    for seed in range(5):
        placed = place(drawn(PARK, seed), LIBRARY)
        for number, item in enumerate(placed):
            assert item.location[2] == pytest.approx(item.asset.extent[2] / 2 * item.scale, abs=1e-4)
            for other in placed[:number]:
                apart = math.dist(item.location[:2], other.location[:2])
                assert apart >= item.asset.radius * item.scale + other.asset.radius * other.scale


def test_the_last_object_of_a_still_life_stands_on_the_table() -> None:
    for seed in range(5):
        table, *_, small = place(drawn(STILL_LIFE, seed), LIBRARY)
        assert table.asset.category == "table"
        assert small.asset.category in ("bottle", "vase")
        top = table.location[2] + table.asset.extent[2] / 2 * table.scale
        assert small.location[2] - small.asset.extent[2] / 2 * small.scale == pytest.approx(top, abs=1e-4)
        assert math.dist(small.location[:2], table.location[:2]) < 1e-4


def test_a_sample_is_set_by_seed_and_index() -> None:
    first = make_sample(5, seed=1, library=LIBRARY, rules=PARK, **SIZE)
    again = make_sample(5, seed=1, library=LIBRARY, rules=PARK, **SIZE)
    other = make_sample(6, seed=1, library=LIBRARY, rules=PARK, **SIZE)
    assert first[0] == again[0]
    assert (first[1] == again[1]).all()
    assert first[1].shape == (64, 64, 3)
    assert first[1].dtype == np.uint8
    assert first[0] != other[0]


def test_a_scene_read_back_from_its_file_renders_to_the_same_picture() -> None:
    scene, picture = make_sample(0, seed=2, library=LIBRARY, rules=PARK, **SIZE)
    again = scene_from_json(scene_to_json(scene))
    assert (render_scene(again, LIBRARY, **SIZE) == picture).all()


def test_a_view_centric_scene_shows_the_same_picture_in_axes_of_the_camera() -> None:
    scene, picture = make_sample(1, seed=2, library=LIBRARY, rules=LIVING_ROOM, **SIZE)
    turned = view_centric(scene)
    assert np.abs(render_scene(turned, LIBRARY, **SIZE).astype(int) - picture).mean() < 0.1
    assert turned.camera is not None
    assert turned.camera.rotation[0] == pytest.approx((1, 0, 0), abs=1e-9)
    for item, before in zip(turned.objects, scene.objects, strict=True):
        assert item.location is not None
        assert turned.camera.project(np.array([item.location]))[0, :2] == pytest.approx(
            before.extra["pixel_coords"][:2], abs=1.0
        )
    with pytest.raises(SceneError, match="need a scene in the world frame with its camera"):
        view_centric(replace(scene, camera=None))


def test_scenes_drawn_in_the_view_frame_are_view_centric_and_within_the_bins() -> None:
    for seed in range(5):
        scene = drawn(replace(PARK, frame="view"), seed)
        assert scene.camera is not None
        assert scene.camera.rotation[0] == pytest.approx((1, 0, 0), abs=1e-9)
        assert objaworld_schema().count_clamped(scene) == 0
        sun = np.array(scene.extra["setting"]["sun"])
        assert np.linalg.norm(sun) == pytest.approx(np.linalg.norm(PARK.setting.sun))


def test_every_object_shows_where_its_pixel_coords_are() -> None:
    scene = drawn(LIVING_ROOM, 3)
    assert scene.camera is not None
    index = visible(place(scene, LIBRARY), camera=scene.camera)
    for number, item in enumerate(scene.objects):
        rows, columns = np.nonzero(index == number)
        x, y, _ = item.extra["pixel_coords"]
        assert len(rows)
        assert columns.min() - 6 <= x <= columns.max() + 6
        assert rows.min() - 6 <= y <= rows.max() + 6


def test_the_caster_agrees_with_a_ball_by_formula() -> None:
    """A slow twin: how much of the picture a ball covers, its color where the sun meets it, and its shadow."""
    triangles = trimesh.creation.icosphere(subdivisions=4).triangles
    red = np.broadcast_to((0.5, 0.0, 0.0), triangles.shape)
    ball = Asset(
        name="ball",
        category="ball",
        triangles=np.asarray(triangles),
        colors=red,
        uv=np.zeros((len(triangles), 3, 2)),
        texture=np.full(len(triangles), -1),
    )
    camera = Camera.look_at(location=(0.0, -8.0, 1.0), target=(0.0, 0.0, 1.0), focal=96, width=96, height=96)
    objects = [PlacedAsset(asset=ball, location=(0.0, 0.0, 1.0))]
    covered = float((visible(objects, camera=camera) == 0).sum())
    assert covered == pytest.approx(math.pi * 96**2 / (8**2 - 1), rel=0.02)
    setting = Environment(sun=(0.0, -1.0, 0.0), sunlight=0.6, skylight=0.4)
    picture = render(objects, camera=camera, setting=setting)
    linear = 0.5 * (0.6 + 0.4 * 0.6)  # facing the sun, and the sky from the side
    assert picture[48, 48] == pytest.approx([255 * (1.055 * linear ** (1 / 2.4) - 0.055), 0, 0], abs=2)
    above = replace(setting, sun=(0.0, 0.0, 1.0))
    down = Camera.look_at(location=(0.0, -6.0, 6.0), target=(0.0, 0.0, 0.0), focal=96, width=96, height=96)
    lit, dark = render([], camera=down, setting=above), render(objects, camera=down, setting=above)
    floor = visible(objects, camera=down) == FLOOR
    shadow = floor & (dark.sum(2) < lit.sum(2) - 30)
    assert shadow.any()
    assert not shadow[:20].any()


def test_a_predicted_scene_takes_the_first_asset_of_its_shape() -> None:
    scene = drawn(PARK, 0)
    bare = [SceneObject(shape=item.shape, location=item.location, pose=item.pose) for item in scene.objects]
    picture = render_scene(replace(scene, objects=tuple(bare)), LIBRARY, **SIZE)
    named = [item.with_values(asset=f"{item.shape}-0", scale=1.0) for item in scene.objects]
    assert (picture == render_scene(replace(scene, objects=tuple(named)), LIBRARY, **SIZE)).all()


def test_what_cannot_be_placed_is_named() -> None:
    scene = drawn(PARK, 0)
    for values, message in (
        ({"location": None}, r"objects\[0\] has no location"),
        ({"shape": None}, r"objects\[0\] has no shape"),
        ({"asset": "sofa-9"}, r"objects\[0\]\.asset is 'sofa-9', which the library lacks"),
    ):
        with pytest.raises(SceneError, match=message):
            place(replace(scene, objects=(scene.objects[0].with_values(**values),)), LIBRARY)
    unknown = SceneObject(shape="unicorn", location=(0.0, 0.0, 0.0))
    with pytest.raises(AssetError, match="no asset of category 'unicorn'; it has person, bird"):
        place(replace(scene, objects=(unknown,)), LIBRARY)
    with pytest.raises(SceneError, match="found no place"):
        drawn(replace(LIVING_ROOM, min_objects=40, max_objects=40), 0)
    with pytest.raises(SceneError, match=r"showed on less than min_visible, 0\.9, of it"):
        drawn(replace(PARK, min_visible=0.9), 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_objects": 0}, "0 to 5 objects a scene are no range"),
        ({"categories": ()}, "categories is empty"),
        ({"layout": "spiral"}, "layout is 'spiral'; known are random, uniform"),
        ({"frame": "camera"}, "frame is 'camera'; known are scene, view"),
        ({"scales": (0.0, 1.0)}, "scales 0 to 1 are no range"),
        ({"table": "table"}, "table and on_table go together"),
        ({"table": "table", "on_table": ("vase",), "min_objects": 1, "max_objects": 1}, "takes 2 objects"),
    ],
)
def test_rules_that_cannot_hold_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(PARK, **settings)


def test_real_scans_make_scenes_too(shared_data: Path, tmp_path: Path) -> None:
    rows = [
        {"file": "kaykit_table_round_A.glb", "category": "table", "scale": 0.6},
        {"file": "scan_blue_cup.glb", "category": "cup", "up_axis": "+z", "scale": 5.0},
        {"file": "ycb_Scissors.glb", "category": "scissors", "up_axis": "+z", "scale": 4.0},
        {"file": "khr_WaterBottle.glb", "category": "bottle", "scale": 3.0},
    ]
    for row in rows:
        (tmp_path / row["file"]).symlink_to(shared_data / "meshes" / "glb" / row["file"])
    (tmp_path / INDEX).write_text(yaml.safe_dump({"assets": rows}))
    library = load_library(tmp_path)
    assert not library.faults
    rules = ObjaWorldRules(categories=("cup", "bottle"), table="table", on_table=("scissors", "cup"), min_visible=1e-4)
    scene, picture = make_sample(0, seed=0, library=library, rules=rules, width=96, height=96)
    assert scene.objects[0].shape == "table"
    assert picture.std() > 5
