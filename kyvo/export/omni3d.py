"""Scenes to Omni3D's JSON, which `kyvo.data.omni3d` reads: boxes in metres in a camera's frame, unknowns as -1."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from kyvo.errors import SceneError
from kyvo.scene.files import write_json
from kyvo.scene.scene import Scene

_CORNERS = np.array(
    [(-1, -1, -1), (1, -1, -1), (1, 1, -1), (-1, 1, -1), (-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)]
)


def write_omni3d(scene: Scene, path: Path) -> None:
    """One scene with its picture's name and size, all that a reader needs. Raises SceneError for what is missing."""
    conventions = (scene.frame, scene.up_axis, scene.units)
    if conventions != ("camera", "-y", "m"):
        raise SceneError(
            f"frame, up axis and units are {', '.join(conventions)}; Omni3D's files hold camera, -y, m only, as "
            "scenes of Objectron and ARKitScenes have them. Formats for any scene are glb, usd, html and blender."
        )
    if scene.image is None:
        raise SceneError("image is missing; Omni3D's files name the picture of a scene.")
    if scene.camera is None and "image_size" not in scene.extra:
        raise SceneError(
            "camera is missing, and image_size; Omni3D's files give the picture's size. Add one of the two, as in "
            '"image_size": [1920, 1440].'
        )
    save_omni3d([scene], path)


def box_corners(
    center: Sequence[float], dimensions: Sequence[float], rotation: Sequence[Sequence[float]]
) -> Float[np.ndarray, "8 3"]:
    """The corners of a box in `bbox3D_cam`'s order: the four at the near end of its z axis, then the far ones."""
    width, height, length = dimensions
    return _CORNERS * (length / 2, height / 2, width / 2) @ np.asarray(rotation, dtype=float).T + np.asarray(center)


def save_omni3d(scenes: Sequence[Scene], path: Path, info: dict[str, Any] | None = None) -> None:
    """Inverse of `kyvo.data.omni3d.load_omni3d`, confidences as `score`. Raises SceneError for objects without a box.

    Images are numbered anew where a scene has no `image_id`.
    """
    categories = {
        name: index for index, name in enumerate(sorted({str(o.category) for s in scenes for o in s.objects}))
    }
    images, annotations = [], []
    for index, scene in enumerate(scenes):
        image_id = scene.extra.get("image_id", index)
        camera = scene.camera
        width, height = scene.extra.get("image_size") or ([camera.width, camera.height] if camera else [-1, -1])
        matrix = scene.extra.get("K", -1)
        if matrix == -1 and camera is not None:
            matrix = [[camera.focal, 0.0, camera.center[0]], [0.0, camera.focal, camera.center[1]], [0.0, 0.0, 1.0]]
        images.append({"id": image_id, "width": width, "height": height, "file_path": scene.image, "K": matrix})
        for place, item in enumerate(scene.objects):
            if item.category is None or item.location is None or item.dimensions is None:
                raise SceneError(f"scenes[{index}].objects[{place}]: Omni3D needs category, location and dimensions.")
            rotation = item.extra.get("R_cam")
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": image_id,
                    "category_id": categories[item.category],
                    "category_name": item.category,
                    "valid3D": True,
                    "center_cam": list(item.location),
                    "dimensions": list(item.dimensions),
                    "R_cam": rotation or -1,
                    "bbox3D_cam": box_corners(item.location, item.dimensions, rotation).tolist() if rotation else -1,
                    "visibility": item.extra.get("visibility", -1),
                    "truncation": item.extra.get("truncation", -1),
                }
                | ({} if item.confidence is None else {"score": item.confidence})
            )
    rows = [{"id": index, "name": name} for name, index in categories.items()]
    write_json({"info": info or {}, "images": images, "categories": rows, "annotations": annotations}, path)
