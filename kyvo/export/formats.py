"""`export_scene`: a scene to a file of any format, whole or not at all. `FORMATS` is the one table of them.

Writers take a scene, a path and meshes for objects whose shape has none of ours (`kyvo.export.primitives.stage`); they
are imported when asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from kyvo.errors import ConfigError
from kyvo.export.files import replaced
from kyvo.scene.clevr import to_clevr
from kyvo.scene.files import write_json
from kyvo.scene.scene import Scene

if TYPE_CHECKING:
    import trimesh


@dataclass(frozen=True, kw_only=True)
class Format:
    """A kind of file: what its names end with, the usual ending first, and the function that writes it."""

    suffixes: tuple[str, ...]
    writer: str  # "module:function"
    takes_meshes: bool = True
    about: str = ""


FORMATS: dict[str, Format] = {
    "glb": Format(suffixes=(".glb",), writer="kyvo.export.gltf:write_glb", about="binary glTF 2.0"),
    "usd": Format(suffixes=(".usda", ".usdc", ".usd"), writer="kyvo.export.usd:write_usd", about="OpenUSD"),
    "html": Format(
        suffixes=(".html", ".htm"), writer="kyvo.export.html:write_html", about="a viewer in one file, for any browser"
    ),
    "blender": Format(
        suffixes=(".py", ".blend"),
        writer="kyvo.export.blender:write_blender",
        about="a script for Blender, or its file",
    ),
    "clevr": Format(
        suffixes=(".clevr.json", ".json"),
        writer="kyvo.export.formats:write_clevr",
        takes_meshes=False,
        about="CLEVR's JSON of one scene, in the world's frame",
    ),
    "omni3d": Format(
        suffixes=(".omni3d.json", ".json"),
        writer="kyvo.export.omni3d:write_omni3d",
        takes_meshes=False,
        about="Omni3D's JSON of one picture, of scenes in a camera's frame and in metres",
    ),
}


def export_scene(
    scene: Scene,
    path: str | Path,
    *,
    format: str | None = None,
    meshes: "Mapping[int, trimesh.Trimesh] | None" = None,
) -> None:
    """Writes the scene to `path`; a file that is there is replaced, and stays where writing fails.

    Args:
        format: one of FORMATS; by default that of the suffix of `path`.
        meshes: index of an object -> its mesh, as for `kyvo.export.primitives.stage`; other formats ignore them.

    Raises:
        ConfigError: the format is unknown, or does not go with the suffix.
        SceneError: the format cannot hold the scene, with the object and the field; or the file cannot be written.
        MissingDependency: the format's library is not installed.
    """
    path = Path(path)
    chosen = FORMATS[format_of(path, format)]
    module, _, name = chosen.writer.partition(":")
    write = getattr(import_module(module), name)
    with replaced(path) as draft:
        write(scene, draft, **({"meshes": meshes} if chosen.takes_meshes else {}))


def write_clevr(scene: Scene, path: Path) -> None:
    """CLEVR's JSON of one scene. Raises SceneError for a scene in another frame or unit."""
    write_json(to_clevr(scene), path)


def format_of(path: Path, format: str | None = None) -> str:
    """The name of the format of a file. Raises ConfigError where name and format say none, or do not agree."""
    if format is not None:
        suffixes = check_format(format).suffixes
        if not path.name.lower().endswith(suffixes):
            raise ConfigError(f"{path} does not end as {format} does: {', '.join(suffixes)}. Rename it.")
        return format
    known = {suffix: [name for name, row in FORMATS.items() if suffix in row.suffixes] for suffix in _suffixes()}
    ending = next((suffix for suffix in sorted(known, key=len, reverse=True) if path.name.lower().endswith(suffix)), "")
    names = known.get(ending, [])
    if len(names) == 1:
        return names[0]
    if names:
        raise ConfigError(f"{path}: {ending} is the ending of {' and '.join(names)}; tell the format.")
    raise ConfigError(f"{path} has no ending of a format; known are {', '.join(known)}. Or tell the format.")


def check_format(name: str) -> Format:
    """The format of this name. Raises ConfigError with the nearest known name."""
    if name not in FORMATS:
        close = get_close_matches(name, FORMATS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ConfigError(f"no format is called {name!r}; {hint}known are {', '.join(FORMATS)}.")
    return FORMATS[name]


def _suffixes() -> list[str]:
    return list(dict.fromkeys(suffix for row in FORMATS.values() for suffix in row.suffixes))
