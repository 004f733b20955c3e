"""The parts of a glTF 2.0 file, GLB or JSON: buffers, and accessors as arrays, checked against what is there.

Lengths and counts in a file are claims: a header may say 4 GB, an accessor a billion points.
https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, sections 3.6 and 4.
"""

import base64
import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
from jaxtyping import Float

from kyvo.data.meshes.gltf_extensions import COMPRESSIONS, DRACO, check_required, compressed, extension
from kyvo.data.meshes.mesh_parts import Fault
from kyvo.data.meshes.named_files import find_referenced

COMPONENTS = {5120: "i1", 5121: "u1", 5122: "i2", 5123: "u2", 5125: "u4", 5126: "f4"}
TYPE_LENGTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
MAX_HIDDEN_BYTES = 1 << 28  # of an accessor whose data are compressed or sparse, or a morph target's zeros


class Rows(list):
    """An array of the file, whose rows others name by number; Python's negative ones count for nothing here."""

    def __init__(self, name: str, rows: Sequence[Any]) -> None:
        super().__init__(rows)
        self.name = name

    def __getitem__(self, number: Any) -> Any:
        if type(number) is not int or not 0 <= number < len(self):
            raise ValueError(f"it names {self.name}[{number}], and it has {len(self)} of them")
        return super().__getitem__(number)


@dataclass(frozen=True, kw_only=True, eq=False)
class GltfFile:
    """The JSON of a GLB or glTF file, and the binary part of a GLB."""

    path: Path
    tree: dict[str, Any]
    binary: bytes

    @classmethod
    def open(cls, path: Path) -> "GltfFile":
        """Raises Fault, ValueError, struct.error or KeyError for a file that is no glTF, is cut, or cannot be read."""
        data = path.read_bytes()
        binary = b""
        if data[:4] == b"glTF":
            data, binary = _chunks(data)
        elif path.suffix.lower() == ".glb" and not data.lstrip().startswith(b"{"):
            raise ValueError("it does not begin with glTF")
        tree = json.loads(data)
        if not isinstance(tree, dict):
            raise ValueError("its JSON is no object")
        _check_version(tree.get("asset", {}))
        tree = {name: Rows(name, rows) if isinstance(rows, list) else rows for name, rows in tree.items()}
        found = cls(path=path, tree=tree, binary=binary)
        check_required(tree.get("extensionsRequired", ()))
        found._check_views()
        found._check_accessors()
        return found

    def beside(self, uri: str, where: str) -> Path:
        """The file that a relative URI names. Raises Fault where there is none."""
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", uri):
            raise Fault(f"{where} names {uri}; only files beside it are read", "Export the mesh as one .glb.")
        for name in (unquote(uri), uri):
            found = find_referenced([self.path.parent], name)
            if found is not None:
                return found
        raise Fault(
            f"{where} names {uri}, which is missing", "Restore it beside the file, or export the mesh as one .glb."
        )

    def data_of(self, uri: str, where: str) -> bytes:
        """What a URI holds: its own data, or a file's."""
        if not uri.startswith("data:"):
            return self.beside(uri, where).read_bytes()
        head, _, body = uri.partition(",")
        return base64.b64decode(unquote(body)) if head.endswith(";base64") else unquote_to_bytes(body)

    @cached_property
    def buffers(self) -> list[bytes | None]:
        """None for one that is only there for programs without a decoder, and is empty."""
        found = []
        for number, buffer in enumerate(self.tree.get("buffers", ())):
            uri, claimed = buffer.get("uri"), buffer["byteLength"]
            if uri is not None:
                data = self.data_of(uri, f"buffers[{number}]")
            elif any(part.get("fallback") for part in buffer.get("extensions", {}).values()):
                data = None
            else:
                data = self.binary if number == 0 else b""
            if data is not None and claimed > len(data):
                raise ValueError(f"buffers[{number}] claims {claimed:,} bytes, and there are {len(data):,}")
            found.append(data)
        return found

    def _check_views(self) -> None:
        buffers = self.tree.get("buffers", ())
        for number, view in enumerate(self.tree.get("bufferViews", ())):
            start, length = view.get("byteOffset", 0), view["byteLength"]
            room = buffers[view["buffer"]]["byteLength"]
            if start < 0 or length < 0 or start + length > room:
                raise ValueError(f"bufferViews[{number}] ends at byte {start + length:,} of {room:,}")
        self.buffers  # noqa: B018  # what they claim is checked

    def _check_accessors(self) -> None:
        views = self.tree.get("bufferViews", ())
        draco = DRACO in self.tree.get("extensionsUsed", ())
        primitives = [primitive for mesh in self.tree.get("meshes", ()) for primitive in mesh["primitives"]]
        targets = {
            number for primitive in primitives for target in primitive.get("targets", ()) for number in target.values()
        }
        for number, accessor in enumerate(self.tree.get("accessors", ())):
            kind = accessor["componentType"]
            if kind not in COMPONENTS:
                raise ValueError(f"accessors[{number}] has the componentType {kind}, which glTF 2.0 has not")
            width = np.dtype(COMPONENTS[kind]).itemsize * TYPE_LENGTHS[accessor["type"]]
            count = accessor["count"]
            needed, room = count * width, 0  # zeros, by the standard: a mesh of them is none
            if "bufferView" in accessor:
                view = views[accessor["bufferView"]]
                stride = view.get("byteStride", width)
                if stride < width:
                    raise ValueError(f"accessors[{number}] has values of {width} bytes, and a byteStride of {stride}")
                needed = accessor.get("byteOffset", 0) + (count - 1) * stride + width
                room = view["byteLength"]
            elif draco or "sparse" in accessor or number in targets:
                room = MAX_HIDDEN_BYTES
            if count < 0 or (count and needed > room):
                raise ValueError(f"accessors[{number}] claims {count:,} values of {width} bytes in {room:,} bytes")

    def view(self, number: int) -> bytes:
        """The bytes of a buffer view. Raises Fault where they are compressed."""
        view = self.tree["bufferViews"][number]
        data = self.buffers[view["buffer"]]
        if data is None:
            name = next((name for name in COMPRESSIONS if extension(view, name) is not None), None)
            if name is None:
                raise ValueError(f"bufferViews[{number}] is of a buffer without data")
            raise compressed(f"bufferViews[{number}]", name)
        start = view.get("byteOffset", 0)
        return data[start : start + view["byteLength"]]

    def values(self, number: int, *, normalize: bool = False) -> np.ndarray:
        """An accessor's values as [count, components]: integers as they are, or floats where they are normalized.

        Args:
            normalize: take integers as normalized though the accessor does not say so.
        """
        accessor = self.tree["accessors"][number]
        count, length = accessor["count"], TYPE_LENGTHS[accessor["type"]]
        kind = COMPONENTS[accessor["componentType"]]
        values = np.zeros((count, length), dtype=kind)
        if "bufferView" in accessor and count:
            values = self._block(accessor["bufferView"], accessor.get("byteOffset", 0), kind, count, length).copy()
        if "sparse" in accessor:
            sparse = accessor["sparse"]
            at, given = sparse["indices"], sparse["values"]
            rows = self._block(
                at["bufferView"], at.get("byteOffset", 0), COMPONENTS[at["componentType"]], sparse["count"], 1
            )
            if (rows >= count).any():
                raise ValueError(f"accessors[{number}] has a sparse value at {rows.max():,} of {count:,}")
            values[rows[:, 0]] = self._block(
                given["bufferView"], given.get("byteOffset", 0), kind, sparse["count"], length
            )
        return normalized(values) if normalize or accessor.get("normalized") else values

    def _block(self, view: int, offset: int, kind: str, count: int, length: int) -> np.ndarray:
        """Rows of a buffer view, without a copy. Raises ValueError where they do not fit."""
        size = np.dtype(kind).itemsize
        stride = self.tree["bufferViews"][view].get("byteStride") or size * length
        data = self.view(view)
        if offset < 0 or count < 0 or (count and offset + (count - 1) * stride + size * length > len(data)):
            raise ValueError(f"bufferViews[{view}] has {len(data):,} bytes, too few for {count:,} values")
        return np.ndarray((count, length), f"<{kind}", data, offset, (stride, size))


def normalized(values: np.ndarray) -> np.ndarray:
    """Integers as floats in [-1, 1] or [0, 1] by the range of their type (section 3.6.2.2); floats as they are."""
    if values.dtype.kind == "f":
        return values
    return np.maximum(values / np.iinfo(values.dtype).max, -1.0)


def vector(owner: Mapping[str, Any], name: str, default: Sequence[float], where: str) -> Float[np.ndarray, " numbers"]:
    """A property of as many numbers as its default has."""
    given = np.asarray(owner.get(name, default), dtype=float)
    if given.shape != (len(default),):
        raise ValueError(f"{where} has the {name} {owner[name]}, and {len(default)} numbers are needed")
    return given


def _check_version(asset: dict[str, Any]) -> None:
    """Any 2.x is read, unless the file says that it needs more than 2.0 (section 3.2)."""
    version, needed = str(asset.get("version", "2.0")), str(asset.get("minVersion", "2.0"))
    if not version.startswith("2.") or needed != "2.0":
        found = version if needed == "2.0" else f"{needed} at least"
        raise Fault(f"it is glTF {found}; glTF 2.0 is read", "Export the mesh anew.")


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    """JSON and binary part of a GLB."""
    version, claimed = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise Fault(f"it is a GLB of version {version}; version 2 is read", "Export the mesh anew.")
    if claimed > len(data):
        raise ValueError(f"its header claims {claimed:,} bytes, and the file has {len(data):,}")
    text, kind, rest = _chunk(data, 12)
    if kind != JSON_CHUNK:
        raise ValueError("its first chunk is no JSON")
    if rest < claimed:
        binary, kind, _ = _chunk(data, rest)
        if kind == BINARY_CHUNK:
            return text, binary
    return text, b""


def _chunk(data: bytes, start: int) -> tuple[bytes, int, int]:
    """The chunk of a GLB at `start`, its kind, and where the next begins."""
    length, kind = struct.unpack_from("<II", data, start)
    end = start + 8 + length
    if end > len(data):
        raise ValueError(f"a chunk claims {length:,} bytes, and {len(data) - start - 8:,} are left")
    return data[start + 8 : end], kind, end
