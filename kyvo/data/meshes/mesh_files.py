"""One mesh file to loose triangles with their colors and textures: GLB, glTF, OBJ or PLY, read by trimesh.

What a file claims to hold is checked before anything of that size is read: a file larger than MAX_BYTES, or of more
than MAX_TRIANGLES triangles, is refused, and so is one that names something it lacks.
"""

import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float, Int, UInt8
from PIL import Image
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial, SimpleMaterial

from kyvo.data.meshes.gltf_files import Fault, GltfFile
from kyvo.errors import KyvoError

MAX_BYTES = 1 << 30  # of a file
MAX_TRIANGLES = 2_000_000  # about 0.5 GB in memory
# What readers raise on files that are cut or damaged.
_DAMAGE = (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, RecursionError, struct.error)
UNTEXTURED = 0.6  # gray of a mesh that has no color, linear

Colors = Float[np.ndarray, "vertices 3"]


class AssetError(KyvoError):
    """A mesh file, or its row in the assets' YAML, that cannot be used."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LooseMesh:
    """A mesh as triangles that share no corner."""

    triangles: Float[np.ndarray, "faces 3 3"]
    colors: Float[np.ndarray, "faces 3 3"]  # linear RGB in [0, 1] at each corner; multiplies the texture
    uv: Float[np.ndarray, "faces 3 2"]  # (0, 0) is the texture's lower left corner
    texture: Int[np.ndarray, " faces"]  # index into `textures`, -1 for none
    textures: tuple[UInt8[np.ndarray, "height width 3"], ...] = ()  # sRGB


def read_mesh(path: Path) -> LooseMesh:
    """The mesh in the file's own axes and units. Raises AssetError with the file and what is wrong with it."""
    if not path.is_file():
        raise AssetError(f"file: {path} does not exist.")
    kind = path.suffix.lower()
    if kind not in _CHECKS:
        raise AssetError(f"file: {path} is of no known kind; known are {', '.join(_CHECKS)}.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise AssetError(
            f"file: {path} is {size / 1e9:.1f} GB large; up to {MAX_BYTES / 1e9:.1f} GB are read. Reduce the mesh."
        )
    try:
        fault = _CHECKS[kind](path)
        meshes = [] if fault else _placed(trimesh.load_scene(str(path), process=False))
    except _DAMAGE as error:
        raise AssetError(f"file: {path} is not a readable {path.suffix} ({type(error).__name__}: {error}).") from error
    if fault:
        raise AssetError(f"file: {path}: {fault.what}. {fault.remedy}")
    if not meshes:
        raise AssetError(f"file: {path}: faces: there are none; a triangle mesh is needed, not points or lines.")
    parts, textures = [], []
    for mesh, vertices, faces in meshes:
        broken = int((~np.isfinite(vertices)).any(1).sum())
        if broken:
            raise AssetError(
                f"file: {path}: vertices: {broken} of {len(vertices)} have a coordinate that is NaN or infinite. "
                "Export the mesh anew."
            )
        lowest, highest = int(faces.min()), int(faces.max())
        if lowest < 0 or highest >= len(vertices):
            index = lowest if lowest < 0 else highest
            raise AssetError(f"file: {path}: faces: one names vertex {index} of {len(vertices)}. Export the mesh anew.")
        colors, uv, texture = _surface(mesh, srgb_vertices=kind in (".ply", ".obj"))
        index = -1
        if texture is not None:
            index = len(textures)
            textures.append(texture)
        parts.append((vertices[faces], colors[faces], uv[faces], np.full(len(faces), index)))
    triangles, colors, uv, texture_index = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return LooseMesh(triangles=triangles, colors=colors, uv=uv, texture=texture_index, textures=tuple(textures))


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] -> linear light in [0, 1] (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """The way back from `to_linear`."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


def _placed(scene: trimesh.Scene) -> list[tuple[trimesh.Trimesh, np.ndarray, np.ndarray]]:
    """Each mesh of the scene with its vertices where they stand, and its faces as they are wound there.

    trimesh's own copies of a mesh lose the colors at its vertices where it has a material too.
    """
    placed = []
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        mesh = scene.geometry[name]
        if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces):
            mirrored = np.linalg.det(transform[:3, :3]) < 0
            faces = np.asarray(mesh.faces)
            vertices = trimesh.transform_points(mesh.vertices, transform)
            placed.append((mesh, vertices, faces[:, ::-1] if mirrored else faces))
    return placed


def _surface(
    mesh: trimesh.Trimesh, *, srgb_vertices: bool
) -> tuple[Colors, Float[np.ndarray, "vertices 2"], UInt8[np.ndarray, "height width 3"] | None]:
    """Linear colors and texture coordinates at the vertices, and the texture."""
    visual = mesh.visual
    colors = np.ones((len(mesh.vertices), 3))
    uv = np.zeros((len(mesh.vertices), 2))
    if isinstance(visual, ColorVisuals):
        if visual.kind is None:
            return colors * UNTEXTURED, uv, None
        colors = np.asarray(visual.vertex_colors)[:, :3] / 255
        return to_linear(colors) if srgb_vertices else colors, uv, None  # glTF's are linear
    assert isinstance(visual, TextureVisuals)
    tint = visual.vertex_attributes.get("color")
    if tint is not None:
        tint = np.asarray(tint)[:, :3]
        colors = colors * (tint / np.iinfo(tint.dtype).max if tint.dtype.kind == "u" else tint)
    material = visual.material
    if isinstance(material, PBRMaterial):
        factor, image = material.baseColorFactor, material.baseColorTexture
        if factor is not None:
            colors = colors * np.asarray(factor)[:3] / 255
    else:
        assert isinstance(material, SimpleMaterial)
        image = material.image
        colors = colors * to_linear(np.asarray(material.diffuse)[:3] / 255)
    if image is None or visual.uv is None:
        return colors, uv, None
    return colors, np.asarray(visual.uv, dtype=float), np.asarray(image.convert("RGB"))


def _check_gltf(path: Path) -> Fault | None:
    gltf = GltfFile.open(path)
    return gltf.fault() or _too_many(gltf.count_triangles()) or _lost_texture(_lost_gltf_texture(gltf))


def _check_obj(path: Path) -> Fault | None:
    """Counts the faces, and looks for the material files and the pictures that they name."""
    num_faces = 0
    with path.open(errors="replace") as lines:
        for line in lines:
            num_faces += line.startswith("f ")
            if num_faces > MAX_TRIANGLES:
                return _too_many(num_faces)
            if not line.startswith("mtllib "):
                continue
            materials = path.parent / line.split(maxsplit=1)[1].strip()
            if not materials.is_file():
                return _lost_texture(f"mtllib names {materials.name}, which is missing")
            for row in materials.read_text(errors="replace").splitlines():
                if row.strip().startswith("map_Kd "):
                    picture = row.split()[-1]
                    lost = _lost_picture(path.parent / picture)
                    if lost:
                        return _lost_texture(f"map_Kd of {materials.name} names {picture}, which is {lost}")
    return None


def _check_ply(path: Path) -> Fault | None:
    """Reads the header: how many there are of each element, and the picture that it may name."""
    with path.open("rb") as file:
        if file.readline().strip() != b"ply":
            raise ValueError("it does not begin with ply")
        claimed = 0
        for raw in file:
            line = raw.decode("ascii", errors="replace").strip()
            if line == "end_header":
                break
            words = line.split()
            if words[:1] == ["element"]:
                claimed += int(words[2])
                if words[1] == "face" and int(words[2]) > MAX_TRIANGLES:
                    return _too_many(int(words[2]))
            elif line.lower().startswith("comment texturefile"):
                picture = line.split(maxsplit=2)[2]
                lost = _lost_picture(path.parent / picture)
                if lost:
                    return _lost_texture(f"its header names {picture}, which is {lost}")
        else:
            raise ValueError("its header has no end")
        left = path.stat().st_size - file.tell()
    if claimed > left:  # the least that an element takes is a byte
        raise ValueError(f"its header claims {claimed:,} elements, and {left:,} bytes follow")
    return None


def _lost_gltf_texture(gltf: GltfFile) -> str | None:
    """What is wrong with the first base color picture that cannot be read; None when all can."""
    tree = gltf.tree
    for number, material in enumerate(tree.get("materials", ())):
        color = material.get("pbrMetallicRoughness", {}).get("baseColorTexture")
        source = None if color is None else tree["textures"][color["index"]].get("source")
        if source is None:
            continue
        image = tree["images"][source]
        where = f"materials[{number}].baseColorTexture"
        if "bufferView" in image and gltf.binary:
            view = tree["bufferViews"][image["bufferView"]]
            start = view.get("byteOffset", 0)
            lost = _lost_picture(gltf.binary[start : start + view["byteLength"]])
            if lost:
                return f"{where} is embedded as image {source}, which is {lost}"
        elif "uri" in image and not image["uri"].startswith("data:"):
            lost = _lost_picture(gltf.beside(image["uri"]))
            if lost:
                return f"{where} names {image['uri']}, which is {lost}"
    return None


def _too_many(num_triangles: int) -> Fault | None:
    if num_triangles <= MAX_TRIANGLES:
        return None
    return Fault(
        what=f"faces: there are more than {MAX_TRIANGLES:,}, which is the most that is read",
        remedy="Reduce the mesh (Blender's Decimate, or MeshLab's quadric edge collapse).",
    )


def _lost_texture(lost: str | None) -> Fault | None:
    if lost is None:
        return None
    return Fault(what=f"texture: {lost}", remedy="Restore it, or export the mesh with its textures embedded.")


def _lost_picture(source: Path | bytes) -> str | None:
    if isinstance(source, Path) and not source.is_file():
        return "missing"
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as picture,
        ):
            picture.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow raises
        return f"no readable picture ({error})"
    return None


_CHECKS: dict[str, Callable[[Path], Fault | None]] = {
    ".glb": _check_gltf,
    ".gltf": _check_gltf,
    ".obj": _check_obj,
    ".ply": _check_ply,
}
