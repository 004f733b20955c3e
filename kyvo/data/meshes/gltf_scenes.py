"""glTF files: the meshes of the scene that is shown, where their nodes, instances and skins place them.

The scene is the default one, else the first; a library without scenes is read whole. Animations are not played.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from kyvo.data.meshes.gltf_extensions import INSTANCING, VISIBILITY, extension
from kyvo.data.meshes.gltf_files import GltfFile, vector
from kyvo.data.meshes.gltf_materials import Materials
from kyvo.data.meshes.gltf_primitives import Primitive, count_triangles, skinned
from kyvo.data.meshes.mesh_parts import (
    MAX_TRIANGLES,
    Fault,
    MeshPart,
    bare_part,
    check_indices,
    too_many_triangles,
)

Matrix = Float[np.ndarray, "4 4"]


def read_gltf(path: Path, *, colors: bool = True) -> list[MeshPart]:
    """The parts of a file.

    Args:
        colors: False leaves colors and materials out, and their faults.

    Raises:
        Fault, ValueError, KeyError, IndexError, TypeError: it cannot be read.
    """
    scene = GltfScene(gltf=GltfFile.open(path), colors=colors)
    if scene.count_triangles() > MAX_TRIANGLES:
        raise too_many_triangles()
    return [part for name, node, transforms in scene.placed() for part in scene.parts(name, node, transforms)]


@dataclass(frozen=True, kw_only=True, eq=False)
class GltfScene:
    """The nodes that are shown."""

    gltf: GltfFile
    colors: bool

    @cached_property
    def nodes(self) -> Sequence[Mapping[str, Any]]:
        """Those of the file; where it has none, one for each mesh."""
        return self.gltf.tree.get("nodes") or [{"mesh": index} for index in range(len(self._meshes))]

    @property
    def _meshes(self) -> Sequence[Mapping[str, Any]]:
        return self.gltf.tree.get("meshes", ())

    @cached_property
    def roots(self) -> Sequence[int]:
        scenes = self.gltf.tree.get("scenes")
        if scenes:
            number = self.gltf.tree.get("scene", 0)
            roots = scenes[number].get("nodes", ())
            if not roots and self._meshes:
                raise Fault(f"scenes[{number}], the one that is shown, has no nodes", "Export the scene of the mesh.")
            return roots
        children = {child for node in self.nodes for child in node.get("children", ())}
        return [index for index in range(len(self.nodes)) if index not in children] or list(range(len(self.nodes)))

    @cached_property
    def _instances(self) -> dict[int, Float[np.ndarray, "instances 4 4"]]:
        """Of each node that has them, the places of its instances (EXT_mesh_gpu_instancing)."""
        found = {}
        for index, node in enumerate(self.nodes):
            many = extension(node, INSTANCING)
            if many is not None:
                found[index] = self._instance_transforms(many["attributes"], f"nodes[{index}]")
        return found

    def _instance_transforms(self, attributes: Mapping[str, int], where: str) -> Float[np.ndarray, "instances 4 4"]:
        columns = {
            name: self.gltf.values(accessor).astype(float)
            for name, accessor in attributes.items()
            if name in ("TRANSLATION", "ROTATION", "SCALE")
        }
        counts = {len(values) for values in columns.values()}
        if len(counts) != 1:
            raise ValueError(f"{where} has instances of {len(counts)} different counts")
        transforms = np.tile(np.eye(4), (counts.pop(), 1, 1))
        if "ROTATION" in columns:
            transforms[:, :3, :3] = rotations(columns["ROTATION"])
        if "SCALE" in columns:
            transforms[:, :3, :3] *= columns["SCALE"][:, None]
        if "TRANSLATION" in columns:
            transforms[:, :3, 3] = columns["TRANSLATION"]
        return transforms

    def count_triangles(self) -> int:
        """Of what is shown, each instance of a mesh counted. Raises ValueError for a node below itself."""
        meshes = [
            sum(count_triangles(self.gltf, primitive) for primitive in mesh["primitives"]) for mesh in self._meshes
        ]
        below: dict[int, int] = {}
        above: set[int] = set()  # nodes whose children are counted now
        waiting = list(self.roots)
        while waiting:
            index = waiting[-1]
            node = self.nodes[index]
            children = node.get("children", ())
            if index in above or index in below:
                waiting.pop()
                if index in above:
                    above.remove(index)
                    instances = len(self._instances[index]) if index in self._instances else 1
                    own = meshes[node["mesh"]] * instances if "mesh" in node else 0
                    below[index] = own + sum(below[child] for child in children)
                continue
            above.add(index)
            for child in children:
                if child in above:
                    raise ValueError(f"nodes[{child}] is below itself")
            waiting += children
        return sum(below[index] for index in self.roots)

    def placed(self) -> Iterator[tuple[str, int, Float[np.ndarray, "places 4 4"]]]:
        """Name, node and places of each mesh that is shown."""
        names: dict[str, int] = {}
        waiting, seen = [(index, np.eye(4)) for index in reversed(self.roots)], set()
        while waiting:
            index, above = waiting.pop()
            if index in seen:
                raise ValueError(f"nodes[{index}] stands twice in the scene")
            seen.add(index)
            node = self.nodes[index]
            if (extension(node, VISIBILITY) or {}).get("visible", True) is False:
                continue
            transform = above @ local_matrix(node, f"nodes[{index}]")
            waiting += [(child, transform) for child in reversed(node.get("children", ()))]
            if "mesh" in node:
                name = node.get("name") or self._meshes[node["mesh"]].get("name") or f"nodes[{index}]"
                names[name] = names.get(name, 0) + 1
                own = name if names[name] == 1 else f"{name}_{names[name] - 1}"
                yield own, index, transform @ self._instances[index] if index in self._instances else transform[None]

    @cached_property
    def _materials(self) -> Materials:
        return Materials(self.gltf)

    @cached_property
    def _parents(self) -> dict[int, int]:
        return {child: index for index, node in enumerate(self.nodes) for child in node.get("children", ())}

    def _world(self, index: int) -> Matrix:
        """The place of a node, which may be outside of the scene."""
        transform = local_matrix(self.nodes[index], f"nodes[{index}]")
        for _ in self.nodes:
            if index not in self._parents:
                return transform
            index = self._parents[index]
            transform = local_matrix(self.nodes[index], f"nodes[{index}]") @ transform
        raise ValueError(f"nodes[{index}] is below itself")

    def _joints(self, number: int) -> Float[np.ndarray, "joints 4 4"]:
        """The matrices of a skin, from the bind pose to where its joints are."""
        skin = self.gltf.tree["skins"][number]
        worlds = np.stack([self._world(joint) for joint in skin["joints"]])
        if "inverseBindMatrices" not in skin:
            return worlds
        inverse = self.gltf.values(skin["inverseBindMatrices"]).astype(float)
        if inverse.shape[1] != 16 or len(inverse) < len(worlds):
            raise ValueError(f"skins[{number}] has {len(worlds)} joints, and {len(inverse)} inverse bind matrices")
        return worlds @ inverse[: len(worlds)].reshape(-1, 4, 4).transpose(0, 2, 1)

    def parts(self, name: str, index: int, transforms: Float[np.ndarray, "places 4 4"]) -> Iterator[MeshPart]:
        """The primitives of a node's mesh at each of its places."""
        node = self.nodes[index]
        mesh = self._meshes[node["mesh"]]
        weights = node.get("weights", mesh.get("weights", ()))
        for number, tree in enumerate(mesh["primitives"]):
            where = f"meshes[{node['mesh']}].primitives[{number}]"
            primitive = Primitive(gltf=self.gltf, tree=tree, weights=weights, where=where)
            positions = primitive.attributes["POSITION"].astype(float)
            mirrored = np.zeros(len(positions), dtype=bool)
            if "skin" in node:
                positions, mirrored = self._skinned(index, primitive, positions)
                transforms = np.eye(4)[None]  # a skinned mesh's own node does not move it (section 3.7.3.3)
            if primitive.mode != "triangles":
                for transform in transforms:
                    yield bare_part(name, primitive.mode, moved(positions, transform))
                continue
            check_indices(primitive.faces.reshape(-1), len(positions))
            material = tree.get("material") if self.colors else None
            attributes = primitive.attributes if self.colors else {"POSITION": positions}
            colors, uv, texture = self._materials.surface(material, attributes, where)
            for transform in transforms:
                flip = mirrored[primitive.faces[:, :1]] ^ (np.linalg.det(transform[:3, :3]) < 0)
                faces = np.where(flip, primitive.faces[:, ::-1], primitive.faces)
                yield MeshPart(
                    name=name,
                    vertices=moved(positions, transform),
                    faces=faces,
                    colors=colors[faces],
                    uv=uv[faces],
                    texture=texture,
                )

    def _skinned(
        self, index: int, primitive: Primitive, positions: Float[np.ndarray, "vertices 3"]
    ) -> tuple[Float[np.ndarray, "vertices 3"], np.ndarray]:
        if index in self._instances:
            raise Fault(
                f"nodes[{index}] has a skin and {INSTANCING}, which together are not read",
                "Export the mesh without instances.",
            )
        return skinned(positions, primitive.attributes, self._joints(self.nodes[index]["skin"]), primitive.where)


def moved(points: Float[np.ndarray, "points 3"], transform: Matrix) -> Float[np.ndarray, "points 3"]:
    return points @ transform[:3, :3].T + transform[:3, 3]


def local_matrix(node: Mapping[str, Any], where: str) -> Matrix:
    """A node's place in its parent."""
    if "matrix" in node:
        matrix = vector(node, "matrix", [0.0] * 16, where).reshape(4, 4).T
        if not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise ValueError(f"{where} has a matrix that is no affine one")
        return matrix
    matrix = np.eye(4)
    matrix[:3, :3] = rotations(vector(node, "rotation", (0, 0, 0, 1), where)[None])[0]
    matrix[:3, :3] *= vector(node, "scale", (1, 1, 1), where)
    matrix[:3, 3] = vector(node, "translation", (0, 0, 0), where)
    return matrix


def rotations(quaternions: Float[np.ndarray, "many 4"]) -> Float[np.ndarray, "many 3 3"]:
    """Of quaternions x, y, z, w of any length but 0."""
    length = np.linalg.norm(quaternions, axis=1, keepdims=True)
    if not (length > 0).all():
        raise ValueError("a rotation is a quaternion of length 0")
    x, y, z, w = (quaternions / length).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)
