"""Wavefront OBJ files: polygons with texture coordinates, materials, colors at vertices.

The color of a face is its material's (map_Kd times Kd); where the material says none, that of its vertices; else gray.
A face without texture coordinates has Kd alone. Normals, groups and smoothing have no effect on the surface or its
color. Free-form surfaces are refused. http://paulbourke.net/dataformats/obj describes the format.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
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
from kyvo.data.meshes.mtl_files import Map, Material, read_mtl
from kyvo.data.meshes.named_files import decode_text, find_referenced, parse_numbers, statements, without_comment
from kyvo.data.meshes.polygons import triangulate

LOG = logging.getLogger(__name__)

_CHUNK = 100_000  # lines that are parsed at once
_WITHOUT_EFFECT = frozenset(
    ["vn", "g", "s", "mg", "lod", "bevel", "c_interp", "d_interp", "shadow_obj", "trace_obj", "vp", "end"]
)
_REFUSED = {
    **dict.fromkeys(
        ["cstype", "deg", "bmat", "step", "curv", "curv2", "surf", "parm", "trim", "hole", "scrv", "sp", "con"],
        "a free-form curve or surface",
    ),
    **dict.fromkeys(["bzp", "bsp", "cdc", "cdp", "res"], "a patch of the format's old version"),
    **dict.fromkeys(["ctech", "stech"], "an approximation of free-form surfaces"),
    **dict.fromkeys(["call", "csh"], "a command that brings in another file"),
    **dict.fromkeys(["maplib", "usemap"], "a texture map beside the material"),
}
_COMMON = frozenset(("v", "f", "vn", "vt", "usemtl", "o", "g", "s"))
_GRAY = (UNTEXTURED, UNTEXTURED, UNTEXTURED)
_NONE = -(1 << 62)  # an index that is not there


@dataclass(kw_only=True)
class _Lines:
    """An OBJ's statements, sorted by what they say; each without its keyword."""

    vertices: list[str] = field(default_factory=list)
    painted: list[str] = field(default_factory=list)  # colors in ZBrush's comments, one a vertex
    uv: list[str] = field(default_factory=list)
    faces: list[str] = field(default_factory=list)
    counts: dict[int, tuple[int, int]] = field(
        default_factory=dict
    )  # of vertices and uv before a face that counts back
    runs: list[tuple[int, str | None, str | None]] = field(default_factory=list)  # first face, object, material
    libraries: list[str] = field(default_factory=list)
    num_lines: int = 0  # of statements `l` and `p`, which have no surface
    num_points: int = 0


def read_obj(path: Path, *, colors: bool = True) -> list[MeshPart]:
    """The parts of a file.

    Args:
        colors: False leaves colors and materials out, and their faults.

    Raises:
        Fault, ValueError, IndexError: it cannot be read.
    """
    lines = _sorted_lines(decode_text(path.read_bytes()), path)
    materials = _materials(path, lines.libraries) if colors and lines.libraries else None
    vertices, at_vertices = _vertices(lines.vertices, colors=colors)
    if colors and at_vertices is None and lines.painted:
        at_vertices = _painted(lines.painted, len(vertices))
    if not lines.faces:
        return [bare_part(path.stem, "points", vertices)]
    corners, uv_corners, sizes = _corners(lines)
    check_indices(corners, len(vertices), first=1)
    triangles, owners = triangulate(vertices[corners], sizes)
    if len(triangles) > MAX_TRIANGLES:
        raise too_many_triangles()
    faces, uv_faces = corners[triangles], uv_corners[triangles]
    uv = _texture_coordinates(lines.uv)

    starts = np.array([first for first, _, _ in lines.runs])
    keys = [(name or path.stem, material) for _, name, material in lines.runs]
    number = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    group = np.array([number[key] for key in keys])[np.searchsorted(starts, owners, side="right") - 1]
    texture_of = cache(Map.texture)
    parts = []
    for (name, material), index in number.items():
        here = np.flatnonzero(group == index)
        if len(here):
            found = _material(material, materials)
            texture = None if found.map is None else texture_of(found.map)
            parts += _material_parts(name, found, texture, vertices, at_vertices, faces[here], uv, uv_faces[here])
    if lines.num_lines or (sizes < 3).any():
        parts.append(bare_part(path.stem, "lines", np.zeros((0, 3))))
    if lines.num_points:
        parts.append(bare_part(path.stem, "points", np.zeros((0, 3))))
    return parts


def _sorted_lines(text: str, path: Path) -> _Lines:
    found = _Lines()
    vertices, uv, faces, counts = found.vertices, found.uv, found.faces, found.counts
    name = material = None
    unknown = set()
    for line in statements(text):
        words = line.split(None, 1)
        if not words or words[0][0] == "#":
            if words and words[0] == "#MRGB":
                found.painted += re.findall("[0-9a-fA-F]{2}([0-9a-fA-F]{6})", "".join(words[1:]))
            continue
        keyword, rest = words[0], words[1] if len(words) > 1 else ""
        if keyword not in _COMMON:
            keyword = keyword.lower()
        if keyword in _WITHOUT_EFFECT:
            continue
        if keyword == "v":
            vertices.append(rest)
        elif keyword == "f" or keyword == "fo":
            if "-" in rest:
                counts[len(faces)] = len(vertices), len(uv)
            faces.append(rest)
            if len(faces) > MAX_TRIANGLES:
                raise too_many_triangles()
        elif keyword == "vt":
            uv.append(rest)
        elif keyword == "usemtl":
            material = " ".join(rest.split())
            found.runs.append((len(faces), name, material))
        elif keyword == "o":
            name = rest.strip() or None
            found.runs.append((len(faces), name, material))
        elif keyword == "mtllib":
            found.libraries.append(rest.strip())
        elif keyword == "l":
            found.num_lines += 1
        elif keyword == "p":
            found.num_points += 1
        elif keyword in _REFUSED:
            raise Fault(f"{keyword}: {_REFUSED[keyword]}, which is not read", "Export the mesh as polygons.")
        else:
            unknown.add(words[0])
    if unknown:
        LOG.warning(
            "%s: lines that begin with %s are no known statements of an OBJ", path, ", ".join(sorted(unknown)[:5])
        )
    if not found.runs or found.runs[0][0] > 0:
        found.runs.insert(0, (0, None, None))
    return found


def _materials(path: Path, libraries: Sequence[str]) -> dict[str, Material]:
    """Of all libraries; of two materials of one name, the one of the library that is named first."""
    materials: dict[str, Material] = {}
    for names in libraries:
        for library in _library_files(path.parent, names):
            materials = {**read_mtl(library, beside=path.parent), **materials}
    return materials


def _library_files(folder: Path, names: str) -> list[Path]:
    """The files of a mtllib statement: one name, which may have blanks, or several."""
    whole = find_referenced([folder], names)
    if whole is not None:
        return [whole]
    found, words = [], without_comment(names).split()
    while words:
        for count in range(len(words), 0, -1):
            file = find_referenced([folder], " ".join(words[:count]))
            if file is not None:
                found.append(file)
                words = words[count:]
                break
        else:
            raise lost_texture(f"mtllib names {names if not found else words[0]}, which is missing")
    return found


def _material(name: str | None, materials: Mapping[str, Material] | None) -> Material:
    """Raises Fault where the libraries lack it, or its color cannot be read; without any library there is no color."""
    if name is None or materials is None:
        return Material()
    for wanted in (name, without_comment(name)):
        names = {key: (key.lower(), without_comment(key).lower()) for key in materials}
        same = [wanted] if wanted in materials else [key for key, alike in names.items() if wanted.lower() in alike]
        if same:
            material = materials[same[0]]
            if material.fault is not None:
                raise material.fault
            return material
    if name in ("", "(null)"):  # what exporters write for a face without a material
        return Material()
    raise Fault(
        f"texture: usemtl names the material {name}, which no library has",
        "Add it to the MTL file, or export the mesh anew.",
    )


def _material_parts(
    name: str,
    material: Material,
    texture: Texture | None,
    vertices: Float[np.ndarray, "vertices 3"],
    colors: Float[np.ndarray, "vertices 3"] | None,
    faces: Int[np.ndarray, "faces 3"],
    uv: Float[np.ndarray, "coordinates 2"],
    uv_faces: Int[np.ndarray, "faces 3"],
) -> list[MeshPart]:
    """The faces of one material: those with its picture, and those without texture coordinates."""
    textured = (uv_faces != _NONE).all(1) if material.map is not None else np.zeros(len(faces), dtype=bool)
    parts = []
    if material.map is not None and textured.any():
        used = uv_faces[textured]
        if used.min() < 0 or used.max() >= len(uv):
            index = used.min() if used.min() < 0 else used.max()
            raise Fault(f"faces: one names texture coordinate {index + 1} of {len(uv)}", "Export the mesh anew.")
        parts.append(
            MeshPart(
                name=name,
                vertices=vertices,
                faces=faces[textured],
                colors=_even(material.color or (1.0, 1.0, 1.0), int(textured.sum())),
                uv=uv[used] * material.map.scale + material.map.offset,
                texture=texture,
            )
        )
    if not textured.all():
        faces = faces[~textured]
        if material.color is None and colors is not None:
            corner_colors = colors[faces]
        else:
            corner_colors = _even(material.color or _GRAY, len(faces))
        parts.append(
            MeshPart(name=name, vertices=vertices, faces=faces, colors=corner_colors, uv=np.zeros((len(faces), 3, 2)))
        )
    return parts


def _even(color: tuple[float, float, float], count: int) -> Float[np.ndarray, "faces 3 3"]:
    return np.broadcast_to(np.array(color), (count, 3, 3))


def _vertices(
    lines: Sequence[str], *, colors: bool
) -> tuple[Float[np.ndarray, "vertices 3"], Float[np.ndarray, "vertices 3"] | None]:
    """Where they are, and their colors, linear; gray for those that have none, None where none has one."""
    numbers, counts = _table(lines)
    strange = sorted(set(np.unique(counts).tolist()) - {3, 4, 6, 7})
    if strange:
        raise ValueError(f"a vertex has {strange[0]} numbers; x y z [w] and x y z r g b [a] are read")
    starts = np.cumsum(counts) - counts
    vertices = numbers[starts[:, None] + np.arange(3)]
    weights = numbers[starts[counts == 4] + 3]
    if (weights != 1).any():
        raise Fault(
            f"vertices: {int((weights != 1).sum())} of {len(vertices)} have a weight w other than 1, which is not read",
            "Export the mesh as polygons.",
        )
    colored = counts >= 6
    if not colors or not colored.any():
        return vertices, None
    found = np.full((len(vertices), 3), UNTEXTURED)
    found[colored] = to_linear(
        scaled_colors(numbers[starts[colored, None] + np.arange(3, 6)], "f4", "those of vertices")
    )
    return vertices, found


def _painted(colors: Sequence[str], num_vertices: int) -> Float[np.ndarray, "vertices 3"]:
    """ZBrush's colors of vertices, linear."""
    if len(colors) != num_vertices:
        raise Fault(
            f"colors: the comments #MRGB have {len(colors)} of them for {num_vertices} vertices",
            "Export the colors anew.",
        )
    channels = np.frombuffer(bytes.fromhex("".join(colors)), dtype=np.uint8).reshape(-1, 3)
    return to_linear(channels / 255)


def _texture_coordinates(lines: Sequence[str]) -> Float[np.ndarray, "coordinates 2"]:
    numbers, counts = _table(lines)
    if (counts < 1).any() or (counts > 3).any():
        raise ValueError("a texture coordinate has not one to three numbers")
    starts = np.cumsum(counts) - counts
    uv = np.zeros((len(counts), 2))
    uv[:, 0] = numbers[starts]
    uv[counts > 1, 1] = numbers[starts[counts > 1] + 1]
    return uv


def _table(lines: Sequence[str]) -> tuple[Float[np.ndarray, " numbers"], Int[np.ndarray, " lines"]]:
    """All numbers of the lines, and how many each has."""
    numbers, counts = [np.zeros(0)], [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(lines), _CHUNK):
        text, data = _bytes(lines[start : start + _CHUNK])
        starts, line = _words(data)
        counts.append(np.bincount(line, minlength=len(lines[start : start + _CHUNK])))
        numbers.append(parse_numbers(text, np.float64, "a vertex"))
        if len(numbers[-1]) != len(starts):
            raise ValueError("a vertex has a word that is no number")
    return np.concatenate(numbers), np.concatenate(counts)


def _bytes(lines: Sequence[str]) -> tuple[bytes, np.ndarray]:
    """The lines as one text, without comments, and its bytes as an array."""
    text = "\n".join(lines)
    if "#" in text:
        text = re.sub(r"(?<!\d\.)#.*", "", text)  # 1.#IND is a number of old compilers
    data = text.encode("ascii", errors="replace")
    return data, np.frombuffer(data, dtype=np.uint8)


def _words(data: np.ndarray) -> tuple[Int[np.ndarray, " words"], Int[np.ndarray, " words"]]:
    """Where the words of lines begin, and the line of each."""
    blank = data <= 32
    starts = np.flatnonzero(~blank & np.concatenate([[True], blank[:-1]]))
    return starts, np.searchsorted(np.flatnonzero(data == 10), starts)


def _corners(
    lines: _Lines,
) -> tuple[Int[np.ndarray, " corners"], Int[np.ndarray, " corners"], Int[np.ndarray, " faces"]]:
    """Vertex and texture coordinate of each corner, from 0, and the number of corners of each face.

    A corner is `v`, `v/vt`, `v//vn` or `v/vt/vn`; a negative index counts back from where its line stands.
    """
    found = [_corner_chunk(lines.faces[start : start + _CHUNK]) for start in range(0, len(lines.faces), _CHUNK)]
    vertex, uv, sizes = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    for index, column in ((vertex, 0), (uv, 1)):
        behind = (index < 0) & (index != _NONE)
        if behind.any():
            before = np.zeros(len(sizes), dtype=np.int64)
            before[list(lines.counts)] = [count[column] for count in lines.counts.values()]
            index[behind] += np.repeat(before, sizes)[behind] + 1
    return vertex - 1, np.where(uv == _NONE, _NONE, uv - 1), sizes


def _corner_chunk(lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    text, data = _bytes(lines)
    starts, line = _words(data)
    slash = data == ord("/")
    parted = (data <= 32) | slash
    fields = np.flatnonzero(~parted & np.concatenate([[True], parted[:-1]]))
    numbers = parse_numbers(text.replace(b"/", b" "), np.int64, "a face")
    word = np.searchsorted(starts, fields, side="right") - 1
    slashes = np.cumsum(slash)
    place = slashes[fields] - slashes[starts[word]]  # 0 for v, 1 for vt, 2 for vn
    if (
        len(numbers) != len(fields)
        or place.max(initial=0) > 2
        or (np.bincount(word[place == 0], minlength=len(starts)) != 1).any()
    ):
        raise ValueError("a face has a corner that is no index of a vertex")
    vertex, uv = numbers[place == 0], np.full(len(starts), _NONE)
    uv[word[place == 1]] = numbers[place == 1]
    return vertex, uv, np.bincount(line, minlength=len(lines))
