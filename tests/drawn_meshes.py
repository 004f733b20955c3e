"""glTF files drawn at random, in the forms that exporters write, with the surface and colors that they mean.

What a file means is worked out here by plain rules of the formats, without the package's reader. Every triangle's
color is one: texture coordinates of a triangle stay within a quarter of the picture.
"""

import base64
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image
from trimesh import transformations

QUARTERS = np.array([[(220, 30, 30), (30, 190, 60)], [(40, 60, 220), (230, 210, 40)]], dtype=np.uint8)  # by row, column
COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A file, and what it means."""

    path: Path
    triangles: np.ndarray  # [faces, 3, 3]
    colors: np.ndarray  # linear, at the middle of each
    words: str  # what was drawn, for messages


def linear(srgb: np.ndarray | float) -> np.ndarray:
    value = np.asarray(srgb, dtype=float)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def picture() -> Image.Image:
    return Image.fromarray(QUARTERS.repeat(32, 0).repeat(32, 1))


def quarter(u: float, v: float) -> np.ndarray:
    """The picture's linear color where u is from the left and v from the top, both in [0, 1)."""
    return linear(QUARTERS[int(v >= 0.5), int(u >= 0.5)] / 255)


def wrapped(value: float, wrap: int) -> float:
    if wrap == 33071:
        return min(max(value, 0.0), 0.999)
    return value % 1 if wrap == 10497 or int(np.floor(value)) % 2 == 0 else 0.999999 - value % 1


@dataclass(kw_only=True)
class GltfWriter:
    """A glTF in the making: accessors of any kind over one buffer."""

    rng: np.random.Generator
    tree: dict[str, Any] = field(
        default_factory=lambda: {"asset": {"version": "2.0"}, "bufferViews": [], "accessors": []}
    )
    data: bytearray = field(default_factory=bytearray)

    def view(self, content: bytes, **keys: Any) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        self.tree["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content), **keys})
        self.data += content
        return len(self.tree["bufferViews"]) - 1

    def accessor(self, values: np.ndarray, *, normalized: bool = False, shuffle: bool = True) -> int:
        """Plain, strided, or sparse, as the dice fall."""
        values = np.asarray(values)
        kind = values.dtype.str[1:]
        width = values.dtype.itemsize * values.shape[1]
        row: dict[str, Any] = {"componentType": COMPONENTS[kind], "count": len(values)}
        row["type"] = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[values.shape[1]]
        if normalized:
            row["normalized"] = True
        form = self.rng.choice(["plain", "strided", "sparse", "sparse of nothing"]) if shuffle else "plain"
        if form == "strided":
            stride = width + (-width % 4) + 4
            block = np.full((len(values), stride), 0xAB, dtype=np.uint8)
            block[:, :width] = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), width)
            row["bufferView"] = self.view(b"\xcd" * 8 + block.tobytes(), byteStride=stride)
            row["byteOffset"] = 8
        elif form.startswith("sparse"):
            some = np.sort(self.rng.permutation(len(values))[: max(1, len(values) // 3)])
            base = values.copy()
            if form == "sparse":
                base[some] = 0
                row["bufferView"] = self.view(base.tobytes())
            else:  # all others are 0
                some = np.arange(len(values))
            index = some.astype(self.rng.choice(["u1", "u2", "u4"]))
            row["sparse"] = {
                "count": len(some),
                "indices": {
                    "bufferView": self.view(index.tobytes()),
                    "componentType": COMPONENTS[index.dtype.str[1:]],
                },
                "values": {"bufferView": self.view(values[some].tobytes())},
            }
        else:
            row["bufferView"] = self.view(values.tobytes())
        self.tree["accessors"].append(row)
        return len(self.tree["accessors"]) - 1

    def save(self, folder: Path, name: str = "a") -> Path:
        """As a GLB, or as glTF with its buffer inside or beside it."""
        form = self.rng.choice(["glb", "inside", "beside", "beside, percent-encoded"])
        self.tree["buffers"] = [{"byteLength": len(self.data)}]
        if form == "glb":
            text = json.dumps(self.tree).encode()
            text += b" " * (-len(text) % 4)
            body = bytes(self.data) + b"\0" * (-len(self.data) % 4)
            chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(body), 0x004E4942) + body
            path = folder / f"{name}.glb"
            path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks)
            return path
        if form == "inside":
            self.tree["buffers"][0]["uri"] = (
                f"data:application/octet-stream;base64,{base64.b64encode(self.data).decode()}"
            )
        else:
            file = f"{name}.bin" if form == "beside" else f"{name} größe.bin"
            (folder / file).write_bytes(self.data)
            self.tree["buffers"][0]["uri"] = file if form == "beside" else quote(file)
        path = folder / f"{name}.gltf"
        path.write_text(json.dumps(self.tree), encoding="utf-8")
        return path


def floats(values: np.ndarray, *, normalized: bool) -> np.ndarray:
    """What stored numbers mean, one after another."""
    if values.dtype.kind == "f" or not normalized:
        return values.astype(float)
    highest = {"i1": 127, "u1": 255, "i2": 32767, "u2": 65535}[values.dtype.str[1:]]
    return np.array([[max(number / highest, -1.0) for number in row] for row in values.tolist()])


def draw_gltf(rng: np.random.Generator, folder: Path) -> Drawn:
    """One mesh, under one to three nodes, perhaps morphed, skinned or in instances."""
    writer = GltfWriter(rng=rng)
    tree = writer.tree
    mode = int(rng.choice([4, 4, 5, 6]))
    count = int(rng.integers(2, 6)) * 3
    kind, normalized = str(rng.choice(["f4", "f4", "i1", "u1", "i2", "u2"])), bool(rng.integers(2))
    stored = _stored(rng, kind, (count, 3))
    normalized = normalized and kind != "f4"
    positions = floats(stored, normalized=normalized)
    attributes = {"POSITION": writer.accessor(stored, normalized=normalized)}
    primitive: dict[str, Any] = {"attributes": attributes, "mode": mode}
    words = [f"mode {mode}", f"positions {kind}{' normalized' if normalized else ''}"]
    order = list(range(count))
    if rng.integers(2):
        order = rng.permutation(count).tolist()
        index_kind = str(rng.choice(["u1", "u2", "u4"]))
        primitive["indices"] = writer.accessor(np.array(order, dtype=index_kind)[:, None], shuffle=False)
        words.append(f"indices {index_kind}")
    if mode == 4:
        corners = [order[i : i + 3] for i in range(0, count, 3)]
    elif mode == 5:
        corners = [
            [order[i], order[i + 1], order[i + 2]] if i % 2 == 0 else [order[i], order[i + 2], order[i + 1]]
            for i in range(count - 2)
        ]
    else:
        corners = [[order[i + 1], order[i + 2], order[0]] for i in range(count - 2)]

    # Color: vertex colors times the material's factor times the picture.
    at_vertices = np.ones((count, 3))
    color_kind = str(rng.choice(["none", "f4", "u1", "u2"]))
    if color_kind != "none":
        channels = int(rng.choice([3, 4]))
        values = (
            rng.random((count, channels)).astype("f4")
            if color_kind == "f4"
            else _stored(rng, color_kind, (count, channels))
        )
        if color_kind == "u1" and channels == 3:
            values = values[:, :3]
        at_vertices = floats(values, normalized=True)[:, :3]
        attributes["COLOR_0"] = writer.accessor(values, normalized=color_kind != "f4")
        words.append(f"colors {color_kind} x {channels}")
    factor = np.full(3, 1.0 if color_kind != "none" else 0.6)
    if rng.integers(4):
        material: dict[str, Any] = {}
        factor = np.ones(3)
        if rng.integers(2):
            factor = np.round(rng.random(3), 3)
            material["baseColorFactor"] = [*factor.tolist(), 1.0]
        if rng.integers(2):
            factor = factor * _draw_texture(rng, writer, folder, count, attributes, material, words)
        if rng.integers(4) == 0:
            old = {"diffuseFactor": material.get("baseColorFactor", [1, 1, 1, 1])}
            if "baseColorTexture" in material:
                old["diffuseTexture"] = material["baseColorTexture"]
            tree["materials"] = [{"extensions": {"KHR_materials_pbrSpecularGlossiness": old}}]
            words.append("specular-glossiness")
        else:
            tree["materials"] = [{"pbrMetallicRoughness": material}]
        primitive["material"] = 0
    colors = np.array([at_vertices[row].mean(0) for row in corners]) * factor

    mesh: dict[str, Any] = {"primitives": [primitive]}
    node: dict[str, Any] = {"mesh": 0, "name": "thing"}
    tree["meshes"] = [mesh]
    if rng.integers(3) == 0:
        moves = [rng.normal(size=(count, 3)).astype("f4") for _ in range(2)]
        primitive["targets"] = [{"POSITION": writer.accessor(move)} for move in moves]
        weights = [0.5, float(rng.integers(2))]
        mesh["weights"] = weights
        if rng.integers(2):
            node["weights"], mesh["weights"] = weights, [7.0, 7.0]
        positions = positions + sum(weight * move for weight, move in zip(weights, moves, strict=True))
        words.append(f"morph {weights}")

    nodes, world = _draw_nodes(rng, node, tree)
    shape = np.stack([positions[row] for row in corners])
    if rng.integers(3) == 0:
        triangles = _draw_skin(rng, writer, node, nodes, attributes, positions, corners)
        words.append("skin")
    elif rng.integers(3) == 0:
        places = _draw_instances(rng, writer, node)
        triangles = np.concatenate([_moved(shape, world @ place) for place in places])
        colors = np.tile(colors, (len(places), 1))
        words.append(f"{len(places)} instances")
    else:
        triangles = _moved(shape, world)
    if rng.integers(2):
        tree["scenes"], tree["scene"] = [{"nodes": []}, {"nodes": [0]}], 1
    path = writer.save(folder)
    return Drawn(path=path, triangles=triangles, colors=colors, words=f"{path.name}: {', '.join(words)}")


def _stored(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> np.ndarray:
    if kind == "f4":
        return rng.normal(size=shape).astype("f4")
    info = np.iinfo(kind)
    return rng.integers(info.min, info.max, shape, endpoint=True).astype(kind)


def _draw_texture(rng, writer: GltfWriter, folder: Path, count: int, attributes, material, words) -> np.ndarray:
    """Puts a picture on the material; its color at all vertices."""
    tree = writer.tree
    wrap_s, wrap_t = (int(rng.choice([10497, 33071, 33648])) for _ in range(2))
    center = np.array([rng.choice([-0.75, -0.25, 0.25, 0.75, 1.25, 1.75]) for _ in range(2)])
    shown = center + rng.uniform(-0.1, 0.1, (count, 2))  # where the picture is looked up
    color = quarter(wrapped(center[0], wrap_s), wrapped(center[1], wrap_t))
    info: dict[str, Any] = {"index": 0}
    own, uv = int(rng.integers(3)), shown
    if rng.integers(2):
        # One case of KHR_texture_transform with a turn by a right angle: u' = s v + x, v' = -s u + y.
        scale, offset = float(rng.choice([0.5, 2.0])), rng.uniform(-1, 1, 2)
        change: dict[str, Any] = {"offset": offset.tolist(), "scale": [scale, scale]}
        if rng.integers(2):
            change["rotation"] = np.pi / 2
            uv = np.stack([-(shown[:, 1] - offset[1]), shown[:, 0] - offset[0]], axis=1) / scale
        else:
            uv = (shown - offset) / scale
        if rng.integers(2):
            change["texCoord"] = own
            info["texCoord"] = own + 1
        else:
            info["texCoord"] = own
        info["extensions"] = {"KHR_texture_transform": change}
        tree.setdefault("extensionsUsed", []).append("KHR_texture_transform")
        words.append(f"transform {change}")
    elif own:
        info["texCoord"] = own
    attributes[f"TEXCOORD_{own}"] = writer.accessor(uv.astype("f4"))
    if own:
        attributes["TEXCOORD_0"] = writer.accessor(np.zeros((count, 2), dtype="f4"))
    form = str(rng.choice(["png", "webp", "jpeg"]))
    options = {"webp": {"lossless": True}, "jpeg": {"quality": 100, "subsampling": 0}}.get(form, {})
    file = folder / f"my picture.{form}"
    picture().save(file, **options)
    texture: dict[str, Any] = {"sampler": 0}
    place = str(rng.choice(["view", "data", "file"]))
    if place == "view":
        image: dict[str, Any] = {"bufferView": writer.view(file.read_bytes()), "mimeType": f"image/{form}"}
    elif place == "data":
        image = {"uri": f"data:image/{form};base64,{base64.b64encode(file.read_bytes()).decode()}"}
    else:
        image = {"uri": quote(file.name)}
    if form == "webp":
        texture["extensions"] = {"EXT_texture_webp": {"source": 0}}
    else:
        texture["source"] = 0
    tree["images"], tree["textures"] = [image], [texture]
    tree["samplers"] = [{"wrapS": wrap_s, "wrapT": wrap_t, "magFilter": int(rng.choice([9728, 9729]))}]
    material["baseColorTexture"] = info
    words.append(f"{form} in a {place}, TEXCOORD_{own}, wraps {wrap_s} {wrap_t}")
    return color


def _draw_nodes(rng, node: dict[str, Any], tree) -> tuple[list[dict[str, Any]], np.ndarray]:
    """The node below zero to two others; where it stands."""
    nodes, world = [], np.eye(4)
    for depth in range(int(rng.integers(1, 4))):
        quaternion = transformations.random_quaternion(rng.random(3))  # w first
        turn = transformations.quaternion_matrix(quaternion)
        scale = rng.choice([-1.5, -1.0, 0.5, 1.0, 2.0], 3)
        move = rng.normal(size=3)
        own = transformations.translation_matrix(move) @ turn @ np.diag([*scale, 1.0])
        nodes.append({"children": [depth + 1]})
        if rng.integers(2):
            nodes[-1]["matrix"] = own.T.ravel().tolist()
        else:
            nodes[-1] |= {
                "translation": move.tolist(),
                "rotation": np.roll(quaternion, -1).tolist(),
                "scale": scale.tolist(),
            }
        if rng.integers(3) == 0:
            nodes[-1]["camera"] = 0
            tree["cameras"] = [{"type": "perspective", "perspective": {"yfov": 1.0, "znear": 0.1}}]
        world = world @ own
    del nodes[-1]["children"]
    nodes[-1] |= node
    node.clear()
    node |= {"at": nodes[-1]}
    tree["nodes"] = nodes
    return nodes, world


def _moved(triangles: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Where they stand; a mirror turns their corners around."""
    found = np.array([[(place @ [*corner, 1.0])[:3] for corner in triangle] for triangle in triangles])
    return found[:, ::-1] if np.linalg.det(place[:3, :3]) < 0 else found


def _draw_instances(rng, writer: GltfWriter, node) -> list[np.ndarray]:
    count = int(rng.integers(1, 4))
    moves, sizes = rng.normal(size=(count, 3)).astype("f4"), rng.uniform(0.5, 2, (count, 3)).astype("f4")
    kind = str(rng.choice(["f4", "i1", "i2"]))
    turns = np.array([np.roll(transformations.random_quaternion(rng.random(3)), -1) for _ in range(count)])
    stored = turns.astype("f4") if kind == "f4" else np.round(turns * np.iinfo(kind).max).astype(kind)
    many = {"TRANSLATION": writer.accessor(moves), "SCALE": writer.accessor(sizes)}
    many["ROTATION"] = writer.accessor(stored, normalized=kind != "f4")
    node["at"]["extensions"] = {"EXT_mesh_gpu_instancing": {"attributes": many}}
    writer.tree.setdefault("extensionsRequired", []).append("EXT_mesh_gpu_instancing")
    places = []
    for move, size, turn in zip(moves, sizes, stored.astype(float), strict=True):
        matrix = transformations.quaternion_matrix(np.roll(turn, 1))
        places.append(transformations.translation_matrix(move) @ matrix @ np.diag([*size, 1.0]))
    return places


def _draw_skin(rng, writer: GltfWriter, node, nodes, attributes, positions, corners) -> np.ndarray:
    """Three joints, of which one is below another; the triangles where they take them."""
    tree = writer.tree
    matrices = []
    for _ in range(3):
        turn = transformations.quaternion_matrix(transformations.random_quaternion(rng.random(3)))
        turn[:3, 3] = rng.normal(size=3)
        matrices.append(turn)
    first = len(nodes)
    nodes += [{"matrix": matrix.T.ravel().tolist()} for matrix in matrices]
    nodes[first]["children"] = [first + 1]
    worlds = [matrices[0], matrices[0] @ matrices[1], matrices[2]]
    nodes[0].setdefault("children", [])
    inverse = rng.normal(size=(3, 4, 4)).astype("f4")
    inverse[:, 3] = (0, 0, 0, 1)
    # The joints stand beside the mesh's nodes; a library's other roots count as they are.
    tree.setdefault("scenes", [{"nodes": [0, first, first + 2]}])
    skin: dict[str, Any] = {"joints": [first, first + 1, first + 2]}
    joints = worlds
    if rng.integers(2):
        skin["inverseBindMatrices"] = writer.accessor(inverse.transpose(0, 2, 1).reshape(3, 16), shuffle=False)
        joints = [world @ matrix.astype(float) for world, matrix in zip(worlds, inverse, strict=True)]
    tree["skins"] = [skin]
    node["at"]["skin"] = 0
    count = len(positions)
    index = rng.integers(0, 3, (count, 4)).astype(rng.choice(["u1", "u2"]))
    weights = rng.dirichlet(np.ones(4), count)
    kind = str(rng.choice(["f4", "u1", "u2"]))
    stored = weights.astype("f4") if kind == "f4" else np.round(weights * np.iinfo(kind).max).astype(kind)
    attributes["JOINTS_0"] = writer.accessor(index)
    attributes["WEIGHTS_0"] = writer.accessor(stored, normalized=kind != "f4")
    blended = []
    for row, share in zip(index.tolist(), stored.astype(float), strict=True):
        blended.append(sum(part * joints[joint] for joint, part in zip(row, share / share.sum(), strict=True)))
    moved = np.array([(matrix @ [*point, 1.0])[:3] for matrix, point in zip(blended, positions, strict=True)])
    found = []
    for row in corners:
        mirrored = np.linalg.det(blended[row[0]][:3, :3]) < 0
        found.append(moved[row[::-1] if mirrored else row])
    return np.array(found)
