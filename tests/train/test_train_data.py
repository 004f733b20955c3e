import itertools
import json

import numpy as np
import pytest
import torch
from datasets import Dataset

from kyvo.errors import ConfigError
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene
from kyvo.testing import tiny_processor, write_tiny_codes
from kyvo.tokenizers.tasks import TASKS
from kyvo.train.data import WINDOW, BatchStream, CodedScenes, collate, load_batches

COUNT, BATCH = 90, 2
EMPTY = json.dumps(scene_to_json(Scene(objects=())))


@pytest.fixture(scope="module")
def processor():
    return tiny_processor()


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codes")
    write_tiny_codes(folder, count=COUNT)
    return str(folder)


def stream(processor, codes, *, tasks=None, start=0, seed=0, max_seq_len=1024):
    samples = CodedScenes(processor.builder, folders=[codes], tasks=tasks or {"recognition": 1.0})
    return BatchStream(
        samples, batch_size=BATCH, seed=seed, max_seq_len=max_seq_len, pad_id=processor.text.pad_id, start=start
    )


def take(batches, count):
    return list(itertools.islice(batches, count))


def same(left, right):
    return torch.equal(left.ids, right.ids) and torch.equal(left.targets, right.targets)


@pytest.mark.parametrize("start", [1, WINDOW, WINDOW + 5, 44, 45, 60])
def test_a_stream_from_batch_k_is_the_whole_stream_without_its_first_k(processor, codes, start):
    tasks = {"recognition": 0.5, "rendering": 0.5}
    whole = take(stream(processor, codes, tasks=tasks), start + 8)
    late = take(stream(processor, codes, tasks=tasks, start=start), 8)
    assert all(same(left, right) for left, right in zip(whole[start:], late, strict=True))


def test_another_seed_is_another_order(processor, codes):
    assert not all(
        same(left, right)
        for left, right in zip(
            take(stream(processor, codes), 8), take(stream(processor, codes, seed=1), 8), strict=True
        )
    )


def test_an_epoch_holds_every_sample_once(processor, codes):
    def keys(batches):
        return sorted(
            tuple(row[:14].tolist()) for batch in batches for row in batch.ids
        )  # begin, picture: unlike all others

    epochs = take(stream(processor, codes), 2 * COUNT // BATCH)
    first, second = keys(epochs[: COUNT // BATCH]), keys(epochs[COUNT // BATCH :])
    assert first == second and len(set(first)) == COUNT


def test_a_second_process_gives_the_same_batches(processor, codes):
    here = take(load_batches(stream(processor, codes), prefetch=False), 6)
    there = take(load_batches(stream(processor, codes), prefetch=True), 6)
    assert all(same(left, right) for left, right in zip(here, there, strict=True))


def test_batches_hold_sequences_of_like_length(processor, codes):
    batches = take(stream(processor, codes), 40)
    padded = sum(batch.ids.numel() for batch in batches)
    longest = max(batch.ids.shape[1] for batch in batches)
    assert padded < 0.9 * len(batches) * BATCH * longest


def test_positions_point_at_the_token_before_each_label(processor, codes):
    samples = CodedScenes(processor.builder, folders=[codes], tasks={"rendering": 1.0})
    sequences = samples.sequences([3, 4, 5], np.random.default_rng(0))
    batch = collate(sequences, pad_id=0, multiple=16)
    assert batch.ids.shape[1] % 16 == 0 and batch.mask is None
    following = batch.ids.flatten()[batch.positions + 1]
    assert torch.equal(following, batch.targets)
    assert len(batch.targets) == sum((sequence.labels != -100).sum() for sequence in sequences)
    assert batch.weights.sum().item() == pytest.approx(sum(sequence.weights.sum() for sequence in sequences))
    assert batch.num_tokens == sum(len(sequence.ids) for sequence in sequences)


def test_a_task_that_needs_other_columns_is_refused(processor, codes):
    for task in ("editing", "question_answering"):
        assert task in TASKS
        with pytest.raises(ConfigError, match=f"has the columns codes, scene; {task} take"):
            CodedScenes(processor.builder, folders=[codes], tasks={task: 1.0})
    with pytest.raises(ConfigError, match=r"'recogniton'; known tasks are rendering, recognition"):
        CodedScenes(processor.builder, folders=[codes], tasks={"recogniton": 1.0})


def test_sets_serve_the_tasks_they_have_the_columns_for(processor, tmp_path):
    rows = {"codes": [[1] * 6] * 8, "scene": [EMPTY] * 8}
    edits = {"instruction": [" a"] * 8, "target_codes": [[2] * 6] * 8, "target_scene": [EMPTY] * 8}
    asked = [{"question": f" {letter}", "answer": letter} for letter in "bc"]
    Dataset.from_dict(rows | edits).save_to_disk(tmp_path / "edits")
    Dataset.from_dict(rows | {"questions": [asked] * 8}).save_to_disk(tmp_path / "questions")
    samples = CodedScenes(
        processor.builder,
        folders=[str(tmp_path / "edits"), str(tmp_path / "questions")],
        tasks={"editing": 1.0, "question_answering": 3.0},
    )
    sequences = samples.sequences(range(16), np.random.default_rng(0))
    for sequence in sequences[:8]:
        given, wanted = processor.builder.parse(TASKS["editing"], sequence.ids)
        assert (given.text, given.image.tolist(), wanted.image.tolist()) == (" a", [1] * 6, [2] * 6)
    found = [processor.builder.parse(TASKS["question_answering"], sequence.ids) for sequence in sequences[8:]]
    assert {(given.text, wanted.text) for given, wanted in found} == {(" b", "b"), (" c", "c")}


def test_tasks_are_drawn_by_their_shares_among_those_served(processor, codes):
    samples = CodedScenes(
        processor.builder, folders=[codes], tasks={"recognition": 3.0, "rendering": 1.0, "editing": 9.0}
    )
    sequences = samples.sequences([0] * 400, np.random.default_rng(0))
    begins_with_a_picture = sum(int(sequence.ids[1] == sequences[0].ids[1]) for sequence in sequences)
    assert min(begins_with_a_picture, 400 - begins_with_a_picture) == pytest.approx(100, abs=30)


def test_folders_that_are_no_coded_set_are_refused(processor, tmp_path):
    with pytest.raises(ConfigError, match=r"no Arrow set.*encode\.py"):
        CodedScenes(processor.builder, folders=[str(tmp_path)], tasks={"recognition": 1.0})
    Dataset.from_dict({"scene": ["{}"]}).save_to_disk(tmp_path / "scenes")
    with pytest.raises(ConfigError, match="has the columns scene; recognition take codes, scene"):
        CodedScenes(processor.builder, folders=[str(tmp_path / "scenes")], tasks={"recognition": 1.0})


def test_a_sequence_longer_than_the_model_is_refused(processor, codes):
    with pytest.raises(ConfigError, match=r"tokens after padding, the model takes 32\. Choose a larger model\.size"):
        take(stream(processor, codes, max_seq_len=32), 30)
