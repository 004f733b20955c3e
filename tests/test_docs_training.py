"""The ten minutes of docs/training.md, command after command, with few pictures and steps."""

import re
import shlex
from pathlib import Path

import page_commands
import pytest
import torch
from peft import PeftModel
from transformers import LlamaForCausalLM

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## Ten minutes on a CPU") : PAGE.index("## The bundled model, from nothing")]
COMMANDS = [
    shlex.split(line)
    for line in re.search(r"^```bash\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)[1].splitlines()
    if line and not line.startswith("#")
]
SMALLER = {"--count": "8"}
FEW = ["train.max_steps=2", "train.warmup_steps=0", "train.decay_steps=1", "train.batch_size=2", "train.eval_batches=1"]
FEW += ["train.decode_samples=1", "train.num_threads=1", "train.model_precision=fp32"]


def run(words, monkeypatch):
    """A line of the page as its reader types it, in this process, on less."""
    words = [SMALLER.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    words = [word.replace("step_000200", "step_000002") for word in words]
    page_commands.run(words, monkeypatch, few_steps=FEW)


@pytest.mark.slow
def test_the_ten_minutes_run_and_the_peft_model_is_the_merged_one(tmp_path, monkeypatch):
    for name in ("kyvo", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    assert [words[0] for words in COMMANDS] == ["kyvo", "kyvo", "python", "python", "tune", "python", "kyvo"]
    for words in COMMANDS:
        run(words, monkeypatch)
    assert (tmp_path / "out" / "report").is_dir()
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
