"""Meshes and point clouds against each other: two folders -> `Results` under a named protocol.

A file is a scene; its meshes or clouds are its objects. They are paired by name where both files have the same names,
else by order where they have as many (as SceneGen's script does); a scene of other counts has no object figures and is
listed. A file that is missing or cannot be read is left out, and `coverage` tells how many were compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from kyvo.data.meshes.mesh_files import AssetError, read_parts
from kyvo.errors import ConfigError, SceneError
from kyvo.evaluation.files import FilePairs, pair_files
from kyvo.evaluation.results import Figure, Results, mean_figure, program_versions
from kyvo.metrics.alignment import Alignment, align
from kyvo.metrics.geometry import (
    GRID,
    PROTOCOLS,
    CloudScores,
    Points,
    Protocol,
    box_iou,
    check_cloud,
    collision_ratio,
    compare_clouds,
    to_frame,
)

SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".off", ".stl")

Objects = Mapping[str, Points]  # by name, in the file's order


def evaluate_geometry(
    predictions: Path,
    truth: Path,
    *,
    protocol: str = "i-scene",
    alignment: str | None = None,
    tau: float | None = None,
    num_points: int | None = None,
    up: str = "y",
    seed: int = 0,
) -> Results:
    """Chamfer distance and F-score of scenes and objects, IoU of their boxes, collisions.

    Args:
        protocol: "scenegen", "i-scene" or "trellis"; see `kyvo.metrics.geometry.PROTOCOLS`.
        alignment, tau, num_points: in the place of the protocol's, which is then named "..., changed".
        up: the files' up axis, about which robust ICP turns; glTF's is y.
        seed: of the points and of the bootstrap. The same points are drawn on equal meshes.

    Raises:
        ConfigError: the protocol, alignment or axis is not known, or a number does not fit.
        SceneError: no pair can be compared; the message gives the first reason.
        MissingDependency: the alignment's package is missing.
    """
    rules = _rules(protocol, alignment, tau, num_points)
    files = pair_files(predictions, truth, suffixes=SUFFIXES)
    excluded, items = list(files.excluded), []
    for key, (our_path, true_path) in files.pairs.items():
        rng_seed = (seed, crc32(key.encode()))
        try:
            ours, theirs = (read_objects(path, rules.num_points, rng_seed) for path in (our_path, true_path))
            item, lost = _compared(key, ours, theirs, rules, up, seed)
        except ConfigError:
            raise
        except SceneError as error:
            excluded.append({"key": key, "reason": str(error)})
            continue
        items.append(item)
        excluded += lost
    if not items:
        raise SceneError(
            f"{predictions} and {truth}: no pair can be compared; the first reason: {excluded[0]['reason']}"
        )
    return Results(
        kind="geometry",
        protocol={
            "name": rules.name,
            "source": rules.source,
            "alignment": rules.alignment,
            "tau": rules.tau,
            "points": f"{rules.num_points} of each object's surface; clouds of fewer as they are",
            "scene frame": rules.scene_frame or "no scenes",
            "object frame": rules.object_frame,
            "up": up,
            "pairing": "by name where the names agree, else by order",
            "chamfer": "mean squared distance, both directions added",
            "f-score": "in [0, 1], distances below tau",
            "collisions": f"surface voxels of a grid of {GRID}, predicted scene alone",
            "seed": seed,
        },
        figures=_figures(items, files, seed),
        versions=_versions(rules.alignment),
        inputs=files.inputs,
        items=items,
        excluded=excluded,
    )


def read_objects(path: Path, num_points: int, seed: Sequence[int]) -> Objects:
    """A cloud of each mesh or point cloud of a file, in the file's frame.

    Args:
        num_points: drawn on a mesh's surface by area, and at most kept of a cloud.
        seed: with it the points are the same at each call, and for equal meshes.

    Raises:
        SceneError: the file cannot be read, holds neither meshes nor clouds, or has numbers that are not finite.
    """
    import trimesh

    found = _meshes_of_trimesh(path) if path.suffix.lower() in (".off", ".stl") else _meshes(path)
    objects: dict[str, Points] = {}
    for index, (name, (triangles, points)) in enumerate(found.items()):
        check_finite(np.concatenate([triangles.reshape(-1, 3), points]), f"{path}: {name}")
        rng = np.random.default_rng([*seed, index])
        mesh = trimesh.Trimesh(triangles.reshape(-1, 3), np.arange(triangles.size // 3).reshape(-1, 3), process=False)
        if len(triangles) and mesh.area > 0:
            objects[name] = np.asarray(trimesh.sample.sample_surface(mesh, num_points, seed=rng)[0], dtype=float)
        elif not len(triangles) and len(points):
            few = points if len(points) <= num_points else points[rng.choice(len(points), num_points, replace=False)]
            objects[name] = np.asarray(few, dtype=float)
        else:
            raise SceneError(f"{path}: {name} has no surface and is no point cloud; remove it or export it anew.")
    if not objects:
        raise SceneError(f"{path}: holds neither a mesh nor a point cloud.")
    return objects


def _meshes(path: Path) -> dict[str, tuple[np.ndarray, Points]]:
    """Triangles [faces, 3, 3] and points of each object of a file. Raises SceneError for one that cannot be read."""
    try:
        parts = read_parts(path, colors=False)
    except AssetError as error:
        where = str(error).removeprefix("file: ").removeprefix(str(path)).removeprefix(":").removeprefix(" is")
        raise SceneError(f"{path}: {where.strip()}") from error
    surfaces = any(part.mode == "triangles" for part in parts)
    found: dict[str, tuple[np.ndarray, Points]] = {}
    for part in parts:
        if part.mode == "triangles" or not surfaces:  # `read_parts` warned of points and lines among triangles
            triangles, points = found.get(part.name, (np.zeros((0, 3, 3)), np.zeros((0, 3))))
            own = part.vertices if part.mode == "points" else points[:0]
            found[part.name] = np.concatenate([triangles, part.vertices[part.faces]]), np.concatenate([points, own])
    return found


def _meshes_of_trimesh(path: Path) -> dict[str, tuple[np.ndarray, Points]]:
    """The same of OFF and STL, which have no colors and no nodes."""
    import trimesh

    try:
        geometry = trimesh.load_scene(str(path), process=False).geometry
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError) as error:
        # trimesh's readers raise all of these on files that are cut or damaged.
        raise SceneError(f"{path}: not a readable {path.suffix} ({type(error).__name__}: {error}).") from error
    return {
        str(name): (np.asarray(part.triangles), np.zeros((0, 3)))
        if isinstance(part, trimesh.Trimesh)
        else (np.zeros((0, 3, 3)), np.asarray(part.vertices))
        for name, part in geometry.items()
    }


def check_finite(points: np.ndarray, where: str) -> None:
    """Raises SceneError where a cloud is empty or not finite."""
    try:
        check_cloud(points, "file's")
    except SceneError as error:
        raise SceneError(f"{where}: {error}") from error


def pair_objects(ours: Objects, theirs: Objects) -> list[tuple[str, Points, Points]] | None:
    """Name in the truth, predicted and true cloud of each object; None where their counts differ."""
    if ours.keys() == theirs.keys():
        return [(name, ours[name], cloud) for name, cloud in theirs.items()]
    if len(ours) != len(theirs):
        return None
    return [(name, mine, cloud) for (name, cloud), mine in zip(theirs.items(), ours.values(), strict=True)]


def _compared(
    key: str, ours: Objects, theirs: Objects, rules: Protocol, up: str, seed: int
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    item: dict[str, Any] = {"key": key, "num_objects": len(ours), "num_true_objects": len(theirs)}
    pairs = pair_objects(ours, theirs)
    lost = []
    if pairs is None:
        if rules.scene_frame is None:
            raise SceneError(f"it has {len(ours)} objects and the truth {len(theirs)}; they cannot be paired.")
        lost = [{"key": key, "reason": f"only as a scene: {len(ours)} objects, and {len(theirs)} in the truth"}]
    predicted = [mine for _, mine, _ in pairs] if pairs else list(ours.values())
    true = [cloud for _, _, cloud in pairs] if pairs else list(theirs.values())
    rows = [_object(name, mine, cloud, rules, up, seed) for name, mine, cloud in pairs or ()]
    if rules.scene_frame is not None:
        placed, framed = to_frame(np.concatenate(predicted), np.concatenate(true), rules.scene_frame)
        aligned = align(placed, framed, method=rules.alignment, up=up, seed=seed)
        placed = aligned.apply(placed)
        scores = compare_clouds(placed, framed, tau=rules.tau)
        item |= {"score": scores.f_score, "scene": _scores(scores), "alignment": _motion(aligned)}
        item["collisions"], item["true_collisions"] = collision_ratio(predicted), collision_ratio(true)
        for row, mine, cloud in zip(rows, _split(placed, predicted), _split(framed, true), strict=False):
            row["iou"] = box_iou(mine, cloud)
    if pairs is not None:
        item["objects"] = rows
        item.setdefault("score", float(np.mean([row["f_score"] for row in rows])))
    return item, lost


def _split(points: Points, parts: Sequence[Points]) -> list[Points]:
    """The concatenation of `parts`, moved, as parts again."""
    return np.split(points, np.cumsum([len(part) for part in parts])[:-1])


def _object(name: str, mine: Points, cloud: Points, rules: Protocol, up: str, seed: int) -> dict[str, Any]:
    predicted, true = to_frame(mine, cloud, rules.object_frame)
    aligned = align(predicted, true, method=rules.alignment, up=up, seed=seed)
    return {"name": name, **_scores(compare_clouds(aligned.apply(predicted), true, tau=rules.tau))}


def _figures(items: Sequence[Mapping[str, Any]], files: FilePairs, seed: int) -> list[Figure]:
    found = []
    scenes = [item for item in items if "scene" in item]
    if scenes:
        for name in ("chamfer", "f_score"):
            values = [item["scene"][name] for item in scenes]
            found.append(mean_figure(f"{_said(name)} of scenes", values, seed=seed))
    with_objects = [item["objects"] for item in items if "objects" in item]
    for name in ("chamfer", "f_score", "iou"):
        # scenes are resampled, not objects: those of one scene are not independent
        means = [float(np.mean([row[name] for row in rows])) for rows in with_objects if name in rows[0]]
        weights = [len(rows) for rows in with_objects if name in rows[0]]
        if means or name != "iou":
            found.append(mean_figure(f"{_said(name)} of objects", means, seed=seed, weights=weights))
    if scenes:
        for name, said in (("collisions", "collision ratio"), ("true_collisions", "collision ratio of the truth")):
            found.append(mean_figure(said, [item[name] for item in scenes], seed=seed))
    num_truths = files.inputs["truth"]["items"]  # type: ignore[index]
    return [*found, Figure(name="coverage", value=len(items) / num_truths, count=num_truths)]


def _said(name: str) -> str:
    return {"f_score": "f-score", "iou": "box iou"}.get(name, name)


def _scores(scores: CloudScores) -> dict[str, float]:
    return {name: getattr(scores, name) for name in ("chamfer", "distance", "precision", "recall", "f_score")}


def _motion(aligned: Alignment) -> dict[str, Any]:
    motion = {"rotation": aligned.rotation.tolist(), "translation": aligned.translation.tolist()}
    return {"method": aligned.method, "stage": aligned.stage, "scale": aligned.scale, **motion}


def _rules(protocol: str, alignment: str | None, tau: float | None, num_points: int | None) -> Protocol:
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol {protocol!r} is not known; known are {', '.join(PROTOCOLS)}.")
    given = {"alignment": alignment, "tau": tau, "num_points": num_points}
    changed = {name: value for name, value in given.items() if value is not None}
    for name in changed.keys() & {"tau", "num_points"}:
        if not 0 < changed[name] < float("inf"):  # type: ignore[operator]
            raise ConfigError(f"{name} is {changed[name]}; a number above 0 is needed.")
    rules = PROTOCOLS[protocol]
    changed = {name: value for name, value in changed.items() if value != getattr(rules, name)}
    return replace(rules, **changed, name=f"{rules.name}, changed") if changed else rules


def _versions(alignment: str) -> dict[str, str]:
    from importlib.metadata import version

    used = {"icp": "open3d", "robust-icp": "open3d", "filterreg": "probreg"}
    packages = ["trimesh", *([used[alignment]] if alignment in used else [])]
    return {**program_versions(), **{name: version(name) for name in packages}}
