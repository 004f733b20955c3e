"""What `kyvo.export.primitives` says of a scene: places, turns, sizes and colors, in every frame."""

import math

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from kyvo.data.clevr.sampling import scene_batch
from kyvo.data.meshes.assets import rotation_matrix
from kyvo.data.meshes.object_meshes import object_meshes
from kyvo.data.meshes.procedural import procedural_library
from kyvo.data.omni3d import box_corners
from kyvo.errors import SceneError
from kyvo.export.primitives import TO_Y_UP, camera_matrix, linear_color, mesh_of_triangles, primitive, stage
from kyvo.scene.files import UP_AXES
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import clevr_camera

CUBE = SceneObject(shape="cube", size="large", color="red", material="metal", location=(1.0, 2.0, 0.7))
CHAIR = SceneObject(category="chair", location=(0.5, 0.25, 2.0), dimensions=(0.4, 0.9, 0.6))
ANGLES = st.floats(-math.pi, math.pi)


def scene_of(*objects, **values):
    return Scene(objects=objects, **values)


def test_z_up_becomes_x_z_minus_y_in_files_that_are_y_up_and_stays_where_z_is_up():
    scene = scene_of(CUBE)
    assert stage(scene, up="y").primitives[0].location.tolist() == [1.0, 0.7, -2.0]
    assert stage(scene, up="z").primitives[0].location.tolist() == [1.0, 2.0, 0.7]


def test_a_cameras_frame_turns_over_its_x_axis():
    scene = scene_of(CHAIR, frame="camera", up_axis="-y", units="m")
    assert stage(scene, up="y").primitives[0].location.tolist() == [0.5, -0.25, -2.0]
    assert stage(scene, up="z").primitives[0].location.tolist() == [0.5, 2.0, -0.25]


@pytest.mark.parametrize("up_axis", UP_AXES)
def test_every_up_axis_leads_upwards_by_a_rotation(up_axis):
    axes = np.array(TO_Y_UP[up_axis])
    up = np.zeros(3)
    up["xyz".index(up_axis[1])] = 1 if up_axis[0] == "+" else -1
    assert (axes @ up).tolist() == [0, 1, 0]
    assert np.linalg.det(axes) == pytest.approx(1)


@given(pose=st.tuples(ANGLES, ANGLES, ANGLES), up_axis=st.sampled_from(UP_AXES), up=st.sampled_from("yz"))
def test_turning_the_axes_moves_no_point_of_an_object_against_another(pose, up_axis, up):
    scene = scene_of(CHAIR.with_values(pose=pose), CUBE, up_axis=up_axis, units="m")
    before = np.concatenate([primitive(scene, index).points for index in (0, 1)])
    after = np.concatenate([item.points for item in stage(scene, up=up).primitives])
    np.testing.assert_allclose(before @ before.T, after @ after.T, atol=1e-9)  # lengths and angles
    assert np.linalg.det(np.linalg.lstsq(before, after, rcond=None)[0]) == pytest.approx(1)  # and no mirror


@given(pose=st.tuples(ANGLES, ANGLES, ANGLES))
def test_a_pose_is_the_rotation_that_the_renderer_of_meshes_reads(pose):
    turned = primitive(scene_of(CHAIR.with_values(pose=pose), units="m"), 0)
    np.testing.assert_allclose(turned.rotation, rotation_matrix(pose), atol=1e-12)


def test_clevrs_rotation_is_read_as_the_ray_tracer_reads_it():
    item = CUBE.with_values(rotation=230.5)
    angle = scene_batch([scene_of(item)]).rotation.item()
    np.testing.assert_allclose(primitive(scene_of(item), 0).rotation, rotation_matrix((0.0, 0.0, angle)), atol=1e-5)


def test_a_color_of_css_is_linear_and_categories_differ():
    assert linear_color(SceneObject(color="white")) == pytest.approx((1, 1, 1))
    assert linear_color(SceneObject(color="#800000"))[0] == pytest.approx(0.2158, abs=1e-3)  # sRGB 128
    chair, cup = (linear_color(SceneObject(category=name)) for name in ("chair", "cup"))
    assert chair != cup and chair == linear_color(SceneObject(category="chair"))


@pytest.mark.parametrize(("shape", "size", "half"), [("cube", "large", 0.7), ("sphere", "small", 0.35)])
def test_a_clevr_solid_is_as_large_as_its_word(shape, size, half):
    points = primitive(scene_of(CUBE.with_values(shape=shape, size=size)), 0).points
    np.testing.assert_allclose(points.min(0), np.subtract((1, 2, 0.7), half), atol=1e-6)
    np.testing.assert_allclose(points.max(0), np.add((1, 2, 0.7), half), atol=1e-6)


def test_a_box_in_a_cameras_frame_has_the_corners_of_omni3d():
    turn = rotation_matrix((0.1, 0.5, -0.2))
    scene = scene_of(CHAIR.with_values(R_cam=turn.tolist()), frame="camera", up_axis="-y", units="m")
    corners = {tuple(point) for point in np.round(primitive(scene, 0).points, 6)}
    expected = box_corners(CHAIR.location, CHAIR.dimensions, turn.tolist())
    assert corners == {tuple(point) for point in np.round(expected, 6)}


def test_in_a_world_frame_the_height_stands_along_z():
    points = primitive(scene_of(CHAIR, units="m"), 0).points
    np.testing.assert_allclose(np.ptp(points, axis=0), (0.6, 0.4, 0.9))  # length, width, height


def test_dimensions_stretch_a_named_solid():
    points = primitive(scene_of(CHAIR.with_values(shape="cylinder"), units="m"), 0).points
    np.testing.assert_allclose(np.ptp(points, axis=0), (0.6, 0.4, 0.9), atol=1e-3)
    assert len(points) > 24


def test_objaworld_objects_stand_as_their_assets():
    bench = SceneObject(shape="bench", location=(0.0, 0.0, 0.5), extra={"asset": "bench-1", "scale": 2.0})
    scene = scene_of(bench, CUBE, schema="objaworld")
    meshes = object_meshes(scene)
    assert list(meshes) == [0]
    shown = primitive(scene, 0, meshes[0])
    np.testing.assert_allclose(
        np.ptp(shown.points, axis=0), np.multiply(procedural_library().assets["bench-1"].extent, 2), atol=1e-5
    )
    assert shown.vertex_colors is not None and len(np.unique(shown.vertex_colors, axis=0)) == 2  # wood and iron


def test_a_mesh_of_triangles_joins_equal_corners_only():
    triangles = np.array([[(0, 0, 0), (1, 0, 0), (0, 1, 0)], [(1, 0, 0), (1, 1, 0), (0, 1, 0)]], dtype=float)
    normals, colors = np.broadcast_to((0.0, 0.0, 1.0), (2, 3, 3)), np.zeros((2, 3, 3))
    assert len(mesh_of_triangles(triangles, normals=normals, colors=colors).vertices) == 4
    colors[1] = 1
    mesh = mesh_of_triangles(triangles, normals=normals, colors=colors)
    assert len(mesh.vertices) == 6
    np.testing.assert_allclose(mesh.vertices[mesh.faces], triangles)


def test_a_mesh_given_for_an_object_is_taken_before_all_else():
    ball = trimesh.creation.icosphere(radius=0.25)
    shown = stage(scene_of(SceneObject(shape_codes=(1, 2), location=(0.0, 0.0, 1.0))), up="z", meshes={0: ball})
    np.testing.assert_allclose(shown.primitives[0].points.max(0), (0.25, 0.25, 1.25), atol=1e-6)


def test_names_are_unique_identifiers():
    objects = [CUBE, CUBE, SceneObject(shape="cube", size="small", color="зелёный", location=(0.0, 0.0, 0.0))]
    objects.append(CHAIR.with_values(category="2 x 4 / plank"))
    names = [item.name for item in stage(scene_of(*objects), up="y").primitives]
    assert names == ["large_red_metal_cube_0", "large_red_metal_cube_1", "small_cube_2", "_2_x_4_plank_3"]
    assert all(name.isidentifier() for name in names)


@given(location=st.tuples(*[st.floats(-2, 2)] * 3))
def test_a_turned_camera_sees_the_turned_object_at_the_same_pixel(location):
    camera = clevr_camera(480, 320)
    shown = stage(scene_of(CUBE.with_values(location=location), camera=camera), up="y")
    expected = camera.project(np.array([location]))
    np.testing.assert_allclose(shown.camera.project(shown.primitives[0].location[None]), expected, atol=1e-6)


def test_a_cameras_matrix_looks_along_minus_z_with_y_up():
    camera = Camera.look_at(location=(0.0, 0.0, 5.0), up=(0.0, 1.0, 0.0), focal=1, width=2, height=2)
    np.testing.assert_allclose(camera_matrix(camera)[:3, :3], np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (CUBE.with_values(location=None), r"objects\[1\].location is missing"),
        (CUBE.with_values(shape="cub"), r"objects\[1\] is a 'cub'.*did you mean cube\?.*meshes="),
        (CUBE.with_values(shape="gizmo"), r"'gizmo', which has no mesh here; known are cube, sphere, cylinder"),
        (SceneObject(location=(0.0, 0.0, 0.0)), r"objects\[1\] is without shape"),
        (CUBE.with_values(size="huge"), r"objects\[1\].size is 'huge'.*large or small"),
        (SceneObject(location=(0.0, 0.0, 0.0), shape_codes=(1,)), r"objects\[1\] has shape_codes only"),
        (CHAIR.with_values(R_cam=[[1, 0], [0, 1]]), r"objects\[1\].R_cam is .*three rows of three numbers"),
        (CHAIR.with_values(R_cam=[[2, 0, 0], [0, 2, 0], [0, 0, 2]]), "the rows of a rotation are needed"),
    ],
)
def test_what_cannot_be_drawn_is_told_with_its_place(item, message):
    with pytest.raises(SceneError, match=message):
        stage(scene_of(CUBE, item), up="y")


@pytest.mark.parametrize("up_axis", ["+z", "-y"])
@pytest.mark.parametrize(
    "dimensions",
    [
        (0.6, 0.0, 0.5),
        (0.0, 1.0, 2.0),
        (1.0, 1.0, 0.0),
        (0.0, 0.0, 3.0),
        (0.0, 0.0, 0.0),
        (2.0, 1e-12, 2.0),
        (1e-5, 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("shape", [None, "sphere"])
def test_an_object_without_thickness_is_a_thin_sheet_that_every_program_reads(dimensions, up_axis, shape):
    item = SceneObject(category="book", shape=shape, location=(0.0, 0.0, 1.0), dimensions=dimensions)
    for up in ("y", "z"):
        (found,) = stage(Scene(objects=(item,), units="m", up_axis=up_axis), up=up).primitives
        assert np.linalg.matrix_rank(np.round(found.matrix, 6)) == 4
        assert sorted(2 * found.scale) == pytest.approx(sorted(dimensions), abs=1e-3)


def test_a_thin_object_keeps_its_thickness():
    paper = SceneObject(category="paper", location=(0.0, 0.0, 0.0), dimensions=(0.2, 1e-4, 0.3))
    (found,) = stage(Scene(objects=(paper,), units="m"), up="z").primitives
    assert sorted(2 * found.scale) == pytest.approx([1e-4, 0.2, 0.3])
