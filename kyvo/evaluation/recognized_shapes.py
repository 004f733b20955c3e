"""Scenes of a method that says which objects there are: Kyvo's index of posed objects, and the shapes of those found.

A made object finds a true one as in Kyvo's paper (`kyvo.metrics.scenes`): of the same category, and nearer than tau, in
the frame of `kyvo.shapes.scene_tokens`; nothing is aligned, and masks are not used. Shapes are compared in their cubes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kyvo.metrics.geometry import compare_clouds
from kyvo.metrics.scenes import SCENE_SHAPES, match_scene
from kyvo.shapes.placed import GeneratedScene, PlacedObject
from kyvo.shapes.scene_files import as_scene
from kyvo.shapes.scene_flow_data import SceneRow
from kyvo.shapes.scene_tokens import token_scene
from kyvo.shapes.scores import TAU, triangle_cloud

JACCARD, FOUND = "Jaccard", "shape F-score of objects found"


def recognition_scores(made: GeneratedScene, true: Sequence[PlacedObject], row: SceneRow) -> dict[str, Any]:
    """JACCARD, and FOUND of each object that was found. Empty for a method that says no categories."""
    if any(item.category is None for item in made.objects):
        return {}
    truth = token_scene(row, ordered=False)
    match = match_scene(as_scene(made), truth, taus=SCENE_SHAPES.taus, criterion=SCENE_SHAPES)
    pairs = ((made.objects[ours], true[theirs]) for ours, theirs, _ in match.pairs)
    clouds = ([triangle_cloud(item.cube_triangles) for item in pair] for pair in pairs)
    scores = [compare_clouds(ours, theirs, tau=TAU).f_score for ours, theirs in clouds]
    return {JACCARD: float(np.mean(match.jaccard)), FOUND: scores}
