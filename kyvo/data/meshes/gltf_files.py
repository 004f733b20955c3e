"""What a glTF 2.0 file says it holds, checked against what is there before a reader believes it.

Lengths and counts in a file are claims: a header may say 4 GB, an accessor a billion points, a node that it is its own
child. https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, sections 3.6 and 4.
"""

import base64
import json
import struct
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

COMPONENT_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
TYPE_LENGTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
TRIANGLES, STRIP, FAN = 4, 5, 6  # modes of a primitive that are drawn as triangles
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
DRACO = "KHR_draco_mesh_compression"
MAX_HIDDEN_BYTES = 1 << 28  # of an accessor whose data are compressed or sparse
# Extensions that keep the geometry elsewhere; without their decoder there is nothing to see.
COMPRESSIONS = {DRACO: "DracoPy", "EXT_meshopt_compression": None, "KHR_meshopt_compression": None}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What a user must know, as half a sentence, and what to do about it, as a whole one."""

    what: str
    remedy: str


@dataclass(frozen=True, kw_only=True, eq=False)
class GltfFile:
    """The JSON of a GLB or glTF file, and the binary part of a GLB."""

    path: Path
    tree: dict[str, Any]
    binary: bytes

    @classmethod
    def open(cls, path: Path) -> "GltfFile":
        """Raises ValueError, struct.error or KeyError for a file that is no glTF or is cut."""
        data = path.read_bytes()
        binary = b""
        if path.suffix.lower() == ".glb":
            if data[:4] != b"glTF":
                raise ValueError("it does not begin with glTF")
            _, claimed = struct.unpack_from("<II", data, 4)
            if claimed > len(data):
                raise ValueError(f"its header claims {claimed:,} bytes, and the file has {len(data):,}")
            text, kind, rest = _chunk(data, 12)
            if kind != JSON_CHUNK:
                raise ValueError("its first chunk is no JSON")
            if rest < claimed:
                binary, kind, _ = _chunk(data, rest)
                binary = binary if kind == BINARY_CHUNK else b""
            data = text
        tree = json.loads(data)
        if not isinstance(tree, dict):
            raise ValueError("its JSON is no object")
        return cls(path=path, tree=tree, binary=binary)

    def beside(self, uri: str) -> Path:
        """The file that a relative URI names."""
        return self.path.parent / unquote(uri)

    def fault(self) -> Fault | None:
        """The first claim that does not hold."""
        return self._compression() or self._buffers() or self._accessors()

    def _compression(self) -> Fault | None:
        for name in self.tree.get("extensionsRequired", ()):
            decoder = COMPRESSIONS.get(name, "")
            if decoder == "" or (decoder is not None and find_spec(decoder)):
                continue
            install = "" if decoder is None else f", or run: pip install {decoder}"
            return Fault(
                what=f"it is compressed ({name}), and there is no decoder for that here",
                remedy=f"Export the mesh without compression{install}.",
            )
        return None

    def _buffers(self) -> Fault | None:
        lengths = []
        for number, buffer in enumerate(self.tree.get("buffers", ())):
            uri, claimed = buffer.get("uri"), buffer["byteLength"]
            if uri is None:
                length = len(self.binary)
            elif uri.startswith("data:"):
                length = len(base64.b64decode(uri.partition(",")[2]))
            else:
                file = self.beside(uri)
                if not file.is_file():
                    return Fault(
                        what=f"buffers[{number}] names {uri}, which is missing",
                        remedy="Restore it beside the file, or export the mesh as one .glb.",
                    )
                length = file.stat().st_size
            if claimed > length and not self._is_fallback(buffer):
                raise ValueError(f"buffers[{number}] claims {claimed:,} bytes, and there are {length:,}")
            lengths.append(claimed)
        for number, view in enumerate(self.tree.get("bufferViews", ())):
            end = view.get("byteOffset", 0) + view["byteLength"]
            if end > lengths[view["buffer"]]:
                raise ValueError(f"bufferViews[{number}] ends at byte {end:,} of {lengths[view['buffer']]:,}")
        return None

    @staticmethod
    def _is_fallback(buffer: dict[str, Any]) -> bool:
        return any(part.get("fallback") for part in buffer.get("extensions", {}).values())

    def _accessors(self) -> None:
        views = self.tree.get("bufferViews", ())
        compressed = DRACO in self.tree.get("extensionsUsed", ())
        for number, accessor in enumerate(self.tree.get("accessors", ())):
            width = COMPONENT_BYTES[accessor["componentType"]] * TYPE_LENGTHS[accessor["type"]]
            count = accessor["count"]
            if "bufferView" in accessor:
                view = views[accessor["bufferView"]]
                needed = accessor.get("byteOffset", 0) + (count - 1) * view.get("byteStride", width) + width
                room = view["byteLength"]
            elif compressed or "sparse" in accessor:
                needed, room = count * width, MAX_HIDDEN_BYTES
            else:  # zeros, by the standard: a mesh of them is none
                needed, room = count * width, 0
            if count < 0 or (count and needed > room):
                raise ValueError(f"accessors[{number}] claims {count:,} values of {width} bytes in {room:,} bytes")

    def count_triangles(self) -> int:
        """Of all nodes of all scenes, or of all meshes where there are no nodes; each instance of a mesh counts.

        Raises ValueError for a node below itself.
        """
        meshes = [sum(self._triangles(part) for part in mesh["primitives"]) for mesh in self.tree.get("meshes", ())]
        nodes = self.tree.get("nodes", ())
        if not nodes:
            return sum(meshes)
        below: dict[int, int | None] = {}  # None while its children are counted

        def visit(index: int) -> int:
            if index not in below:
                below[index] = None
                own = meshes[nodes[index]["mesh"]] if "mesh" in nodes[index] else 0
                below[index] = own + sum(visit(child) for child in nodes[index].get("children", ()))
            count = below[index]
            if count is None:
                raise ValueError(f"nodes[{index}] is below itself")
            return count

        children = {child for node in nodes for child in node.get("children", ())}
        for index in range(len(nodes)):
            visit(index)
        return sum(visit(index) for index in range(len(nodes)) if index not in children)

    def _triangles(self, primitive: dict[str, Any]) -> int:
        accessor = primitive.get("indices", primitive["attributes"].get("POSITION"))
        count = 0 if accessor is None else self.tree["accessors"][accessor]["count"]
        mode = primitive.get("mode", TRIANGLES)
        return count // 3 if mode == TRIANGLES else max(count - 2, 0) if mode in (STRIP, FAN) else 0


def _chunk(data: bytes, start: int) -> tuple[bytes, int, int]:
    """The chunk of a GLB at `start`, its kind, and where the next begins."""
    length, kind = struct.unpack_from("<II", data, start)
    end = start + 8 + length
    if end > len(data):
        raise ValueError(f"a chunk claims {length:,} bytes, and {len(data) - start - 8:,} are left")
    return data[start + 8 : end], kind, end
