import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kyvo.recipes.finetune import FinetuneRecipe
from omegaconf import OmegaConf
from transformers import LlamaForCausalLM

from kyvo.errors import CheckpointError, ConfigError
from kyvo.testing import tiny_processor, write_tiny_codes
from kyvo.tokenizers.processor import Processor

TINY = Path(__file__).resolve().parents[2] / "configs" / "train" / "tiny.yaml"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Overrides that point the tiny config at a tiny processor and set."""
    folder = tmp_path_factory.mktemp("inputs")
    tiny_processor().save(folder / "processor")
    write_tiny_codes(folder / "codes", count=40)
    return [f"processor={folder / 'processor'}", f"data.folders=[{folder / 'codes'}]"]


def tune(output_dir, inputs, *overrides, cwd):
    """`tune run`, as a user types it, from a folder that is not the clone."""
    command = [sys.executable, "-m", "torchtune._cli.tune", "run", "kyvo/recipes/finetune", "--config", str(TINY)]
    command += [f"output_dir={output_dir}", *inputs, *overrides]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return losses(output_dir)


def losses(output_dir):
    found = re.findall(r"Step (\d+) \| loss:(\S+) ", (Path(output_dir) / "train.log").read_text())
    return {int(step): float(loss) for step, loss in found}


def build(output_dir, inputs, **train):
    """The recipe in this process."""
    cfg = OmegaConf.merge(
        OmegaConf.load(TINY), OmegaConf.from_dotlist([f"output_dir={output_dir}", *inputs]), {"train": train}
    )
    return FinetuneRecipe(cfg), cfg


def run(output_dir, inputs, **train):
    recipe, cfg = build(output_dir, inputs, **train)
    recipe.setup(cfg)
    recipe.train()
    recipe.cleanup()
    return recipe


def test_twenty_steps_are_ten_and_ten_more_with_the_same_losses(tmp_path, inputs):
    run(tmp_path / "whole", inputs, decay_steps=0)
    whole = losses(tmp_path / "whole")
    tune(tmp_path / "parts", inputs, "train.decay_steps=0", "train.max_steps=10", cwd=tmp_path)
    parts = tune(tmp_path / "parts", inputs, "train.decay_steps=0", "train.resume=true", cwd=tmp_path)
    assert list(whole) == list(range(1, 21)) and parts == whole
    assert whole[20] < 0.8 * whole[1]

    folder = tmp_path / "parts" / (tmp_path / "parts" / "latest").read_text().strip() / "model"
    assert folder.parent.name == "step_000020"
    model, processor = LlamaForCausalLM.from_pretrained(folder), Processor.from_pretrained(folder)
    assert model.config.vocab_size == len(processor.vocabulary)
    assert model.config.eos_token_id == processor.text.eos_id


def test_the_easy_data_comes_first_and_a_resume_within_it_goes_on(tmp_path, inputs):
    write_tiny_codes(tmp_path / "easy", count=8, seed=1)
    easy = ["easy_data._component_=kyvo.train.data.CodedScenes", "easy_data.tasks.recognition=1.0"]
    easy = [*inputs, *easy, f"easy_data.folders=[{tmp_path / 'easy'}]"]
    settings = {"easy_steps": 5, "decay_steps": 0, "warmup_steps": 0}
    run(tmp_path / "whole", easy, max_steps=8, **settings)
    run(tmp_path / "parts", easy, max_steps=3, **settings)
    run(tmp_path / "parts", easy, max_steps=8, resume=True, **settings)
    run(tmp_path / "plain", inputs, max_steps=8, decay_steps=0, warmup_steps=0)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole") != losses(tmp_path / "plain")
    with pytest.raises(ConfigError, match="easy_steps is 5, but the config has no section easy_data"):
        run(tmp_path / "none", inputs, easy_steps=5)


def test_a_run_starts_from_the_weights_of_another(tmp_path, inputs):
    first = run(tmp_path / "first", inputs, max_steps=5, decay_steps=0)
    recipe, cfg = build(tmp_path / "second", inputs, max_steps=5, decay_steps=0, start=str(tmp_path / "first"))
    recipe.setup(cfg)
    assert recipe.step == 0
    for name, weight in recipe.model.state_dict().items():
        torch.testing.assert_close(weight, first.model.state_dict()[name], rtol=0, atol=0)


def test_weights_of_another_model_are_no_start(tmp_path, inputs):
    run(tmp_path / "first", inputs, max_steps=5, decay_steps=0)
    recipe, cfg = build(tmp_path / "second", inputs, decay_steps=0, start=str(tmp_path / "first"))
    cfg.model.smooth_numbers = True
    with pytest.raises(CheckpointError, match="whose weights are of another model"):
        recipe.setup(cfg)


def test_two_half_batches_are_one_batch(tmp_path, inputs):
    # The set has 40 samples, so both see all of it in every step.
    settings = {"max_steps": 6, "warmup_steps": 2, "decay_steps": 2, "save_every": 100}
    run(tmp_path / "whole", inputs, batch_size=40, **settings)
    run(tmp_path / "halves", inputs, batch_size=20, gradient_accumulation=2, **settings)
    assert losses(tmp_path / "halves") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)


def test_the_clock_ends_a_run_with_its_decay_and_a_checkpoint(tmp_path, inputs):
    recipe = run(tmp_path, inputs, max_steps=1000, max_minutes=0.001, warmup_steps=0, decay_steps=5)
    assert 5 <= recipe.step < 1000 and recipe.step == recipe.decay_from + 5
    assert (tmp_path / "latest").read_text().strip() == f"step_{recipe.step:06d}"
    rates = [float(rate) for rate in re.findall(r"lr:(\S+)", (tmp_path / "train.log").read_text())]
    assert rates[-1] == pytest.approx(3e-3 / 5)


def test_resuming_with_other_batches_is_refused(tmp_path, inputs):
    run(tmp_path, inputs, max_steps=2, warmup_steps=0, decay_steps=0)
    recipe, cfg = build(tmp_path, inputs, batch_size=5, resume=True)
    with pytest.raises(CheckpointError, match=r"'batch_size': 4.*'batch_size': 5.*another output_dir"):
        recipe.setup(cfg)


def test_a_misspelt_section_is_refused(tmp_path, inputs):
    with pytest.raises(ConfigError, match=r"optimiser is not a setting; did you mean optimizer\?"):
        FinetuneRecipe(OmegaConf.merge(OmegaConf.load(TINY), {"optimiser": {}}))


def test_bf16_weights_and_bf16_products_train(tmp_path, inputs):
    for precision in ("bf16", "bf16_mixed"):
        run(tmp_path / precision, inputs, precision=precision, save_every=100)
        found = losses(tmp_path / precision)
        assert found[20] < found[1]
