import numpy as np
import pytest
import torch
from alike import assert_alike
from transformers import LlamaForCausalLM

from kyvo.api import Kyvo
from kyvo.data.clevr.sampling import sample_scenes
from kyvo.generation.confidence import object_confidences
from kyvo.generation.constraint import Constraint
from kyvo.generation.engine import PositionTable, decode
from kyvo.generation.sampling import Sampling
from kyvo.generation.token_selection import NEAR, expected_vectors, likeliest_numbers, nearest_codes
from kyvo.models.llama.embedding import Positions
from kyvo.testing import tiny_builder, tiny_llama, tiny_processor
from kyvo.tokenizers.sequence import MAX_NUMBER
from kyvo.tokenizers.tasks import TASKS, Segment, Segments

BUILDER = tiny_builder()
WITHOUT_PROGRAMS = {name: task for name, task in TASKS.items() if Segment.PROGRAM not in task.outputs}


def random_prompts(task_name: str, count: int, *, seed: int = 0) -> list[list[int]]:
    """Prompts over random pictures, with scenes of different lengths and a text where the task has them."""
    random = np.random.default_rng(seed)
    constraint = Constraint.for_task(TASKS["recognition"], BUILDER, max_objects=4)
    prompts = []
    for _ in range(count):
        state, ids = Constraint.START, []
        while state != constraint.end:
            ids.append(int(random.choice(constraint.allowed(state))))
            state = constraint.step(state, ids[-1])
        content = {
            "image": random.integers(0, 16, 12),
            "scene": BUILDER.parse_output(TASKS["recognition"], ids).scene,
            "text": "What is it?",
        }
        task = TASKS[task_name]
        prompts.append(BUILDER.prompt(task, Segments(**{kind.value: content[kind.value] for kind in task.inputs})))
    return prompts


def slow_twin(
    model: LlamaForCausalLM,
    prompt: list[int],
    constraint: Constraint,
    positions: Positions | None = None,
    spans: tuple[tuple[int, int], ...] = (),
) -> list[int]:
    """Greedy decoding without a cache, without a batch, and without skipping forced ids."""
    state, ids = Constraint.START, list(prompt)
    with torch.inference_mode():
        while state != constraint.end:
            embedded = model.get_input_embeddings()(torch.tensor([ids]))
            if positions is not None:
                embedded = embedded + positions(torch.from_numpy(BUILDER.grid_positions(ids))[None])
            seen = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
            for start, stop in spans:
                seen[start:stop, start:stop] = True
            logits = model(inputs_embeds=embedded, attention_mask=seen[None, None]).logits[0, -1]
            allowed = torch.from_numpy(constraint.allowed(state))
            likely = logits[allowed].softmax(0)
            is_number = state in constraint.numbers
            ids.append(int(allowed[likeliest_numbers(likely[None], near=NEAR)[0][0] if is_number else likely.argmax()]))
            state = constraint.step(state, ids[-1])
    return ids[len(prompt) :]


def test_of_numbers_the_one_with_most_probability_near_it_is_taken():
    likely = torch.tensor([[0.3, 0.0, 0.0, 0.0, 0.0, 0.22, 0.26, 0.22], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    for near, expected in ((0, [(0, 0.3), (0, 1.0)]), (1, [(6, 0.26 + 0.5 * 0.44), (0, 1.0)])):  # Hann's 0, 1/2, 1
        places, mass = likeliest_numbers(likely, near=near)
        assert places.tolist() == [place for place, _ in expected]
        assert mass.tolist() == pytest.approx([value for _, value in expected])


def test_of_image_codes_the_one_nearest_to_what_is_expected_is_taken():
    codebook = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [9.0, 9.0]])
    likely = torch.tensor([[0.3, 0.05, 0.25, 0.4], [0.45, 0.1, 0.45, 0.0], [0.05, 0.0, 0.0, 0.95]])
    means = expected_vectors(likely, codebook=codebook)
    codes = nearest_codes(means, codebook=codebook)
    error = likely @ torch.cdist(codebook, codebook) ** 2  # expected, of each code
    assert codes.tolist() == error.argmin(1).tolist() != likely.argmax(1).tolist()
    torch.testing.assert_close(means[1], torch.tensor([1.0, 0.0]))


def test_a_picture_is_decoded_from_the_means_that_its_codes_are_nearest_to():
    processor = tiny_processor()
    kyvo = Kyvo(model=tiny_llama(len(processor.vocabulary)), processor=processor)
    given = Segments(scene=sample_scenes([0], seed=0, width=24, height=16)[0])
    row = kyvo.language_model.submit("rendering", given).handle.result()
    means = processor.builder.raster(torch.stack(row.vectors).numpy())
    codes = processor.builder.parse_output(TASKS["rendering"], row.ids).image
    assert torch.cdist(torch.from_numpy(means), processor.image.codebook).argmin(1).tolist() == codes.tolist()
    image = kyvo.complete("rendering", [given])[0].image
    assert_alike(image, processor.image.decode_vectors(means[None])[0])
    own = processor.image.codebook.numpy()[codes]
    assert np.array_equal(processor.image.decode_vectors(own[None]), processor.image.decode(codes[None]))
    drawn = kyvo.complete("rendering", [given], sampling={"image": Sampling(temperature=1.0)})[0]
    assert not np.array_equal(drawn.image, image)


def test_pictures_are_written_with_expected_codes_and_all_else_as_without():
    model = tiny_llama(len(BUILDER.vocabulary))
    codebook = torch.randn(len(BUILDER.vocabulary.ranges["image"]), 4, generator=torch.Generator().manual_seed(0))
    for task in WITHOUT_PROGRAMS:
        constraint = Constraint.for_task(TASKS[task], BUILDER, max_objects=3, max_text=6)
        prompts = random_prompts(task, 4)
        plain, near = (
            [row.ids for row in decode(model, prompts, [constraint] * 4, codebook=book)] for book in (None, codebook)
        )
        assert (plain == near) == (Segment.IMAGE not in TASKS[task].outputs)


@pytest.mark.parametrize("task", WITHOUT_PROGRAMS)
def test_a_batch_decodes_as_each_row_alone_without_a_cache(task):
    model = tiny_llama(len(BUILDER.vocabulary))
    constraint = Constraint.for_task(TASKS[task], BUILDER, max_objects=3, max_text=6)
    prompts = random_prompts(task, 4)
    together = [row.ids for row in decode(model, prompts, [constraint] * 4)]
    assert together == [slow_twin(model, prompt, constraint) for prompt in prompts]


@pytest.mark.parametrize("task", WITHOUT_PROGRAMS)
def test_positions_reach_codes_and_objects_of_prompts_and_of_outputs(task):
    model = tiny_llama(len(BUILDER.vocabulary))
    torch.manual_seed(0)
    positions = Positions(*BUILDER.image_grid, 32, num_objects=MAX_NUMBER, order=BUILDER.order, scale=2.0)
    constraint = Constraint.for_task(TASKS[task], BUILDER, max_objects=3, max_text=6)
    prompts = random_prompts(task, 4)
    added = PositionTable(vectors=positions.table().detach(), find=BUILDER.grid_positions)
    together = [row.ids for row in decode(model, prompts, [constraint] * 4, position_table=added)]
    assert together == [slow_twin(model, prompt, constraint, positions) for prompt in prompts]
    assert together != [row.ids for row in decode(model, prompts, [constraint] * 4)]


@pytest.mark.parametrize("task", WITHOUT_PROGRAMS)
def test_two_way_spans_of_prompts_of_different_lengths_are_seen_whole(task):
    builder = tiny_builder(two_way=("image",))
    model = tiny_llama(len(BUILDER.vocabulary))
    constraint = Constraint.for_task(TASKS[task], BUILDER, max_objects=3, max_text=6)
    prompts = random_prompts(task, 4)
    spans = [builder.spans(prompt) for prompt in prompts]
    together = [row.ids for row in decode(model, prompts, [constraint] * 4, spans=spans)]
    assert together == [
        slow_twin(model, prompt, constraint, spans=own) for prompt, own in zip(prompts, spans, strict=True)
    ]
    causal = [row.ids for row in decode(model, prompts, [constraint] * 4)]
    assert (together == causal) == (Segment.IMAGE not in TASKS[task].inputs)


def test_rows_of_different_tasks_decode_together():
    model = tiny_llama(len(BUILDER.vocabulary))
    names = list(WITHOUT_PROGRAMS)
    constraints = [Constraint.for_task(TASKS[name], BUILDER, max_objects=3, max_text=6) for name in names]
    prompts = [random_prompts(name, 1)[0] for name in names]
    alone = [
        decode(model, [prompt], [constraint])[0].ids for prompt, constraint in zip(prompts, constraints, strict=True)
    ]
    assert [row.ids for row in decode(model, prompts, constraints)] == alone


@pytest.mark.parametrize("seeds", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_every_output_of_random_weights_parses(seeds):
    count = 0
    for seed in range(seeds):
        model = tiny_llama(len(BUILDER.vocabulary), seed=seed)
        for name, task in WITHOUT_PROGRAMS.items():
            constraint = Constraint.for_task(task, BUILDER, max_objects=4, max_text=8)
            for row in decode(model, random_prompts(name, 25, seed=seed), [constraint] * 25):
                assert BUILDER.parse_output(task, row.ids).kinds == set(task.outputs)
                count += 1
    assert count == 25 * seeds * len(WITHOUT_PROGRAMS)


def test_an_output_that_reaches_its_limit_is_called_truncated():
    constraint = Constraint.for_task(TASKS["recognition"], BUILDER, max_objects=1)
    start = BUILDER.vocabulary.marker_id("[OBJECT-START]")
    for bias, truncated in ((1e4, True), (-1e4, False)):
        model = tiny_llama(len(BUILDER.vocabulary))
        model.lm_head = _Biased(model.lm_head, start, bias)
        row = decode(model, random_prompts("recognition", 1), [constraint])[0]
        scene = BUILDER.parse_output(TASKS["recognition"], row.ids).scene
        assert (len(scene), row.truncated) == (int(truncated), truncated)


class _Biased(torch.nn.Module):
    """An output head that wants, or does not want, one id."""

    def __init__(self, head: torch.nn.Module, token: int, bias: float) -> None:
        super().__init__()
        self.head, self.token, self.bias = head, token, bias

    def forward(self, hidden):
        logits = self.head(hidden)
        logits[..., self.token] += self.bias
        return logits


def test_each_object_has_the_geometric_mean_of_its_choices_as_confidence():
    marker = BUILDER.vocabulary.marker_id
    ids = [marker("[SCENE-START]"), marker("[OBJECT-START]"), 4, 5, marker("[OBJECT-END]"), marker("[SCENE-END]")]
    assert object_confidences(ids, [1.0, 1.0, 0.25, 1.0, 1.0, 0.9], BUILDER.vocabulary) == [0.25]
    assert object_confidences(ids, [1.0, 0.64, 0.25, 1.0, 1.0, 0.9], BUILDER.vocabulary) == pytest.approx([0.4])
