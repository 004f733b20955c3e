"""The commands of docs/new-words.md lead from the bundled weights to a model with new words, on few pictures."""

import json
import re
import shlex
import shutil
from pathlib import Path

import page_commands
import pytest

from kyvo.api import Kyvo
from kyvo.scene.scene import Scene, SceneObject

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "new-words.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
FEWER = {  # words of the page -> what stands for them here
    "1600": "12", "250": "2", "train.steps=240": "train.steps=2", "train.batch_size=32": "train.batch_size=2",
    "train.held_out=60": "train.held_out=2",
}  # fmt: skip
FEW_STEPS = ["train.max_steps=2", "train.warmup_steps=1", "train.decay_steps=1", "train.batch_size=2"]
MODEL = Path("runs/mini_words/step_000300/model")


def run(words, monkeypatch):
    """A line of the page as its reader types it, in this process."""
    words = [FEWER.get(word, word) for word in words]
    if words[0] == "cp":
        shutil.copy(*words[1:])
        return
    page_commands.run(words, monkeypatch, few_steps=FEW_STEPS)
    if words[0] == "tune":
        MODEL.parent.with_name("step_000002").rename(MODEL.parent)


@pytest.mark.slow
def test_the_commands_lead_from_the_bundled_weights_to_a_model_with_new_words(tmp_path, monkeypatch):
    for name in ("tokenizers", "configs", "kyvo", "recipes", "eval"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    assert [words[0] for words in COMMANDS].count("tune") == 1 and len(COMMANDS) == 10
    for words in COMMANDS:
        run(words, monkeypatch)
    assert json.loads(Path("out/my_words/results.json").read_text())["figures"]
    model = Kyvo.from_pretrained(MODEL, device="cpu")
    assert model.processor.schema.field("color").words[-1] == "orange"
    assert model.processor.refiner is not None and model.processor.refiner.config.words == (2, 9, 2, 4)
    cone = SceneObject(size="small", color="red", material="metal", shape="cone", location=(0.0, 0.0, 0.35))
    edited = model.edit(Scene(objects=(cone,), schema="my_words"), "Make the cone orange.", render=False)
    assert edited.scene.objects[0].color == "orange"


def test_the_page_names_what_there_is():
    assert (ROOT / "configs" / "schemas" / "clevr.yaml").is_file()
    for target in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
