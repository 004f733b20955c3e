"""Scenes of shapes by tokens, with a tiny untrained model: what it writes stands where it says, and is drawn again."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_scene_tokens import tiny_scene_model
from tiny_scenes import write_scenes

from kyvo.api import Kyvo
from kyvo.data.scene_pictures import as_scene_picture, without_masks
from kyvo.errors import CheckpointError, ConfigError, ImageError
from kyvo.evaluation.generated_scenes import SceneProtocol, score_scene, true_objects
from kyvo.evaluation.recognized_shapes import FOUND, JACCARD, recognition_scores
from kyvo.pipelines.objects import ObjectError
from kyvo.pipelines.run import Cancelled
from kyvo.pipelines.scene_baselines import Retrieval
from kyvo.pipelines.scene_source import MethodName, SceneSource
from kyvo.pipelines.scene_tokens import SceneTokens, object_names, pose_of
from kyvo.pipelines.scenes import generate_scene
from kyvo.scene.files import load_scene
from kyvo.shapes.placed import GeneratedScene, PlacedObject
from kyvo.shapes.scene_files import write_scene
from kyvo.shapes.scene_flow_data import SceneRows
from kyvo.shapes.scene_tokens import SIDE, row_codes, token_scene
from kyvo.testing import tiny_kyvo
from kyvo.tokenizers.scene import SceneTokenizer

pytest.importorskip("open3d")

RGB = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> Kyvo:
    """It writes three objects for RGB."""
    return tiny_scene_model(seed=16)


@pytest.fixture(scope="module")
def method(model) -> SceneTokens:
    return SceneTokens(recognition=model.recognition)


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    return SceneRows.open([write_scenes(tmp_path_factory.mktemp("sets") / "set", count=1)], resolution=16)[0]


def masks(*corners: tuple[int, int], side: int = 8):
    found = []
    for x, y in corners:
        mask = np.zeros(RGB.shape[:2], dtype=bool)
        mask[y : y + side, x : x + side] = True
        found.append(mask)
    return as_scene_picture(RGB, found, [f"mask-{number}" for number in range(len(corners))])


def test_objects_stand_where_the_model_writes_them_with_its_codes(method, model):
    steps = []
    made = generate_scene(method, without_masks(RGB), progress=steps.append)
    (scene,) = model.recognize([RGB])
    assert [item.shape_codes for item in made.objects] == [item.shape_codes for item in scene.objects]
    assert [step.step for step in steps] == [1, 2, 3]
    assert [item.pose for item in made.objects] == [pose_of(item) for item in scene.objects]
    assert [item.name for item in made.objects] == [f"{n} {item.category}" for n, item in enumerate(scene.objects)]


def test_the_scene_is_read_again_and_drawn_by_the_same_model(method, model, tmp_path):
    made = generate_scene(method, without_masks(RGB))
    outs = [tmp_path / name for name in ("scene.json", "scene.glb")]
    write_scene(made, outs, picture=without_masks(RGB))
    scene = load_scene(tmp_path / "scene.json")
    assert scene.schema == "scene-shapes" and scene.extra["generated"]["method"] == "tokens"
    for again, item in zip(model.processor.schema.snap(scene).objects, made.objects, strict=True):
        assert again.shape_codes == item.shape_codes and again.category == item.category
    (drawn,) = model.render([scene])
    assert drawn.shape == (16, 24, 3)
    assert outs[1].stat().st_size > 1000


def test_objects_take_the_names_of_the_masks_where_they_are_seen(row):
    scene = token_scene(row)
    shown = row.picture
    names, said = object_names(scene.objects, shown)
    assert [name.split()[1] for name in names] == [item.category for item in scene.objects] and said == []
    few = replace(shown, masks=shown.masks[:1], names=shown.names[:1])
    names, said = object_names(scene.objects, few)
    assert names.count(shown.names[0]) == 1 and len(said) == len(scene.objects) - 1
    assert all(words.endswith("has no mask") for words in said)
    names, said = object_names(scene.objects[:1], shown)
    assert len(said) == len(shown) - 1 and "the model sees no object there" in said[0]


def test_a_row_is_written_in_the_frame_of_its_cube_and_comes_back_from_ids(row):
    model = tiny_scene_model()
    codes = row_codes(row, model.processor.shape)
    scene = token_scene(row, codes)
    assert {len(own) for own in codes} == {64}
    by_codes = {tuple(own): pose for own, pose in zip(codes, row.poses, strict=True)}
    for item in scene.objects:
        pose = by_codes[item.shape_codes]
        away = np.subtract(pose.translation, (*row.cube.translation[:2], 0)) * SIDE / row.cube.scale
        np.testing.assert_allclose(item.location, away, atol=1e-9)
        assert item.extra["scale"] == pytest.approx(pose.scale * SIDE / row.cube.scale)
        # The camera sees it where the row's camera does.
        ours, theirs = (
            cam.project(np.array([place]))
            for cam, place in ((scene.camera, item.location), (row.camera, pose.translation))
        )
        np.testing.assert_allclose(ours[0, :2], theirs[0, :2], atol=1e-6)
    seen = scene.camera.project(np.array([item.location for item in scene.objects]))[:, 1]
    assert list(seen // (scene.camera.height / 10)) == sorted(seen // (scene.camera.height / 10))
    processor = model.processor
    tokenizer = SceneTokenizer(schema=processor.schema, vocabulary=processor.vocabulary, text=processor.text)
    again = tokenizer.decode(tokenizer.encode(scene, clamp=True))
    for one, two in zip(scene.objects, again.objects, strict=True):
        assert one.shape_codes == two.shape_codes
        np.testing.assert_allclose(one.location, two.location, atol=0.026)
        assert abs(one.extra["scale"] - two.extra["scale"]) < 0.026


def test_the_true_scene_scores_one_and_what_is_too_much_or_missing_costs(row):
    true = true_objects(row, resolution=16)
    truth = token_scene(row, ordered=False)
    objects = [
        PlacedObject(name=own.name, surface=own.surface, pose=pose_of(item), category=item.category)
        for own, item in zip(true, truth.objects, strict=True)
    ]

    def scored(kept) -> dict:
        made = GeneratedScene(objects=tuple(kept), method="tokens", axes="view", seed=0, seconds=0.1)
        return recognition_scores(made, true, row) | score_scene(
            made, row, SceneProtocol(num_points=400), resolution=16
        )

    whole = scored(objects)
    assert whole[JACCARD] == 1 and whole["objects made"] == 1 and whole["F-S"] > 0.95
    assert min(whole[FOUND]) > 0.99 and len(whole[FOUND]) == len(row)
    count = len(row)
    fewer = scored(objects[1:])
    assert fewer[JACCARD] == pytest.approx((count - 1) / count) and fewer["objects made"] < 1
    extra = replace(objects[0], name="a chair without a mask", category="no such thing")
    more = scored([*objects, extra])
    assert more[JACCARD] == pytest.approx(count / (count + 1)) and more["objects made"] == 1
    far = replace(objects[0], pose=replace(objects[0].pose, translation=(9.0, 9.0, 9.0)))
    assert scored([far, *objects[1:]])[JACCARD] == pytest.approx((count - 1) / (count + 1))
    assert FOUND not in recognition_scores(
        GeneratedScene(objects=tuple(true), method="scenegen", axes="view", seed=0, seconds=0.1), true, row
    )


def test_what_makes_no_scene_is_said(method):
    with pytest.raises(
        CheckpointError,
        match="writes no scenes of shapes: its schema 'clevr' has no category, scale, pose, shape_codes",
    ):
        SceneTokens(recognition=tiny_kyvo().recognition)
    with pytest.raises(ObjectError, match=r"^The model sees no object in the picture\.$"):
        generate_scene(SceneTokens(recognition=tiny_scene_model(seed=0).recognition), without_masks(RGB))
    with pytest.raises(ImageError, match="shows nothing"):
        without_masks(np.zeros_like(RGB))
    with pytest.raises(ConfigError, match="retrieval needs a mask of each object"):
        generate_scene(Retrieval(views=[]), without_masks(RGB))
    with pytest.raises(Cancelled):
        generate_scene(method, without_masks(RGB), cancelled=lambda: True)


def test_a_source_says_whether_its_model_writes_shapes(method, tmp_path):
    assert "Tokens need a model whose schema has shapes" in SceneSource().lacks(MethodName.TOKENS)
    with pytest.raises(ConfigError, match="Tokens need a model"):
        SceneSource().get(MethodName.TOKENS)
    with pytest.raises(CheckpointError, match=r"neither a folder .*Tokens need a model"):
        SceneSource(recognition=lambda: Kyvo.from_pretrained(tmp_path / "nothing").recognition).get(MethodName.TOKENS)
    assert "has no category" in SceneSource(recognition=tiny_kyvo().recognition).lacks(MethodName.TOKENS)
    source = SceneSource(recognition=method.recognition)
    assert source.lacks(MethodName.TOKENS) is None
    assert source.get(MethodName.TOKENS).recognition is method.recognition
    assert not MethodName.TOKENS.needs_masks and not MethodName.TOKENS.has_camera
