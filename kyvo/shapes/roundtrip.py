"""A mesh through a tokenizer and back, stage by stage, and how far each stage is from the mesh.

The stages: `features`, the surface features alone (the autoencoder, which has no weights: kyvo/shapes/contour.py);
`network`, those through the VQ-VAE without its codebook; `tokens`, through the codes. Geometry is compared by points on
both surfaces (kyvo/shapes/scores.py), looks by renderings.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from PIL import Image

from kyvo.data.meshes.assets import Asset
from kyvo.errors import ConfigError
from kyvo.metrics.geometry import compare_clouds
from kyvo.metrics.images import PEAK
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.contour import extract_mesh
from kyvo.shapes.pictures import on_white, shape_sheet
from kyvo.shapes.scores import TAU, triangle_cloud
from kyvo.shapes.surfaces import surface_asset
from kyvo.shapes.tokenizer import ShapeTokenizer
from kyvo.shapes.views import MeshViews, sphere_cameras

STAGES = ("features", "network", "tokens")
NUM_VIEWS = 8
VIEW_SIZE = 128  # px
VIEW_PROTOCOL = (
    f"{NUM_VIEWS} views of {VIEW_SIZE} px on a Hammersley set, distance 2, 40 degrees, lit, on white; the squared "
    "errors of an object's views are averaged before they become dB; `psnr_object` counts only pixels that either of "
    "the two meshes covers"
)
ROUNDING = 1 / 12  # mean squared error of rounding to whole steps: equal views have 58.9 dB, and none have more


@dataclass(frozen=True, kw_only=True)
class StageScores:
    """One stage against the mesh, in the cube."""

    chamfer: float  # the two mean squared distances, added (kyvo.metrics.geometry)
    distance: float  # mean distance, of both directions
    f_score: float  # at 0.05
    psnr: float  # dB
    psnr_object: float  # dB


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundTrip:
    """A mesh, its codes, and what came back at each stage."""

    mesh: Asset
    codes: Int[np.ndarray, " codes"]
    latents: Mapping[str, StructuredLatent]  # by stage
    seconds: Mapping[str, float]  # "encode": mesh to codes, "decode": codes to surface

    @classmethod
    def of(cls, mesh: Asset, tokenizer: ShapeTokenizer) -> "RoundTrip":
        """Of a mesh in the cube. Raises ConfigError for a tokenizer that does not take surface features."""
        check_kind(tokenizer)
        start = time.perf_counter()
        latent = surface_latent(mesh, resolution=tokenizer.config.resolution)
        codes = tokenizer.encode([latent])
        encoded = time.perf_counter()
        (decoded,) = tokenizer.decode(codes)
        extract_mesh(decoded)
        seconds = {"encode": encoded - start, "decode": time.perf_counter() - encoded}
        latents = {"features": latent, "network": tokenizer.autoencode([latent])[0], "tokens": decoded}
        return cls(mesh=mesh, codes=codes[0], latents=latents, seconds=seconds)

    def meshes(self) -> dict[str, Asset]:
        """What came back at each stage."""
        return {stage: surface_asset(extract_mesh(latent), name=stage) for stage, latent in self.latents.items()}

    def scores(self) -> dict[str, StageScores]:
        """Each stage against the mesh."""
        found, truth = self.meshes(), triangle_cloud(self.mesh.triangles)
        looks = compare_views(found, self.mesh)
        scores = {}
        for stage, mesh in found.items():
            cloud = compare_clouds(triangle_cloud(mesh.triangles), truth, tau=TAU)
            scores[stage] = StageScores(
                chamfer=cloud.chamfer,
                distance=cloud.distance,
                f_score=cloud.f_score,
                psnr=looks[stage][0],
                psnr_object=looks[stage][1],
            )
        return scores

    def sheet(self, scores: Mapping[str, StageScores] | None = None) -> Image.Image:
        """Before and after from four sides: the mesh, what its features alone give, and what the tokens give."""
        found = self.meshes()
        rows = [(self.mesh.name, self.mesh)]
        for stage, words in (("features", "surface features"), ("tokens", f"{len(self.codes)} tokens")):
            if scores:
                words += f"\nF-score {scores[stage].f_score:.3f}, {scores[stage].psnr:.1f} dB"
            rows.append((words, found[stage]))
        return shape_sheet(rows)


def check_kind(tokenizer: ShapeTokenizer, *, what: str = "a mesh") -> None:
    """Raises ConfigError for a tokenizer of TRELLIS's latents, which takes networks besides."""
    if tokenizer.config.kind != "surface":
        raise ConfigError(
            f"The tokenizer takes latents of kind {tokenizer.config.kind!r}, and {what} gives surface features. Encode "
            "meshes to .npz with kyvo.shapes.dino first, or use a tokenizer of surface features."
        )


def compare_views(found: Mapping[str, Asset], truth: Asset) -> dict[str, tuple[float, float]]:
    """PSNR of views of some meshes against those of the true one, over all pixels and over covered ones, dB."""
    cameras = sphere_cameras(NUM_VIEWS, size=VIEW_SIZE)
    casters = {name: MeshViews(mesh) for name, mesh in found.items()}
    errors: dict[str, list[np.ndarray]] = {name: [] for name in found}
    covered: dict[str, list[np.ndarray]] = {name: [] for name in found}
    true_caster = MeshViews(truth)
    for camera in cameras:
        rgba = true_caster.picture(camera)
        picture = on_white(rgba).astype(float)
        for name, caster in casters.items():
            ours = caster.picture(camera)
            errors[name].append(((on_white(ours) - picture) ** 2).mean(2))
            covered[name].append((ours[..., 3] > 0) | (rgba[..., 3] > 0))
    looks = {}
    for name in found:
        error, cover = np.stack(errors[name]), np.stack(covered[name])
        looks[name] = (_decibels(error.mean()), _decibels(error[cover].mean() if cover.any() else 0.0))
    return looks


def _decibels(mean_squared_error: float) -> float:
    return 10 * math.log10(PEAK**2 / max(float(mean_squared_error), ROUNDING))
