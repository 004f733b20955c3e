"""Figures of generated scenes: the truth scores full marks in any frame, and each fault costs what it should."""

import mmap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_generators import SIDE
from tiny_scenes import write_scenes

from kyvo.evaluation.generated_scenes import SceneProtocol, scene_figures, score_scene, true_objects
from kyvo.evaluation.memory import PeakMemory
from kyvo.evaluation.perceptual import Networks, PerceptualScores
from kyvo.evaluation.scene_renderings import COMPARED, scene_picture
from kyvo.scene.pose import Pose
from kyvo.shapes.placed import GeneratedScene
from kyvo.shapes.scene_flow_data import SceneRow, SceneRows

pytest.importorskip("open3d")
PROTOCOL = SceneProtocol(alignment="none", num_points=1500)


@pytest.fixture(scope="module")
def row(tmp_path_factory) -> SceneRow:
    folder = write_scenes(tmp_path_factory.mktemp("scenes") / "set", count=1, seed=2)
    return SceneRows.open([folder], resolution=SIDE)[0]


def a_scene(row: SceneRow, *, axes: str = "view", query: int | None = None) -> GeneratedScene:
    objects = true_objects(row, resolution=SIDE)
    name = None if query is None else objects[query].name
    return GeneratedScene(objects=tuple(objects), method="truth", axes=axes, seed=0, seconds=1.0, query=name)


def scores(made: GeneratedScene, row: SceneRow, **changes) -> dict:
    return score_scene(made, row, replace(PROTOCOL, **changes), resolution=SIDE)


def test_the_truth_scores_full_marks_in_its_own_frame_and_in_a_querys(row):
    made = a_scene(row)
    moved = Pose(translation=(3, -2, 1), scale=2.5)
    in_query = a_scene(row, axes="query", query=1)
    frames = {
        "own": made,
        "moved": replace(made, objects=tuple(replace(item, pose=moved @ item.pose) for item in made.objects)),
        "query's": replace(
            in_query,
            objects=tuple(replace(item, pose=item.pose.relative_to(row.poses[1])) for item in in_query.objects),
        ),
    }
    for name, scene in frames.items():
        found = scores(scene, row)
        assert found["F-S"] == found["F-O"] == 1, name
        assert found["IoU-B"] == pytest.approx(1, abs=1e-6) and found["CD-S"] < 1e-9, name
        assert found["PSNR of shapes"] > 40 and found["SSIM of shapes"] > 0.99, name
        assert 10 < found["PSNR"] < found["PSNR of shapes"], name  # cells are coarse, and the light is another


def test_what_stands_elsewhere_costs_in_the_picture(row):
    made = a_scene(row)
    query = max(range(len(made.objects)), key=lambda index: row.picture.masks[index].sum())
    aside = Pose(translation=(0.0, 0.0, 0.4))
    objects = [
        item if number == query else replace(item, pose=aside @ item.pose) for number, item in enumerate(made.objects)
    ]
    truth, found = (scores(scene, row) for scene in (made, replace(made, objects=tuple(objects))))
    for name in ("PSNR", "SSIM", "PSNR of shapes", "SSIM of shapes"):
        assert found[name] < truth[name], name
    assert "LPIPS" not in truth
    networks = Networks(
        lpips=lambda ours, theirs: float((ours != theirs).mean()),
        encoders={"clip": lambda pictures: np.stack(pictures).reshape(len(pictures), -1) / 255},
        inception=lambda pictures: np.stack([picture.mean((0, 1)) for picture in pictures]),
    )
    perceptual = {ending: PerceptualScores(networks) for ending in COMPARED}
    known = score_scene(made, row, PROTOCOL, resolution=SIDE, perceptual=perceptual)
    assert known["LPIPS of shapes"] < 0.01 < known["LPIPS"]
    assert known["CLIP"] < known["CLIP of shapes"] == pytest.approx(1, abs=1e-3)
    again = score_scene(made, row, PROTOCOL, resolution=SIDE, perceptual=perceptual)
    figures = {figure.name: figure.value for figure in scene_figures([known, again], seed=0, perceptual=perceptual)}
    assert figures["FID of shapes"] < 1 < figures["FID"]


def test_the_picture_of_the_truth_is_where_its_masks_are(row):
    shown = (scene_picture(true_objects(row, resolution=SIDE), row.camera) < 255).any(2)
    masks = row.picture.masks.any(0)
    assert (shown & masks).sum() / (shown | masks).sum() > 0.8  # cells are coarse


def test_peak_memory_counts_from_when_it_begins():
    first = PeakMemory()
    before = first.mebibytes
    with mmap.mmap(-1, 40 * 2**20) as held:  # which goes back to the system at once
        held.write(b"1" * len(held))
        peak = first.mebibytes
    assert peak > before + 35
    if Path("/proc/self/clear_refs").exists():
        assert PeakMemory().mebibytes < peak - 35


def test_a_missing_object_costs_its_share(row):
    made = a_scene(row)
    count = len(made.objects)
    kept = max(range(count), key=lambda index: row.picture.masks[index].sum())
    few = replace(made, objects=(made.objects[kept],))
    found = scores(few, row)
    assert found["F-O"] == pytest.approx(1 / count) and found["IoU-B"] == pytest.approx(1 / count, abs=1e-6)
    assert found["objects made"] == pytest.approx(1 / count) and found["F-S"] < 1
    assert found["collisions"] == 0


def test_objects_that_stand_elsewhere_lose_the_scene_and_keep_their_shapes(row):
    made = a_scene(row)
    apart = replace(
        made,
        objects=tuple(
            replace(item, pose=Pose(translation=(0, 0, 0.8 * number)) @ item.pose)
            for number, item in enumerate(made.objects)
        ),
    )
    found = scores(apart, row)
    assert found["F-O"] == 1 and found["IoU-B"] < 0.6 and found["F-S"] < 0.9
    together = replace(made, objects=tuple(replace(item, pose=Pose()) for item in made.objects))
    assert scores(together, row)["collisions"] > 0.02


def test_icp_brings_a_shifted_scene_back(row):
    made = a_scene(row)
    largest = int(np.argmax([mask.sum() for mask in row.picture.masks]))
    # The query alone is off, by which the scene is set on the true one.
    shifted = [
        replace(item, pose=Pose(translation=(0.05, 0, 0)) @ item.pose) if number == largest else item
        for number, item in enumerate(made.objects)
    ]
    made = replace(made, objects=tuple(shifted))
    assert scores(made, row, alignment="icp")["CD-S"] < scores(made, row)["CD-S"]


def test_figures_are_means_by_number_of_objects(row):
    items = [scores(a_scene(row), row), {**scores(a_scene(row), row), "objects": 9, "F-S": 0.5}]
    figures = {figure.name: figure.value for figure in scene_figures(items, seed=0)}
    assert figures["F-S"] == 0.75 and figures["F-S, 9 objects"] == 0.5
    assert figures["F-O, 90% to 100% shown"] == 1
