"""Generated objects against held-out ones and against those of the training: folder, folder, folder -> `Results`.

A folder holds mesh files and, where texts are known, `manifest.jsonl` with lines of {"file": ..., "caption": ...,
"category": ...}; or it is a set of `kyvo data objects`. Made and true objects of one name are a pair: the picture or
the text of the true one was the condition. Everything stands in the cube of side 1, nothing is aligned.

A category is read back by the nearest object of the training set, and a color by the name of most of the surface.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.data.meshes.assets import Asset
from kyvo.data.meshes.captions import COLORS, color_name
from kyvo.data.meshes.mesh_files import AssetError, to_srgb
from kyvo.data.meshes.meshcaster import surface_color
from kyvo.errors import ConfigError, SceneError
from kyvo.evaluation.results import Figure, Results, mean_figure
from kyvo.metrics.generation import (
    chamfer_distances,
    coverage,
    minimum_matching_distance,
    nearest_neighbor_accuracy,
)
from kyvo.metrics.geometry import compare_clouds
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.contour import extract_mesh
from kyvo.shapes.mesh import load_shape, surface_points
from kyvo.shapes.object_sets import read_manifest
from kyvo.shapes.scores import TAU, triangle_cloud
from kyvo.shapes.sets import mesh_paths
from kyvo.shapes.surfaces import surface_asset
from kyvo.shapes.voxelize import voxelize

NUM_POINTS = 2048  # of each surface, for F-scores
MATCHED = 512  # and for distances between all pairs
GRID = 32  # cells along a side, of the IoU


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedObject:
    """One object of a folder."""

    name: str
    mesh: Asset  # in the cube
    category: str | None
    caption: str | None

    @property
    def triangles(self) -> np.ndarray:
        return self.mesh.triangles


def evaluate_generation(made: Path, truth: Path, *, training: Path | None = None, seed: int = 0) -> Results:
    """Fidelity to the condition, variety against held-out objects, and nearness to the training set.

    Args:
        training: reads categories back and tells what was memorised; without it there are no such figures.
        seed: of the bootstrap.

    Raises:
        SceneError: a folder holds no object that can be read.
    """
    excluded: list[dict[str, str]] = []
    ours, theirs = (read_objects(folder, excluded) for folder in (made, truth))
    known = [] if training is None else read_objects(training, excluded)
    true_by_name = {item.name: item for item in theirs}
    clouds = {id(item): triangle_cloud(item.triangles, count=NUM_POINTS) for item in (*ours, *theirs)}
    nearest = nearest_known(ours, known)
    items = []
    for index, item in enumerate(ours):
        row: dict[str, Any] = {"key": item.name, "score": None}
        pair = true_by_name.get(item.name)
        if pair is not None:
            scores = compare_clouds(clouds[id(item)], clouds[id(pair)], tau=TAU)
            row |= {"score": scores.f_score, "chamfer": scores.chamfer, "iou": occupancy_iou(item, pair)}
        category = item.category or (pair.category if pair else None)
        caption = item.caption or (pair.caption if pair else None)
        if known:
            row |= nearest[index]
            if category is not None:
                row |= {"category": category, "category_right": row["read_as"] == category}
        if caption is not None and (named := first_color(caption)) is not None:
            row |= {"caption": caption, "color": main_color(item), "color_right": main_color(item) == named}
        items.append(row)

    def shares(name: str, key: str) -> Figure:
        return mean_figure(name, [float(row[key]) for row in items if row.get(key) is not None], seed=seed)

    figures = [
        shares("F-score", "score"),
        shares("IoU", "iou"),
        shares("category read back", "category_right"),
        shares("color named", "color_right"),
        *_set_figures(ours, theirs),
        shares("F-score with the nearest of the training", "nearest_f_score"),
    ]
    return Results(
        kind="generation",
        protocol={
            "name": "kyvo generation",
            "frame": "the cube of side 1, z up, nothing aligned",
            "tau": TAU,
            "points": f"{NUM_POINTS} of each surface; {MATCHED} between all pairs",
            "grid of the IoU": GRID,
            "category": "of the nearest training object by Chamfer distance",
            "color": "the first one that the text names, against the name of most of the surface",
            "seed": seed,
        },
        figures=[figure for figure in figures if figure.count],
        inputs={
            role: {"name": folder.name, "items": len(found)}
            for role, folder, found in (("made", made, ours), ("truth", truth, theirs), ("training", training, known))
            if folder is not None
        },
        items=items,
        excluded=excluded,
    )


def read_objects(folder: Path, excluded: list[dict[str, str]]) -> list[JudgedObject]:
    """The objects of a folder of meshes or of a set; what cannot be read is added to `excluded`.

    Raises:
        SceneError: there is none.
    """
    found = list(_of_set(folder) if (folder / "settings.json").is_file() else _of_meshes(folder, excluded))
    if not found:
        raise SceneError(f"{folder} holds no object that can be read; give a folder of meshes or a set of objects.")
    return found


def _of_meshes(folder: Path, excluded: list[dict[str, str]]) -> Iterable[JudgedObject]:
    said = read_manifest(folder)
    for path in mesh_paths(folder):
        about = said.get(str(path.relative_to(folder)), {})
        try:
            mesh = load_shape(path)
        except AssetError as error:
            excluded.append({"key": path.stem, "reason": str(error)})
            continue
        yield JudgedObject(name=path.stem, mesh=mesh, category=about.get("category"), caption=about.get("caption"))


def _of_set(folder: Path) -> Iterable[JudgedObject]:
    from kyvo.shapes.flow_data import ObjectRows

    resolution = json.loads((folder / "settings.json").read_text(encoding="utf-8")).get("resolution")
    if resolution is None:
        raise ConfigError(f"{folder} is no set of objects; make one with `kyvo data objects`.")
    objects = ObjectRows.open([folder], resolution=resolution)
    about = objects.rows.select_columns(["name", "category", "captions"])
    for index, row in enumerate(about):
        coords, feats = objects.cells(index)
        surface = extract_mesh(StructuredLatent(coords=coords, feats=feats, resolution=resolution))
        said: Any = row
        yield JudgedObject(
            name=said["name"],
            mesh=surface_asset(surface, name=said["name"]),
            category=said["category"],
            caption=said["captions"][0] if said["captions"] else None,
        )


def nearest_known(ours: Sequence[JudgedObject], known: Sequence[JudgedObject]) -> list[dict[str, Any]]:
    """Of each object, the nearest one of the training set, its category, and how much the two are one."""
    if not known:
        return [{} for _ in ours]
    clouds, known_clouds = ([triangle_cloud(item.triangles, count=MATCHED) for item in some] for some in (ours, known))
    found = []
    for item, row in zip(ours, chamfer_distances(clouds, known_clouds), strict=True):
        index = int(row.argmin())
        pair = (triangle_cloud(each.triangles, count=NUM_POINTS) for each in (item, known[index]))
        score = compare_clouds(*pair, tau=TAU).f_score
        found.append(
            {"nearest_in_training": known[index].name, "read_as": known[index].category, "nearest_f_score": score}
        )
    return found


def _set_figures(ours: Sequence[JudgedObject], theirs: Sequence[JudgedObject]) -> list[Figure]:
    """Of the two sets as wholes."""
    made, true = ([triangle_cloud(item.triangles, count=MATCHED) for item in some] for some in (ours, theirs))
    between = chamfer_distances(made, true)
    figures = [
        Figure(name="minimum matching distance", value=minimum_matching_distance(between), count=len(true)),
        Figure(name="coverage", value=coverage(between), count=len(true)),
    ]
    if min(between.shape) > 1:
        accuracy = nearest_neighbor_accuracy(chamfer_distances(made, made), between, chamfer_distances(true, true))
        figures.append(Figure(name="nearest-neighbour accuracy", value=accuracy, count=len(made) + len(true)))
    return figures


def occupancy_iou(one: JudgedObject, other: JudgedObject) -> float:
    """Of the cells that the two surfaces cross."""
    cells = [set(map(tuple, voxelize(item.triangles, resolution=GRID).tolist())) for item in (one, other)]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


def main_color(item: JudgedObject) -> str:
    """The name that most of the surface has."""
    faces, weights = surface_points(item.triangles, MATCHED)
    colors = 255 * to_srgb(np.clip(surface_color(item.mesh, faces, weights[..., None]), 0, 1))
    return Counter(map(color_name, colors.tolist())).most_common(1)[0][0]


def first_color(text: str) -> str | None:
    """The first color that a text names."""
    return next((word.strip(".,:;") for word in text.lower().split() if word.strip(".,:;") in COLORS), None)
