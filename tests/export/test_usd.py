"""USD files, read back by usd-core."""

import json

import numpy as np
import pytest

pytest.importorskip("pxr")

from pxr import Gf, Usd, UsdGeom, UsdShade
from scipy.spatial.transform import Rotation

from kyvo.data.meshes.object_meshes import object_meshes
from kyvo.export.formats import export_scene
from kyvo.scene.scene import Camera, Scene, SceneObject

CAMERA = Camera(
    width=480,
    height=320,
    focal=500.0,
    center=(250.0, 150.0),
    location=(0.0, -6.0, 1.0),
    rotation=((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
)
TWO = Scene(
    objects=(
        SceneObject(
            shape="cylinder",
            size="large",
            color="green",
            material="metal",
            location=(1.0, 2.0, 0.7),
            pose=(0.3, -0.2, 1.1),
        ),
        SceneObject(category="box", location=(-1.0, 0.5, 0.2), dimensions=(0.2, 0.4, 0.6)),
    ),
    camera=CAMERA,
    units="m",
)


@pytest.fixture(params=[".usda", ".usdc"])
def read(request, tmp_path):
    path = tmp_path / f"two{request.param}"
    export_scene(TWO, path)
    return Usd.Stage.Open(str(path))


def test_axis_and_unit_are_written(read):
    assert UsdGeom.GetStageUpAxis(read) == "Z"
    assert UsdGeom.GetStageMetersPerUnit(read) == 1.0
    assert read.HasAuthoredMetadata("metersPerUnit")
    assert read.HasAuthoredMetadata("upAxis")


def test_objects_come_back_with_name_place_turn_and_size(read):
    prim = read.GetPrimAtPath("/scene/large_green_metal_cylinder_0")
    matrix = np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(Usd.TimeCode.Default())).T
    np.testing.assert_allclose(matrix[:3, 3], (1.0, 2.0, 0.7))
    np.testing.assert_allclose(matrix[:3, :3], Rotation.from_euler("xyz", (0.3, -0.2, 1.1)).as_matrix() * 0.7)
    cache = UsdGeom.BBoxCache(Usd.TimeCode.Default(), ["default"])
    size = cache.ComputeWorldBound(read.GetPrimAtPath("/scene/box_1")).ComputeAlignedRange().GetSize()
    np.testing.assert_allclose(size, (0.6, 0.2, 0.4), atol=1e-6)  # length, width, height
    assert prim.GetDisplayName() == "large green metal cylinder"
    assert json.loads(prim.GetCustomDataByKey("kyvo:object"))["pose"] == [0.3, -0.2, 1.1]
    assert read.GetDefaultPrim().GetCustomDataByKey("kyvo:units") == "m"


def test_materials_are_those_of_the_words(read):
    prim = read.GetPrimAtPath("/scene/large_green_metal_cylinder_0")
    material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
    surface, _, _ = material.ComputeSurfaceSource()
    np.testing.assert_allclose(surface.GetInput("diffuseColor").Get(), np.array((29, 105, 20)) / 255, atol=1e-6)
    assert surface.GetInput("metallic").Get() == 1.0
    (shown,) = UsdGeom.Mesh(prim).GetDisplayColorAttr().Get()
    np.testing.assert_allclose(shown, np.array((29, 105, 20)) / 255, atol=1e-6)


def test_the_camera_sees_what_the_scenes_camera_sees_with_its_principal_point(read):
    frustum = UsdGeom.Camera.Get(read, "/scene/camera").GetCamera().frustum
    both = frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix()
    x, y, _ = both.Transform(Gf.Vec3d(1.0, 2.0, 0.7))
    np.testing.assert_allclose(
        ((x + 1) * 240, (1 - y) * 160), CAMERA.project(np.array([(1.0, 2.0, 0.7)]))[0, :2], atol=1e-3
    )


def test_meshes_are_whole_and_keep_their_colors(tmp_path):
    scene = Scene(objects=(SceneObject(shape="bench", location=(0.0, 0.0, 0.5)),), schema="objaworld")
    meshes = object_meshes(scene)
    export_scene(scene, tmp_path / "bench.usd", meshes=meshes)
    opened = Usd.Stage.Open(str(tmp_path / "bench.usd"))
    mesh = UsdGeom.Mesh.Get(opened, "/scene/bench_0")
    np.testing.assert_allclose(mesh.GetPointsAttr().Get(), meshes[0].vertices, atol=1e-6)
    assert list(mesh.GetFaceVertexIndicesAttr().Get()) == meshes[0].faces.ravel().tolist()
    np.testing.assert_allclose(mesh.GetDisplayColorAttr().Get(), meshes[0].visual.vertex_colors[:, :3] / 255, atol=1e-6)
    assert mesh.GetDisplayColorPrimvar().GetInterpolation() == "vertex"


def test_a_cameras_frame_is_written_z_up(tmp_path):
    item = SceneObject(category="cup", location=(0.1, 0.2, 1.5), dimensions=(0.1, 0.2, 0.1))
    scene = Scene(objects=(item,), schema="objectron", frame="camera", up_axis="-y", units="m")
    export_scene(scene, tmp_path / "cup.usda")
    opened = Usd.Stage.Open(str(tmp_path / "cup.usda"))
    prim = opened.GetPrimAtPath("/scene/cup_0")
    place = UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(Usd.TimeCode.Default()).ExtractTranslation()
    np.testing.assert_allclose(place, (0.1, 1.5, -0.2))
