"""Scenes to Blender: a Python script that builds the scene in any Blender, or a `.blend` through the package `bpy`.

The script is `builder.py` beside this file with the scene put in. For a `.blend` it runs in a process of its own, so
that Blender's one global state is nobody else's.
"""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.errors import SceneError
from kyvo.export.primitives import Meshes, Primitive, camera_matrix, stage
from kyvo.extras import MissingDependency
from kyvo.scene.scene import Camera, Scene

MARK = "SCENE = None\n"
FILM = 32.0  # mm; width of the camera's sensor, as CLEVR's
SECONDS = 600  # for Blender to build and save


def write_blender(scene: Scene, path: Path, meshes: Meshes | None = None) -> None:
    """Writes a script, or Blender's own file where `path` ends in `.blend`.

    Raises:
        MissingDependency: a `.blend` is wanted and `bpy` is not installed.
        SceneError: as `kyvo.export.primitives.stage` does, or Blender failed.
    """
    text = blender_script(scene, meshes)
    if path.suffix.lower() != ".blend":
        path.write_text(text, encoding="utf-8")
        return
    if importlib.util.find_spec("bpy") is None:
        raise MissingDependency(
            'A .blend file needs Blender as a package, for Python 3.11: pip install "kyvo[blender]". '
            "Or write a .py and run: blender --background --python FILE.py -- FILE.blend"
        )
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "scene.py"
        script.write_text(text, encoding="utf-8")
        command = [sys.executable, str(script), "--", str(path.absolute())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise SceneError(f"Blender did not build the scene (exit code {done.returncode}): {lines[-1]}")


def blender_script(scene: Scene, meshes: Meshes | None = None) -> str:
    """The script's text."""
    shown = stage(scene, up="z", meshes=meshes)
    unique = {id(item.mesh): item for item in shown.primitives}
    objects = [_object(item, list(unique).index(id(item.mesh))) for item in shown.primitives]
    camera = None if shown.camera is None else _camera(shown.camera)
    content = f"SCENE = {{\n'camera': {camera!r},\n'objects': {_rows(objects)},\n'meshes': " + (
        f"{_rows([_mesh(item) for item in unique.values()])},\n}}\n"
    )
    source = (files("kyvo.export") / "builder.py").read_text(encoding="utf-8")
    head, found, tail = source.partition(MARK)
    assert found
    return head + content + tail


def _rows(rows: Sequence[Any]) -> str:
    """A list, one entry a line, so that it can be read and edited."""
    return "[" + "".join(f"\n{row!r}," for row in rows) + "]"


def _object(item: Primitive, mesh: int) -> dict[str, Any]:
    return {
        "name": item.name,
        "mesh": mesh,
        "matrix": np.round(item.matrix, 6).tolist(),
        "material": item.material,
        "color": item.color,
        "metallic": item.metallic,
        "roughness": item.roughness,
        "attributes": dict(item.attributes),
    }


def _mesh(item: Primitive) -> dict[str, Any]:
    colors = item.vertex_colors
    return {
        "vertices": np.round(item.mesh.vertices, 6).tolist(),
        "faces": np.asarray(item.mesh.faces).tolist(),
        "normals": np.round(item.mesh.vertex_normals, 4).tolist(),
        "colors": None if colors is None else np.round(colors, 4).tolist(),
    }


def _camera(camera: Camera) -> dict[str, Any]:
    return {
        "matrix": np.round(camera_matrix(camera), 9).tolist(),
        "film": FILM,
        "lens": camera.focal / camera.width * FILM,
        "shift": (
            (camera.width / 2 - camera.center[0]) / camera.width,
            (camera.center[1] - camera.height / 2) / camera.width,
        ),
        "size": (camera.width, camera.height),
    }
