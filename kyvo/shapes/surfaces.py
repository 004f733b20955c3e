"""Surfaces that decoders give, as meshes with colors: files of one, and their places in a scene.

A decoded mesh lies in the cube, z up (`kyvo.shapes.mesh`); the axes of files and scenes are those of
`kyvo.export.primitives`.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import trimesh
from trimesh.exchange.ply import export_ply
from trimesh.visual import ColorVisuals

from kyvo.data.meshes.assets import Asset
from kyvo.data.meshes.mesh_files import UNTEXTURED, to_linear, to_srgb
from kyvo.errors import ConfigError, SceneError
from kyvo.export.formats import export_scene
from kyvo.export.primitives import TO_Y_UP, stage
from kyvo.files import write_bytes
from kyvo.models.slat.flexicubes import Surface
from kyvo.scene.scene import Scene, SceneObject
from kyvo.shapes.mesh import CubeTransform

SUFFIXES = (".glb", ".ply", ".html")


def colored_mesh(surface: Surface) -> trimesh.Trimesh:
    """The surface with its first three attributes, sRGB in [0, 1], as linear colors at the vertices, as `stage` takes.

    Raises:
        SceneError: the surface has no face.
    """
    if not len(surface.faces):
        raise SceneError("the decoded surface has no face; its latent does not say where inside is. Encode it again.")
    mesh = trimesh.Trimesh(
        vertices=surface.vertices.detach().cpu().double().numpy(), faces=surface.faces.cpu().numpy(), process=False
    )
    if surface.attributes.shape[1] >= 3:
        srgb = surface.attributes[:, :3].detach().cpu().double().numpy()
        mesh.visual = ColorVisuals(mesh, vertex_colors=_bytes(to_linear(np.clip(srgb, 0, 1))))
    return mesh


def surface_asset(surface: Surface, *, name: str = "shape") -> Asset:
    """The surface as a mesh to look at or to encode again."""
    faces = surface.faces.cpu().numpy()
    corners = surface.vertices.detach().cpu().double().numpy()[faces]
    colors = np.full_like(corners, UNTEXTURED)
    if surface.attributes.shape[1] >= 3:
        colors = to_linear(np.clip(surface.attributes[:, :3].detach().cpu().double().numpy(), 0, 1))[faces]
    return Asset(
        name=name,
        category="shape",
        triangles=corners,
        colors=colors,
        uv=np.zeros((len(faces), 3, 2)),
        texture=np.full(len(faces), -1),
    )


def write_shape(
    mesh: trimesh.Trimesh, path: Path | str, *, name: str = "shape", place: CubeTransform | None = None
) -> None:
    """Writes one mesh as GLB (y up, base color of a matt material), PLY (z up) or a page with a viewer, whole or not at
    all.

    Args:
        mesh: with linear colors, as `colored_mesh` gives it.
        place: puts a mesh of the cube back where it stood.

    Raises:
        ConfigError: the file's name ends otherwise.
        FileError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: a mesh is written as {' or '.join(SUFFIXES)}; name the file so.")
    if place is not None:
        mesh = mesh.copy()
        mesh.vertices = np.asarray(mesh.vertices) * place.size @ np.array(place.turn).T
    item = SceneObject(category=name, location=(0.0, 0.0, 0.0) if place is None else place.center)
    scene = Scene(objects=(item,), schema="objaworld-shapes")
    if path.suffix.lower() != ".ply":
        export_scene(scene, path, meshes={0: mesh})
        return
    (primitive,) = stage(scene, up="z", meshes={0: mesh}).primitives
    plain = trimesh.Trimesh(
        vertices=primitive.points,
        faces=primitive.mesh.faces,
        vertex_normals=primitive.mesh.vertex_normals,
        process=False,
    )
    if primitive.vertex_colors is not None:
        plain.visual = ColorVisuals(plain, vertex_colors=_bytes(to_srgb(primitive.vertex_colors)))
    write_bytes(path, export_ply(plain))


def place_shapes(
    scene: Scene, shapes: Mapping[int, trimesh.Trimesh], *, longest_side: float = 1.0
) -> dict[int, trimesh.Trimesh]:
    """Meshes for `kyvo.export`: each object's mesh, given in the cube, in the scene's units and axes.

    A shape says nothing of its size. It becomes as long as the longest of the object's `dimensions`; without them,
    `longest_side` (in scene units) times the object's `scale`, which is 1 where it has none.

    Args:
        shapes: index of an object -> its mesh in the cube.
    """
    axes = np.array(TO_Y_UP[scene.up_axis], dtype=float).T @ np.array(TO_Y_UP["+z"], dtype=float)
    placed = {}
    for index, mesh in shapes.items():
        item = scene.objects[index]
        size = longest_side * float(item.extra.get("scale", 1.0)) if item.dimensions is None else max(item.dimensions)
        if not 0 < size < np.inf:
            raise SceneError(f"objects[{index}] would be {size:g} long; a positive length is needed.")
        moved = mesh.copy()
        moved.vertices = np.asarray(mesh.vertices) * size @ axes.T
        placed[index] = moved
    return placed


def _bytes(colors: np.ndarray) -> np.ndarray:
    return (colors * 255 + 0.5).astype(np.uint8)
