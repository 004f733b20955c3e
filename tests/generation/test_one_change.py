from dataclasses import replace

import numpy as np
import pytest
import torch

from kyvo.data.clevr import ClevrRules, sample_scenes
from kyvo.errors import ConfigError
from kyvo.generation.engine import Engine, Places
from kyvo.generation.one_change import log_likelihoods, one_change
from kyvo.models.embedding import Positions
from kyvo.scene.scene import Scene
from kyvo.testing import tiny_builder, tiny_kyvo, tiny_llama
from kyvo.tokenizers.sequence import MAX_NUMBER
from kyvo.tokenizers.tasks import TASKS, Segments

BUILDER = tiny_builder()
TASK = TASKS["scene_editing"]
RULES = ClevrRules(min_objects=3, max_objects=5)
TEXT = "Remove the red cube."


def engine(*, seed=0):
    torch.manual_seed(seed)
    positions = Positions(*BUILDER.image_grid, 32, num_objects=MAX_NUMBER, order=BUILDER.order, scale=2.0)
    places = Places(vectors=positions.table().detach(), find=BUILDER.places)
    return Engine(tiny_llama(len(BUILDER.vocabulary), seed=seed), places=places)


def drawn(count):
    return [
        BUILDER.scenes.snap(scene, clamp=True)
        for scene in sample_scenes(range(count), seed=4, width=32, height=24, rules=RULES)
    ]


def outputs(*scenes):
    return [[*BUILDER.scenes.encode(scene), BUILDER.text.eos_id] for scene in scenes]


def test_likelihoods_are_those_of_each_sequence_alone():
    own, scene = engine(), drawn(1)[0]
    prompt = BUILDER.prompt(TASK, Segments(scene=scene, text=TEXT))
    wanted = outputs(scene, replace(scene, objects=scene.objects[1:]), Scene(objects=()))
    for output, told in zip(wanted, log_likelihoods(own, prompt, wanted), strict=True):
        ids = torch.tensor([[*prompt, *output]])
        embedded = own.model.get_input_embeddings()(ids)
        at = torch.from_numpy(BUILDER.places(ids[0].numpy()))
        embedded[0, at >= 0] += own.places.vectors[at[at >= 0]]
        with torch.no_grad():
            logits = own.model(inputs_embeds=embedded).logits[0, len(prompt) - 1 : -1]
        torch.testing.assert_close(told, logits.log_softmax(-1)[range(len(output)), output], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_at_most_one_object_is_another_and_no_plainer_change_is_likelier(seed):
    own = engine(seed=seed)
    for scene in drawn(2):
        row = one_change(own, BUILDER, scene, TEXT)
        after = BUILDER.parse_output(TASK, row.ids).scene
        kept = sum(item in scene.objects for item in after.objects)
        assert kept >= len(scene) - 1 and len(after) - kept <= 1
        prompt = BUILDER.prompt(TASK, Segments(scene=scene, text=TEXT))
        same, found = log_likelihoods(own, prompt, [*outputs(scene), row.ids])
        assert found.sum() >= same.sum()
        np.testing.assert_allclose(row.probabilities, found.exp(), rtol=1e-4, atol=1e-6)
        assert row.num_prompt == len(prompt) and row.num_asked > 0


def test_an_edit_that_keeps_others_has_a_picture_and_takes_no_grammar():
    kyvo, scene = tiny_kyvo(), drawn(1)[0]
    done = kyvo.edit(scene, TEXT, keep_others=True)
    assert done.scene.objects == kyvo.change_one(scene, TEXT).scene.objects and done.image is not None
    for item in done.scene.objects:
        assert 0 <= item.confidence <= 1
    with pytest.raises(ConfigError, match="leave out end_to_end and grammar"):
        kyvo.edit(scene, TEXT, keep_others=True, end_to_end=True)
