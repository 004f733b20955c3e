"""Meshes of a scene's objects for `kyvo.export`: of ObjaWorld's assets, and of shape codes."""

import trimesh

from kyvo.data.meshes.object_meshes import object_meshes
from kyvo.scene.scene import Scene
from kyvo.shapes.scene_codes import shape_meshes
from kyvo.shapes.tokenizer import ShapeTokenizer


def scene_meshes(scene: Scene, tokenizer: ShapeTokenizer | None = None) -> dict[int, trimesh.Trimesh]:
    """By an object's index. Without a tokenizer, objects with shape codes have none. Raises as `shape_meshes` does."""
    return object_meshes(scene) | ({} if tokenizer is None else shape_meshes(scene, tokenizer))
