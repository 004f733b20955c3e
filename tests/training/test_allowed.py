"""The loss among the ids that a constraint allows: the free softmax, renormalised."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kyvo.data.clevr.sampling import sample_scenes
from kyvo.errors import TokenError
from kyvo.generation.constraint import Constraint
from kyvo.programs import program as p
from kyvo.scene.builtin_schemas import clevr_view_schema
from kyvo.testing import tiny_builder
from kyvo.tokenizers.scene import OptionalParts
from kyvo.tokenizers.sequence import IGNORE
from kyvo.tokenizers.tasks import TASKS, Segments
from kyvo.training.allowed import AllowedIds, AllowedWalk, groups
from kyvo.training.batch import collate
from kyvo.training.loss import allowed_loss

DIM, VOCAB = 8, 61
BUILDER = tiny_builder(clevr_view_schema(), programs=True)
SCENES = sample_scenes(range(3), seed=0, width=120, height=80)
RED = p.Where(of=p.Everything(), field="color", value="red")
PROGRAM = p.Query(asks=p.Count(of=p.Where(of=RED, field="shape", value="cube")))
CODES = np.arange(12) % 16


def sequence(name):
    content = {
        "image": CODES, "scene": SCENES[0], "text": "Remove the cube.", "program": PROGRAM, "dialogue": ()
    }  # fmt: skip
    task = TASKS[name]
    sides = (Segments(**{kind.value: content[kind.value] for kind in side}) for side in (task.inputs, task.outputs))
    return BUILDER.build(task, *sides, clamp=True)


def renormalised(hidden, head, positions, labels, allowed, weights):
    """The free softmax's probabilities, divided by what they give the allowed ids: label by label."""
    probabilities = (hidden.flatten(0, 1)[positions] @ head.T).double().softmax(-1)
    shares = [row[ids] for row, ids in zip(probabilities, allowed, strict=True)]
    own = [row[label] for row, label in zip(probabilities, labels, strict=True)]
    terms = [-(one / share.sum()).log() * weight for one, share, weight in zip(own, shares, weights, strict=True)]
    return torch.stack(terms).sum()


@settings(max_examples=20)
@given(data=st.data(), num_frozen=st.sampled_from([0, 20]), chunk=st.sampled_from([1, 50, 10**9]))
def test_the_loss_is_the_free_softmax_renormalised_and_so_are_its_gradients(data, num_frozen, chunk):
    seed = data.draw(st.integers(0, 10**6))
    generator, random = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    sets = [AllowedIds(np.sort(random.choice(VOCAB, size=size, replace=False))) for size in (2, 9, VOCAB)]
    sets.append(AllowedIds(np.arange(25, 40)))
    chosen = [sets[place] for place in data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=12))]
    labels = np.array([int(random.choice(one.ids)) for one in chosen])
    allowed = np.full(len(chosen), None, dtype=object)
    allowed[:] = chosen
    hidden = torch.randn(2, 16, DIM, generator=generator, requires_grad=True)
    head = torch.randn(VOCAB, DIM, generator=generator)
    frozen, rows = (head[:num_frozen] if num_frozen else None), head[num_frozen:].clone().requires_grad_()
    positions = torch.from_numpy(random.choice(32, size=len(labels), replace=False))
    weights = torch.rand(len(labels), generator=generator)
    loss = allowed_loss(hidden, rows, positions, groups(labels, allowed), weights, frozen=frozen, chunk_logits=chunk)
    whole = rows if frozen is None else torch.cat([frozen, rows])
    expected = renormalised(hidden, whole, positions, labels, [one.ids for one in chosen], weights)
    torch.testing.assert_close(loss, expected.float(), rtol=1e-4, atol=1e-5)
    ours, theirs = (torch.autograd.grad(one, (hidden, rows)) for one in (loss, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    untouched = sorted(set(range(num_frozen, VOCAB)) - {int(i) for one in chosen for i in one.ids})
    assert not ours[1][torch.tensor(untouched, dtype=torch.long) - num_frozen].any()


@pytest.mark.parametrize("name", list(TASKS))
@pytest.mark.parametrize("pack_tokens", [None, 2048])
def test_labels_are_among_what_decoding_would_allow_and_forced_ones_are_gone(name, pack_tokens):
    one = sequence(name)
    optional = OptionalParts.of(SCENES[0], BUILDER.scenes.schema)
    walked = AllowedWalk(BUILDER)(TASKS[name], one, optional)
    constraint = Constraint.for_task(TASKS[name], BUILDER, max_objects=64, optional=OptionalParts(turns=optional.turns))
    state = Constraint.START
    for place in np.flatnonzero(one.labels != IGNORE):
        forced = constraint.forced(state)
        assert (walked.allowed[place] is None) == (forced is not None)
        if forced is None:
            assert np.array_equal(walked.allowed[place].ids, np.unique(constraint.allowed(state)))
        state = constraint.step(state, int(one.ids[place]))
    batch = collate([walked, walked], pad_id=0, pack_tokens=pack_tokens)
    num_free = sum(entry is not None for entry in walked.allowed)
    assert len(batch.targets) == len(batch.weights) == 2 * num_free < 2 * (one.labels != IGNORE).sum()
    members = torch.cat([group.members for group in batch.groups])
    assert sorted(members.tolist()) == list(range(len(batch.targets)))
    for group in batch.groups:
        assert torch.equal(group.ids[group.targets], batch.targets[group.members])


def test_an_output_that_decoding_could_not_write_is_refused():
    walk = AllowedWalk(BUILDER)
    with pytest.raises(TokenError, match="may not come here"):
        walk(TASKS["recognition"], sequence("recognition"), OptionalParts(camera=False))
