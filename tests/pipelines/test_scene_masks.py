"""Masks of a recognised scene, of boxes, and of SAM: where they lie, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_segmenters import write_tiny_sam

from kyvo.errors import CheckpointError, ConfigError, ImageError, SceneError
from kyvo.export.view import outline_labels
from kyvo.models.segmenter import Prompt, Segmenter
from kyvo.pipelines.scene_masks import masked_by_prompts, masked_by_scene
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.source import Source, with_source

RGB = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)


def spheres(*places) -> Scene:
    objects = tuple(SceneObject(shape="sphere", size="large", color="red", location=place) for place in places)
    camera = Camera.look_at(location=(0.0, -8.0, 3.0), focal=160.0, width=160, height=120)
    return Scene(objects=objects, schema="clevr", camera=camera)


def test_outlines_of_a_scene_are_masks_and_the_nearest_hides_the_others():
    scene = with_source(spheres((0.0, 2.0, 0.7), (0.2, 0.0, 0.7)), Source(warnings=("like none",)))
    seen = masked_by_scene(RGB, scene)
    assert seen.names == ("0 large red sphere", "1 large red sphere")
    assert seen.warnings == ("like none",)
    assert not (seen.masks[0] & seen.masks[1]).any()
    assert seen.camera == scene.camera
    for index, location in enumerate(((0.0, 2.0, 0.7), (0.2, 0.0, 0.7))):
        alone = outline_labels(spheres(location), 160, 120) > 0
        x, y, depth = scene.camera.project(np.array([location]))[0]
        # A sphere of radius 0.7: a disc around its centre, and of its area to a tenth.
        rows, columns = np.nonzero(alone)
        assert (columns.mean(), rows.mean()) == pytest.approx((x, y), abs=1.5)
        assert alone.sum() == pytest.approx(np.pi * (0.7 * 160 / depth) ** 2, rel=0.1)
        assert (seen.masks[index] <= alone).all()
        assert (seen.masks[index] == alone).all() == (index == 1)


def test_what_no_camera_sees_is_no_mask():
    hidden = masked_by_scene(RGB, spheres((0.0, 0.0, 0.7), (0.0, -30.0, 0.7)))
    assert hidden.names == ("0 large red sphere",) and "1 large red sphere is left out" in hidden.warnings[0]
    with pytest.raises(ImageError, match="no object is left"):
        masked_by_scene(RGB, spheres())
    with pytest.raises(SceneError, match="has no camera"):
        masked_by_scene(RGB, Scene(objects=(), schema="objectron", units="m"))


def test_boxes_without_a_segmenter_are_rectangles():
    seen = masked_by_prompts(RGB, {"a": Prompt(box=(10, 20, 30, 60)), "b": Prompt(box=(100.4, -5, 400, 30))})
    assert seen.masks[0].sum() == 20 * 40 and seen.masks[0][20:60, 10:30].all()
    assert seen.masks[1].sum() == 60 * 30
    assert "the boxes are taken as masks" in seen.warnings[0]


@pytest.mark.parametrize(
    ("prompt", "match"),
    [
        (Prompt(), "a has neither a box nor a point"),
        (Prompt(points=((3, 4),)), "points, which need a segmentation model"),
        (Prompt(points=((3, 400),)), "the point 3,400 is outside of the picture; the picture has 160x120 px"),
        (Prompt(box=(30, 4, 20, 50)), "the box 30,4,20,50 holds nothing"),
        (Prompt(box=(-30, 4, 0, 50)), "holds nothing"),
    ],
)
def test_prompts_that_say_no_object_are_refused(prompt, match):
    with pytest.raises(ConfigError, match=match):
        masked_by_prompts(RGB, {"a": prompt})


@pytest.fixture(scope="module")
def sam(tmp_path_factory) -> Path:
    return write_tiny_sam(tmp_path_factory.mktemp("sam"))


def test_masks_are_those_that_sam_makes_of_each_prompt_alone(sam):
    """Against transformers' own way from picture to masks, without the shared part."""
    segmenter = Segmenter.from_folder(sam)
    prompts = [Prompt(points=((40, 50),)), Prompt(points=((40, 50), (90, 80))), Prompt(box=(20, 10, 100, 110))]
    found = segmenter(RGB, prompts)
    given = [{"input_points": [[[[40, 50]]]]}, {"input_points": [[[[40, 50], [90, 80]]]]}]
    given.append({"input_boxes": [[[20, 10, 100, 110]]]})
    for mask, prompt, several in zip(found, given, (True, False, False), strict=True):
        inputs = segmenter.processor(images=RGB, **prompt, return_tensors="pt")
        inputs = {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}
        with torch.no_grad():
            said = segmenter.network(**inputs, multimask_output=several)
        (masks,) = segmenter.processor.image_processor.post_process_masks(
            said.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
        )
        np.testing.assert_array_equal(mask, masks[0, int(said.iou_scores[0, 0].argmax())].numpy())
    assert found.shape == (3, 120, 160)
    assert len({mask.tobytes() for mask in found}) == 3
    seen = masked_by_prompts(RGB, {"a": prompts[0], "b": prompts[2]}, segmenter=segmenter)
    assert len(seen) + sum("left out" in words for words in seen.warnings) == 2


def test_a_folder_of_another_network_is_refused(sam, tmp_path):
    with pytest.raises(CheckpointError, match="has no readable config"):
        Segmenter.from_folder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(CheckpointError, match="is a 'clip'; masks are made by SAM"):
        Segmenter.from_folder(tmp_path)
    (tmp_path / "config.json").write_bytes((sam / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match="its weights cannot be read"):
        Segmenter.from_folder(tmp_path)
