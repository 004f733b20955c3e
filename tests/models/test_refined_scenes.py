from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from random_scenes import scenes

from kyvo.api import Kyvo
from kyvo.errors import CheckpointError
from kyvo.models.heads.refined_scenes import as_tensors, check_fits, mean_camera, refine_scenes, to_unit
from kyvo.models.heads.refiner import Refiner, extended
from kyvo.scene.builtin_schemas import clevr_schema, objaworld_schema, objectron_schema
from kyvo.scene.files import scene_from_json, scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera
from kyvo.testing import tiny_kyvo, tiny_llama, tiny_processor, tiny_refiner

SCHEMA = clevr_schema()
REFINER = tiny_refiner()
PICTURES = list(np.random.default_rng(0).integers(256, size=(3, 16, 24, 3), dtype=np.uint8))


@given(scene=scenes(SCHEMA))
def test_tensors_hold_what_the_scene_does(scene):
    words, locations, valid = as_tensors([scene, Scene(objects=())], SCHEMA)
    assert valid.sum(1).tolist() == [len(scene), 0]
    for index, item in enumerate(scene.objects):
        fields = zip(SCHEMA.word_fields, words[0, index], strict=True)
        assert all(field.words[word] == item.get(field.name) for field, word in fields)
        np.testing.assert_allclose(locations[0, index].numpy(), item.location, rtol=1e-6, atol=1e-6)


@given(scene=scenes(SCHEMA))
def test_objects_stay_as_many_and_inside_the_schemas_numbers(scene):
    sure = replace(scene, objects=tuple(replace(item, confidence=0.5) for item in scene.objects), extra={"a": 1})
    [refined] = refine_scenes(REFINER, [sure], PICTURES[:1], SCHEMA)
    assert len(refined) == len(scene) and refined.extra == {"a": 1}
    assert all(item.confidence == 0.5 for item in refined.objects)
    snapped = SCHEMA.snap(refined)  # which refuses what is outside
    assert sorted(item.location[2] for item in snapped.objects) == sorted(item.location[2] for item in refined.objects)


def test_scenes_of_a_batch_do_not_touch_one_another(monkeypatch):
    monkeypatch.setattr("kyvo.models.heads.refined_scenes.CHUNK", 2)
    cube = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
    row = [replace(cube, location=(index / 2 - 1, 0.3 * index, 0.7)) for index in range(5)]
    found = [Scene(objects=tuple(row[:count])) for count in (3, 0, 5)]
    together = refine_scenes(REFINER, found, PICTURES, SCHEMA)
    for scene, picture, refined in zip(found, PICTURES, together, strict=True):
        [alone] = refine_scenes(REFINER, [scene], [picture], SCHEMA)
        for ours, theirs in zip(refined.objects, alone.objects, strict=True):
            np.testing.assert_allclose(ours.location, theirs.location, atol=2e-4)
            assert replace(ours, location=None) == replace(theirs, location=None)


def moved_refiner() -> Refiner:
    """One that reads cameras which are not the mean one."""
    refiner = tiny_refiner()
    refiner.camera.bias.data = torch.tensor([0.3, -0.2, 0.1])
    return refiner


def test_the_camera_sees_objects_where_the_refiner_does():
    refiner = moved_refiner()
    cube = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
    scene = Scene(objects=(cube, replace(cube, location=(1.0, -1.5, 0.35))))
    [refined] = refine_scenes(refiner, [scene], PICTURES[:1], SCHEMA)
    words, locations, valid = as_tensors([scene], SCHEMA)
    told = refiner(to_unit(torch.from_numpy(PICTURES[0])[None]), words, locations, valid)
    seen = refined.camera.project(np.array([item.location for item in refined.objects]))[:, :2]
    np.testing.assert_allclose(seen, told.centers[0].detach().numpy(), atol=0.1)  # px; heights are rounded
    np.testing.assert_allclose(refined.camera.location, told.cameras[0].detach().numpy(), atol=1e-3)
    assert refined.camera.location != pytest.approx(clevr_camera(24, 16).location, abs=1e-3)
    assert scene_from_json(scene_to_json(refined)).camera.focal == pytest.approx(refined.camera.focal)


def test_a_tilted_pictures_camera_is_tilted_and_sees_objects_where_they_are():
    level = moved_refiner()
    refiner = extended(level, level.config.words, frames=True)
    refiner.frame.bias.data = torch.tensor([0.05, 0.1])
    cube = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
    scene = Scene(objects=(cube, replace(cube, location=(1.0, -1.5, 0.7))))
    [plain], [tilted] = (refine_scenes(one, [scene], PICTURES[:1], SCHEMA) for one in (level, refiner))
    assert tilted.camera == plain.camera.turned(roll=0.05, zoom=np.exp(0.1))
    seen = [one.camera.project(np.array([item.location for item in one.objects]))[:, :2] for one in (plain, tilted)]
    np.testing.assert_allclose(seen[0], seen[1], atol=0.05)  # px
    assert plain.objects[1].location != pytest.approx(tilted.objects[1].location, abs=0.02)
    [known] = refine_scenes(refiner, [scene], PICTURES[:1], SCHEMA, cameras=[plain.camera])
    assert known.camera == plain.camera


def test_recognised_scenes_are_refined_unless_that_is_not_wanted():
    plain = tiny_kyvo()
    model = with_refiner()
    pictures = list(np.random.default_rng(0).integers(0, 255, (8, 16, 24, 3), dtype=np.uint8))
    written = plain.recognize(pictures)
    assert any(len(scene) for scene in written)
    assert model.recognize(pictures, refine=False) == written
    refined = model.recognize(pictures)
    assert refined == model.recognition.refine(written, pictures, model.run()) != written
    assert plain.recognition.refine(written, pictures, plain.run()) == written


def with_refiner() -> Kyvo:
    processor = replace(tiny_processor(), refiner=tiny_refiner())
    return Kyvo(model=tiny_llama(len(processor.vocabulary)), processor=processor)


def test_a_folder_keeps_its_refiner(tmp_path):
    model = with_refiner()
    model.model.save_pretrained(tmp_path)
    model.processor.save(tmp_path)
    again = Kyvo.from_pretrained(tmp_path, device="cpu")
    for name, weight in again.processor.refiner.state_dict().items():
        torch.testing.assert_close(weight, model.processor.refiner.state_dict()[name].bfloat16().float())


def test_one_of_another_model_is_refused():
    with pytest.raises(
        CheckpointError, match=r"reads 24x16 px and fields of \(2, 8, 2, 3\) words.*the model has 48x32"
    ):
        check_fits(REFINER, SCHEMA, width=48, height=32)
    with pytest.raises(CheckpointError, match=r"px and \(6,\) words"):
        check_fits(REFINER, objaworld_schema(), width=24, height=16)
    with pytest.raises(CheckpointError, match="'objectron' has no locations in a world frame"):
        check_fits(REFINER, objectron_schema(), width=24, height=16)


def test_a_camera_that_agrees_with_the_mean_one_is_taken_for_it():
    """What a picture tells are the camera's height and distance; its turn about the vertical is then the mean one's."""
    cube = SceneObject(size="large", color="red", material="metal", shape="cube", location=(1.0, 0.5, 0.7))
    scene, mean = Scene(objects=(cube,)), mean_camera(REFINER.config)
    x, y, z = mean.location
    cases = {  # turned by three degrees; farther away; higher; turned and tilted
        (x - y * 0.052, y + x * 0.052, z, 0.0): True,
        (1.02 * x, 1.02 * y, z, 0.0): False,
        (x, y, z + 0.2, 0.0): False,
        (x - y * 0.052, y + x * 0.052, z, 0.05): False,
    }
    for (*location, roll), same in cases.items():
        refiner = extended(tiny_refiner(), REFINER.config.words, frames=True)
        refiner.frame.bias.data = torch.tensor([roll, 0.0])
        refiner.camera.weight.data.zero_()
        refiner.camera.bias.data = torch.tensor(location) - torch.tensor(mean.location)
        [found] = refine_scenes(refiner, [scene], PICTURES[:1], SCHEMA)
        assert (found.camera == mean) is same
        [known] = refine_scenes(refiner, [scene], PICTURES[:1], SCHEMA, cameras=[mean])
        assert (found.objects == known.objects) is same
