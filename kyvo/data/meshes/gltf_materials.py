"""The base color of a glTF primitive: material factor, colors at vertices, and the texture with its coordinates.

Metalness, roughness, normal and emission maps, lights and transparency have no effect on it. What is cut out (alphaMode
MASK) or not seen at all (BLEND with an alpha of 0) is read as whole, with a warning.
"""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from kyvo.data.meshes.gltf_extensions import PICTURES, SPECULAR, TRANSFORM, UNREAD_PICTURES, extension
from kyvo.data.meshes.gltf_files import GltfFile, vector
from kyvo.data.meshes.mesh_parts import UNTEXTURED, Fault, Sampler, Texture, Wrap, lost_texture
from kyvo.data.meshes.textures import decode_texture

LOG = logging.getLogger(__name__)

_WRAPS: dict[int, Wrap] = {33071: "clamp", 33648: "mirror", 10497: "repeat"}
_NEAREST = 9728

Attributes = Mapping[str, np.ndarray]


class Materials:
    """A file's materials; each picture is decoded once."""

    def __init__(self, gltf: GltfFile) -> None:
        self.gltf = gltf
        self.textures: dict[int, Texture] = {}
        self.masked: set[int] = set()

    def surface(
        self, number: int | None, attributes: Attributes, where: str
    ) -> tuple[Float[np.ndarray, "vertices 3"], Float[np.ndarray, "vertices 2"], Texture | None]:
        """Linear colors and texture coordinates at the vertices, and the texture.

        Args:
            number: of the material; None for a primitive without any.
            where: the primitive, for messages.
        """
        count = len(attributes["POSITION"])
        colors, uv = np.ones((count, 3)), np.zeros((count, 2))
        painted = attributes.get("COLOR_0")
        if painted is not None:
            colors = _unit(painted[:, :3].astype(float), f"COLOR_0 of {where}")
        if number is None:
            return colors if painted is not None else colors * UNTEXTURED, uv, None
        material = self.gltf.tree["materials"][number]
        if number not in self.masked and _cut_out(material):
            self.masked.add(number)
            LOG.warning(
                "%s: materials[%d] is cut out or hidden by its alpha; its triangles are read whole",
                self.gltf.path,
                number,
            )
        factor, info = _base_color(material, f"materials[{number}]")
        colors = colors * factor
        if info is None:
            return colors, uv, None
        texture = self._texture(info["index"], f"materials[{number}].baseColorTexture")
        name = f"TEXCOORD_{texture_set(info)}"
        if name not in attributes:
            raise lost_texture(f"materials[{number}] takes {name}, which {where} has not")
        uv = transformed(attributes[name][:, :2].astype(float), extension(info, TRANSFORM))
        return colors, np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1), texture

    def _texture(self, number: int, where: str) -> Texture:
        if number not in self.textures:
            texture = self.gltf.tree["textures"][number]
            pixels = decode_texture(*self._picture(texture, where))
            sampler = self.gltf.tree["samplers"][texture["sampler"]] if "sampler" in texture else {}
            self.textures[number] = Texture(pixels=pixels, sampler=_sampler(sampler))
        return self.textures[number]

    def _picture(self, texture: Mapping[str, Any], where: str) -> tuple[bytes, str]:
        """The bytes of a texture's picture, and words for messages. Raises Fault where there is none to read."""
        sources = [found for name in PICTURES if (found := extension(texture, name))] + [texture]
        source = next((found["source"] for found in sources if "source" in found), None)
        if source is None:
            unread = [name for name in UNREAD_PICTURES if extension(texture, name)]
            raise lost_texture(f"{where} has {f'only a picture of {unread[0]}' if unread else 'no picture'}")
        image = self.gltf.tree["images"][source]
        if "uri" not in image:
            return self.gltf.view(image["bufferView"]), f"{where} is embedded as image {source}"
        uri = image["uri"]
        if uri.startswith("data:"):
            return self.gltf.data_of(uri, where), f"{where} is embedded as image {source}"
        try:
            return self.gltf.data_of(uri, where), f"{where} names {uri}"
        except Fault as fault:
            raise lost_texture(str(fault).partition(". ")[0]) from fault


def _cut_out(material: Mapping[str, Any]) -> bool:
    mode, factor = material.get("alphaMode"), material.get("pbrMetallicRoughness", {}).get("baseColorFactor", ())
    return mode == "MASK" or (mode == "BLEND" and list(factor[3:]) == [0])


def _base_color(material: Mapping[str, Any], where: str) -> tuple[Float[np.ndarray, "3"], Mapping[str, Any] | None]:
    """The factor, linear, and what says which texture."""
    names, owner = ("diffuseFactor", "diffuseTexture"), extension(material, SPECULAR)
    if owner is None:
        names, owner = ("baseColorFactor", "baseColorTexture"), material.get("pbrMetallicRoughness", {})
    factor = vector(owner, names[0], (1.0, 1.0, 1.0, 1.0), where)[:3]
    return _unit(factor, f"{names[0]} of {where}"), owner.get(names[1])


def _unit(colors: np.ndarray, where: str) -> np.ndarray:
    """Colors in [0, 1]. Raises Fault for others: NaN, or those of 0 to 255."""
    if not ((colors >= -1e-3) & (colors <= 1 + 1e-3)).all():
        raise Fault(
            f"colors: {where} goes from {colors.min():g} to {colors.max():g}; 0 to 1 is read",
            "Export the colors anew.",
        )
    return np.clip(colors, 0, 1)


def texture_set(info: Mapping[str, Any]) -> int:
    """Which texture coordinates a texture takes."""
    own = info.get("texCoord", 0)
    return (extension(info, TRANSFORM) or {}).get("texCoord", own)


def transformed(
    uv: Float[np.ndarray, "vertices 2"], change: Mapping[str, Any] | None
) -> Float[np.ndarray, "vertices 2"]:
    """KHR_texture_transform: scaled, turned, moved.

    A turn is counter-clockwise as one sees it, with v pointing down: what the sample model and the programs do. The
    matrix in the extension's text turns the other way (https://github.com/KhronosGroup/glTF/issues/1563).
    """
    if change is None:
        return uv
    u, v = (uv * vector(change, "scale", (1.0, 1.0), TRANSFORM)).T
    cos, sin = np.cos(change.get("rotation", 0.0)), np.sin(change.get("rotation", 0.0))
    return np.stack([cos * u + sin * v, cos * v - sin * u], axis=1) + vector(change, "offset", (0.0, 0.0), TRANSFORM)


def _sampler(sampler: Mapping[str, Any]) -> Sampler:
    return Sampler(
        wrap_u=_WRAPS[sampler.get("wrapS", 10497)],
        wrap_v=_WRAPS[sampler.get("wrapT", 10497)],
        nearest=sampler.get("magFilter") == _NEAREST,
    )
