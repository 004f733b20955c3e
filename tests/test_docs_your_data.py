"""The commands of docs/your-data.md run one after another, on a folder as the page describes it."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import page_commands
import pytest
from datasets import load_from_disk
from PIL import Image

from kyvo.scene.builtin_schemas import load_schema
from kyvo.scene.files import load_scene
from kyvo.scene.validate import validate
from kyvo.testing import tiny_image
from kyvo.tokenizers.image import ImageTokenizer

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "your-data.md").read_text(encoding="utf-8")
BASH = "".join(re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))
COMMANDS = [shlex.split(line) for line in BASH.splitlines()]
FAULTS = re.search(r"^```\n(warehouse/0002.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
FEW_STEPS = ["train.max_steps=3", "train.warmup_steps=1", "train.decay_steps=1"]


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]


def write_folder(folder, count=6):
    """Pictures of their own colour each, and the page's scene."""
    folder.mkdir()
    for number in range(1, count + 1):
        Image.fromarray(np.full((16, 24, 3), 40 * number, dtype=np.uint8)).save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.json").write_text(block("json"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with the programs, the page's schema and an image tokenizer, and its user in it."""
    for name in ("tokenizers", "configs", "kyvo"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "warehouse.yaml").write_text(block("yaml"))
    tiny_image().save(tmp_path / "runs" / "my_image")
    write_folder(tmp_path / "warehouse")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_commands_lead_from_a_folder_to_scenes_of_a_model_of_its_own(place, monkeypatch):
    assert [words[0] for words in COMMANDS] == ["kyvo", "python", "python", "tune", "kyvo"]
    for words in COMMANDS[:-1]:
        page_commands.run(words, monkeypatch, few_steps=FEW_STEPS)
    assert len(load_from_disk("data/warehouse_codes")) == 6
    assert Path("runs/warehouse/latest").read_text().strip() == "step_000003"

    Path("runs/warehouse/step_000003").rename("runs/warehouse/step_000020")  # as many as the page's run has
    page_commands.run(COMMANDS[-1], monkeypatch, few_steps=FEW_STEPS)
    schema = load_schema("warehouse.yaml")
    written = sorted(Path("out/warehouse").glob("*.json"))
    assert len(written) == 6
    for path in written:
        assert load_scene(path).schema == "warehouse"
        assert validate(json.loads(path.read_text()), schema) == []


def test_the_faults_that_the_page_shows_are_what_its_command_says(place):
    data = json.loads(block("json"))
    barrel, placeless = json.loads(block("json")), json.loads(block("json"))
    barrel["objects"][1]["category"] = "barrel"
    del placeless["objects"][0]["location"]
    for name, scene in (("0002", barrel), ("0003", placeless), ("0004", data)):
        Path(f"warehouse/{name}.json").write_text(json.dumps(scene))
    Path("warehouse/0004.png").unlink()
    result = page_commands.kyvo(*COMMANDS[0][1:])
    assert result.exit_code == 1 and result.output == FAULTS


def test_the_bundled_models_folder_is_an_image_tokenizer():
    assert "`kyvo/assets/mini`" in PAGE
    assert ImageTokenizer.from_pretrained(ROOT / "kyvo" / "assets" / "mini").config.width == 120


def test_every_local_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
