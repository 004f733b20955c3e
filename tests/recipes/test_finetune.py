import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kyvo.recipes.finetune import FinetuneRecipe
from omegaconf import OmegaConf
from transformers import LlamaForCausalLM

from kyvo.api import Kyvo
from kyvo.errors import CheckpointError, ConfigError
from kyvo.processor import Processor
from kyvo.scene.scene import Scene
from kyvo.testing import write_tiny_codes
from kyvo.tokenizers.tasks import Segments

TINY = Path(__file__).resolve().parents[2] / "configs" / "train" / "tiny.yaml"


def tune(runs, name, *overrides, options=(), config=TINY):
    """`tune run`, as a user types it, from a folder that is not the clone."""
    command = [sys.executable, "-m", "torchtune._cli.tune", "run", *options, "kyvo/recipes/finetune"]
    command += ["--config", str(config), f"output_dir={runs.folder / name}", *runs.inputs, *overrides]
    return subprocess.run(command, cwd=runs.folder, capture_output=True, text=True, timeout=280)


@pytest.mark.slow
def test_twenty_steps_are_ten_and_ten_more_with_the_same_losses(runs):
    runs.run("whole", decay_steps=0)
    runs.run("parts", decay_steps=0, max_steps=10)
    done = tune(runs, "parts", "train.decay_steps=0", "train.resume=true")
    assert done.returncode == 0, done.stderr
    whole, parts = runs.losses("whole"), runs.losses("parts")
    assert list(whole) == list(range(1, 21)) and parts == whole
    assert whole[20] < 0.8 * whole[1]

    folder = runs.newest("parts") / "model"
    assert folder.parent.name == "step_000020"
    model, processor = LlamaForCausalLM.from_pretrained(folder), Processor.from_pretrained(folder)
    assert model.config.vocab_size == len(processor.vocabulary)
    assert model.config.eos_token_id == processor.text.eos_id


@pytest.mark.slow
def test_torchrun_starts_two_ranks_that_train_adapters(runs):
    done = tune(
        runs, "run", "peft.method=lora", "train.max_steps=2", "train.warmup_steps=0", "train.decay_steps=0",
        options=["--nproc_per_node", "2"],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(runs.losses("run")) == [1, 2]
    assert (runs.newest("run") / "adapter" / "adapter_config.json").is_file()


@pytest.mark.slow
def test_a_config_that_is_not_there_is_named(runs):
    done = tune(runs, "run", config="configs/train/tny.yaml")
    assert done.returncode != 0 and "configs/train/tny.yaml" in done.stderr


@pytest.mark.slow
def test_the_easy_data_comes_first_and_a_resume_within_it_goes_on(runs, tmp_path):
    write_tiny_codes(tmp_path / "easy", count=8, seed=1)
    easy = {
        "_component_": "kyvo.training.data.TokenizedScenes",
        "tasks": {"recognition": 1.0},
        "folders": [str(tmp_path / "easy")],
    }
    settings = {"easy_steps": 5, "decay_steps": 0, "warmup_steps": 0, "sections": {"easy_data": easy}}
    runs.run("whole", max_steps=8, **settings)
    runs.run("parts", max_steps=3, **settings)
    runs.run("parts", max_steps=8, resume=True, **settings)
    runs.run("plain", max_steps=8, decay_steps=0, warmup_steps=0)
    assert runs.losses("parts") == runs.losses("whole") != runs.losses("plain")
    with pytest.raises(ConfigError, match="easy_steps is 5, but the config has no section easy_data"):
        runs.run("none", easy_steps=5)


def test_a_run_starts_from_the_weights_of_another(runs):
    first = runs.run("first", max_steps=5, decay_steps=0)
    recipe, cfg = runs.build("second", max_steps=5, decay_steps=0, init_weights=str(runs.folder / "first"))
    recipe.setup(cfg)
    assert recipe.step == 0
    for name, weight in recipe.model.state_dict().items():
        torch.testing.assert_close(weight, first.model.state_dict()[name], rtol=0, atol=0)


def test_a_run_with_auxiliary_heads_leaves_none_in_its_model(runs):
    runs.run("first", max_steps=2, warmup_steps=0, decay_steps=0, auxiliary_weight=0.3)
    folder = runs.newest("first") / "model"
    assert not list(folder.glob("pointer*"))
    assert Kyvo.from_pretrained(folder, device="cpu").complete("rendering", [Segments(scene=Scene(objects=()))])


def test_weights_of_another_model_are_no_start(runs):
    runs.run("first", max_steps=5, decay_steps=0)
    recipe, cfg = runs.build("second", decay_steps=0, init_weights=str(runs.folder / "first"))
    cfg.model.smooth_numbers = True
    with pytest.raises(CheckpointError, match=r"weights are of another model: output\.number_map\.weight is missing"):
        recipe.setup(cfg)


@pytest.mark.slow
def test_two_half_batches_are_one_batch(runs):
    # The set has 40 samples, so both see all of it in every step.
    settings = {"max_steps": 4, "warmup_steps": 2, "decay_steps": 1, "save_every": 100}
    settings["sections"] = {"data": {"tasks": {"rendering": 0.0}}}  # which task a sample is in is drawn a micro-batch
    runs.run("whole", batch_size=40, **settings)
    runs.run("halves", batch_size=20, gradient_accumulation=2, **settings)
    assert runs.losses("halves") == pytest.approx(runs.losses("whole"), rel=1e-4)


@pytest.mark.slow
def test_rows_shared_by_sequences_are_rows_of_their_own(runs):
    settings = {"max_steps": 4, "warmup_steps": 2, "decay_steps": 1, "save_every": 100, "batch_size": 40}
    runs.run("own", **settings)
    runs.run("shared", pack_tokens=256, **settings)
    assert runs.losses("shared") == pytest.approx(runs.losses("own"), rel=1e-4)


def test_activation_checkpointing_changes_no_loss(runs):
    settings = {"max_steps": 3, "warmup_steps": 0, "decay_steps": 0}
    runs.run("kept", **settings)
    runs.run("again", activation_checkpointing=True, **settings)
    assert runs.losses("again") == runs.losses("kept")
    assert runs.state("again")["model"].keys() == runs.state("kept")["model"].keys()


def test_an_evaluation_says_each_tasks_loss_and_scores(runs, tiny_inputs):
    folders = tiny_inputs[1].removeprefix("data.folders=[").removesuffix("]")
    data = {"_component_": "kyvo.training.data.TokenizedScenes", "folders": [folders]}
    data["tasks"] = {"recognition": 1.0, "rendering": 1.0}
    settings = {"max_steps": 4, "warmup_steps": 0, "decay_steps": 0, "sections": {"eval_data": data}}
    runs.run("seen", eval_every=2, decode_samples=2, **settings)
    runs.run("unseen", **settings)
    assert runs.losses("seen") == runs.losses("unseen")
    log = (runs.folder / "seen" / "train.log").read_text()
    for step in (2, 4):
        line = next(line for line in log.splitlines() if line.startswith(f"Step {step} |") and "recognition" in line)
        found = {name: float(value) for name, value in (part.split(":") for part in line.split("|")[1].split())}
        assert list(found) == [
            "recognition_loss", "rendering_loss", "recognition_jaccard", "rendering_ssim",
        ]  # fmt: skip
        assert 0 <= found["recognition_jaccard"] <= 1 and -1 <= found["rendering_ssim"] <= 1
        assert found["recognition_loss"] > 0


def test_the_clock_ends_a_run_with_its_decay_and_a_checkpoint(runs):
    recipe = runs.run("run", max_steps=1000, max_minutes=0.001, warmup_steps=0, decay_steps=5)
    assert 5 <= recipe.step < 1000 and recipe.step == recipe.schedule.decay_from + 5
    assert runs.newest("run").name == f"step_{recipe.step:06d}"
    rates = [float(rate) for rate in re.findall(r"lr:(\S+)", (runs.folder / "run" / "train.log").read_text())]
    assert rates[-1] == pytest.approx(3e-3 / 5)


def test_resuming_with_other_batches_is_refused(runs):
    runs.run("run", max_steps=2, warmup_steps=0, decay_steps=0)
    recipe, cfg = runs.build("run", batch_size=5, resume=True)
    with pytest.raises(CheckpointError, match=r"batch_size 4 \(now 5\).*another output_dir"):
        recipe.setup(cfg)


@pytest.mark.slow
def test_a_checkpoint_of_before_packing_and_adapters_resumes(runs):
    """State files of earlier runs lack what came since."""
    settings = {"warmup_steps": 0, "decay_steps": 0}
    runs.run("whole", max_steps=4, **settings)
    runs.run("parts", max_steps=2, **settings)
    state, path = runs.state("parts"), runs.newest("parts") / "state.pt"
    for name in ("random_states", "skipped_steps", "peft", "base"):
        del state[name]
    del state["data"]["pack_tokens"]
    torch.save(state, path)
    path.with_name("state.pt.sha256").unlink()
    runs.run("parts", max_steps=4, resume=True, **settings)
    assert runs.losses("parts") == runs.losses("whole")


def test_a_misspelt_section_is_refused():
    with pytest.raises(ConfigError, match=r"optimiser is not a setting; did you mean optimizer\?"):
        FinetuneRecipe(OmegaConf.merge(OmegaConf.load(TINY), {"optimiser": {}}))


@pytest.mark.slow
def test_bf16_weights_and_bf16_products_train(runs):
    for precision in ("bf16", "bf16_mixed"):
        runs.run(precision, precision=precision, save_every=100)
        found = runs.losses(precision)
        assert found[20] < found[1]


def test_a_run_among_allowed_ids_saves_by_the_clock_and_takes_the_faster_precision(runs, capsys):
    settings = {"max_steps": 3, "warmup_steps": 1, "decay_steps": 1, "save_every": 100, "keep_last": 5}
    recipe = runs.run("clock", loss="allowed", precision="auto", save_minutes=0.0, **settings)
    assert sorted(path.name for path in (runs.folder / "clock").glob("step_*")) == [f"step_00000{n}" for n in (1, 2, 3)]
    assert recipe.args.precision in ("fp32", "bf16_mixed")
    assert (
        f"train.precision is auto: {recipe.args.precision} (GFLOP/s of a product: float32 " in capsys.readouterr().err
    )
    free = runs.run("free", loss="free", **settings)
    assert runs.losses("clock")[1] < runs.losses("free")[1]  # of fewer ids each
    assert free.args.loss == "free"
