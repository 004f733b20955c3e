"""docs/transformers.md: its Python gives what our engine gives, its request is JSON, its links lead somewhere."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kyvo.api import Kyvo
from kyvo.generation.constraint import Constraint
from kyvo.generation.engine import decode
from kyvo.generation.guidance import to_lark
from kyvo.models.llama.fold import load_positions
from kyvo.testing import tiny_kyvo
from kyvo.tokenizers.pictures import read_picture
from kyvo.tokenizers.tasks import TASKS, Segments

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "transformers.md").read_text(encoding="utf-8")
MINI = ROOT / "kyvo" / "assets" / "mini"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The page's Python, run from top to bottom in a folder as it has it, and that folder."""
    folder = tmp_path_factory.mktemp("transformers")
    shutil.copy(ROOT / "kyvo" / "assets" / "samples" / "clevr_0.png", folder)
    kyvo = tiny_kyvo()
    kyvo.model.config.processor_class = "KyvoProcessor"  # as folding writes it
    kyvo.model.config.bos_token_id = kyvo.processor.text.bos_id
    kyvo.model.generation_config.eos_token_id = kyvo.processor.text.eos_id
    kyvo.model.generation_config.pad_token_id = kyvo.processor.text.pad_id
    kyvo.model.save_pretrained(folder / "causal_model")
    kyvo.processor.save(folder / "causal_model")
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
            exec(compile(block, "docs/transformers.md", "exec"), names)
    return names, folder


def likeliest(model, processor, positions=None):
    """The scene our engine reads from the picture when numbers are taken as transformers takes them."""
    kyvo = Kyvo(model=model, processor=processor, positions=positions)
    builder, task = processor.builder, TASKS["recognition"]
    codes = kyvo.encode_images([read_picture(ROOT / "kyvo" / "assets" / "samples" / "clevr_0.png")])[0]
    prompt = builder.prompt(task, Segments(image=codes))
    constraint = Constraint.for_task(task, builder)
    row = decode(
        kyvo.model,
        [prompt],
        [constraint],
        spans=[builder.spans(prompt)],
        position_table=kyvo.language_model.position_table,
        near=0,
    )[0]
    return builder.parse_output(task, row.ids).scene


@pytest.mark.slow
def test_a_causal_model_generates_what_the_engine_decodes(ran):
    names, folder = ran
    kyvo = Kyvo.from_pretrained(folder / "causal_model", device="cpu")
    assert names["plain_scene"] == likeliest(kyvo.model, kyvo.processor)


@pytest.mark.slow
def test_the_bundled_model_generates_what_the_engine_decodes(ran):
    names, _ = ran
    kyvo = Kyvo.from_pretrained("mini", device="cpu")
    assert len(names["scene"]) > 0
    assert names["scene"] == likeliest(kyvo.model, kyvo.processor, load_positions(MINI))


@pytest.mark.slow
def test_an_adapter_that_was_not_trained_changes_nothing(ran):
    names, _ = ran
    picture = ROOT / "kyvo" / "assets" / "samples" / "clevr_0.png"
    plain = Kyvo.from_pretrained("mini", device="cpu").recognize([picture])[0]

    def unsure(
        scene,
    ):  # the bundled model's confidences are calibrated and it scores pictures; an adapter's own are not
        return replace(scene, extra={}, objects=tuple(replace(item, confidence=None) for item in scene.objects))

    assert unsure(names["adapted_scene"]) == unsure(plain)


@pytest.mark.slow
def test_the_files_for_vllm_are_written_and_the_request_is_json(ran):
    names, folder = ran
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "id_tokenizer")
    assert len(tokenizer) == len(names["causal"].vocabulary)
    assert tokenizer.eos_token_id == names["causal"].text.eos_id
    constraint = Constraint.for_task(TASKS["recognition"], names["causal"].builder)
    assert (folder / "scene.lark").read_text() == to_lark(constraint)
    request = json.loads(re.search(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1])
    assert {"prompt", "structured_outputs", "return_token_ids"} <= request.keys()


def test_every_local_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
