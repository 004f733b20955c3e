"""The ten minutes of docs/training.md, command after command, with few pictures and steps."""

import re
import shlex
from pathlib import Path

import page_commands
import pytest
import torch
from peft import PeftModel
from transformers import LlamaForCausalLM

from kyvo.cli.parsers import load_parser
from kyvo.programs.errors import ProgramError
from kyvo.scene.builtin_schemas import load_schema

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
SMALLER = {"--count": "8"}
FEW = ["train.max_steps=2", "train.warmup_steps=0", "train.decay_steps=1", "train.batch_size=2", "train.eval_batches=1"]
FEW += ["train.decode_samples=1", "train.num_threads=1", "train.model_precision=fp32"]


def commands(heading):
    """Those of the first block under a heading."""
    section = PAGE[PAGE.index(f"## {heading}\n") :]
    block = re.search(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[1]
    return [shlex.split(line) for line in block.splitlines() if line and not line.startswith("#")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the reader works: a clone."""
    for name in ("kyvo", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(words, monkeypatch):
    """A line of the page as its reader types it, in this process, on less."""
    words = [SMALLER.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    words = [word.replace("step_000200", "step_000002") for word in words]
    page_commands.run(words, monkeypatch, few_steps=FEW)


@pytest.mark.slow
def test_the_ten_minutes_run_and_the_peft_model_is_the_merged_one(folder, monkeypatch):
    lines = commands("Ten minutes on a CPU")
    assert [words[0] for words in lines] == ["kyvo", "kyvo", "python", "python", "tune", "python", "kyvo"]
    for words in lines:
        run(words, monkeypatch)
    assert (folder / "out" / "report").is_dir()
    log = Path("runs/mini_lora/train.log").read_text()
    assert "recognition_loss" in log and "recognition_jaccard" in log
    ids = torch.arange(0, 8000, 61)[None]
    base = LlamaForCausalLM.from_pretrained("runs/mini_lora/base", dtype=torch.float32)
    with torch.no_grad():
        before = base(ids).logits
        merged = LlamaForCausalLM.from_pretrained("runs/mini_lora/step_000002/model", dtype=torch.float32)(ids).logits
        adapted = PeftModel.from_pretrained(base, "runs/mini_lora/step_000002/adapter").eval()(ids).logits
    # Random ids make some logits wild, so single ones may differ by more than rounding.
    assert (adapted - merged).abs().mean() < 0.01 * (before - merged).abs().mean()


@pytest.mark.slow
def test_a_model_that_writes_programs_is_made_and_parses(folder, monkeypatch):
    lines = commands("A model that writes programs")
    assert [words[0] for words in lines] == ["kyvo", "kyvo", "python", "tune", "python"]
    for words in lines:
        run(words, monkeypatch)
    try:
        assert load_parser("runs/programs").parse("Remove the red cube.", load_schema("clevr")).probability <= 1
    except ProgramError as error:  # two steps teach nothing
        assert "is not understood" in str(error)
