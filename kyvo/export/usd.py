"""Scenes to USD: a named, colored mesh for each object, z up, in metres, with the scene's camera where it has one.

`.usda` is text, `.usdc` and `.usd` are binary. An object's scene JSON is in its prim's `customData`. The library is
usd-core, the extra `[usd]`, imported on the first use.
"""

import json
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from kyvo.export.primitives import Meshes, Primitive, camera_matrix, stage
from kyvo.extras import extra
from kyvo.files import replacing
from kyvo.scene.scene import Camera, Scene

FILM = 32.0  # mm; width of the picture on the camera's film, as CLEVR's


def write_usd(scene: Scene, path: Path, meshes: Meshes | None = None) -> None:
    """Writes a USD file, text or binary by the suffix of `path`.

    Raises:
        MissingDependency: usd-core does not import.
        SceneError: as `kyvo.export.primitives.stage` does.
    """
    usd = _import_usd()
    shown = stage(scene, up="z", meshes=meshes)
    opened = usd.Usd.Stage.CreateInMemory()
    usd.UsdGeom.SetStageUpAxis(opened, usd.UsdGeom.Tokens.z)
    usd.UsdGeom.SetStageMetersPerUnit(opened, 1.0)
    root = usd.UsdGeom.Xform.Define(opened, "/scene")
    opened.SetDefaultPrim(root.GetPrim())
    for name in ("schema", "frame", "up_axis", "units"):
        root.GetPrim().SetCustomDataByKey(f"kyvo:{name}", getattr(scene, name))
    materials: dict[Any, Any] = {}
    for item in shown.primitives:
        mesh = _add_mesh(usd, opened, item)
        key = (item.color, item.metallic, item.roughness, item.vertex_colors is None)
        if key not in materials:
            materials[key] = _add_material(usd, opened, f"/scene/materials/material_{len(materials)}", item)
        usd.UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(materials[key])
    if shown.camera is not None:
        _add_camera(usd, opened, shown.camera)
    with replacing(path, suffix=path.suffix, faults=(usd.Tf.ErrorException,)) as draft:
        opened.GetRootLayer().Export(str(draft))


def _import_usd() -> Any:
    """The modules of usd-core, which come without types."""
    with extra("usd"):
        return SimpleNamespace(
            **{name: import_module(f"pxr.{name}") for name in ("Gf", "Sdf", "Tf", "Usd", "UsdGeom", "UsdShade", "Vt")}
        )


def _add_mesh(usd: Any, opened: Any, item: Primitive) -> Any:
    mesh = usd.UsdGeom.Mesh.Define(opened, f"/scene/{item.name}")
    prim = mesh.GetPrim()
    prim.SetDisplayName(item.label)
    prim.SetCustomDataByKey("kyvo:object", json.dumps(item.attributes))
    x, y, z, w = Rotation.from_matrix(item.rotation).as_quat().tolist()
    mesh.AddTranslateOp().Set(usd.Gf.Vec3d(*item.location.tolist()))
    mesh.AddOrientOp(usd.UsdGeom.XformOp.PrecisionDouble).Set(usd.Gf.Quatd(w, x, y, z))
    mesh.AddScaleOp(usd.UsdGeom.XformOp.PrecisionDouble).Set(usd.Gf.Vec3d(*item.scale.tolist()))
    vertices = np.asarray(item.mesh.vertices, dtype=np.float32)
    mesh.CreatePointsAttr(usd.Vt.Vec3fArray.FromNumpy(vertices))
    mesh.CreateExtentAttr(usd.Vt.Vec3fArray.FromNumpy(np.stack([vertices.min(0), vertices.max(0)])))
    mesh.CreateFaceVertexCountsAttr(usd.Vt.IntArray.FromNumpy(np.full(len(item.mesh.faces), 3, dtype=np.int32)))
    mesh.CreateFaceVertexIndicesAttr(usd.Vt.IntArray.FromNumpy(np.asarray(item.mesh.faces, dtype=np.int32).ravel()))
    mesh.CreateNormalsAttr(usd.Vt.Vec3fArray.FromNumpy(np.asarray(item.mesh.vertex_normals, dtype=np.float32)))
    mesh.SetNormalsInterpolation(usd.UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(usd.UsdGeom.Tokens.none)  # else viewers round the cubes
    each = item.vertex_colors is not None
    colors = np.asarray(item.vertex_colors if each else [item.color], dtype=np.float32)
    shown = mesh.CreateDisplayColorPrimvar(usd.UsdGeom.Tokens.vertex if each else usd.UsdGeom.Tokens.constant)
    shown.Set(usd.Vt.Vec3fArray.FromNumpy(colors))
    return mesh


def _add_material(usd: Any, opened: Any, place: str, item: Primitive) -> Any:
    """A preview surface; the color of a mesh with colors at its vertices is read from them."""
    material = usd.UsdShade.Material.Define(opened, place)
    shader = usd.UsdShade.Shader.Define(opened, f"{place}/surface")
    shader.CreateIdAttr("UsdPreviewSurface")
    diffuse = shader.CreateInput("diffuseColor", usd.Sdf.ValueTypeNames.Color3f)
    if item.vertex_colors is None:
        diffuse.Set(usd.Gf.Vec3f(*item.color))
    else:
        reader = usd.UsdShade.Shader.Define(opened, f"{place}/color")
        reader.CreateIdAttr("UsdPrimvarReader_float3")
        reader.CreateInput("varname", usd.Sdf.ValueTypeNames.String).Set("displayColor")
        diffuse.ConnectToSource(reader.CreateOutput("result", usd.Sdf.ValueTypeNames.Float3))
    shader.CreateInput("metallic", usd.Sdf.ValueTypeNames.Float).Set(item.metallic)
    shader.CreateInput("roughness", usd.Sdf.ValueTypeNames.Float).Set(item.roughness)
    material.CreateSurfaceOutput().ConnectToSource(shader.CreateOutput("surface", usd.Sdf.ValueTypeNames.Token))
    return material


def _add_camera(usd: Any, opened: Any, camera: Camera) -> None:
    added = usd.UsdGeom.Camera.Define(opened, "/scene/camera")
    added.AddTransformOp().Set(usd.Gf.Matrix4d(camera_matrix(camera).T))  # USD's matrices map rows
    scale = FILM / camera.width  # mm per px
    added.CreateFocalLengthAttr(camera.focal * scale)
    added.CreateHorizontalApertureAttr(FILM)
    added.CreateVerticalApertureAttr(camera.height * scale)
    added.CreateHorizontalApertureOffsetAttr((camera.width / 2 - camera.center[0]) * scale)
    added.CreateVerticalApertureOffsetAttr((camera.center[1] - camera.height / 2) * scale)
    added.CreateClippingRangeAttr(usd.Gf.Vec2f(0.01, 1000.0))
