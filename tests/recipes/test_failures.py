"""What goes wrong in a run: numbers that are not finite, a full disk, a full GPU, data of something else."""

import json
import resource
import shutil
import signal
from dataclasses import replace

import pytest
import torch
from datasets import Dataset, load_from_disk

from kyvo.errors import CheckpointError, ConfigError
from kyvo.testing import tiny_image
from kyvo.training.data import check_codes
from kyvo.training.failures import TrainingError

SHORT = {"max_steps": 6, "warmup_steps": 0, "decay_steps": 0, "save_every": 2}


class NotFinite(torch.optim.AdamW):
    """An optimizer whose second step ruins one weight, as a rate that is far too high would."""

    def step(self):
        super().step()
        first = self.param_groups[0]["params"][0]
        if self.state[first]["step"] == 2:
            with torch.no_grad():
                first[0, 0] = torch.nan


def ruined(recipe):
    recipe.optimizer = NotFinite(recipe.optimizer.param_groups)
    return recipe


def test_a_loss_that_is_not_finite_stops_with_the_samples_and_leaves_a_checkpoint(runs):
    recipe, cfg = runs.build("run", **SHORT)
    recipe.setup(cfg)
    with pytest.raises(TrainingError, match=r"step 3: the loss or its gradients are not finite, for \S+codes, row \d+"):
        ruined(recipe).train()
    assert runs.newest("run").name == "step_000002"


def test_the_sample_that_did_it_is_the_one_that_is_named(runs):
    recipe, cfg = runs.build("run", **SHORT)
    recipe.setup(cfg)
    batch = next(recipe._batches())
    rows = batch.positions // batch.ids.shape[1]
    batch = replace(batch, weights=torch.where(rows == 2, torch.inf, batch.weights))
    assert recipe.objective.samples_not_finite([batch]) == [batch.samples[2]]


def test_steps_that_are_not_finite_are_skipped_and_counted(runs):
    recipe, cfg = runs.build("run", on_nan="skip", **SHORT)
    recipe.setup(cfg)
    ruined(recipe).train()
    assert recipe.not_finite.skipped == 4 and runs.state("run")["skipped_steps"] == 4
    assert "skipped_steps:4" in (runs.folder / "run" / "train.log").read_text()


def test_a_full_disk_leaves_the_last_good_checkpoint_and_says_so(runs):
    recipe, cfg = runs.build("run", **SHORT)
    recipe.setup(cfg)
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    log = recipe._log

    def fill(*args):
        log(*args)
        if recipe.step == 3:  # from here on no file grows beyond 20 kB
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[0][1]))

    recipe._log = fill
    try:
        with pytest.raises(
            CheckpointError, match=r"step_000004 cannot be written.*last good checkpoint is step_000002"
        ):
            recipe.train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        signal.signal(signal.SIGXFSZ, before[1])
    assert sorted(path.name for path in (runs.folder / "run").glob("*step*")) == ["step_000002"]
    runs.run("run", resume=True, **SHORT)


def test_out_of_memory_says_the_batch_and_what_to_lower(runs):
    recipe, cfg = runs.build("run", **SHORT)
    recipe.setup(cfg)

    def full(*_args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    recipe.model.layers[1].register_forward_pre_hook(full)
    with pytest.raises(TrainingError, match=r"4 samples in rows of \d+ tokens.*Lower train\.batch_size"):
        recipe.train()


def test_codes_of_another_tokenizer_are_refused(runs, tiny_inputs, tmp_path):
    codes = tmp_path / "codes"
    shutil.copytree(tiny_inputs[1].removeprefix("data.folders=[").removesuffix("]"), codes)
    (codes / "card.json").write_text(json.dumps({"image_tokenizer": {"sha256": "0123456789abcdef"}}))
    recipe, cfg = runs.build("run", f"data.folders=[{codes}]", **SHORT)
    with pytest.raises(ConfigError, match=r"coded with the image tokenizer 0123456789ab\.\.\., the processor has"):
        recipe.setup(cfg)


def test_codes_are_known_by_the_weights_they_come_from(tmp_path):
    coded_with, practised, other = tiny_image(), tiny_image(), tiny_image()
    torch.nn.init.normal_(practised.model.decoder.conv_out.weight)
    torch.nn.init.normal_(other.model.encoder.conv_out.weight)
    (tmp_path / "card.json").write_text(json.dumps({"image_tokenizer": coded_with.about}))
    check_codes([str(tmp_path)], {"image": practised.about})
    with pytest.raises(ConfigError, match="their codes mean different things"):
        check_codes([str(tmp_path)], {"image": other.about})


def test_an_empty_set_is_refused(runs, tiny_inputs, tmp_path):
    source = load_from_disk(tiny_inputs[1].removeprefix("data.folders=[").removesuffix("]"))
    Dataset.from_dict({name: [] for name in source.column_names}, features=source.features).save_to_disk(tmp_path / "e")
    recipe, cfg = runs.build("run", f"data.folders=[{tmp_path / 'e'}]", **SHORT)
    with pytest.raises(ConfigError, match="is an empty or damaged set"):
        recipe.setup(cfg)


def test_a_checkpoint_of_another_size_is_refused(runs):
    runs.run("run", **SHORT)
    recipe, cfg = runs.build("run", "model.size=kyvo_mini", resume=True, **SHORT)
    with pytest.raises(CheckpointError, match="has weights of another model"):
        recipe.setup(cfg)


def test_a_second_run_into_a_folder_is_refused_and_changes_nothing(runs):
    runs.run("run", **SHORT)
    before = {path: path.read_bytes() for path in (runs.folder / "run").rglob("*") if path.is_file()}
    recipe, cfg = runs.build("run", **SHORT)
    with pytest.raises(CheckpointError, match=r"run already has the checkpoints .*step_000006.*train\.resume=true"):
        recipe.setup(cfg)
    assert before == {path: path.read_bytes() for path in (runs.folder / "run").rglob("*") if path.is_file()}


@pytest.mark.parametrize(("first", "second"), [("AdamW", "SGD"), ("SGD", "AdamW"), ("AdamW", "NAdam")])
def test_another_optimizer_on_resume_is_refused_by_its_name(runs, first, second):
    runs.run("run", f"optimizer._component_=torch.optim.{first}", **{**SHORT, "max_steps": 2})
    recipe, cfg = runs.build("run", f"optimizer._component_=torch.optim.{second}", resume=True, **SHORT)
    with pytest.raises(CheckpointError, match=f"trained with the optimizer {first}, this run has {second}"):
        recipe.setup(cfg)


def test_settings_of_the_optimizer_that_change_on_resume_are_taken_and_told(runs, caplog):
    runs.run("run", **{**SHORT, "max_steps": 2})
    recipe = runs.run("run", "optimizer.weight_decay=0.5", resume=True, **SHORT)
    assert [group["weight_decay"] for group in recipe.optimizer.param_groups] == [0.5, 0.0]
    assert "optimizer.weight_decay was 0.01 in the run so far and is 0.5 from here on" in caplog.text


def test_a_task_that_no_folder_serves_is_refused_by_its_name(runs):
    recipe, cfg = runs.build("run", "data.tasks.question_answering=0.5", **SHORT)
    with pytest.raises(ConfigError, match=r"data\.tasks has question_answering, which takes the columns .*questions"):
        recipe.setup(cfg)


def test_a_run_says_how_long_it_is_and_where_its_model_is(runs, capsys):
    runs.run("run", **SHORT)
    text, model = capsys.readouterr().err, runs.folder / "run" / "step_000006" / "model"
    assert "6 steps of 4 sequences, from step 0; a checkpoint every 2 in" in text
    assert f"The model is {model}; try" in text and f"kyvo recognize PICTURE --model {model}" in text
    assert "It has no calibration" in text and "no refiner" in text
