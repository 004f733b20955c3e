"""Scenes to a viewer in one HTML file that opens in any browser, without network: turn, zoom, labels, keyboard.

The page is `viewer.html` beside this file with the scene put in; its content security policy lets it fetch nothing.
"""

import base64
import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from kyvo.export.primitives import TO_Y_UP, Meshes, Primitive, Stage, stage
from kyvo.scene.scene import Camera, Scene

MARK = "/*SCENE*/null"


def write_html(scene: Scene, path: Path, meshes: Meshes | None = None) -> None:
    """Writes the page. Raises SceneError as `kyvo.export.primitives.stage` does."""
    path.write_text(html_text(scene, meshes), encoding="utf-8")


def html_text(scene: Scene, meshes: Meshes | None = None) -> str:
    """The page."""
    page = (files("kyvo.export") / "viewer.html").read_text(encoding="utf-8")
    text = json.dumps(_content(scene, stage(scene, up="y", meshes=meshes)), ensure_ascii=False, separators=(",", ":"))
    return page.replace(MARK, text.replace("<", "\\u003c"))  # so that no text of the scene ends the script


def _content(scene: Scene, shown: Stage) -> dict[str, Any]:
    unique = {id(item.mesh): item for item in shown.primitives}
    points = np.concatenate([item.points for item in shown.primitives] or [np.eye(3)])
    low, high = points.min(0), points.max(0)
    count = len(shown.primitives)
    return {
        "title": scene.image or f"{scene.schema} scene",
        "note": f"{count} object{'' if count == 1 else 's'}, {scene.frame} frame, {scene.up_axis} up, {scene.units}",
        "middle": ((low + high) / 2).tolist(),
        "radius": max(float(np.linalg.norm(high - low)) / 2, 1e-3),
        "floor": float(low[1]),
        "axes": np.array(TO_Y_UP[scene.up_axis], dtype=float).T.tolist(),  # the scene's x, y, z in the viewer's
        "camera": None if shown.camera is None else _camera(shown.camera),
        "meshes": [_mesh(item) for item in unique.values()],
        "objects": [_object(item, list(unique).index(id(item.mesh))) for item in shown.primitives],
    }


def _object(item: Primitive, mesh: int) -> dict[str, Any]:
    return {
        "label": item.label,
        "mesh": mesh,
        "matrix": np.round(item.matrix.T, 6).ravel().tolist(),  # column by column
        "normals": (item.rotation / item.scale.clip(1e-9)).T.ravel().tolist(),
        "middle": item.location.tolist(),
        "color": list(item.color),
        "swatch": list(item.color) if item.vertex_colors is None else item.vertex_colors.mean(0).tolist(),
        "metallic": item.metallic,
        "roughness": item.roughness,
        "attributes": dict(item.attributes),
    }


def _mesh(item: Primitive) -> dict[str, str]:
    mesh: trimesh.Trimesh = item.mesh
    arrays = {
        "positions": np.asarray(mesh.vertices, dtype="<f4"),
        "normals": np.round(np.asarray(mesh.vertex_normals) * 32767).astype("<i2"),
        "indices": np.asarray(mesh.faces, dtype="<u4"),
    }
    if item.vertex_colors is not None:
        arrays["colors"] = np.round(item.vertex_colors * 255).astype("u1")
    return {name: base64.b64encode(np.ascontiguousarray(array).tobytes()).decode() for name, array in arrays.items()}


def _camera(camera: Camera) -> dict[str, Any]:
    return {
        "location": list(camera.location),
        "forward": list(camera.rotation[2]),
        "fov": 2 * math.atan(camera.height / (2 * camera.focal)),
    }
