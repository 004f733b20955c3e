"""MTL files: of each material the diffuse color (Kd) and picture (map_Kd) with its options.

Colors are sRGB. Ambient, specular and emitted light, transparency, and maps other than map_Kd have no effect on the
surface or its color, and are not read.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kyvo.data.meshes.mesh_parts import REPEAT, Fault, Sampler, Texture, lost_texture, scaled_colors, to_linear
from kyvo.data.meshes.named_files import decode_text, find_referenced, statements, without_comment
from kyvo.data.meshes.textures import decode_texture

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?\s+"
_OPTION = re.compile(
    rf"-(o|s|t)\s+((?:{_NUMBER}){{1,3}})|-(mm)\s+({_NUMBER}{_NUMBER})|-(\w+)\s+(\S+)\s+", re.IGNORECASE
)
_OPTIONS = frozenset(
    ("o", "s", "t", "mm", "clamp", "cc", "imfchan", "blendu", "blendv", "boost", "bm", "texres", "type")
)
_ANEW = "Export the mesh anew."


@dataclass(frozen=True, kw_only=True)
class Map:
    """The picture of map_Kd. It shows at uv * scale + offset."""

    file: Path
    where: str  # for messages
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    sampler: Sampler = REPEAT

    def texture(self) -> Texture:
        """Raises Fault where the picture is missing or no readable one."""
        return Texture(pixels=decode_texture(self.file, self.where), sampler=self.sampler)


@dataclass(frozen=True, kw_only=True)
class Material:
    color: tuple[float, float, float] | None = None  # linear
    map: Map | None = None
    fault: Fault | None = None  # why the color cannot be read


def read_mtl(path: Path, *, beside: Path) -> dict[str, Material]:
    """The materials by name. One that cannot be read has its fault, which counts once a face uses it.

    Args:
        beside: another folder in which pictures are looked for, that of the OBJ.
    """
    materials: dict[str, Material] = {}
    name = None
    for line in statements(decode_text(path.read_bytes())):
        key, _, rest = line.strip().replace("\t", " ").partition(" ")
        key, rest = key.lower(), rest.strip()
        if key == "newmtl":
            name = " ".join(rest.split())
            materials[name] = Material()
        elif name is not None and key in _STATEMENTS:
            try:
                materials[name] = _STATEMENTS[key](materials[name], rest, path, beside)
            except Fault as fault:
                materials[name] = replace(materials[name], fault=fault)
    return materials


def _kd(material: Material, rest: str, path: Path, beside: Path) -> Material:
    try:
        numbers = [float(word) for word in rest.partition("#")[0].split()]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3):
        raise Fault(f"colors: {path.name} has the statement `Kd {rest}`, and Kd of one or three numbers is read", _ANEW)
    color = scaled_colors(np.array([numbers * (3 // len(numbers))]), "f4", f"Kd of {path.name}")
    red, green, blue = to_linear(color[0]).tolist()
    return replace(material, color=(red, green, blue))


def _map_kd(material: Material, rest: str, path: Path, beside: Path) -> Material:
    folders = [path.parent, beside]
    options: dict[str, str] = {}
    while (found := _OPTION.match(rest)) and find_referenced(folders, rest) is None:
        option, value = (part.strip().lower() for part in found.groups() if part is not None)
        if option not in _OPTIONS:
            break  # the name begins with a minus
        options[option], rest = value, rest[found.end() :]
    if rest and find_referenced(folders, rest) is None:
        rest = without_comment(rest)
    for option, value in options.items():
        if _changes_colors(option, value):
            raise lost_texture(f"map_Kd of {path.name} has the option -{option} {value}, which is not read")
    if not rest:
        return material
    clamps = options.get("clamp") == "on"
    picture = Map(
        file=find_referenced(folders, rest) or path.parent / rest,
        where=f"map_Kd of {path.name} names {rest}",
        scale=_pair(options.get("s", ""), 1.0),
        offset=_pair(options.get("o", ""), 0.0),
        sampler=Sampler(wrap_u="clamp", wrap_v="clamp") if clamps else REPEAT,
    )
    return replace(material, map=picture)


def _pair(numbers: str, default: float) -> tuple[float, float]:
    """The first two of an option's numbers."""
    u, v, *_ = [*map(float, numbers.split()), default, default]
    return u, v


def _changes_colors(option: str, value: str) -> bool:
    """Whether an option that is not read has another than its neutral value."""
    if option == "mm":
        return [float(number) for number in value.split()] != [0.0, 1.0]
    if option == "t":
        return any(float(number) for number in value.split())
    return (option, value) == ("cc", "on") or option == "imfchan"


def _decal(material: Material, rest: str, path: Path, beside: Path) -> Material:
    raise lost_texture(f"{path.name} has the statement `decal {rest}`, which is not read")


_STATEMENTS: dict[str, Callable[[Material, str, Path, Path], Material]] = {
    "kd": _kd,
    "map_kd": _map_kd,
    "decal": _decal,
}
