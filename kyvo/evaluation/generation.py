"""Generated objects against held-out ones and against those of the training: folder, folder, folder -> `Results`.

A folder holds mesh files and, where texts are known, `manifest.jsonl` with lines of {"file": ..., "caption": ...,
"category": ...}, of an edit also "region": [x0, y0, z0, x1, y1, z1]; or it is a set of `kyvo data objects`. Made and
true objects of one name are a pair: the picture or the text of the true one was the condition, or it was edited.
Everything stands in the cube of side 1, nothing is aligned.

An object's category is that of the nearest training object; its color is the name of most of its surface.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from kyvo.data.meshes.assets import Asset
from kyvo.data.meshes.captions import COLORS, color_name
from kyvo.data.meshes.mesh_files import AssetError, to_srgb
from kyvo.data.meshes.mesh_renderer import surface_color
from kyvo.errors import ConfigError, SceneError
from kyvo.evaluation.generation_features import (
    FeatureEncoders,
    Features,
    encode_views,
    pair_similarity,
    set_distances,
    text_score,
)
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
from kyvo.shapes.mesh import CubeTransform, load_placed, surface_points
from kyvo.shapes.object_sets import read_manifest
from kyvo.shapes.pictures import TURNS
from kyvo.shapes.roundtrip import VIEW_PROTOCOL, compare_views
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
    place: CubeTransform | None = None  # where the file has it
    region: Sequence[float] | None = None  # of an edit: the box that may have changed, in the frame of the one before

    @property
    def triangles(self) -> np.ndarray:
        return self.mesh.triangles


def evaluate_generation(
    made: Path,
    truth: Path,
    *,
    training: Path | None = None,
    encoders: FeatureEncoders | None = None,
    seed: int = 0,
) -> Results:
    """Fidelity to the condition, variety against held-out objects, and nearness to the training set.

    Args:
        training: reads categories back and tells what was memorised; without it there are no such figures.
        encoders: add figures on what they see.
        seed: of the bootstrap.

    Raises:
        SceneError: a folder holds no object that can be read.
    """
    excluded: list[dict[str, str]] = []
    ours, theirs = (read_objects(folder, excluded) for folder in (made, truth))
    known = [] if training is None else read_objects(training, excluded)
    true_by_name = {item.name: item for item in theirs}
    clouds = {id(item): triangle_cloud(item.triangles, count=NUM_POINTS) for item in (*ours, *theirs)}
    nearest = nearest_training_object(ours, known)
    encoders = encoders or FeatureEncoders()
    seen, seen_true = (encode_views(encoders, [(item.name, item.mesh) for item in some]) for some in (ours, theirs))
    items = []
    for index, item in enumerate(ours):
        row: dict[str, Any] = {"key": item.name, "score": None}
        pair = true_by_name.get(item.name)
        if pair is not None:
            scores = compare_clouds(clouds[id(item)], clouds[id(pair)], tau=TAU)
            row |= {"score": scores.f_score, "chamfer": scores.chamfer, "iou": occupancy_iou(item, pair)}
            row["view_psnr"], row["view_psnr_object"] = compare_views({"made": item.mesh}, pair.mesh)["made"]
            row |= similarities(item.name, seen, seen_true)
            row |= region_scores(item, pair)
        category = item.category or (pair.category if pair else None)
        caption = item.caption or (pair.caption if pair else None)
        if known:
            row |= nearest[index]
            if category is not None:
                row |= {"category": category, "category_correct": row["nearest_category"] == category}
        if caption is not None and (named := first_color(caption)) is not None:
            row |= {"caption": caption, "color": main_color(item), "color_correct": main_color(item) == named}
        if caption is not None and encoders.texts is not None and item.name in seen["CLIP"]:
            row["clip_score"] = text_score(seen["CLIP"][item.name], encoders.texts([caption]))
        items.append(row)

    def shares(name: str, key: str) -> Figure:
        return mean_figure(name, [float(row[key]) for row in items if row.get(key) is not None], seed=seed)

    figures = [
        shares("F-score", "score"),
        shares("IoU", "iou"),
        shares("category accuracy", "category_correct"),
        shares("color accuracy", "color_correct"),
        shares("PSNR of views", "view_psnr"),
        shares("PSNR of views over the object", "view_psnr_object"),
        *(shares(f"view similarity, {name}", f"similarity_{name}") for name in encoders.pictures),
        shares("CLIP score", "clip_score"),
        shares("F-score outside of the region", "outside"),
        shares("color difference outside of the region", "outside_color"),
        shares("F-score inside of the region", "inside"),
        *_set_figures(ours, theirs),
        *(
            Figure(name=f"{kind}, {name}", value=value, count=len(seen[name]) + len(seen_true[name]))
            for name in encoders.pictures
            for kind, value in set_distances(seen[name], seen_true[name]).items()
        ),
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
            "PSNR": VIEW_PROTOCOL,
            "views": f"{len(TURNS)} of each object, on features of: {', '.join(encoders.pictures) or 'none'}",
            "encoders": dict(encoders.sources),
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
            mesh, place = load_placed(path)
        except AssetError as error:
            excluded.append({"key": path.stem, "reason": str(error)})
            continue
        yield JudgedObject(
            name=path.stem,
            mesh=mesh,
            category=about.get("category"),
            caption=about.get("caption"),
            place=place,
            region=about.get("region"),
        )


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


def nearest_training_object(ours: Sequence[JudgedObject], known: Sequence[JudgedObject]) -> list[dict[str, Any]]:
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
            {
                "nearest_in_training": known[index].name,
                "nearest_category": known[index].category,
                "nearest_f_score": score,
            }
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


def similarities(
    name: str, seen: Mapping[str, Mapping[str, Features]], seen_true: Mapping[str, Mapping[str, Features]]
) -> dict[str, float]:
    """Of each encoder, how much a pair looks alike."""
    return {
        f"similarity_{encoder}": pair_similarity(found[name], seen_true[encoder][name])
        for encoder, found in seen.items()
        if name in found and name in seen_true[encoder]
    }


def region_scores(item: JudgedObject, before: JudgedObject) -> dict[str, float]:
    """How much of an edited object is as before, outside and inside of the region that might change.

    Both stand in the cube of the one before. The difference of colors, sRGB in [0, 1], is that of nearest points.
    """
    if item.region is None:
        return {}
    if item.place is None or before.place is None or len(item.region) != 6:
        raise ConfigError(f"{item.name}: an edit with a region is a mesh file, and its region six numbers.")
    triangles = before.place.to_cube(item.place.to_world(item.mesh.triangles))
    low, high = np.array(item.region[:3]), np.array(item.region[3:])
    parts: dict[bool, list[tuple[np.ndarray, np.ndarray]]] = {True: [], False: []}
    for mesh in (replace(item.mesh, triangles=triangles), before.mesh):
        faces, weights = surface_points(mesh.triangles, NUM_POINTS)
        points = (mesh.triangles[faces] * weights[..., None]).sum(1)
        colors = to_srgb(np.clip(surface_color(mesh, faces, weights[..., None]), 0, 1))
        inside = ((low <= points) & (points <= high)).all(1)
        for is_inside, found in parts.items():
            found.append((points[inside == is_inside], colors[inside == is_inside]))
    row = {}
    for is_inside, name in ((False, "outside"), (True, "inside")):
        (points, colors), (old_points, old_colors) = parts[is_inside]
        if len(points) and len(old_points):
            row[name] = compare_clouds(points, old_points, tau=TAU).f_score
            nearest = KDTree(old_points).query(points)[1]
            row[f"{name}_color"] = float(np.abs(colors - old_colors[nearest]).mean())
        elif len(points) or len(old_points):
            row[name] = 0.0
    return row


def main_color(item: JudgedObject) -> str:
    """The name that most of the surface has."""
    faces, weights = surface_points(item.triangles, MATCHED)
    colors = 255 * to_srgb(np.clip(surface_color(item.mesh, faces, weights[..., None]), 0, 1))
    return Counter(map(color_name, colors.tolist())).most_common(1)[0][0]


def first_color(text: str) -> str | None:
    """The first color that a text names."""
    return next((word.strip(".,:;") for word in text.lower().split() if word.strip(".,:;") in COLORS), None)
