"""Masks of a picture's objects where no files of them are given: of a recognised scene, and of boxes and points."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from kyvo.data.meshes.object_meshes import object_meshes
from kyvo.data.scene_pictures import ScenePicture, as_scene_picture
from kyvo.errors import ConfigError
from kyvo.export.primitives import object_label
from kyvo.export.view import outline_labels
from kyvo.models.segmenter import Prompt, Segmenter
from kyvo.scene.scene import Scene
from kyvo.scene.schema import camera_of
from kyvo.scene.source import source_of

RECTANGLES = "the boxes are taken as masks, with what else is in them; a segmentation model gives outlines"


def masked_by_scene(rgb: UInt8[np.ndarray, "height width 3"], scene: Scene) -> ScenePicture:
    """The picture with the outline of each object of its scene, the nearest before the others, and the scene's camera.

    What was said of the scene when it was recognised is among the warnings.

    Raises:
        SceneError: no camera says where objects are.
        ImageError: no object is seen.
    """
    labels = outline_labels(scene, rgb.shape[1], rgb.shape[0], meshes=object_meshes(scene))
    placed = [index for index, item in enumerate(scene.objects) if item.location is not None]
    masks = [labels == 1 + index for index in placed]
    names = [f"{index} {object_label(scene.objects[index])}" for index in placed]
    found = as_scene_picture(rgb, masks, names, warnings=source_of(scene).warnings)
    stands = scene.frame == "world" and scene.up_axis == "+z"  # on a floor, as the baselines take it
    return replace(found, camera=camera_of(scene, rgb.shape[1], rgb.shape[0]) if stands else None)


def masked_by_prompts(
    rgb: UInt8[np.ndarray, "height width 3"], prompts: Mapping[str, Prompt], *, segmenter: Segmenter | None = None
) -> ScenePicture:
    """The picture with a mask of each prompt, by its object's name: by the segmenter, or the box itself.

    Raises:
        ConfigError: a prompt lies outside of the picture, or is of points and there is no segmenter.
        ImageError: no object is left.
    """
    check_prompts(rgb, prompts, segments=segmenter is not None)
    if segmenter is not None:
        return as_scene_picture(rgb, list(segmenter(rgb, list(prompts.values()))), list(prompts))
    masks = []
    for prompt in prompts.values():
        assert prompt.box is not None  # checked above
        x0, y0, x1, y1 = (round(value) for value in prompt.box)
        mask = np.zeros(rgb.shape[:2], dtype=bool)
        mask[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
        masks.append(mask)
    return as_scene_picture(rgb, masks, list(prompts), warnings=[RECTANGLES])


def check_prompts(rgb: UInt8[np.ndarray, "height width 3"], prompts: Mapping[str, Prompt], *, segments: bool) -> None:
    """Raises ConfigError for a prompt that says no object.

    Args:
        segments: whether there is a segmenter.
    """
    height, width = rgb.shape[:2]
    size = f"the picture has {width}x{height} px"
    for name, prompt in prompts.items():
        if prompt.box is None and not prompt.points:
            raise ConfigError(f"{name} has neither a box nor a point.")
        if prompt.box is not None:
            x0, y0, x1, y1 = prompt.box
            if not (min(x1, width) > max(x0, 0) and min(y1, height) > max(y0, 0)):
                raise ConfigError(f"{name}: the box {x0:g},{y0:g},{x1:g},{y1:g} holds nothing of the picture; {size}.")
        for x, y in prompt.points:
            if not (0 <= x < width and 0 <= y < height):
                raise ConfigError(f"{name}: the point {x:g},{y:g} is outside of the picture; {size}.")
        if prompt.points and not segments:
            raise ConfigError(f"{name} is given by points, which need a segmentation model; give one, or a box alone.")
