"""Scenes in the model's canonical camera: objects move and turn so that it sees them as the scene's own camera does.

A model whose schema has no camera draws for one camera only. After the move, its picture is the one that the scene's
own camera takes. A schema with a camera has it in its prompt, and nothing moves.

Other prompts do not say the camera, and the pictures that a model was trained on have one on average. One that stands a
little elsewhere sees nearly the same picture of objects a little elsewhere: what it sees at their heights is exact.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from kyvo.scene.cube_views import viewing_directions
from kyvo.scene.scene import Camera, Scene
from kyvo.scene.schema import SceneSchema

FARTHEST = 1.0  # units that an object may have to move; a camera that needs more is none that the model can draw for


def rendering_camera(scene: Scene, camera: Camera, schema: SceneSchema) -> Camera:
    """The camera that the scene's rendering has: its own, or the model's `camera` where it has none that is near."""
    if scene.camera is None:
        return camera
    in_header = schema.snap_camera(scene.camera)
    if in_header is not None:
        return in_header.resized(camera.width, camera.height)
    moved = np.linalg.norm(_seen_alike(scene, camera) - _locations(scene), axis=1)
    return scene.camera if (moved <= FARTHEST).all() else camera


def to_canonical_camera(scene: Scene, camera: Camera, schema: SceneSchema) -> Scene:
    """What the model's `camera` would have to see to have the picture that the scene's `rendering_camera` has.

    Raises SceneError for what the schema cannot hold.
    """
    schema.snap(scene)  # refuses what is outside, before anything is moved and clamped
    if schema.camera_offset(scene.camera) is not None:
        return replace(scene, camera=rendering_camera(scene, camera, schema))
    if rendering_camera(scene, camera, schema) is camera:
        return replace(scene, camera=camera)
    axes, objects = schema.field("location").axes, []
    for item, place in zip(scene.objects, _seen_alike(scene, camera).tolist(), strict=True):
        x, y, _ = (axis.snap(value, clamp=True) for axis, value in zip(axes, place, strict=True))
        objects.append(item.with_values(location=(x, y, item.location[2])))  # type: ignore[index]
    assert scene.camera is not None  # or the rendering's would be the model's
    by_how_much = viewing_directions(camera, objects) - viewing_directions(scene.camera, scene.objects)
    for index, by in enumerate(by_how_much.tolist()):
        if objects[index].turn is not None:
            objects[index] = objects[index].with_values(rotation=objects[index].turn + by)
    return replace(scene, objects=tuple(objects), camera=camera)


def _locations(scene: Scene) -> Float[np.ndarray, "objects 3"]:
    return np.array([item.location for item in scene.objects], dtype=float).reshape(-1, 3)


def _seen_alike(scene: Scene, camera: Camera) -> Float[np.ndarray, "objects 3"]:
    """Where `camera` would have to see the objects, at the same heights, to have them where the scene's own does."""
    assert scene.camera is not None
    locations = _locations(scene)
    seen = scene.camera.resized(camera.width, camera.height).project(locations)
    return camera.at_heights(seen[:, :2], locations[:, 2])
