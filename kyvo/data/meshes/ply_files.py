"""PLY files: text and both binary forms, polygons and strips, colors and pictures.

Read are vertices (x y z), faces and tristrips (vertex_indices), colors of vertices or faces (red green blue, also r g b
and diffuse_...), texture coordinates of vertices (s t, u v, texture_u texture_v) or of a face's corners (texcoord),
and the pictures of `comment TextureFile`, which `texnumber` picks by face. A picture goes before colors. Other
elements and properties have no effect on the surface or its color.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from kyvo.data.meshes.mesh_parts import (
    MAX_TRIANGLES,
    UNTEXTURED,
    Fault,
    MeshPart,
    Texture,
    bare_part,
    check_indices,
    lost_texture,
    scaled_colors,
    to_linear,
    too_many_triangles,
)
from kyvo.data.meshes.named_files import find_referenced
from kyvo.data.meshes.ply_tables import Columns, Lists, read_tables
from kyvo.data.meshes.polygons import strip_triangles, triangulate
from kyvo.data.meshes.textures import decode_texture

_COLORS = (
    ("red", "green", "blue"),
    ("r", "g", "b"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
    ("gray",) * 3,
    ("grey",) * 3,
)
_UVS = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texture_s", "texture_t"))
_INDICES = ("vertex_indices", "vertex_index")


def read_ply(path: Path, *, colors: bool = True) -> list[MeshPart]:
    """The parts of a file.

    Args:
        colors: False leaves colors and pictures out, and their faults.

    Raises:
        Fault, ValueError, IndexError: it cannot be read.
    """
    header, elements = read_tables(path.read_bytes())
    vertex, face = elements.get("vertex", {}), elements.get("face", {})
    if not {"x", "y", "z"} <= vertex.keys():
        raise ValueError("its vertices have no x, y and z")
    if colors and "material_index" in face and "material" in elements:
        raise Fault(
            "colors: those of its element material are not read", "Export the mesh with colors at its vertices."
        )
    vertices = np.stack([_numbers(vertex[axis]) for axis in "xyz"], axis=1)
    unread = [name for name in elements.keys() - {"face", "tristrips"} if _list(elements[name], _INDICES) is not None]
    if unread:
        raise Fault(f"faces: those of its element {min(unread)} are not read", "Export the mesh with an element face.")
    corners, triangles, owners = _polygons(vertices, face)
    strips = elements.get("tristrips", {})
    faces = np.concatenate([corners[triangles], _strips(strips)])
    lists = [name for name, column in face.items() if isinstance(column, Lists)]
    if not len(faces) and lists and _list(face, _INDICES) is None:
        raise Fault(f"faces: they have the list {lists[0]}; vertex_indices is read", "Export the mesh anew.")
    if not len(faces):
        return [bare_part(path.stem, "points", vertices)]
    check_indices(faces.reshape(-1), len(vertices))
    if len(faces) > MAX_TRIANGLES:
        raise too_many_triangles()

    pictures = header.pictures if colors else ()
    of_vertices = _colors("vertex", vertex, header.types) if colors else None
    of_faces = _colors("face", face, header.types) if colors else None
    if colors and of_vertices is None and _colors("tristrips", strips, header.types) is not None:
        raise Fault("colors: those of strips are not read", "Export the mesh with colors at its vertices.")
    at_corners = np.full((len(faces), 3, 3), UNTEXTURED)
    if of_vertices is not None:
        at_corners = of_vertices[faces]
    elif of_faces is not None:
        at_corners[: len(owners)] = of_faces[owners][:, None]
    picture = _picture_numbers(pictures, face, owners, len(faces))
    uv = np.zeros((len(faces), 3, 2))
    if (picture >= 0).any():
        uv = _texture_coordinates(vertex, face, faces, triangles)
        at_corners[picture >= 0] = 1.0
    parts = []
    for index in map(int, np.unique(picture)):
        here = picture == index
        texture = None if index < 0 else Texture(pixels=_pixels(path, pictures[index]))
        parts.append(
            MeshPart(
                name=path.stem,
                vertices=vertices,
                faces=faces[here],
                colors=at_corners[here],
                uv=uv[here],
                texture=texture,
            )
        )
    lists = _list(face, _INDICES)
    if "edge" in elements or (lists is not None and (lists.sizes < 3).any()):
        parts.append(bare_part(path.stem, "lines", np.zeros((0, 3))))
    return parts


def _picture_numbers(
    pictures: Sequence[str], face: Columns, owners: Int[np.ndarray, " triangles"], count: int
) -> Int[np.ndarray, " faces"]:
    """Of each of `count` triangles, which picture it shows; -1 for none."""
    number = np.full(count, min(len(pictures), 1) - 1)
    if "texnumber" in face and pictures:
        number[: len(owners)] = _numbers(face["texnumber"]).astype(np.int64)[owners]
        if number.max() >= len(pictures):
            raise lost_texture(
                f"a face has the texnumber {number.max()}, and its header names {len(pictures)} pictures"
            )
        number[number < 0] = -1  # MeshLab's for none
    elif len(pictures) > 1:
        raise lost_texture(f"its header names {len(pictures)} pictures, and its faces have no texnumber")
    return number


def _pixels(path: Path, name: str) -> np.ndarray:
    where = f"its header names {name}"
    found = find_referenced([path.parent], name)
    return decode_texture(path.parent / name if found is None else found, where)


def _polygons(
    vertices: Float[np.ndarray, "vertices 3"], face: Columns
) -> tuple[Int[np.ndarray, " corners"], Int[np.ndarray, "triangles 3"], Int[np.ndarray, " triangles"]]:
    """The vertex of each corner of the faces; of their triangles the corners, and the face that each is of."""
    lists = _list(face, _INDICES)
    if lists is None or not len(lists.sizes):
        return np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.int64), np.zeros(0, dtype=np.int64)
    corners = _indices(lists)
    check_indices(corners, len(vertices))
    return corners, *triangulate(vertices[corners], lists.sizes)


def _strips(tristrips: Columns) -> Int[np.ndarray, "triangles 3"]:
    """The triangles of strips, which -1 parts; every second one is turned."""
    lists = _list(tristrips, _INDICES)
    triangles = [np.zeros((0, 3), dtype=np.int64)]
    if lists is None:
        return triangles[0]
    for row in np.split(_indices(lists), np.cumsum(lists.sizes)[:-1]):
        for strip in np.split(row, np.flatnonzero(row == -1)):
            triangles.append(strip_triangles(strip[strip != -1]))
    found = np.concatenate(triangles)
    return found[(found[:, 0] != found[:, 1]) & (found[:, 1] != found[:, 2]) & (found[:, 2] != found[:, 0])]


def _indices(lists: Lists) -> Int[np.ndarray, " corners"]:
    whole = lists.values.astype(np.int64)
    if (whole != lists.values).any():
        raise ValueError("a face has a corner that is no whole number")
    return whole


def _list(columns: Columns, names: Sequence[str]) -> Lists | None:
    for name in names:
        found = columns.get(name)
        if isinstance(found, Lists):
            return found
    return None


def _numbers(column: "np.ndarray | Lists") -> Float[np.ndarray, " rows"]:
    if isinstance(column, Lists):
        raise ValueError("a property that is one number is a list")
    return np.asarray(column, dtype=np.float64)


def _colors(name: str, columns: Columns, types: Mapping[tuple[str, str], str]) -> Float[np.ndarray, "rows 3"] | None:
    for names in _COLORS:
        if set(names) <= columns.keys():
            values = np.stack([_numbers(columns[channel]) for channel in names], axis=1)
            return to_linear(scaled_colors(values, types[name, names[0]], f"those of element {name}"))
    some = [channel for channel in _COLORS[0] if channel in columns]
    if some:
        raise Fault(f"colors: those of element {name} have {' and '.join(some)} alone", "Export the colors anew.")
    return None


def _texture_coordinates(
    vertex: Columns, face: Columns, faces: Int[np.ndarray, "faces 3"], triangles: Int[np.ndarray, "triangles 3"]
) -> Float[np.ndarray, "faces 3 2"]:
    """At each corner. Raises Fault where there are none."""
    at_corners = _list(face, ("texcoord",))
    indices = _list(face, _INDICES)
    if at_corners is not None and indices is not None and len(at_corners.values):
        if (at_corners.sizes != 2 * indices.sizes).any():
            raise ValueError("a face's texcoord has not two numbers a corner")
        if len(triangles) < len(faces):
            raise Fault("texture: its strips have no texture coordinates", "Export the mesh as triangles.")
        return at_corners.values.astype(np.float64).reshape(-1, 2)[triangles]
    for names in _UVS:
        if set(names) <= vertex.keys():
            return np.stack([_numbers(vertex[axis]) for axis in names], axis=1)[faces]
    raise lost_texture("its header names a picture, and nothing in it has texture coordinates")
