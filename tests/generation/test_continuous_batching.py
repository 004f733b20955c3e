"""What is asked of a batch that requests join and leave: nobody's output depends on who else is there."""

import threading
import time

import numpy as np
import pytest
import torch

from kyvo.errors import ConfigError, KyvoError, TokenError
from kyvo.generation.constraint import Constraint
from kyvo.generation.engine import Engine, decode
from kyvo.generation.prefix import PrefixCache, Prompt
from kyvo.generation.requests import Request
from kyvo.generation.sampling import Sampling, draw
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_builder, tiny_llama
from kyvo.tokenizers.tasks import TASKS, Segment, Segments

BUILDER = tiny_builder(two_way=("image",), image_grid=(5, 8))
CONSTRAINTS = {
    name: Constraint.for_task(task, BUILDER, max_objects=3, max_text=6)
    for name, task in TASKS.items()
    if Segment.PROGRAM not in task.outputs
}
CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
NAMES = ["recognition", "question_answering", "rendering", "recognition", "editing", "recognition"]


@pytest.fixture(scope="module")
def model():
    return tiny_llama(len(BUILDER.vocabulary))


def request(name, *, picture=0, objects=2, text="What is it?", **settings):
    codes = np.random.default_rng(picture).integers(0, 16, 40)
    content = {"image": codes, "scene": Scene(objects=(CUBE,) * objects), "text": text}
    task = TASKS[name]
    prompt = BUILDER.prompt(task, Segments(**{kind.value: content[kind.value] for kind in task.inputs}))
    return Request(**{"prompt": prompt, "constraint": CONSTRAINTS[name], "spans": BUILDER.spans(prompt), **settings})


def alone(model, request):
    return decode(model, [request.prompt], [request.constraint], spans=[request.spans])[0].ids


def test_requests_that_join_and_leave_in_the_middle_get_what_they_get_alone(model):
    requests = [request(name, picture=index, objects=index % 3) for index, name in enumerate(NAMES)]
    engine = Engine(model, max_sequences=3)
    handles = []
    for one in requests:  # a newcomer every third step, so that rows are in no step with each other
        handles.append(engine.submit(one))
        for _ in range(3):
            engine.step()
        assert engine.num_running <= 3
    assert [handle.result().ids for handle in handles] == [alone(model, one) for one in requests]
    assert (engine.num_running, engine.num_waiting) == (0, 0)


@pytest.mark.parametrize("together", [True, False])
def test_many_questions_on_one_picture_read_it_once(model, together):
    texts = ["What is it?", "What is red?", "How many cubes are there?"]
    requests = [request("question_answering", text=text) for text in texts]
    engine = Engine(model)
    if together:
        results = [handle.result() for handle in [engine.submit(one) for one in requests]]
    else:
        results = [engine.submit(one).result() for one in requests]
    assert [row.ids for row in results] == [alone(model, one) for one in requests]
    first = BUILDER.prompt(
        TASKS["question_answering"], Segments(image=np.zeros(40), scene=Scene(objects=(CUBE,) * 2), text="")
    )
    assert results[0].num_shared == 0
    assert all(row.num_shared >= len(first) - 2 for row in results[1:])  # all but [TEXT-END] [OUTPUT-START]
    none = Engine(model, max_shared=0)
    unshared = [handle.result() for handle in [none.submit(one) for one in requests]]
    assert {row.num_shared for row in unshared} == {0}
    assert [row.ids for row in unshared] == [row.ids for row in results]


def test_a_prefix_never_ends_inside_a_two_way_span_and_has_the_same_spans():
    ids = np.arange(40)
    other = np.where(np.arange(40) < 30, ids, 0)
    assert Prompt(ids=ids).shared(Prompt(ids=other)) == 30
    assert Prompt(ids=ids).shared(Prompt(ids=ids)) == 39  # the last id's hidden state is needed
    assert Prompt(ids=ids[:20]).shared(Prompt(ids=ids)) == 19
    assert Prompt(ids=ids, spans=((5, 35),)).shared(Prompt(ids=other, spans=((5, 35),))) == 5
    assert Prompt(ids=ids, spans=((5, 25),)).shared(Prompt(ids=other, spans=((5, 25),))) == 30
    assert Prompt(ids=ids, spans=((5, 25),)).shared(Prompt(ids=other)) == 5
    assert Prompt(ids=ids, spans=((5, 25),)).shared(Prompt(ids=other, spans=((5, 25), (28, 32)))) == 28


def test_the_prefixes_used_longest_ago_are_forgotten():
    prompts = [Prompt(ids=np.arange(start, start + 40)) for start in (0, 100, 200)]
    kept = PrefixCache(100)
    states = torch.zeros(1, 2, 1, 40, 4)
    kept.add(prompts[0], states)
    kept.add(prompts[1], states)
    assert kept.longest(prompts[0])[0] == 39  # so that the second is the older
    kept.add(prompts[2], states)
    assert [kept.longest(prompt)[0] for prompt in prompts] == [39, 0, 39]
    assert not kept.wants(Prompt(ids=np.arange(101)), shared=0)


def test_what_is_drawn_depends_on_the_seed_and_on_no_one_else_in_the_batch(model):
    def drawn(seed, *, company=0):
        own = request("rendering", sampling={Segment.IMAGE: Sampling(temperature=1.0, top_k=12, top_p=0.95, seed=seed)})
        engine = Engine(model)
        others = [request("recognition", picture=index) for index in range(company)]
        handles = [engine.submit(one) for one in [*others[:2], own, *others[2:]]]
        return [handle.result() for handle in handles][min(company, 2)].ids

    assert drawn(3) == drawn(3, company=4) == drawn(3, company=2)
    assert drawn(3) != drawn(4)
    greedy = Sampling(temperature=1.0, top_k=1)
    assert decode_with(model, greedy) == alone(model, request("rendering"))


def decode_with(model, sampling):
    return Engine(model).submit(request("rendering", sampling={Segment.IMAGE: sampling})).result().ids


def test_a_kind_of_segment_that_is_not_named_stays_greedy(model):
    own = request("editing", sampling={Segment.TEXT: Sampling(temperature=5.0)})
    assert Engine(model).submit(own).result().ids == alone(model, request("editing"))


def test_draws_follow_the_probabilities_that_are_left():
    logits = torch.tensor([0.5, 0.25, 0.15, 0.1]).log().repeat(1000, 1)
    chances = ((np.arange(1000) + 0.5) / 1000).tolist()

    def shares(**settings):
        found = draw(logits, [Sampling(**settings)] * 1000, chances)
        return (torch.bincount(found, minlength=4) / 1000).tolist()

    assert shares(temperature=1.0) == pytest.approx([0.5, 0.25, 0.15, 0.1], abs=2e-3)
    assert shares(temperature=1.0, top_k=2) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=2e-3)
    assert shares(temperature=1.0, top_p=0.7) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=2e-3)  # the first two have it
    squares = np.array([0.5, 0.25, 0.15, 0.1]) ** 2
    assert shares(temperature=0.5) == pytest.approx((squares / squares.sum()).tolist(), abs=2e-3)
    for almost_greedy in (1e-60, 5e-324):  # less than float32 can hold
        assert shares(temperature=almost_greedy) == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "temperature is -1.0; it goes from 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0.0}, "top_p is 0.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Sampling(**settings)


@pytest.mark.parametrize("budget", range(1, 60, 3))
def test_an_output_over_its_budget_is_closed_within_it_and_parses(model, budget):
    whole = alone(model, request("recognition", picture=1))
    row = Engine(model).submit(request("recognition", picture=1, max_tokens=budget)).result()
    scene = BUILDER.parse_output(TASKS["recognition"], row.ids).scene
    assert len(row.ids) <= max(budget, 3)  # the empty scene: two markers and EOS
    if budget < len(whole):
        assert row.reason == "max_tokens"
        assert row.ids[: 1 + 14 * len(scene)] == whole[: 1 + 14 * len(scene)]
        assert len(scene) == max(0, (min(budget, len(whole)) - 3) // 14)  # as many objects as have room
    else:
        assert row.ids == whole and row.reason in (None, "limit")
    assert len(row.probabilities) == len(row.ids)


def test_what_cannot_be_closed_comes_back_empty_with_its_reason(model):
    for name in ("rendering", "editing"):  # a picture has to be whole
        row = Engine(model).submit(request(name, max_tokens=20)).result()
        assert (row.ids, row.reason) == ([], "max_tokens")


def test_the_context_is_a_budget_too():
    small = tiny_llama(len(BUILDER.vocabulary))
    own = request("recognition", picture=1)
    small.config.max_position_embeddings = len(own.prompt) + 20
    row = Engine(small).submit(own).result()
    assert row.reason == "context" and len(BUILDER.parse_output(TASKS["recognition"], row.ids).scene) == 1
    small.config.max_position_embeddings = len(own.prompt)
    with pytest.raises(TokenError, match="the prompt has 44 ids and the model sees 44, with its output"):
        Engine(small).submit(own)


def test_a_late_request_ends_with_what_it_has_and_the_others_go_on(model):
    engine = Engine(model)
    late, other = engine.submit(request("recognition", deadline=0.2)), engine.submit(request("rendering"))
    engine.step()
    time.sleep(0.25)
    row = late.result()
    assert row.reason == "deadline" and BUILDER.parse_output(TASKS["recognition"], row.ids).scene is not None
    assert other.result().ids == alone(model, request("rendering"))
    waiting = Engine(model, max_sequences=1)
    first, second = waiting.submit(request("rendering")), waiting.submit(request("recognition", deadline=1e-6))
    assert second.result().reason == "deadline" and not first.done  # it never had a row


def test_a_cancelled_request_leaves_and_the_others_go_on(model):
    engine = Engine(model)
    handles = [engine.submit(request(name)) for name in ("rendering", "recognition", "rendering")]
    engine.step()
    handles[0].cancel()
    engine.step()
    assert handles[0].result(timeout=0).reason == "cancelled" and engine.num_running == 2
    assert [handles[index].result().ids for index in (1, 2)] == [
        alone(model, request(name)) for name in ("recognition", "rendering")
    ]


def test_the_stream_is_the_result_as_it_comes(model):
    engine = Engine(model)
    handle = engine.submit(request("recognition", picture=1))
    stream = handle.stream()
    seen = [next(stream)]
    assert not handle.done
    seen += stream
    assert seen == handle.result().ids and list(handle.stream()) == []


def test_a_thread_serves_many_threads_and_finishes_what_it_has(model):
    requests = [request(name, picture=index) for index, name in enumerate(NAMES)]
    expected = [alone(model, one) for one in requests]
    found = {}
    engine = Engine(model, max_sequences=4)

    def ask(index):
        found[index] = engine.submit(requests[index]).result(timeout=300).ids

    with engine.running():
        threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(requests))]
        for thread in threads:
            thread.start()
        with pytest.raises(KyvoError, match="has a thread already"), engine.running():
            pass
        for thread in threads:
            thread.join()
        last = engine.submit(requests[0])
    assert last.done and last.result().ids == expected[0]  # leaving waited for it
    assert [found[index] for index in range(len(requests))] == expected


def test_a_wait_that_is_too_short_raises_and_the_request_goes_on(model):
    handle = Engine(model).submit(request("rendering"))
    with pytest.raises(TimeoutError):
        handle.result(timeout=0)
    assert handle.result().ids == alone(model, request("rendering"))


def test_a_failed_forward_is_told_to_those_in_the_batch_and_the_next_are_served(model):
    broken = tiny_llama(len(BUILDER.vocabulary))
    head = broken.lm_head
    broken.lm_head = torch.nn.Linear(7, len(BUILDER.vocabulary))  # as if memory ran out in the middle
    engine = Engine(broken)
    handle = engine.submit(request("recognition"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        handle.result()
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        list(handle.stream())
    broken.lm_head = head
    assert engine.submit(request("recognition")).result().ids == alone(model, request("recognition"))


def test_prompts_that_cannot_be_and_settings_that_let_nothing_out_are_refused(model):
    engine = Engine(model)
    for prompt, message in (([], "the prompt is empty"), ([1, 10**6], "has ids from 1 to 1000000; the model knows 0")):
        with pytest.raises(TokenError, match=message):
            engine.submit(Request(prompt=prompt, constraint=CONSTRAINTS["recognition"]))
    with pytest.raises(ConfigError, match="max_tokens is 0"):
        request("rendering", max_tokens=0)
    with pytest.raises(ConfigError, match="deadline is -1"):
        request("rendering", deadline=-1)


def test_forced_ids_cost_no_forward(model):
    engine = Engine(model)
    row = engine.submit(request("recognition", picture=1)).result()
    scene = BUILDER.parse_output(TASKS["recognition"], row.ids).scene
    ends = int(row.reason is None)  # the end of a scene that reached its limit is forced
    assert row.num_asked == engine.num_forwards == 8 * len(scene) + ends  # of 14 an object
