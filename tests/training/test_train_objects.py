"""What of a sample concerns an object: weights of its codes, and labels of auxiliary heads."""

import json
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset

from kyvo.data.clevr.sampling import ClevrRules, sample_scenes
from kyvo.data.language.edits import edited_object, sample_edits
from kyvo.data.language.questions import sample_questions
from kyvo.scene.files import scene_to_json
from kyvo.testing import tiny_processor
from kyvo.tokenizers.sequence import IGNORE
from kyvo.tokenizers.vocabulary import OUTPUT, TEXT_START
from kyvo.training.batch import collate
from kyvo.training.data import TokenizedScenes


@pytest.fixture(scope="module")
def processor():
    return tiny_processor()


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Coded pictures of scenes with a camera, and questions with their programs."""
    folder = tmp_path_factory.mktemp("shown")
    scenes = sample_scenes(range(3), seed=5, width=32, height=24, rules=ClevrRules(min_objects=3, max_objects=4))
    questions = [sample_questions(scene, np.random.default_rng(0), count=4) for scene in scenes]
    columns = {
        "codes": [list(range(6))] * 3,
        "scene": [json.dumps(scene_to_json(scene)) for scene in scenes],
        "questions": [
            [{"question": one.text, "answer": one.answer, "program": json.dumps(one.program)} for one in of_scene]
            for of_scene in questions
        ],
    }
    Dataset.from_dict(columns).save_to_disk(folder)
    return str(folder)


def test_codes_that_show_an_object_weigh_more_and_are_read_before_they_are_written(processor, shown):
    def rendered(**settings):
        samples = TokenizedScenes(processor.builder, folders=[shown], tasks={"rendering": 1.0}, **settings)
        return samples.sequences([0, 1, 2], np.random.default_rng(0))

    builder = processor.builder
    for plain, heavy, read in zip(rendered(), rendered(object_weight=3.0), rendered(objects=True), strict=True):
        assert plain.drawn is None and heavy.drawn is None and (read.weights == plain.weights).all()
        on_objects = [
            place in builder.output_grid_positions and read.drawn[place - builder.output_grid_positions.start, 0] >= 0
            for place in plain.grid_positions
        ]
        assert 0 < sum(on_objects) <= 6
        assert (heavy.weights == np.where(on_objects, 3 * plain.weights, plain.weights)).all()
        targets = collate([read], pad_id=0).objects
        assert targets.seen is None and targets.asked is None
        assert (read.ids[targets.drawn.codes + 1] - builder.vocabulary.ranges["image"].start).tolist() == [
            place - builder.output_grid_positions.start
            for place in plain.grid_positions
            if place in builder.output_grid_positions
        ]
        assert (targets.drawn.codes[targets.drawn.present] + 1).tolist() == np.flatnonzero(on_objects).tolist()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("questions", [1, 4])
def test_what_questions_are_about_is_read_where_their_answers_are_predicted(processor, shown, questions, packed):
    tasks = {"scene_question_answering": 1.0}
    samples = TokenizedScenes(processor.builder, folders=[shown], tasks=tasks, questions=questions, objects=True)
    sequences = samples.sequences([0, 1, 2], np.random.default_rng(0))
    batch = collate(sequences, pad_id=0, pack_tokens=1024 if packed else None)
    asked = batch.objects.asked
    assert len(asked.positions) == len(asked.about) == 3 * questions
    markers = batch.ids.flatten()[asked.positions]
    assert (markers == processor.vocabulary.marker_id(TEXT_START)).all()
    assert (batch.ids.flatten()[asked.positions - 1] == processor.vocabulary.marker_id(OUTPUT)).all()
    named = batch.objects.named
    words = sum((sequence.named.max(axis=1) >= 0).sum() for sequence in sequences)
    assert len(named.positions) == len(named.about) == words > 3 * questions
    ids = [processor.builder.scenes.word_ids[field][word][0] for field, word in (("color", "red"), ("shape", "cube"))]
    known = {spelt[0] for of_field in processor.builder.scenes.word_ids.values() for spelt in of_field.values()}
    assert set(ids) <= known and {int(token) for token in batch.ids.flatten()[named.positions]} <= known
    plain = TokenizedScenes(processor.builder, folders=[shown], tasks=tasks)
    assert plain.sequences([0], np.random.default_rng(0))[0].asked is None


def test_an_instruction_says_which_object_it_is_about_and_what_changes_weighs_more(processor, tmp_path):
    scene = sample_scenes(range(1), seed=5, width=32, height=24, rules=ClevrRules(min_objects=3, max_objects=4))[0]
    edits = sample_edits([scene] * 6, [np.random.default_rng(seed) for seed in range(6)])
    columns = {
        "scene": [json.dumps(scene_to_json(scene))] * 6,
        "instruction": [edit.instruction for edit in edits],
        "program": [json.dumps(edit.program) for edit in edits],
        "target_scene": [json.dumps(scene_to_json(edit.target)) for edit in edits],
    }
    Dataset.from_dict(columns).save_to_disk(tmp_path)
    settings = {"folders": [str(tmp_path)], "tasks": {"scene_editing": 1.0}, "edits": 3}

    def made(**further):
        samples = TokenizedScenes(processor.builder, **settings, **further)
        return samples.sequences([0, 3], np.random.default_rng(0))

    snap = processor.builder.scenes.snap
    batch = collate(made(objects=True), pad_id=0)
    asked, told = batch.objects.asked, batch.objects.changed
    assert (told.positions == batch.positions).all()  # before every label, of which all are the scene's
    flags = np.concatenate([one.changed[one.labels != IGNORE] for one in made(objects=True)])
    assert flags.any() and (told.changed.numpy() == flags).all()
    for edit, row in zip(edits, asked.about, strict=True):
        alone = replace(scene, objects=(scene.objects[edited_object(edit.program, scene)],))
        assert row.tolist().count(1) == 1
        assert snap(scene).objects[int(row.argmax())] == snap(alone).objects[0]
    for plain, heavy in zip(made(), made(change_weight=5.0), strict=True):
        changed = np.zeros(len(plain.ids), dtype=bool)
        for start, stop in plain.branches:
            alone = np.concatenate([plain.ids[: plain.branches[0][0]], plain.ids[start:stop]])
            changed[start:stop] = processor.builder.changed(alone)[plain.branches[0][0] :]
        assert changed.any() and plain.asked is None and plain.changed is None
        assert (heavy.weights == np.where(changed, 5 * plain.weights, plain.weights)).all()
        told = next(one for one in made(objects=True) if np.array_equal(one.ids, plain.ids))
        assert (told.changed == changed).all()
