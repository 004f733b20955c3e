"""Objects read in a model's states: what the targets are, and that the reading learns them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kyvo.data.clevr.sampling import sample_scenes
from kyvo.data.language.question_programs import SceneIndex, asked_about
from kyvo.data.language.questions import sample_questions
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.training.auxiliary_heads import (
    AuxiliaryHeads,
    CopyTargets,
    GroundingTargets,
    ObjectHead,
    Targets,
    grounding_targets,
    object_rows,
    object_targets,
)
from kyvo.training.model import HiddenStates

ROWS, COLUMNS = 10, 15
SCHEMA = clevr_schema()


def scenes():
    return sample_scenes(range(4), seed=3, width=120, height=80)


def test_each_object_stands_in_the_cell_that_shows_it_with_the_places_of_its_values():
    for scene in scenes():
        snapped = SCHEMA.snap(scene, clamp=True)
        rows = object_rows(scene, SCHEMA, rows=ROWS, columns=COLUMNS)
        shown = np.flatnonzero(rows[:, 0] >= 0)
        assert len(scene) - 1 <= len(shown) <= len(scene)  # two centres may share a cell
        assert (rows[np.setdiff1d(np.arange(ROWS * COLUMNS), shown)] == -1).all()
        for cell in shown:
            number, size, color, material, shape, *bins = rows[cell].tolist()
            item = snapped.objects[number]
            x, y, _ = scene.camera.project(np.array([item.location]))[0]
            assert cell == int(y / 8) * COLUMNS + int(x / 8)
            words = zip(SCHEMA.fields, (size, color, material, shape), strict=False)
            told = [field.words[place] for field, place in words]
            assert told == [item.size, item.color, item.material, item.shape]
            axes = zip(SCHEMA.fields[-1].axes, bins, strict=True)
            assert [axis.values[place] for axis, place in axes] == list(item.location)


def test_within_reach_a_cell_has_the_object_of_the_nearest_centre():
    for scene in scenes():
        alone = object_rows(scene, SCHEMA, rows=ROWS, columns=COLUMNS)
        around = object_rows(scene, SCHEMA, rows=ROWS, columns=COLUMNS, reach=1.25)
        centers = {}
        for cell in np.flatnonzero(alone[:, 0] >= 0):
            assert (around[cell] == alone[cell]).all()
            item = SCHEMA.snap(scene, clamp=True).objects[alone[cell, 0]]
            centers[cell] = scene.camera.project(np.array([item.location]))[0, :2] / 8
        for cell in np.flatnonzero(alone[:, 0] < 0):
            middle = np.array([cell % COLUMNS, cell // COLUMNS]) + 0.5
            distances = {owner: np.linalg.norm(middle - center) for owner, center in centers.items()}
            owner = min(distances, key=distances.get)
            expected = alone[owner] if distances[owner] <= 1.25 else np.full(alone.shape[1], -1)
            assert (around[cell] == expected).all()
        assert (around[:, 0] >= 0).sum() > 3 * len(centers)


def test_an_answer_is_about_the_objects_that_its_program_ends_in():
    for scene in scenes():
        rng = np.random.default_rng(0)
        questions = sample_questions(scene, rng, count=30)
        index = SceneIndex(scene)
        about = grounding_targets(scene, SCHEMA, [asked_about(question.program, index) for question in questions])
        objects = SCHEMA.snap(scene, clamp=True).objects
        assert (about[:, len(objects) :] == -1).all() and (about[:, : len(objects)] >= 0).all()
        for question, row in zip(questions, about, strict=True):
            found = [item for item, told in zip(objects, row, strict=False) if told]
            last = question.program[-1]["function"]
            if last == "count":
                assert str(len(found)) == question.answer
            elif last == "exist":
                assert ("yes" if found else "no") == question.answer
            elif last.startswith("query_"):
                assert [item.get(last.removeprefix("query_")) for item in found] == [question.answer]
            elif last.startswith("equal_") and last != "equal_integer":
                values = {item.get(last.removeprefix("equal_")) for item in found}
                assert len(found) == 2 and ("yes" if len(values) == 1 else "no") == question.answer


def test_targets_point_at_the_codes_of_their_own_sequence():
    first, second = (object_rows(scene, SCHEMA, rows=ROWS, columns=COLUMNS) for scene in scenes()[:2])
    grid_positions = np.full((3, 200), -1)
    grid_positions[0, 2:152] = grid_positions[2, 7:157] = np.arange(150)
    grid_positions[1, 2:152] = np.arange(150)
    targets = object_targets(list(grid_positions), [first, None, second], [0, 200, 400])
    assert targets is not None and len(targets.codes) == 300
    assert targets.codes.tolist() == [*range(2, 152), *range(407, 557)]
    whole = np.concatenate([first, second])
    assert targets.present.tolist() == (whole[:, 0] >= 0).tolist()
    assert (targets.values.numpy() == whole[whole[:, 0] >= 0]).all()
    assert object_targets(list(grid_positions), [None, None, None], [0, 200, 400]) is None


def test_states_that_hold_the_objects_are_soon_read_and_others_are_not():
    """The loss falls far below that of guessing on states that tell, and stays near it on shuffled ones."""
    torch.manual_seed(0)
    rows = [object_rows(scene, SCHEMA, rows=ROWS, columns=COLUMNS) for scene in scenes()]
    grid_positions = np.tile(np.arange(150), (4, 1))
    targets = object_targets(list(grid_positions), rows, [0, 150, 300, 450])
    states = torch.randn(4, 150, 64)
    heads = ObjectHead(SCHEMA, 64)
    optimizer = torch.optim.Adam(heads.parameters(), lr=0.02)
    for _ in range(150):
        loss = heads(states, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        told, shuffled = heads(states, targets), heads(states.flip(0), targets)
    assert told < 5.0 and shuffled > 20.0  # nats; guessing costs 22


def test_what_is_asked_about_is_soon_read_from_states_that_tell_it():
    torch.manual_seed(0)
    about = torch.tensor([[1.0, 0, 0, 1, *[-1] * 12], [0, 1, -1, -1, *[-1] * 12]])
    asked = GroundingTargets(positions=torch.tensor([2, 9]), about=about)
    targets = Targets(asked=asked, named=replace(asked, positions=torch.tensor([1, 7])))
    heads, states = AuxiliaryHeads(SCHEMA, 32), torch.randn(2, 6, 32)

    def loss_of(early, last):
        return heads(HiddenStates(early=early, middle=torch.full_like(early, torch.nan), last=last), targets)

    optimizer = torch.optim.Adam(heads.parameters(), lr=0.05)
    for _ in range(60):
        loss = loss_of(states, states)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert loss_of(states, states) < 0.1
        assert loss_of(states, states.flip(0)) > 0.5 < loss_of(states.flip(0), states)
        other = states.clone()
        other.flatten(0, 1)[[0, 3, 4, 6]] = 0.0  # neither words nor beginnings of outputs
        assert loss_of(other, other) == loss_of(states, states)
    assert not Targets() and Targets().to(torch.device("cpu")) == Targets()


def test_whether_an_id_is_copied_is_soon_read_from_middle_states_that_tell_it():
    torch.manual_seed(0)
    changed = torch.tensor([False, True, False, False, True, False])
    targets = Targets(changed=CopyTargets(positions=torch.tensor([0, 2, 4, 6, 7, 8]), changed=changed))
    heads, states = AuxiliaryHeads(SCHEMA, 32), torch.randn(2, 6, 32)

    def loss_of(middle):
        nowhere = torch.full_like(middle, torch.nan)
        return heads(HiddenStates(early=nowhere, middle=middle, last=nowhere), targets)

    optimizer = torch.optim.Adam(heads.parameters(), lr=0.05)
    for _ in range(60):
        loss = loss_of(states)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert loss_of(states) < 0.1 and loss_of(states.flip(0)) > 0.5


def test_a_scene_without_a_camera_has_nowhere_to_be_read():
    with pytest.raises(ValueError, match="no camera"):
        object_rows(replace(scenes()[0], camera=None), SCHEMA, rows=ROWS, columns=COLUMNS)
