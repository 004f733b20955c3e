"""Scenes to GLB: a named, colored node for each object, y up, in metres, with the scene's camera where it has one.

A node carries the object's scene JSON in its `extras`, the scene what its numbers mean. glTF's cameras look along the
middle of their picture, so a principal point elsewhere is lost.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from trimesh.exchange.gltf import export_glb
from trimesh.scene.cameras import Camera as GltfCamera
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from kyvo.export.primitives import Meshes, Primitive, camera_matrix, stage
from kyvo.scene.scene import Camera, Scene

NEAR = 0.01  # m; nothing nearer to the camera is drawn


def write_glb(scene: Scene, path: Path, meshes: Meshes | None = None) -> None:
    """Writes a binary glTF 2.0 file. Raises SceneError as `kyvo.export.primitives.stage` does."""
    path.write_bytes(glb_bytes(scene, meshes))


def glb_bytes(scene: Scene, meshes: Meshes | None = None) -> bytes:
    """The content of that file."""
    shown = stage(scene, up="y", meshes=meshes)
    graph = trimesh.Scene(metadata={name: getattr(scene, name) for name in ("schema", "frame", "up_axis", "units")})
    for item in shown.primitives:
        graph.add_geometry(
            _with_material(item),
            node_name=item.name,
            geom_name=item.name,
            transform=item.matrix,
            metadata=dict(item.attributes),
        )
    camera = shown.camera
    if camera is not None:
        graph.camera = GltfCamera(name="camera", resolution=(camera.width, camera.height), fov=(60, 60))
        graph.camera_transform = camera_matrix(camera)

    def finish(tree: dict[str, Any]) -> None:
        if camera is not None:
            tree["cameras"][0]["perspective"] = _perspective(camera)  # trimesh's aspect ratio is that of the angles

    return export_glb(graph, include_normals=True, tree_postprocessor=finish)


def _perspective(camera: Camera) -> dict[str, float]:
    return {
        "aspectRatio": camera.width / camera.height,
        "yfov": 2 * math.atan(camera.height / (2 * camera.focal)),
        "znear": NEAR,
    }


def _with_material(item: Primitive) -> trimesh.Trimesh:
    """The mesh in the object's color; one with a texture keeps its own material."""
    mesh = item.mesh.copy(include_cache=True)
    if isinstance(mesh.visual, TextureVisuals):
        return mesh
    material = PBRMaterial(
        name=item.material,
        baseColorFactor=np.array([*item.color, 1.0]),
        metallicFactor=item.metallic,
        roughnessFactor=item.roughness,
    )
    colors = mesh.visual.vertex_colors if mesh.visual is not None and mesh.visual.defined else None
    mesh.visual = TextureVisuals(material=material)
    if colors is not None:
        mesh.visual.vertex_attributes["color"] = colors
    return mesh
