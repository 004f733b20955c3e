"""The triangles of a glTF primitive: attributes, morph targets, Draco, and modes as lists of triangles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from kyvo.data.meshes.gltf_extensions import DRACO, compressed, extension
from kyvo.data.meshes.gltf_files import GltfFile, normalized
from kyvo.data.meshes.gltf_materials import Attributes
from kyvo.data.meshes.mesh_parts import Fault
from kyvo.data.meshes.polygons import strip_triangles

POINTS, TRIANGLES, STRIP, FAN = 0, 4, 5, 6  # modes; 1 to 3 are lines
_LENGTHS = {"POSITION": (3,), "TEXCOORD": (2,), "COLOR": (3, 4), "JOINTS": (4,), "WEIGHTS": (4,)}  # of what is read


def count_triangles(gltf: GltfFile, primitive: Mapping[str, Any]) -> int:
    """By what the file claims."""
    accessor = primitive.get("indices", primitive["attributes"].get("POSITION"))
    count = 0 if accessor is None else gltf.tree["accessors"][accessor]["count"]
    mode = primitive.get("mode", TRIANGLES)
    return count // 3 if mode == TRIANGLES else max(count - 2, 0) if mode in (STRIP, FAN) else 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Primitive:
    """One primitive of a mesh, before its node places it."""

    gltf: GltfFile
    tree: Mapping[str, Any]
    weights: Sequence[float]  # of the morph targets
    where: str  # for messages

    @property
    def mode(self) -> Literal["triangles", "points", "lines"]:
        number = self.tree.get("mode", TRIANGLES)
        if number not in range(7):
            raise ValueError(f"{self.where} has the mode {number}, which glTF 2.0 has not")
        return "triangles" if number >= TRIANGLES else "points" if number == POINTS else "lines"

    @cached_property
    def attributes(self) -> Attributes:
        """What is read, by name, with the morph targets at their weights."""
        if "POSITION" not in self.tree["attributes"]:
            raise ValueError(f"{self.where} has no POSITION")
        found = dict(self._draco[1] if self._draco else {})
        for name, accessor in self.tree["attributes"].items():
            if name not in found and name.partition("_")[0] in _LENGTHS:
                found[name] = self._values(name, accessor)
        targets = self.tree.get("targets", ())
        if len(self.weights) > len(targets):
            raise ValueError(f"{self.where} has {len(targets)} morph targets, and {len(self.weights)} weights")
        morphed: set[str] = set()
        for weight, target in zip(self.weights, targets, strict=False):
            for name, accessor in target.items() if weight else ():
                if name in found:
                    found[name] = found[name] + weight * self._values(name, accessor)
                    morphed.add(name)
        for name in morphed:
            if name.startswith("COLOR"):  # the standard clamps what targets make of colors (section 3.7.2.2)
                found[name] = np.clip(found[name], 0, 1)
        count = len(found["POSITION"])
        for name, values in found.items():
            if len(values) != count:
                raise ValueError(f"{self.where} has {count:,} positions, and {len(values):,} values of {name}")
            if values.shape[1] not in _LENGTHS[name.partition("_")[0]]:
                raise ValueError(f"{self.where} has {values.shape[1]} numbers in a value of {name}")
        return found

    def _values(self, name: str, accessor: int) -> np.ndarray:
        # The standard wants integer colors and weights normalized; some files do not say so, and mean it.
        return self.gltf.values(accessor, normalize=name.startswith(("COLOR", "WEIGHTS")))

    @cached_property
    def faces(self) -> Int[np.ndarray, "faces 3"]:
        """The vertices of each triangle; none of points and lines."""
        mode = self.tree.get("mode", TRIANGLES)
        if self.mode != "triangles":
            return np.zeros((0, 3), dtype=np.int64)
        if self._draco:
            return self._draco[0]
        index = np.arange(len(self.attributes["POSITION"]))
        if "indices" in self.tree:
            given = self.gltf.values(self.tree["indices"])
            if given.dtype.kind != "u" or given.shape[1] != 1:
                raise ValueError(f"{self.where} has indices that are no unsigned integers")
            index = given[:, 0].astype(np.int64)
        if mode == STRIP:
            return strip_triangles(index)
        if mode == FAN:
            return np.stack([index[1:-1], index[2:], np.repeat(index[:1], max(len(index) - 2, 0))], axis=1)
        if len(index) % 3:
            raise ValueError(f"{self.where} has {len(index):,} corners, which is no multiple of 3")
        return index.reshape(-1, 3)

    @cached_property
    def _draco(self) -> tuple[Int[np.ndarray, "faces 3"], dict[str, np.ndarray]] | None:
        """Faces and attributes that are compressed; None where the plain ones are there, or there is no compression."""
        packed = extension(self.tree, DRACO)
        position = self.gltf.tree["accessors"][self.tree["attributes"]["POSITION"]]
        if packed is None or "bufferView" in position:
            return None
        if not find_spec("DracoPy"):
            raise compressed(self.where, DRACO)
        import DracoPy  # type: ignore[import-not-found]

        try:
            mesh = DracoPy.decode(self.gltf.view(packed["bufferView"]))
        except DracoPy.FileTypeException as error:
            raise Fault(f"{self.where} has damaged Draco data ({error})", "Export the mesh anew.") from error
        found = {}
        for name, unique_id in packed["attributes"].items():
            if name.partition("_")[0] in _LENGTHS:
                values = np.asarray(mesh.get_attribute_by_unique_id(unique_id)["data"])
                accessor = self.gltf.tree["accessors"][self.tree["attributes"][name]]
                wanted = accessor.get("normalized") or name.startswith(("COLOR", "WEIGHTS"))
                found[name] = normalized(values) if wanted else values
        return np.asarray(mesh.faces, dtype=np.int64).reshape(-1, 3), found


def skinned(
    positions: Float[np.ndarray, "vertices 3"],
    attributes: Attributes,
    joints: Float[np.ndarray, "joints 4 4"],
    where: str,
) -> tuple[Float[np.ndarray, "vertices 3"], np.ndarray]:
    """Where joints take the vertices (section 3.7.3), and which of them are mirrored."""
    total, weight_sum = np.zeros((len(positions), 4, 4)), np.zeros(len(positions))
    number = 0
    while f"JOINTS_{number}" in attributes and f"WEIGHTS_{number}" in attributes:
        index, weights = attributes[f"JOINTS_{number}"].astype(np.int64), attributes[f"WEIGHTS_{number}"].astype(float)
        if ((index < 0) | (index >= len(joints)))[weights != 0].any():
            raise ValueError(f"{where} names joint {index.max()} of {len(joints)}")
        index = np.clip(index, 0, len(joints) - 1)
        for column in range(4):
            total += weights[:, column, None, None] * joints[index[:, column]]
        weight_sum += weights.sum(1)
        number += 1
    if number == 0:
        raise ValueError(f"{where} is of a node with a skin, and has no JOINTS_0 and WEIGHTS_0")
    if (weight_sum <= 0).any():
        raise ValueError(f"{where} has {int((weight_sum <= 0).sum())} vertices that no joint holds")
    total /= weight_sum[:, None, None]
    moved = np.einsum("vij,vj->vi", total[:, :3, :3], positions) + total[:, :3, 3]
    return moved, np.linalg.det(total[:, :3, :3]) < 0
