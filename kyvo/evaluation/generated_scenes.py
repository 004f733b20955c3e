"""Generated scenes against true ones, object by object: CD-S, F-S, CD-O, F-O, IoU-B, collisions, and pictures.

As SceneGen measures (https://arxiv.org/abs/2508.15769): the true scene fills [-1, 1]^3; the made one is set on it by
the query asset, and then by ICP. A scene whose axes are the query's is turned by the true turn of that object; then
place and size of the query's box are made the true ones. Objects are compared in boxes of their own, after an ICP of
their own. An object that was not made scores 0 in F-O and IoU-B. One without a mask counts in the figures of the whole
scene alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from kyvo.errors import SceneError
from kyvo.evaluation.perceptual import PerceptualScores
from kyvo.evaluation.recognized_shapes import FOUND, JACCARD, recognition_scores
from kyvo.evaluation.results import Figure, mean_figure
from kyvo.evaluation.scene_renderings import COMPARED, rendering_scores
from kyvo.metrics.alignment import align
from kyvo.metrics.geometry import Points, box_iou, collision_ratio, compare_clouds, to_frame
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.contour import extract_mesh
from kyvo.shapes.placed import GeneratedScene, PlacedObject
from kyvo.shapes.scene_flow_data import SceneRow
from kyvo.shapes.scores import triangle_cloud

SHOWN = ((0.0, 0.5), (0.5, 0.9), (0.9, 1.01))  # bins of the share of an object that others do not hide
TAU = 0.1  # of both papers' F-scores
FIGURES = ("CD-S", "F-S", "CD-O", "F-O", "IoU-B", "collisions", "objects made", "seconds")
RENDERINGS = tuple(
    f"{name}{ending}" for ending in COMPARED for name in ("PSNR", "SSIM", "LPIPS", "CLIP", "DINO", "FID")
)
MEMORY = "peak memory, MiB"
PUBLISHED_RENDERINGS = {  # of SceneGen, rendered by Blender, on 3D-FUTURE
    "PSNR": 16.76, "SSIM": 0.8903, "LPIPS": 0.1417, "CLIP": 0.9152, "DINO": 0.8322, "FID": 19.59,
    "PSNR of shapes": 17.59, "SSIM of shapes": 0.8991, "LPIPS of shapes": 0.1234,
    "CLIP of shapes": 0.9236, "DINO of shapes": 0.8702, "FID of shapes": 12.34,
}  # fmt: skip
PUBLISHED = {  # on other test sets: 3D-FUTURE with FilterReg and with plain ICP, and 3D-FRONT with robust ICP
    "SceneGen, 3D-FUTURE": {
        "CD-S": 0.0118,
        "F-S": 0.9060,
        "CD-O": 0.0138,
        "F-O": 0.8973,
        "IoU-B": 0.5818,
        **PUBLISHED_RENDERINGS,
    },
    "SceneGen, 3D-FUTURE, plain ICP": {"CD-S": 0.0310, "F-S": 0.8374, "IoU-B": 0.5103},
    "I-Scene, 3D-FRONT": {"CD-S": 0.0148, "F-S": 0.9350, "CD-O": 0.0207, "F-O": 0.8428, "IoU-B": 0.8762},
}


@dataclass(frozen=True, kw_only=True)
class SceneProtocol:
    """What is chosen before scenes are compared."""

    alignment: str = "icp"  # of `kyvo.metrics.alignment`
    num_points: int = 20_480  # of each object's surface
    tau: float = TAU


def true_objects(row: SceneRow, *, resolution: int) -> list[PlacedObject]:
    """The row's objects as a method would give them: their surfaces are those of their cells' features."""
    found = []
    for name, cells, feats, pose in zip(row.picture.names, row.cells, row.feats, row.poses, strict=True):
        surface = extract_mesh(StructuredLatent(coords=cells, feats=feats, resolution=resolution))
        found.append(PlacedObject(name=name, surface=surface, pose=pose))
    return found


def score_scene(
    made: GeneratedScene,
    row: SceneRow,
    protocol: SceneProtocol,
    *,
    resolution: int,
    perceptual: Mapping[str, PerceptualScores] | None = None,
) -> dict[str, Any]:
    """The figures of one scene, by name; distances are in the frame where the true scene fills [-1, 1]^3.

    Args:
        perceptual: by the endings of COMPARED; without it there are no such figures.
    """
    true = true_objects(row, resolution=resolution)
    truth = {item.name: _cloud(item, protocol) for item in true}
    own = {item.name: _cloud(item, protocol) for item in made.objects}
    names = [name for name in own if name in truth]
    if not names:
        raise SceneError("no object has the name of a mask; those of the row's masks are needed.")
    sizes = dict(zip(row.picture.names, row.picture.masks.sum((1, 2)).tolist(), strict=True))
    query = made.query if made.query in names else max(names, key=lambda name: sizes[name])
    turn = row.poses[row.picture.names.index(made.query or query)].rotation if made.axes == "query" else np.eye(3)
    own = {name: cloud @ turn.T for name, cloud in own.items()}
    onto_query = _Map.of_boxes(own[query], truth[query])
    own = {name: onto_query(cloud) for name, cloud in own.items()}

    # One map for all objects: that of the whole scenes.
    counts = np.cumsum([len(cloud) for cloud in own.values()])[:-1]
    whole = np.concatenate(list(truth.values()))
    ours, theirs = to_frame(np.concatenate(list(own.values())), whole, "truth")
    alignment = align(ours, theirs, method=protocol.alignment)
    ours = alignment.apply(ours)
    placed = dict(zip(own, np.split(ours, counts), strict=True))
    true_counts = np.cumsum([len(cloud) for cloud in truth.values()])[:-1]
    true_placed = dict(zip(truth, np.split(theirs, true_counts), strict=True))
    frame = _Map.of_boxes(whole, theirs)

    scene = compare_clouds(ours, theirs, tau=protocol.tau)
    objects = {name: _object_scores(own[name], truth[name], protocol) for name in names}
    missing = [0.0] * (len(truth) - len(names))
    by_name = {name: objects[name][1] if name in objects else 0.0 for name in truth}
    return {
        "objects": len(truth),
        "CD-S": scene.chamfer,
        "F-S": scene.f_score,
        "CD-O": float(np.mean([chamfer for chamfer, _ in objects.values()])),
        "F-O": float(np.mean([score for _, score in objects.values()] + missing)),
        "IoU-B": float(np.mean([box_iou(placed[name], true_placed[name]) for name in names] + missing)),
        "collisions": collision_ratio(list(own.values())) if len(own) > 1 else 0.0,
        "objects made": len(names) / len(truth),
        "seconds": made.seconds,
        **recognition_scores(made, true, row),
        **rendering_scores(
            made.objects,
            lambda points: frame.inverse(alignment.apply(frame(onto_query(points @ turn.T)))),
            true,
            row,
            perceptual=perceptual,
        ),
        "F-O of objects": list(zip(row.shown, by_name.values(), strict=True)),  # with the share that shows
    }


def _object_scores(ours: Points, theirs: Points, protocol: SceneProtocol) -> tuple[float, float]:
    """Chamfer distance and F-score of one object, each cloud in a box of its own."""
    own, true = to_frame(ours, theirs, "own")
    found = compare_clouds(align(own, true, method=protocol.alignment).apply(own), true, tau=protocol.tau)
    return found.chamfer, found.f_score


def _cloud(item: PlacedObject, protocol: SceneProtocol) -> Points:
    if not len(item.surface.faces):
        raise SceneError(f"{item.name} has no face.")
    return triangle_cloud(item.triangles, count=protocol.num_points)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Map:
    """Points moved and scaled: (points - center) * scale + true_center."""

    center: Float[np.ndarray, "3"]
    true_center: Float[np.ndarray, "3"]
    scale: float

    @classmethod
    def of_boxes(cls, cloud: Points, truth: Points) -> "_Map":
        """It gives the cloud's box the true one's centre and longest side."""
        (low, high), (true_low, true_high) = ((points.min(0), points.max(0)) for points in (cloud, truth))
        scale = float((true_high - true_low).max() / max((high - low).max(), 1e-9))
        return cls(center=(low + high) / 2, true_center=(true_low + true_high) / 2, scale=scale)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return (points - self.center) * self.scale + self.true_center

    def inverse(self, points: np.ndarray) -> np.ndarray:
        return (points - self.true_center) / self.scale + self.center


def scene_figures(
    items: Sequence[Mapping[str, Any]], *, seed: int, perceptual: Mapping[str, PerceptualScores] | None = None
) -> list[Figure]:
    """Means over scenes with their intervals; F-S and IoU-B by the number of objects; F-O by how much of them shows.

    FID is of all scenes, where `perceptual` has its network.
    """
    names = [name for name in (*FIGURES, *RENDERINGS, MEMORY) if name in items[0]]
    figures = [mean_figure(name, [item[name] for item in items], seed=seed) for name in names]
    fids = {ending: scores.fid() for ending, scores in (perceptual or {}).items()}
    if FOUND in items[0]:
        scores = [score for item in items for score in item[FOUND]]
        figures += [
            mean_figure(JACCARD, [item[JACCARD] for item in items], seed=seed),
            mean_figure(FOUND, scores, seed=seed),
        ]
    figures += [replace(fid, name=f"FID{ending}") for ending, fid in fids.items() if fid is not None]
    for count in sorted({item["objects"] for item in items}):
        some = [item for item in items if item["objects"] == count]
        figures += [
            mean_figure(f"{name}, {count} objects", [item[name] for item in some], seed=seed)
            for name in ("F-S", "IoU-B")
        ]
    objects = [pair for item in items for pair in item["F-O of objects"]]
    for low, high in SHOWN:
        some = [score for shown, score in objects if low <= shown < high]
        figures.append(mean_figure(f"F-O, {low:.0%} to {min(high, 1):.0%} shown", some, seed=seed))
    return figures
