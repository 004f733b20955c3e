"""Scenes of `kyvo data scenes` as a language model reads and writes them: the frame, the order, and the codes.

The frame is that of the scene with the cube's centre above the origin, the floor at z = 0, and the cube's side at SIDE:
what a picture tells of places, on the bins of `configs/schemas/scene_shapes.yaml`. Axes stay view-centric.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kyvo.models.slat.latent import StructuredLatent
from kyvo.scene.pose import Pose
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import in_reading_order
from kyvo.shapes.tokenizer import ShapeTokenizer

if TYPE_CHECKING:
    from kyvo.shapes.scene_flow_data import SceneRow  # needs the extra that reads sets

SCHEMA = "scene-shapes"
SIDE = 6.0  # of the scene's cube: the paper's floor, [-3, 3], holds it
FIELDS = ("category", "location", "scale", "pose", "shape_codes")  # that a schema must have


def token_scene(row: "SceneRow", codes: Sequence[Sequence[int]] | None = None, *, ordered: bool = True) -> Scene:
    """The row's scene in the frame above, with its camera.

    Args:
        codes: of each object's shape, in the row's order; by default objects have none.
        ordered: objects stand as one reads the picture, else in the row's order.
    """
    x, y, _ = row.cube.translation
    into = Pose(translation=(x, y, 0.0), scale=row.cube.scale / SIDE).inverse()
    objects = []
    for number, (category, own) in enumerate(zip(row.categories, row.poses, strict=True)):
        pose = into @ own
        objects.append(
            SceneObject(
                category=category,
                location=pose.translation,
                pose=pose.euler,
                shape_codes=None if codes is None else tuple(codes[number]),
                extra={"scale": pose.scale},
            )
        )
    camera = row.camera
    if camera is not None:
        place = into.apply(np.array(camera.location)).tolist()
        camera = replace(camera, location=tuple(place))
        objects = in_reading_order(objects, camera) if ordered else objects
    return Scene(objects=tuple(objects), schema=SCHEMA, camera=camera)


def row_codes(row: "SceneRow", tokenizer: ShapeTokenizer) -> list[list[int]]:
    """Codes of the shapes of a row, in its order. Raises LatentError for a row on another grid than the tokenizer's."""
    resolution = tokenizer.config.resolution
    latents = [
        StructuredLatent(coords=cells, feats=feats, resolution=resolution)
        for cells, feats in zip(row.cells, row.feats, strict=True)
    ]
    return tokenizer.encode(latents).tolist()
