"""Meshes for `kyvo.export`: the asset of each ObjaWorld object in a scene."""

import trimesh

from kyvo.data.meshes.assets import AssetLibrary
from kyvo.data.meshes.procedural import BUILDERS, procedural_library
from kyvo.export.primitives import mesh_of_triangles
from kyvo.scene.scene import Scene


def object_meshes(scene: Scene, library: AssetLibrary | None = None) -> dict[int, trimesh.Trimesh]:
    """Index of an object -> the mesh of its `asset`, or of the first asset of its `shape`, at its `scale`.

    Objects whose shape the library lacks are left out, and so are the textures of assets that have them.

    Args:
        library: by default that of `kyvo.data.meshes.procedural`, built only where the scene has one of its shapes.
    """
    if library is None:
        if not any(item.shape in BUILDERS for item in scene.objects):
            return {}
        library = procedural_library()
    meshes = {}
    for index, item in enumerate(scene.objects):
        if item.shape not in library.categories:
            continue
        asset = library.assets.get(item.extra.get("asset", ""), library.of(item.shape)[0])
        meshes[index] = mesh_of_triangles(
            asset.triangles * float(item.extra.get("scale", 1.0)), normals=asset.normals, colors=asset.colors
        )
    return meshes
