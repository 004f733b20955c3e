"""The exported grammar against llguidance itself, the library by which vLLM obeys it."""

import numpy as np
import pytest

from kyvo.generation.constraint import Constraint
from kyvo.generation.guidance import id_tokenizer, to_lark
from kyvo.scene.builtin_schemas import SCHEMAS
from kyvo.testing import tiny_builder, tiny_processor
from kyvo.tokenizers.tasks import TASKS, Segment, Task

PROCESSOR = tiny_processor()


def test_a_scene_of_one_object_is_written_by_ids():
    builder = PROCESSOR.builder
    lines = to_lark(Constraint.for_task(TASKS["recognition"], builder, max_objects=1)).splitlines()
    marker = builder.vocabulary.marker_id
    start, end, begin = (f"<[{marker(name)}]>" for name in ("[SCENE-START]", "[SCENE-END]", "[OBJECT-START]"))
    rule = lines[0].split()[-1]
    assert lines[0] == f"start: {start} {rule}"
    assert lines[1].startswith(f"{rule}: {end} | {begin} <[{marker('[SIZE]')}]> <[")
    assert lines[1].endswith(f"<[{marker('[OBJECT-END]')}]> {end}") and len(lines) == 2


@pytest.fixture(scope="module")
def tokens():
    llguidance = pytest.importorskip("llguidance")
    from llguidance import hf

    tokenizer = id_tokenizer(PROCESSOR)
    return llguidance, hf.from_tokenizer(tokenizer, n_vocab=len(PROCESSOR.vocabulary))


@pytest.mark.parametrize("task", [name for name in TASKS if name != "parsing"])
def test_llguidance_allows_what_the_constraint_allows_at_every_step(task, tokens):
    llguidance, tokenizer = tokens
    builder, size = PROCESSOR.builder, len(PROCESSOR.vocabulary)
    constraint = Constraint.for_task(TASKS[task], builder, max_objects=3, max_text=4)
    exported = llguidance.grammar_from("grammar", to_lark(constraint))  # as vLLM's guidance backend reads it
    assert not llguidance.LLMatcher.validate_grammar(exported, None)
    for seed in range(3):
        matcher = llguidance.LLMatcher(tokenizer, exported)
        random, state = np.random.default_rng(seed), constraint.START
        while state != constraint.end:
            bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")[:size]
            assert not matcher.get_error()
            assert set(np.flatnonzero(bits)) == set(constraint.allowed(state)), state
            token = int(random.choice(constraint.allowed(state)))
            state = constraint.step(state, token)
            assert matcher.consume_token(token)
        assert matcher.is_stopped()


def test_words_of_several_ids_and_shapes_are_exported_too(tokens):
    llguidance, _ = tokens
    builder = tiny_builder(SCHEMAS["objaworld"]())
    copy = Task(name="copy", inputs=(), outputs=(Segment.SCENE,))
    exported = to_lark(Constraint.for_task(copy, builder, max_objects=2))
    assert not llguidance.LLMatcher.validate_grammar(llguidance.grammar_from("grammar", exported), None)
