"""Scenes of a picture by all methods, with tiny untrained networks: order, frames, seeds, what is left out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_conditions import DINO_WIDTH, write_tiny_dino
from tiny_generators import SIDE, random, tiny_generator
from tiny_scenes import ENCODER, tiny_flow, write_scenes

from kyvo.data.dataset import write_set
from kyvo.data.scene_pictures import ScenePicture, as_scene_picture, with_views
from kyvo.errors import CheckpointError, ConfigError, ImageError
from kyvo.models.flow.conditions import PictureCondition
from kyvo.models.slat.load import save_network
from kyvo.models.slat.sparse import Voxels
from kyvo.pipelines import scenes
from kyvo.pipelines.objects import ObjectError
from kyvo.pipelines.scene_baselines import IndependentObjects, Retrieval, stand_on_floor, usual_camera
from kyvo.pipelines.scene_flows import IScene, SceneGen, mean_poses
from kyvo.pipelines.scenes import generate_scene
from kyvo.scene.pose import Pose
from kyvo.shapes.object_sets import ObjectSet
from kyvo.shapes.placed import GeneratedScene
from kyvo.shapes.scene_flow_data import SceneRows

pytest.importorskip("open3d")


def a_picture(*, count: int = 3, size: int = 64) -> ScenePicture:
    rng = np.random.default_rng(0)
    rgb = np.full((size, size, 3), 220, np.uint8)
    masks = []
    for number in range(count):
        mask = np.zeros((size, size), dtype=bool)
        mask[30 : 44 + number, 4 + 18 * number : 16 + 18 * number] = True
        rgb[mask] = rng.integers(0, 200, 3)
        masks.append(mask)
    return as_scene_picture(rgb, masks, [f"object-{number}" for number in range(count)])


def scene_method(name: str):
    owner = {"scenegen": SceneGen, "iscene": IScene}[name]
    return owner(flow=tiny_flow(name), encoder=random(ENCODER), objects=tiny_generator())


def check(made: GeneratedScene, picture: ScenePicture) -> None:
    assert [item.name for item in made.objects] == [
        name for name in picture.names if not any(name in words for words in made.warnings)
    ]
    assert min(item.triangles[..., 2].min() for item in made.objects) == pytest.approx(0, abs=1e-6)
    for item in made.objects:
        assert np.isfinite(item.triangles).all()
        assert np.abs(item.surface.vertices.numpy()).max() < 0.6


@pytest.mark.parametrize("name", ["scenegen", "iscene"])
def test_a_scene_is_set_by_its_seed_and_its_objects_keep_their_order(name):
    method, picture = scene_method(name), a_picture()
    steps = []
    made = generate_scene(method, picture, seed=1, progress=steps.append)
    check(made, picture)
    assert {step.stage for step in steps} == {"structure", "details"}
    again, other = (generate_scene(method, picture, seed=seed) for seed in (1, 2))
    assert [item.pose for item in made.objects] == [item.pose for item in again.objects]
    assert [item.pose for item in made.objects] != [item.pose for item in other.objects]
    if name == "scenegen":
        assert made.query == "object-2"  # of the largest mask
        by_name = {item.name: item.pose for item in made.objects}
        assert by_name["object-2"].quaternion_wxyz == (1, 0, 0, 0) and by_name["object-2"].scale == 1
        assert by_name["object-0"].scale != 1
    else:
        # In one cube: no object reaches out of it.
        joint = np.concatenate([item.triangles.reshape(-1, 3) for item in made.objects])
        assert np.ptp(joint, axis=0).max() < 1.1
        assert all(item.pose.quaternion_wxyz == (1, 0, 0, 0) for item in made.objects)


def test_several_views_are_averaged_and_told_apart_by_the_names_of_objects():
    method, picture = scene_method("scenegen"), a_picture()
    (alone,) = (generate_scene(method, picture, seed=1),)
    twice = generate_scene(method, with_views(picture, [picture]), seed=1)
    for one, two in zip(alone.objects, twice.objects, strict=True):
        np.testing.assert_allclose(one.pose.vector, two.pose.vector, atol=1e-5)
    mirrored = as_scene_picture(picture.rgb[:, ::-1], list(picture.masks[::-1, :, ::-1]), picture.names[::-1])
    seen = with_views(picture, [mirrored])
    assert seen.others[0].names == picture.names
    assert np.array_equal(seen.others[0].masks, picture.masks[:, :, ::-1])
    both = generate_scene(method, seen, seed=1)
    check(both, picture)
    assert [item.pose for item in both.objects] != [item.pose for item in alone.objects]
    with pytest.raises(ImageError, match="view 2 has no mask of object-2"):
        with_views(picture, [a_picture(count=2)])
    assert "object-2 of view 2 is left out" in with_views(a_picture(count=2), [picture]).warnings[0]
    with pytest.raises(ConfigError, match="iscene takes one picture"):
        generate_scene(scene_method("iscene"), seen)


@pytest.mark.slow
def test_in_the_scenes_cube_objects_are_made_several_times_and_fitted_to_their_masks(monkeypatch):
    picture = a_picture(count=2)
    method = SceneGen(flow=tiny_flow("scenegen", pose_frame="view"), encoder=random(ENCODER), objects=tiny_generator())
    found = {}
    for tries in (1, 2):
        monkeypatch.setattr(scenes, "TRIES", tries)
        found[tries] = generate_scene(method, picture, seed=1)
        check(found[tries], picture)
        for item in found[tries].objects:  # turned about the up axis alone
            assert item.pose.quaternion_wxyz[1:3] == (0, 0)
    assert [item.pose for item in found[1].objects] != [item.pose for item in found[2].objects]
    again = generate_scene(method, picture, seed=1)
    assert [item.pose for item in again.objects] == [item.pose for item in found[2].objects]


def test_the_mean_of_poses_takes_a_turn_and_its_negative_for_one():
    poses = [Pose.of_turn(turn, translation=(turn, 0.0, 1.0), scale=1 + turn).vector for turn in (0.4, 0.8)]
    first, second = (torch.tensor(pose, dtype=torch.float32) for pose in poses)
    for sign in (1.0, -1.0):
        flipped = torch.cat([second[:3], sign * second[3:7], second[7:]])
        found = mean_poses(torch.stack([first, flipped])[:, None])[0]
        expected = Pose.of_turn(0.6, translation=(0.6, 0.0, 1.0), scale=1.6).vector
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_object_without_cells_is_left_out_and_the_others_are_kept(monkeypatch):
    method, picture = scene_method("scenegen"), a_picture()
    decode = method.objects.structure_decoder.decode

    def without(numbers):
        def few(latents):
            voxels = decode(latents)
            kept = ~torch.isin(voxels.coords[:, 0], torch.tensor(numbers))
            return Voxels(coords=voxels.coords[kept], resolution=SIDE, batch_size=len(latents))

        return few

    monkeypatch.setattr(method.objects.structure_decoder, "decode", without([1]))
    made = generate_scene(method, picture)
    assert [item.name for item in made.objects] == ["object-0", "object-2"]
    assert made.warnings == ("object-1 is left out: it has no cell",)
    monkeypatch.setattr(method.objects.structure_decoder, "decode", without([0, 1, 2]))
    with pytest.raises(ObjectError, match="No object could be made: object-0 is left out"):
        generate_scene(method, picture)


@pytest.mark.slow
def test_scenegen_says_the_querys_pose_too_where_poses_are_in_the_scenes_cube():
    made = [
        generate_scene(
            SceneGen(flow=tiny_flow("scenegen", pose_frame=frame), encoder=random(ENCODER), objects=tiny_generator()),
            a_picture(),
        )
        for frame in ("query", "view")
    ]
    assert [scene.axes for scene in made] == ["query", "view"]
    turns = []
    for scene in made:
        query = next(item for item in scene.objects if item.name == scene.query)
        turns.append(query.pose.quaternion_wxyz)
    assert turns[0] == (1.0, 0.0, 0.0, 0.0) != turns[1]


@pytest.mark.parametrize("name", ["scenegen", "iscene"])
def test_a_folder_of_a_training_brings_a_method_back(tmp_path, name):
    method = scene_method(name)
    (tmp_path / name).mkdir()
    save_network(method.flow, tmp_path / name / "flow")
    save_network(method.encoder, tmp_path / name / "scene_encoder")
    for folder in (tmp_path, tmp_path / name):
        again = type(method).from_pretrained(folder, objects=method.objects)
        assert torch.equal(*(one.scene_tokens([a_picture()])[0] for one in (again, method)))
    save_network(random(ENCODER), tmp_path / name / "picture_encoder")
    with pytest.raises(CheckpointError, match="has a picture encoder of its own"):
        type(method).from_pretrained(tmp_path, objects=method.objects)
    (tmp_path / name / "picture_encoder.json").unlink()
    other = IScene if name == "scenegen" else SceneGen
    with pytest.raises(CheckpointError, match=f"the method {other.name} takes a"):
        other.from_pretrained(tmp_path / name, objects=method.objects)
    with pytest.raises(CheckpointError, match="no bundled scene flow of this name"):
        SceneGen.from_pretrained(tmp_path / "nothing", objects=method.objects)
    with pytest.raises(CheckpointError, match=f"has no flow of {other.name}.*Flows that it has: {name}"):
        other.from_pretrained(tmp_path, objects=method.objects)
    with pytest.raises(CheckpointError, match="generator that it was trained beside"):
        type(method).from_pretrained(tmp_path, objects=tiny_generator(cond_channels=16, encoders={}))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scenegen", "iscene"])
def test_dinov2_of_the_generator_sees_the_scene_too(tmp_path, name):
    dino, picture = PictureCondition.from_folder(write_tiny_dino(tmp_path / "dino")), a_picture()
    wide = {"cond_channels": DINO_WIDTH, "encoders": {"picture": dino}}
    scene = {"scene_channels": DINO_WIDTH} if name == "scenegen" else {}
    save_network(tiny_flow(name, cond_channels=DINO_WIDTH, **scene), tmp_path / "flow")
    save_network(random({**ENCODER, "args": {**ENCODER["args"], "channels": DINO_WIDTH}}), tmp_path / "scene_encoder")
    owner = {"scenegen": SceneGen, "iscene": IScene}[name]
    method = owner.from_pretrained(tmp_path, objects=tiny_generator(**wide))
    masks = picture.mask_pixels(dino.picture_size)
    shown = picture.pixels(dino.picture_size) * masks[:, None].float()
    tokens = dino(shown)
    seen = method.scene_tokens([picture])[0][:, : tokens.shape[1]] - method.encoder.views[0]
    torch.testing.assert_close(seen, tokens)
    check(generate_scene(method, picture), picture)


def test_an_object_stands_where_its_mask_says_as_large_as_it():
    camera = usual_camera(400, 400)
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (400, 3)) * [0.8, 0.5, 1.0]
    for place, scale, turn in (((0.5, -0.4), 0.6, 0.0), ((-0.8, 0.9), 1.1, 1.0)):
        pose = Pose.of_turn(turn, translation=(*place, -scale * points[:, 2].min()), scale=scale)
        pixels = camera.project(pose.apply(points))[:, :2]
        mask = np.zeros((400, 400), dtype=bool)
        (left, top), (right, bottom) = pixels.min(0).round().astype(int), pixels.max(0).round().astype(int)
        mask[top:bottom, left:right] = True
        found = stand_on_floor(points, mask, camera, turn=turn)
        np.testing.assert_allclose(found.vector, pose.vector, atol=0.06)


@pytest.mark.slow
def test_independent_objects_stand_on_the_floor():
    picture = a_picture()
    made = generate_scene(IndependentObjects(objects=tiny_generator()), picture, seed=3)
    check(made, picture)
    for item in made.objects:
        assert item.triangles[..., 2].min() == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
def test_independent_objects_are_placed_by_the_camera_that_is_known():
    picture = a_picture()
    usual = generate_scene(IndependentObjects(objects=tiny_generator()), picture, seed=3)
    farther = replace(usual_camera(64, 64), location=(0.0, -6.0, 4.0))
    known = generate_scene(IndependentObjects(objects=tiny_generator()), replace(picture, camera=farther), seed=3)
    given = generate_scene(IndependentObjects(objects=tiny_generator(), camera=farther), picture, seed=3)
    assert [item.pose for item in known.objects] == [item.pose for item in given.objects]
    assert [item.pose for item in known.objects] != [item.pose for item in usual.objects]
    # The same camera in a frame turned about the up axis, as CLEVR's: axes are those of the view all the same.
    around = Pose.of_turn(0.8)
    place, *axes = around.apply(np.array([farther.location, *farther.rotation])).tolist()
    aside = replace(farther, location=tuple(place), rotation=tuple(map(tuple, axes)))
    turned = generate_scene(IndependentObjects(objects=tiny_generator(), camera=aside), picture, seed=3)
    for one, two in zip(turned.objects, given.objects, strict=True):
        np.testing.assert_allclose(one.pose.vector, two.pose.vector, atol=1e-6)


def test_retrieval_finds_an_object_of_its_library_again(tmp_path):
    write_set(tmp_path / "set", ObjectSet(count=4, seed=3, resolution=SIDE, pictures=1, size=48))
    library = Retrieval.from_set(tmp_path / "set", resolution=SIDE, count=3)
    assert len(library.views) == 3 * 8
    view = library.views[13]
    rgba = (np.dstack([view.thumbnail[..., :3], view.thumbnail[..., 3:]]) * 255).astype(np.uint8)
    picture = ScenePicture(
        rgb=np.kron(rgba[..., :3], np.ones((4, 4, 1), np.uint8)),
        masks=np.kron(rgba[..., 3] > 127, np.ones((4, 4), dtype=bool))[None],
        names=("wanted",),
    )
    made = generate_scene(library, picture)
    assert torch.equal(made.objects[0].latent.coords, view.latent.coords)
    assert Pose.of_turn(view.turn).quaternion_wxyz == pytest.approx(made.objects[0].pose.quaternion_wxyz)


def test_rows_of_a_set_are_pictures_that_methods_take(tmp_path):

    rows = SceneRows.open([write_scenes(Path(tmp_path / "set"), count=1)], resolution=SIDE)
    made = generate_scene(scene_method("iscene"), rows[0].picture)
    check(made, rows[0].picture)
