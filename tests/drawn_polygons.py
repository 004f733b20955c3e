"""OBJ and PLY files drawn at random, in the forms that exporters write: polygons of one color each, with their areas.

Polygon k lies in the plane z = k. What a file means is worked out by plain rules, without the package's reader.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from drawn_meshes import linear, picture, quarter, wrapped

GRAY = 0.6  # linear; of what has no color
SHAPES = (  # outlines and their areas
    (((0, 0), (2, 0), (0, 1)), 1.0),
    (((0, 0), (2, 0), (2, 1), (0, 1)), 2.0),
    (((0, 0), (2, 0), (3, 1), (1, 2), (-1, 1)), 5.0),
    (((0, 0), (3, 0), (3, 1), (1, 1), (1, 3), (0, 3)), 5.0),  # an L
    (((1, 1), (1, 3), (0, 3), (0, 0), (3, 0), (3, 1)), 5.0),  # which a fan from its first corner does not cover
    (((0, 0), (4, 0), (4, 3), (3, 3), (2, 1), (1, 3), (0, 3)), 10.0),  # a crown
)


@dataclass(frozen=True, kw_only=True)
class Polygons:
    """A file, and the area and linear color of each of its polygons."""

    path: Path
    areas: np.ndarray
    colors: np.ndarray
    words: str


def _outlines(rng: np.random.Generator, count: int, *, strips: bool = False) -> tuple[list[np.ndarray], np.ndarray]:
    found, areas = [], []
    for number in range(count):
        outline, area = SHAPES[1] if strips else SHAPES[rng.integers(len(SHAPES))]
        angle, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 2)
        turn = size * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        flat = np.array(outline, dtype=float) @ turn
        flat = flat[::-1] if rng.integers(2) else flat
        found.append(np.concatenate([flat, np.full((len(flat), 1), float(number))], axis=1))
        areas.append(area * size**2)
    return found, np.array(areas)


def draw_obj(rng: np.random.Generator, folder: Path) -> Polygons:
    """An OBJ with MTL files and a picture."""
    outlines, areas = _outlines(rng, int(rng.integers(2, 7)))
    gap, newline = str(rng.choice([" ", "  ", "\t"])), str(rng.choice(["\n", "\r\n", "\r"]))
    with_vertex_colors = bool(rng.integers(2))
    libraries = [str(rng.choice(["a.mtl", "my things.mtl", "mats/a.mtl"])), "b.mtl"]
    materials: list[list[str]] = [[], []]
    vertices, coordinates, lines, colors = [], [], [], []
    for number, outline in enumerate(outlines):
        painted = np.round(rng.random(3), 3) if with_vertex_colors and rng.integers(3) else None
        for point in outline:
            row = [f"{value:.9g}" if rng.integers(2) else f"{value:.9e}" for value in point]
            row += [] if painted is None else [f"{value}" for value in painted]
            row += ["1.0"] if painted is None and rng.integers(4) == 0 else []
            vertices.append(row)
            lines.append(gap.join(["v", *row]) + (gap + "# a corner" if rng.integers(8) == 0 else ""))
        plain = np.full(3, GRAY) if painted is None else linear(painted)
        color, uv = _draw_material(rng, number, libraries, materials, lines, gap)
        has_uv = uv is not None and bool(rng.integers(4))
        if uv is None:
            colors.append(plain if color is None else color[0])
        elif has_uv:
            colors.append(color[1])  # type: ignore[index]
        else:
            kd = color[0]  # type: ignore[index]
            colors.append(plain if kd is None else kd)
        if has_uv:
            for point in uv + rng.uniform(-0.02, 0.02, (len(outline), 2)):
                coordinates.append(point)
                lines.append(
                    gap.join(["vt", f"{point[0]:.9f}", f"{point[1]:.9f}"] + (["0"] if rng.integers(3) == 0 else []))
                )
        lines.append(gap.join(["vn", "0", "0", "1"]))
        lines.append(_face(rng, len(outline), len(vertices), len(coordinates), number + 1, has_uv, gap))
        if rng.integers(4) == 0:
            lines += [f"g part{number}", "s off", ""]
        if rng.integers(4) == 0:
            lines.append(f"o thing {number}")
    if rng.integers(2):
        lines = [str(rng.choice(["", "  ", "\t"])) + line for line in lines]
    used = [name for name, rows in zip(libraries, materials, strict=True) if rows]
    written = [name.replace("/", "\\") if rng.integers(2) else name for name in used]
    written = [name.upper() if rng.integers(3) == 0 else name for name in written]
    if len(written) == 2 and "my" not in written[0].lower() and rng.integers(2):
        written = [" ".join(written)]
    head = ["# drawn at random"] + [f"mtllib{gap}{name}" for name in written]
    for name, rows in zip(libraries, materials, strict=True):
        if rows:
            (folder / name).parent.mkdir(exist_ok=True)
            _write(rng, folder / name, rows, str(rng.choice(["\n", "\r\n", "\r"])))
    path = folder / "a.obj"
    mark = _write(rng, path, head + lines, newline)
    words = f"{mark}, ends {newline!r}, gap {gap!r}, {written}, {materials}, {lines}"
    return Polygons(path=path, areas=areas, colors=np.array(colors), words=words)


def _draw_material(rng, number: int, libraries, materials, lines, gap: str):
    """Kd and the color with the picture, linear, and the texture coordinates of that place; None for what is not."""
    if rng.integers(4) == 0:
        lines.append("usemtl")  # none
        return None, None
    name = str(rng.choice([f"m{number}", f"my paint {number}", f"Material #{number}"]))
    written = name.upper() if rng.integers(4) == 0 else name
    lines.append(f"usemtl{gap}{written}")
    rows = materials[rng.integers(2)]
    rows += [f"newmtl{gap}{name}", "Ka 1 0 1", "Ns 10", "illum 2", "d 1.0"]
    kd = None
    if rng.integers(2):
        value = np.round(rng.random(3), 3)
        kd = linear(value)
        rows.append(f"{rng.choice(['Kd', 'kd', 'KD'])}{gap}{gap.join(map(str, value))}")
    if rng.integers(2):
        return (None if kd is None else (kd, kd)), None
    center = rng.choice([-0.75, -0.25, 0.25, 0.75, 1.25], 2)
    options, wrap, offset, scale = [], 10497, np.zeros(2), np.ones(2)
    if rng.integers(3) == 0:
        offset = np.round(rng.uniform(-1, 1, 2), 3)
        options.append(f"-o {offset[0]} {offset[1]}" + (" 0" if rng.integers(2) else ""))
    if rng.integers(3) == 0:
        scale = np.array([2.0, 0.5])
        options.append("-s 2 0.5 1")
    if rng.integers(3) == 0:
        wrap = 33071
        options.append("-clamp on")
    options += [
        str(option)
        for option in rng.choice(["-blendu on", "-bm 0.5", "-cc off", "-mm 0 1"], rng.integers(3), replace=False)
    ]
    file = str(
        rng.choice(["quarters.png", "four quarters.png", "textures/quarters.png", "textures/four  quarters.png"])
    )
    written = file.replace("/", "\\") if rng.integers(2) else file
    written = written.swapcase() if rng.integers(3) == 0 else written
    written = f"C:\\work\\{file.rpartition('/')[2]}" if "/" not in file and rng.integers(4) == 0 else written
    key = rng.choice(["map_Kd", "map_kd", "MAP_KD"])
    rows.append(gap.join([str(key), *(gap.join(option.split()) for option in rng.permutation(options)), written]))
    rows.append(f"# picture {file}")
    shown = quarter(wrapped(center[0], wrap), wrapped(1 - center[1], wrap))
    return (kd, shown if kd is None else shown * kd), (center - offset) / scale


def _face(rng, size: int, num_vertices: int, num_uv: int, normal: int, has_uv: bool, gap: str) -> str:
    corners = []
    back = bool(rng.integers(2))
    with_normal = bool(rng.integers(2))
    for corner in range(size):
        vertex = corner - size if back else num_vertices - size + corner + 1
        uv = corner - size if back else num_uv - size + corner + 1
        text = f"{vertex}/{uv}" if has_uv else f"{vertex}"
        if with_normal:
            text += f"/{normal}" if has_uv else f"//{normal}"
        corners.append(text)
    line = gap.join(["f", *corners])
    if rng.integers(5) == 0:
        line = line.replace(f"{gap}{corners[1]}", f"{gap}\\\n{corners[1]}", 1)
    return line + (" # a face" if rng.integers(5) == 0 else "")


def _write(rng, path: Path, lines: list[str], newline: str) -> str:
    """Text in any encoding; also the pictures that comments of a MTL name, beside it."""
    for line in lines:
        if line.startswith("# picture "):
            file = path.parent / line.removeprefix("# picture ")
            file.parent.mkdir(exist_ok=True)
            picture().save(file)
    encoding = str(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16"]))
    path.write_bytes("\n".join([*lines, ""]).replace("\n", newline).encode(encoding))
    return encoding


_PLY_NAMES = {
    "i1": ("char", "int8"),
    "u1": ("uchar", "uint8"),
    "i2": ("short", "int16"),
    "u2": ("ushort", "uint16"),
    "i4": ("int", "int32"),
    "u4": ("uint", "uint32"),
    "f4": ("float", "float32"),
    "f8": ("double", "float64"),
}


def draw_ply(rng: np.random.Generator, folder: Path) -> Polygons:
    """A PLY in text or binary, of faces or strips, with colors of vertices or faces, or a picture."""
    strips = rng.integers(5) == 0
    outlines, areas = _outlines(rng, int(rng.integers(1, 7)), strips=strips)
    kind = str(
        rng.choice(["none", "vertex", "picture of vertices"] + ([] if strips else ["face", "picture of corners"]))
    )
    owner = np.repeat(np.arange(len(outlines)), [len(outline) for outline in outlines])
    colors = np.full((len(outlines), 3), GRAY)
    vertex: dict[str, tuple[str, Any]] = {}
    face: dict[str, tuple[str, Any]] = {}
    for axis, values in zip("xyz", np.concatenate(outlines).T, strict=True):
        vertex[axis] = ("f8", values)
    vertex["nx"] = ("f4", np.zeros(len(owner)))
    starts = np.cumsum([0] + [len(outline) for outline in outlines])
    lists = [np.arange(start, end) for start, end in pairwise(starts)]
    if kind in ("vertex", "face"):
        names = [("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue")][
            rng.integers(3)
        ]
        stored = str(rng.choice(["u1", "u2", "f4", "f8", "i4"]))
        highest = {"u1": 255, "u2": 65535, "i4": 255}.get(stored, 1)
        values = (
            rng.random((len(outlines), 3)).astype("f4")
            if highest == 1
            else rng.integers(0, highest + 1, (len(outlines), 3))
        )
        colors = linear(values / highest)
        into = vertex if kind == "vertex" else face
        rows = values[owner] if kind == "vertex" else values
        for name, column in zip(names, rows.T, strict=True):
            into[name] = (stored, column)
    header = []
    if kind.startswith("picture"):
        name = str(rng.choice(["quarters.png", "four quarters.png"]))
        picture().save(folder / name)
        header.append(f"comment {rng.choice(['TextureFile', 'texturefile'])} {name}")
        centers = rng.choice([-0.25, 0.25, 0.75, 1.25], (len(outlines), 2))
        colors = np.array([quarter(u % 1, (1 - v) % 1) for u, v in centers])
        uv = centers[owner] + rng.uniform(-0.05, 0.05, (len(owner), 2))
        if kind == "picture of vertices":
            names = [("s", "t"), ("u", "v"), ("texture_u", "texture_v")][rng.integers(3)]
            vertex[names[0]], vertex[names[1]] = ("f4", uv[:, 0]), ("f4", uv[:, 1])
        else:
            face["texcoord"] = ("list u1 f4", [uv[row].ravel() for row in lists])
    index_type = f"list {rng.choice(['u1', 'i4'])} {rng.choice(['i1', 'u1', 'i2', 'u2', 'i4', 'u4'])}"
    index_name = str(rng.choice(["vertex_indices", "vertex_index"]))
    elements: list[tuple[str, dict[str, tuple[str, Any]]]] = [("vertex", _shuffled(rng, vertex))]
    if strips:
        chain: list[int] = []
        for row in lists:
            chain += [row[0], row[1], row[3], row[2], -1]
        elements.append(("tristrips", {"vertex_indices": ("list i4 i4", [np.array(chain)])}))
    else:
        face[index_name] = (index_type, lists)
        face["flags"] = ("u1", np.zeros(len(lists)))
        if rng.integers(2):
            del face["flags"]
        elements.append(("face", _shuffled(rng, face)))
    extra = [("camera", {"view": ("f4", [1.0]), "names": ("list u1 i2", [np.array([1, 2, 3])])})]
    if rng.integers(2):
        elements.insert(int(rng.integers(len(elements) + 1)), extra[0])
    form = str(rng.choice(["ascii", "binary_little_endian", "binary_big_endian"]))
    newline = str(rng.choice(["\n", "\r\n", "\r"]))
    header = ["ply", f"format {form} 1.0", "comment drawn at random", "obj_info num_cols 5", *header]
    body = b""
    for name, columns in elements:
        count = len(next(iter(columns.values()))[1])
        header.append(f"element {name} {count}")
        for label, (stored, _) in columns.items():
            words = [str(rng.choice(_PLY_NAMES[word])) if word in _PLY_NAMES else word for word in stored.split()]
            header.append(f"property {' '.join(words)} {label}")
        for row in range(count):
            body += _ply_row(columns, row, form, newline)
    header.append("end_header")
    data = "".join(line + newline for line in header).encode() + body
    data = (b"\xef\xbb\xbf" if rng.integers(5) == 0 else b"") + data + (b"\n" if rng.integers(3) == 0 else b"")
    path = folder / "a.ply"
    path.write_bytes(data)
    return Polygons(path=path, areas=areas, colors=colors, words=f"{kind}, {newline!r}, {header}")


def _shuffled(rng, columns: dict[str, Any]) -> dict[str, Any]:
    names = rng.permutation(list(columns)).tolist()
    return {name: columns[name] for name in names}


def _ply_row(columns: dict[str, tuple[str, Any]], row: int, form: str, newline: str) -> bytes:
    words, packed = [], b""
    sign = ">" if form == "binary_big_endian" else "<"
    codes = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}
    for stored, values in columns.values():
        *count, kind = stored.split()
        items = np.atleast_1d(values[row]).tolist()
        items = items if kind[0] == "f" else [int(item) for item in items]
        if count:
            words.append(str(len(items)))
            packed += struct.pack(sign + codes[count[1]], len(items))
        words += [repr(item) for item in items]
        packed += struct.pack(f"{sign}{len(items)}{codes[kind]}", *items)
    return (" ".join(words) + newline).encode() if form == "ascii" else packed
