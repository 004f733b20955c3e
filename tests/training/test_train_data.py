import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset

from kyvo.data.clevr.sampling import sample_scenes
from kyvo.errors import ConfigError, TokenError
from kyvo.scene.builtin_schemas import clevr_view_schema
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_processor, write_tiny_codes
from kyvo.tokenizers.tasks import TASKS
from kyvo.training.batch import collate, pack
from kyvo.training.batch_stream import WINDOW, BatchStream, load_batches
from kyvo.training.data import TokenizedScenes
from kyvo.training.model import decoder

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


def stream(processor, codes, *, tasks=None, start=0, seed=0, max_seq_len=1024, **settings):
    samples = TokenizedScenes(processor.builder, folders=[codes], tasks=tasks or {"recognition": 1.0})
    return BatchStream(
        samples,
        batch_size=BATCH,
        seed=seed,
        max_seq_len=max_seq_len,
        pad_id=processor.text.pad_id,
        start=start,
        **settings,
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


@pytest.mark.parametrize("start", [0, 3, 16, 21, 25])
def test_ranks_take_turns_in_what_one_process_takes_alone(processor, codes, start):
    alone = take(stream(processor, codes, start=start, slots=4), 40)
    first, second = (
        take(stream(processor, codes, start=start, slots=4, rank=rank, num_ranks=2), 20) for rank in (0, 1)
    )
    for step in range(10):
        mine, theirs = first[2 * step : 2 * step + 2], second[2 * step : 2 * step + 2]
        expected = alone[4 * step : 4 * step + 4]
        assert all(
            same(left, right) for left, right in zip([mine[0], theirs[0], mine[1], theirs[1]], expected, strict=True)
        )


def test_a_step_of_many_slots_needs_as_many_samples(processor, codes):
    with pytest.raises(ConfigError, match=r"90 samples, fewer than a step takes: train\.batch_size, 2, times 46"):
        stream(processor, codes, slots=46)


def test_an_epoch_of_several_slots_holds_no_sample_twice(processor, codes):
    names = [name for batch in take(stream(processor, codes, slots=5), 45) for name in batch.samples]
    assert len(names) == len(set(names)) == COUNT
    assert all("codes" in name and ", row " in name for name in names)


def test_packed_rows_hold_each_sequence_once_and_no_more_than_their_tokens(processor, codes):
    samples = TokenizedScenes(processor.builder, folders=[codes], tasks={"recognition": 0.5, "rendering": 0.5})
    sequences = samples.sequences(range(30), np.random.default_rng(0))
    rows = pack(sequences, tokens=200)
    assert all(sum(len(sequence.ids) for sequence in row) <= 200 for row in rows)
    packed = sorted(tuple(sequence.ids) for row in rows for sequence in row)
    assert packed == sorted(tuple(sequence.ids) for sequence in sequences)
    batch = collate(sequences, pad_id=0, pack_tokens=200)
    assert batch.ids.numel() < 0.7 * collate(sequences, pad_id=0).ids.numel()
    assert batch.num_tokens == (batch.documents >= 0).sum()
    assert torch.equal(batch.ids.flatten()[batch.positions + 1], batch.targets)
    assert batch.weights.sum().item() == pytest.approx(sum(sequence.weights.sum() for sequence in sequences))


def test_samples_too_long_are_listed_and_left_out_where_that_is_wanted(processor, codes):
    lengths = [len(batch.ids[0]) for batch in take(stream(processor, codes), 45)]
    assert max(lengths) > 64
    batches = take(stream(processor, codes, max_seq_len=64, skip_too_long=True), 45)
    assert max(len(batch.ids[0]) for batch in batches) <= 64
    skipped = [name for batch in batches for name in batch.skipped]
    kept = [name for batch in batches for name in batch.samples]
    assert skipped and len(kept) + len(skipped) == len(set(kept) | set(skipped)) == COUNT
    with pytest.raises(ConfigError, match=r"samples are too long, among them \S+codes\d+, row \d+"):
        take(stream(processor, codes, max_seq_len=64), 45)


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


@pytest.mark.parametrize("number", [1, 2])
def test_other_processes_give_the_same_batches(processor, codes, number):
    count = 2 * WINDOW + 5  # of three windows
    here = take(load_batches(stream(processor, codes), prefetch=0), count)
    there = take(load_batches(stream(processor, codes), prefetch=number), count)
    assert all(same(left, right) for left, right in zip(here, there, strict=True))


def test_batches_hold_sequences_of_like_length(processor, codes):
    batches = take(stream(processor, codes), 40)
    padded = sum(batch.ids.numel() for batch in batches)
    longest = max(batch.ids.shape[1] for batch in batches)
    assert padded < 0.9 * len(batches) * BATCH * longest


def test_positions_point_at_the_token_before_each_label(processor, codes):
    samples = TokenizedScenes(processor.builder, folders=[codes], tasks={"rendering": 1.0})
    sequences = samples.sequences([3, 4, 5], np.random.default_rng(0))
    batch = collate(sequences, pad_id=0, multiple=16)
    assert batch.ids.shape[1] % 16 == 0 and batch.attention() is None
    following = batch.ids.flatten()[batch.positions + 1]
    assert torch.equal(following, batch.targets)
    assert len(batch.targets) == sum((sequence.labels != -100).sum() for sequence in sequences)
    assert batch.weights.sum().item() == pytest.approx(sum(sequence.weights.sum() for sequence in sequences))
    assert batch.num_tokens == sum(len(sequence.ids) for sequence in sequences)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tasks": {}}, "data.tasks has no task with a share above 0"),
        ({"tasks": {"recognition": 0.0}}, "data.tasks has no task with a share above 0"),
        (
            {"tasks": {"recognition": -1.0, "rendering": 2.0}},
            "data.tasks.recognition is -1.0; a share is a number from 0",
        ),
        ({"tasks": {"recognition": float("nan")}}, "data.tasks.recognition is nan"),
        ({"folders": []}, r"data.folders is \[\]; a list of folders is needed"),
    ],
)
def test_shares_that_mean_nothing_are_refused(processor, codes, settings, said):
    with pytest.raises(ConfigError, match=said):
        TokenizedScenes(processor.builder, **{"folders": [codes], "tasks": {"recognition": 1.0}, **settings})


def test_a_task_of_no_share_is_left_out(processor, codes):
    found = TokenizedScenes(processor.builder, folders=[codes], tasks={"recognition": 1.0, "editing": 0.0})
    assert found.tasks == [["recognition"]]


def test_a_task_that_needs_other_columns_is_refused(processor, codes):
    for task in ("editing", "question_answering"):
        assert task in TASKS
        with pytest.raises(ConfigError, match=f"has the columns codes, scene; {task} take"):
            TokenizedScenes(processor.builder, folders=[codes], tasks={task: 1.0})
    with pytest.raises(ConfigError, match=r"data\.tasks has editing, which takes the columns .*; none of"):
        TokenizedScenes(processor.builder, folders=[codes], tasks={"recognition": 3.0, "editing": 9.0})
    with pytest.raises(ConfigError, match=r"'recogniton'; known tasks are rendering, recognition"):
        TokenizedScenes(processor.builder, folders=[codes], tasks={"recogniton": 1.0})


def test_sets_serve_the_tasks_they_have_the_columns_for(processor, tmp_path):
    rows = {"codes": [[1] * 6] * 8, "scene": [EMPTY] * 8}
    edits = {"instruction": [" a"] * 8, "target_codes": [[2] * 6] * 8, "target_scene": [EMPTY] * 8}
    asked = [{"question": f" {letter}", "answer": letter} for letter in "bc"]
    Dataset.from_dict(rows | edits).save_to_disk(tmp_path / "edits")
    Dataset.from_dict(rows | {"questions": [asked] * 8}).save_to_disk(tmp_path / "questions")
    samples = TokenizedScenes(
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


def test_tasks_are_drawn_by_their_shares(processor, codes):
    samples = TokenizedScenes(processor.builder, folders=[codes], tasks={"recognition": 3.0, "rendering": 1.0})
    sequences = samples.sequences([0] * 400, np.random.default_rng(0))
    begins_with_a_picture = sum(int(sequence.ids[1] == sequences[0].ids[1]) for sequence in sequences)
    assert min(begins_with_a_picture, 400 - begins_with_a_picture) == pytest.approx(100, abs=30)


def test_folders_that_are_no_coded_set_are_refused(processor, tmp_path):
    with pytest.raises(ConfigError, match=r"no Arrow set.*encode\.py"):
        TokenizedScenes(processor.builder, folders=[str(tmp_path)], tasks={"recognition": 1.0})
    Dataset.from_dict({"scene": ["{}"]}).save_to_disk(tmp_path / "scenes")
    with pytest.raises(ConfigError, match="has the columns scene; recognition take codes, scene"):
        TokenizedScenes(processor.builder, folders=[str(tmp_path / "scenes")], tasks={"recognition": 1.0})


def test_a_sequence_longer_than_the_model_is_refused(processor, codes):
    with pytest.raises(ConfigError, match=r"after padding, the model takes 32\. Choose a larger model\.size"):
        take(stream(processor, codes, max_seq_len=32), 30)


@pytest.mark.parametrize(
    ("codes", "scene", "message"),
    [
        ([99] * 6, EMPTY, r"row 0: image code 99 is outside the 16 image codes"),
        ([1] * 5, EMPTY, r"row 0: a picture here has 2 x 3 = 6 codes, but 5 were given"),
        ([1] * 6, '{"format": "something"}', r"row 0: "),
        (
            [1] * 6,
            json.dumps(scene_to_json(Scene(objects=(SceneObject(category="chair", location=(0.0, 0.0, 1.0)),)))),
            r"row 0: ",
        ),
    ],
    ids=["another codebook", "another grid", "no scene", "another schema"],
)
def test_a_row_of_another_vocabulary_is_named(processor, tmp_path, codes, scene, message):
    Dataset.from_dict({"codes": [codes] * 2, "scene": [scene] * 2}).save_to_disk(tmp_path / "codes")
    samples = TokenizedScenes(processor.builder, folders=[str(tmp_path / "codes")], tasks={"recognition": 1.0})
    with pytest.raises(TokenError, match=message):
        samples.sequences([0], np.random.default_rng(0))


def test_a_damaged_set_is_refused(processor, codes, tmp_path):
    shutil.copytree(codes, tmp_path / "half")
    path = next((tmp_path / "half").glob("*.arrow"))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ConfigError, match="half is an empty or damaged set"):
        TokenizedScenes(processor.builder, folders=[str(tmp_path / "half")], tasks={"recognition": 1.0})


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Scenes with three questions each, and without pictures."""
    folder = tmp_path_factory.mktemp("asked")
    cube = SceneObject(shape="cube", size="small", color="red", material="metal", location=(0.5, -0.5, 0.35))
    scenes = [json.dumps(scene_to_json(Scene(objects=(cube,) * count))) for count in (1, 2, 3, 4)]
    questions = [{"question": f" {letter} a", "answer": letter} for letter in "bcd"]
    Dataset.from_dict({"scene": scenes, "questions": [questions] * 4}).save_to_disk(folder)
    return str(folder)


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """Four scenes, each in three rows beside one another with three instructions."""
    folder = tmp_path_factory.mktemp("edited")
    cube = SceneObject(shape="cube", size="small", color="red", material="metal", location=(0.5, -0.5, 0.35))
    scenes = [json.dumps(scene_to_json(Scene(objects=(cube,) * count))) for count in (1, 2, 3, 4) for _ in "bcd"]
    targets = [json.dumps(scene_to_json(Scene(objects=(cube,) * count))) for count in (2, 1, 3) * 4]
    columns = {"scene": scenes, "instruction": [f" {letter} a" for letter in "bcd"] * 4, "target_scene": targets}
    Dataset.from_dict(columns).save_to_disk(folder)
    return str(folder)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("task", "fixture", "setting", "rows", "share", "row_length"),
    [
        ("scene_question_answering", "asked", "questions", range(4), 0.6, 192),
        ("scene_editing", "edited", "edits", (0, 4, 8, 9), 0.75, 256),
    ],
)
def test_what_shares_a_scene_has_the_losses_that_it_has_alone(
    processor, request, task, fixture, setting, rows, share, row_length, packed
):
    folder = request.getfixturevalue(fixture)
    together = TokenizedScenes(processor.builder, folders=[folder], tasks={task: 1.0}, **{setting: 3})
    shared = together.sequences(rows, np.random.default_rng(0))
    alone = []
    for sequence in shared:
        first = sequence.branches[0][0]
        for start, stop in sequence.branches:
            parts = np.concatenate([sequence.ids[:first], sequence.ids[start:stop]])
            given, wanted = processor.builder.parse(TASKS[task], parts)
            alone.append(processor.builder.build(TASKS[task], given, wanted))
    assert len(alone) == 12 and len({tuple(one.ids) for one in alone}) == 12
    assert sum(len(one.ids) for one in shared) < share * sum(len(one.ids) for one in alone)

    torch.manual_seed(0)
    model = decoder(processor.vocabulary, processor.image.codebook, size="kyvo_tiny", scale=0.5).eval()

    def losses(sequences, **settings):
        batch = collate(sequences, pad_id=0, **settings)
        with torch.no_grad():
            states = model.hidden(batch.ids, mask=batch.attention(), input_pos=batch.input_pos)
            logits = model.output(states).flatten(0, 1)[batch.positions]
        return torch.nn.functional.cross_entropy(logits, batch.targets, reduction="none").sort().values

    torch.testing.assert_close(losses(shared, pack_tokens=row_length if packed else None), losses(alone))
    blind = [replace(sequence, branches=()) for sequence in shared]
    assert not torch.allclose(losses(blind), losses(alone), atol=1e-3)


def test_folders_give_the_shares_that_are_asked_of_them(processor, codes, asked):
    tasks = {"recognition": 1.0, "scene_question_answering": 1.0}
    samples = TokenizedScenes(
        processor.builder, folders=[codes, asked], tasks=tasks, shares=[3, 1], weights={"recognition": 2.0}
    )
    assert len(samples) == COUNT + COUNT // 3
    sequences = samples.sequences(range(len(samples)), np.random.default_rng(0))
    assert len({tuple(sequence.ids[:40]) for sequence in sequences[COUNT:]}) <= 12  # four scenes, over and over
    assert sequences[0].weights.max() == 2.0 and sequences[-1].weights.max() == 1.0
    with pytest.raises(ConfigError, match=r"data\.shares is \[1\.0\]; it has a number above 0 for each of the 2"):
        TokenizedScenes(processor.builder, folders=[codes, asked], tasks=tasks, shares=[1.0])


def test_cameras_and_turns_are_left_out_at_random_and_in_every_combination(tmp_path):
    processor = tiny_processor(schema=clevr_view_schema())
    rows = [
        {"codes": [0] * 6, "scene": json.dumps(scene_to_json(scene))}
        for scene in sample_scenes(range(6), seed=0, width=120, height=80)
        if any(item.shape == "cube" for item in scene.objects)
    ]
    Dataset.from_list(rows).save_to_disk(tmp_path / "view")
    samples = TokenizedScenes(
        processor.builder, folders=[str(tmp_path / "view")], tasks={"recognition": 1.0}, cameras=0.5, turns=0.5
    )
    camera, turn = (processor.vocabulary.marker_id(marker) for marker in ("[CAMERA]", "[TURN]"))
    built = samples.sequences([0] * 40, np.random.default_rng(0))
    assert {(camera in one.ids, turn in one.ids) for one in built} == set(itertools.product((False, True), repeat=2))
    with pytest.raises(ConfigError, match=r"data\.turns is 2; a share is from 0 to 1"):
        TokenizedScenes(processor.builder, folders=[str(tmp_path / "view")], tasks={"recognition": 1.0}, turns=2)
