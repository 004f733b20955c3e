"""Objects for exporters: mesh, location, rotation, size and color of each, in the axes that a file needs.

A `Stage` is a scene as primitives. Only here are the axes of files: `stage(scene, up="y")` gives glTF's (a z-up scene's
x, y, z become x, z, -y), `up="z"` those of Blender and of our USD. A unit of the scene is a metre in every file;
CLEVR's unit has no size in the world, and is one metre in Blender, by which its pictures were made.

An object's mesh is, in this order: one given by the caller; a cube, sphere, cylinder or cone as large as its
`dimensions`; one as large as CLEVR's `size`; a box of its `dimensions`.
"""

import colorsys
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache, cached_property
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation
from trimesh.visual import TextureVisuals
from trimesh.visual.color import srgb_to_linear

from kyvo.errors import SceneError
from kyvo.scene.colors import linear_rgb
from kyvo.scene.files import object_to_json
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import CLEVR_RADIUS

Matrix = Float[np.ndarray, "3 3"]
Meshes = Mapping[int, trimesh.Trimesh]  # index of an object -> its mesh

SURFACES = {"metal": (1.0, 0.25), "rubber": (0.0, 0.7)}  # metallic and roughness
FLAT = 1e-6  # of the longest extent; what is thinner has no thickness
SHEET, SHEET_RANGE = 1e-3, (2e-6, 1e-3)  # thickness it gets: of the longest extent, in the scene's units
PLAIN = (0.0, 0.8)  # of any other material
SEGMENTS = 64  # around a cylinder or cone
SHARP = 0.6  # rad; edges sharper than this are not shaded round

# Rows of the rotation that turns a scene's up axis to +y; every other frame goes through it.
TO_Y_UP = {
    "+x": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "-x": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
    "+y": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-y": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "+z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "-z": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}
Y_TO_Z_UP = ((1, 0, 0), (0, 0, -1), (0, 1, 0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Primitive:
    """One object: a point p of its mesh stands at rotation @ (scale * p) + location."""

    name: str  # unique in its scene, and an identifier: "large_red_metal_cube_0"
    label: str  # "large red metal cube"
    mesh: trimesh.Trimesh  # in its own axes, the object's centre at the origin; `vertex_normals` are meant to be shown
    location: Float[np.ndarray, "3"]
    rotation: Matrix
    scale: Float[np.ndarray, "3"]  # along the mesh's axes
    color: tuple[float, float, float]  # linear RGB in [0, 1]; white where the mesh has colors of its own
    metallic: float
    roughness: float
    attributes: Mapping[str, Any] = field(default_factory=dict)  # as scene JSON has them

    @property
    def material(self) -> str:
        """A name for its material; objects that share it look the same."""
        words = [self.attributes.get(name) for name in ("color", "material")]
        if words[0] is None or self.vertex_colors is not None:
            return self.name
        return " ".join(word for word in words if word)

    @property
    def matrix(self) -> Float[np.ndarray, "4 4"]:
        """The transform from the mesh to the scene; it maps columns."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation * self.scale
        matrix[:3, 3] = self.location
        return matrix

    @cached_property
    def vertex_colors(self) -> Float[np.ndarray, "vertices 3"] | None:
        """The mesh's own colors, linear, a texture's at the vertices; None where it has none."""
        visual = self.mesh.visual
        if isinstance(visual, TextureVisuals):
            return np.asarray(srgb_to_linear(np.asarray(visual.to_color().vertex_colors)[:, :3] / 255))
        # glTF's vertex colors are linear
        return np.asarray(visual.vertex_colors)[:, :3] / 255 if visual is not None and visual.defined else None

    @property
    def points(self) -> Float[np.ndarray, "vertices 3"]:
        """The mesh's vertices where they stand."""
        return np.asarray(self.mesh.vertices) * self.scale @ self.rotation.T + self.location


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """A scene as primitives, in y-up or z-up axes and metres."""

    primitives: tuple[Primitive, ...]
    camera: Camera | None


def stage(scene: Scene, *, up: str, meshes: Meshes | None = None) -> Stage:
    """The scene's objects as primitives, and its camera, with `up` "y" or "z" upwards.

    Args:
        meshes: for objects whose shape has no mesh of ours, by their index: in the scene's units and axes before the
            object's pose, the object's centre at the origin. Textures reach GLB; elsewhere they are colors at vertices.

    Raises:
        SceneError: an object has no location, or nothing says what its mesh is.
    """
    axes = np.array(TO_Y_UP[scene.up_axis], dtype=float)
    if up == "z":
        axes = np.array(Y_TO_Z_UP) @ axes
    primitives = [primitive(scene, index, (meshes or {}).get(index)) for index in range(len(scene))]
    unique = {id(item.mesh): item.mesh for item in primitives}  # objects of one mesh still share it
    turned = {key: _turned_mesh(mesh, axes) for key, mesh in unique.items()}
    return Stage(
        primitives=tuple(
            replace(
                item,
                mesh=turned[id(item.mesh)],
                location=axes @ item.location,
                rotation=axes @ item.rotation @ axes.T,
                scale=np.abs(axes) @ item.scale,
            )
            for item in primitives
        ),
        camera=scene.camera and _turned_camera(scene.camera, axes),
    )


def primitive(scene: Scene, index: int, mesh: trimesh.Trimesh | None = None) -> Primitive:
    """The object of this index in the scene's own frame. Raises SceneError as `stage` does."""
    item, where = scene.objects[index], f"objects[{index}]"
    if item.location is None:
        raise SceneError(f"{where}.location is missing; an object needs a place to be drawn at.")
    attributes = object_to_json(item, where)  # refuses what no scene file may hold
    scale = np.ones(3)
    if mesh is None:
        mesh, scale = _own_mesh(scene, item, where)
    metallic, roughness = SURFACES.get(item.material or "", PLAIN)
    label = object_label(item)
    return Primitive(
        name=_identifier(label, index),
        label=label,
        mesh=mesh,
        location=np.array(item.location, dtype=float),
        rotation=_rotation(item, scene.up_axis),
        scale=scale,
        color=(1.0, 1.0, 1.0) if mesh.visual is not None and mesh.visual.defined else linear_color(item),
        metallic=metallic,
        roughness=roughness,
        attributes=attributes,
    )


def object_label(item: SceneObject) -> str:
    """The object's words, as in "large red metal cube"; "object" where it has none."""
    words = (item.size, item.color, item.material, item.shape or item.category)
    return " ".join(word for word in words if word) or "object"


def linear_color(item: SceneObject) -> tuple[float, float, float]:
    """Linear RGB: of CLEVR's word, else of CSS's; without a color, one that goes with the category or shape."""
    known = linear_rgb(item.color or "")
    if known is not None:
        return known
    word = item.color or item.category or item.shape or ""
    srgb = np.array(colorsys.hsv_to_rgb(zlib.crc32(word.encode()) % 360 / 360, 0.45, 0.85))
    red, green, blue = np.asarray(srgb_to_linear(srgb), dtype=float).tolist()
    return red, green, blue


def _own_mesh(scene: Scene, item: SceneObject, where: str) -> tuple[trimesh.Trimesh, Float[np.ndarray, "3"]]:
    """A mesh within [-1, 1]^3 and half the object's extents."""
    unit = UNIT_MESHES.get(item.shape or "")
    if item.dimensions is not None:
        return (unit or unit_cube)(), _extents(item.dimensions, scene.up_axis) / 2
    if unit is not None:
        if item.size not in CLEVR_RADIUS:
            raise SceneError(
                f"{where}.size is {item.size!r}; a {item.shape} without dimensions is {' or '.join(CLEVR_RADIUS)}."
            )
        return unit(), np.full(3, CLEVR_RADIUS[item.size])
    if item.shape_codes is not None and item.shape is None:
        raise SceneError(f"{where} has shape_codes only; decode them and pass the mesh: meshes={{...: mesh}}.")
    word = item.shape or item.category
    close = get_close_matches(word or "", UNIT_MESHES, n=1)
    raise SceneError(
        f"{where} is {'without shape' if word is None else f'a {word!r}'}, which has no mesh here; "
        f"{f'did you mean {close[0]}? ' if close else ''}known are {', '.join(UNIT_MESHES)}, and anything with "
        "dimensions. In Python, meshes={index: mesh} takes any other."
    )


def _extents(dimensions: tuple[float, float, float], up_axis: str) -> Float[np.ndarray, "3"]:
    """Along x, y, z: the height along the up axis, then length and width along the other two, as Omni3D's boxes.

    An extent of 0 becomes a sheet's: other programs do not read a matrix that cannot be inverted.
    """
    width, height, length = dimensions
    extents = [length, width]
    extents.insert("xyz".index(up_axis[1]), height)
    found = np.array(extents, dtype=float)
    longest = float(found.max())
    return np.where(found > FLAT * longest, found, np.clip(SHEET * longest, *SHEET_RANGE))


def _rotation(item: SceneObject, up_axis: str) -> Matrix:
    if "R_cam" in item.extra:  # Omni3D's
        return np.array(item.extra["R_cam"], dtype=float)
    if item.pose is not None:
        return Rotation.from_euler("xyz", item.pose).as_matrix()  # lower case: about the frame's own axes
    turn = item.extra.get("rotation")
    if up_axis == "+z" and isinstance(turn, int | float):
        # CLEVR's; its pictures show that the number, though drawn from 0 to 360, was read as radians
        return Rotation.from_euler("z", turn).as_matrix()
    return np.eye(3)


def _identifier(label: str, index: int) -> str:
    name = "_".join([*(re.findall("[A-Za-z0-9]+", label) or ["object"]), str(index)])
    return f"_{name}" if name[0].isdigit() else name


def _turned_mesh(mesh: trimesh.Trimesh, axes: Matrix) -> trimesh.Trimesh:
    """The mesh in axes that `axes`, a permutation with signs, leads to."""
    turned = mesh.copy()
    normals = mesh.vertex_normals @ axes.T
    turned.vertices = np.asarray(mesh.vertices) @ axes.T
    turned.vertex_normals = normals
    return turned


def _turned_camera(camera: Camera, axes: Matrix) -> Camera:
    rows = (np.array(camera.rotation) @ axes.T).tolist()
    return replace(
        camera, location=tuple((axes @ camera.location).tolist()), rotation=tuple(tuple(row) for row in rows)
    )


def camera_matrix(camera: Camera) -> Float[np.ndarray, "4 4"]:
    """The transform of a camera whose own axes are right, up and back, as glTF's, USD's and Blender's are."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(camera.rotation).T * (1, -1, -1)
    matrix[:3, 3] = camera.location
    return matrix


@cache
def unit_cube() -> trimesh.Trimesh:
    return _shaded(trimesh.creation.box(extents=(2, 2, 2)))


@cache
def unit_sphere() -> trimesh.Trimesh:
    return _shaded(trimesh.creation.icosphere(subdivisions=4))


@cache
def unit_cylinder() -> trimesh.Trimesh:
    """Radius 1, from -1 to 1 along z."""
    return _shaded(trimesh.creation.cylinder(radius=1, height=2, sections=SEGMENTS))


@cache
def unit_cone() -> trimesh.Trimesh:
    """Radius 1 at z = -1, its tip at z = 1."""
    cone = trimesh.creation.cone(radius=1, height=2, sections=SEGMENTS)
    cone.apply_translation((0, 0, -1))
    return _shaded(cone)


UNIT_MESHES = {"cube": unit_cube, "sphere": unit_sphere, "cylinder": unit_cylinder, "cone": unit_cone}


def _shaded(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The mesh with its sharp edges cut, so that the normals at its vertices show them."""
    shaded = trimesh.graph.smooth_shade(mesh, angle=SHARP, facet_minarea=None)
    shaded.metadata.clear()  # how trimesh made it
    return shaded


def mesh_of_triangles(
    triangles: Float[np.ndarray, "faces 3 3"],
    *,
    normals: Float[np.ndarray, "faces 3 3"],
    colors: Float[np.ndarray, "faces 3 3"],
) -> trimesh.Trimesh:
    """A mesh of loose triangles with a normal and a linear color in [0, 1] at each corner; equal corners are joined."""
    bytes_ = np.round(np.clip(colors, 0, 1) * 255)
    corners = np.concatenate([np.round(part.reshape(-1, 3), 6) for part in (triangles, normals, bytes_)], axis=1)
    rows, place = np.unique(corners, axis=0, return_inverse=True)
    faces: Int[np.ndarray, "faces 3"] = place.reshape(-1, 3)
    return trimesh.Trimesh(
        vertices=rows[:, :3],
        faces=faces,
        vertex_normals=rows[:, 3:6],
        vertex_colors=rows[:, 6:].astype(np.uint8),
        process=False,
    )
