"""Reconstruction metrics of shapes: Chamfer distance and F-score of points spread evenly over both surfaces.

The protocol is TRELLIS's (https://arxiv.org/abs/2412.01506, section 4): the cube of side 1, nothing aligned.
"""

import numpy as np
from jaxtyping import Float

from kyvo.metrics.geometry import CloudScores, compare_clouds
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.contour import extract_mesh
from kyvo.shapes.mesh import surface_points

TAU = 0.05  # of the F-score, in the cube
NUM_POINTS = 10_000  # of each surface: the F-score is within 0.01 of that of 100,000


def triangle_cloud(triangles: Float[np.ndarray, "faces 3 3"], *, count: int = NUM_POINTS) -> Float[np.ndarray, "_ 3"]:
    """Points spread evenly over triangles."""
    faces, weights = surface_points(triangles, count)
    return (triangles[faces] * weights[:, :, None]).sum(1)


def latent_cloud(latent: StructuredLatent, *, kind: str) -> Float[np.ndarray, "_ 3"]:
    """Points of a latent's surface; of TRELLIS's latents, which a network decodes, the centres of the cells.

    Args:
        kind: of the features, as `ShapeVQVAEConfig` names it.
    """
    if kind != "surface":
        return latent.centers.cpu().double().numpy()
    surface = extract_mesh(latent)
    return triangle_cloud(surface.vertices[surface.faces].cpu().double().numpy())


def compare_latents(found: StructuredLatent, truth: StructuredLatent, *, kind: str) -> CloudScores:
    """The tokens' part of the error: what was decoded against what was encoded."""
    return compare_clouds(latent_cloud(found, kind=kind), latent_cloud(truth, kind=kind), tau=TAU)
