"""`KyvoForCausalLM`: a folder with positions and two-way spans generates in transformers what our engine decodes."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoProcessor

from kyvo.api import Kyvo
from kyvo.auto import KyvoForCausalLM
from kyvo.errors import TokenError
from kyvo.generation.constraint import Constraint
from kyvo.generation.engine import decode
from kyvo.generation.logits import ConstraintLogits
from kyvo.models.llama.fold import POSITIONS_NAME, load_positions
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_llama, tiny_processor
from kyvo.tokenizers.tasks import TASKS

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)
CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
SCENES = [scene_to_json(Scene(objects=(CUBE,) * count)) for count in (1, 3)]


def folder_with(path, *, positions, two_way):
    processor = replace(tiny_processor(), two_way=two_way)
    processor.save(path)
    model = tiny_llama(len(processor.vocabulary))
    model.config.processor_class = "KyvoProcessor"
    model.config.bos_token_id = processor.text.bos_id
    model.generation_config.eos_token_id = processor.text.eos_id
    model.generation_config.pad_token_id = processor.text.pad_id
    model.save_pretrained(path)
    if positions:
        torch.manual_seed(1)
        table = torch.randn(processor.builder.num_grid_positions, model.config.hidden_size)
        save_file({"positions": table}, path / POSITIONS_NAME)
    return path


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("two_way", [(), ("image",)])
@pytest.mark.parametrize("task", ["recognition", "rendering"])
def test_a_batch_generates_what_the_engine_decodes(tmp_path, positions, two_way, task):
    """Two prompts; of scenes they differ in length, so that one is padded."""
    folder = folder_with(tmp_path, positions=positions, two_way=two_way)
    model = KyvoForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    kind = "image" if task == "recognition" else "scene"
    parts = PIXELS if task == "recognition" else SCENES
    prompt = processor.apply_chat_template(
        [[{"role": "user", "content": [{"type": kind, kind: part}]}] for part in parts]
    )
    constraint = Constraint.for_task(TASKS[task], processor.builder)
    done = model.generate(
        **prompt, logits_processor=[ConstraintLogits(constraint)], max_new_tokens=600, do_sample=False
    )
    start = prompt["input_ids"].shape[1]
    prompts = [row[mask.bool()].tolist() for row, mask in zip(*prompt.values(), strict=True)]
    ours = Kyvo(model=model, processor=processor, positions=load_positions(folder))
    builder = processor.builder
    rows = decode(
        model, prompts, [constraint] * 2, spans=[builder.spans(ids) for ids in prompts],
        position_table=ours.language_model.position_table, near=0,
    )  # fmt: skip
    for found, row in zip(done[:, start:].tolist(), rows, strict=True):
        assert found[: len(row.ids)] == list(row.ids)


def test_scores_of_a_whole_sequence_are_those_of_generating_it(tmp_path):
    folder = folder_with(tmp_path, positions=True, two_way=("image",))
    model = KyvoForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    prompt = processor.apply_chat_template([{"role": "user", "content": [{"type": "image", "image": PIXELS[0]}]}])
    done = model.generate(**prompt, max_new_tokens=8, do_sample=False)
    start = prompt["input_ids"].shape[1]
    with torch.inference_mode():
        scores = model(done).logits[0, start - 1 : -1]
        assert scores.argmax(-1).tolist() == done[0, start:].tolist()
        cache = model(done[:, :start], use_cache=True).past_key_values
        with pytest.raises(TokenError, match="ids after a cache have no known places"):
            model(done[:, start:], past_key_values=cache)


@pytest.mark.parametrize(
    ("positions", "two_way", "told"),
    [
        (False, (), None),
        (True, (), "positions.safetensors, which"),
        (False, ("image",), "two_way in sequence.json, which"),
    ],
)
def test_a_folder_that_a_plain_llama_cannot_run_is_warned_of(tmp_path, positions, two_way, told):
    folder = folder_with(tmp_path, positions=positions, two_way=two_way)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        AutoProcessor.from_pretrained(folder)
    said = [str(one.message) for one in found if "KyvoForCausalLM" in str(one.message)]
    assert len(said) == (told is not None) and all(told in line for line in said)
    KyvoForCausalLM.from_pretrained(folder)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*KyvoForCausalLM.*")
        AutoProcessor.from_pretrained(folder)
