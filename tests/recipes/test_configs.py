"""Every training config that is shipped: its names and types are right, and at toy size it takes a step."""

from pathlib import Path

import pytest
import torch
from datasets import load_from_disk
from kyvo.recipes.finetune import FinetuneRecipe
from omegaconf import OmegaConf
from torchtune import config

from kyvo.errors import ConfigError
from kyvo.scene.builtin_schemas import clevr_view_schema
from kyvo.testing import tiny_processor, write_tiny_codes

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "train"
NAMES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))
QUICK = {"tiny.yaml", "joint_1b_lora.yaml"}  # all weights, and adapters beside a frozen head
STEPPED = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    """A tiny set with the columns of all tasks."""
    folder = tmp_path_factory.mktemp("codes")
    write_tiny_codes(folder / "plain", count=40)
    rows = load_from_disk(folder / "plain")
    rows = rows.add_column("target_codes", rows["codes"]).add_column("target_scene", rows["scene"])
    rows = rows.add_column("instruction", [" make it red"] * len(rows))
    rows = rows.add_column("questions", [[{"question": " how many?", "answer": "3"}]] * len(rows))
    rows = rows.add_column("text", ["Hello!"] * len(rows)).add_column("dialogue", ["[]"] * len(rows))
    rows = rows.add_column("asked_program", ["null"] * len(rows))
    rows.save_to_disk(folder / "all")
    return str(folder / "all")


class Killed(Exception):
    """What stops a run."""


class KilledRecipe(FinetuneRecipe):
    """Stops when its first checkpoint is written."""

    def save_checkpoint(self):
        super().save_checkpoint()
        raise Killed


def run(recipe, cfg):
    recipe.setup(cfg)
    recipe.train()
    recipe.cleanup()
    return recipe


def toy_sized(name, tmp_path, tiny_inputs, codes):
    """The config, with the tiny processor and set, for one step."""
    cfg = OmegaConf.load(CONFIGS / name)
    for section in ("data", "easy_data", "eval_data"):
        if section in cfg:
            cfg[section].folders = [codes]
            cfg[section].pop("shares", None)
    cfg.merge_with_dotlist([f"output_dir={tmp_path}", tiny_inputs[0], "model.size=kyvo_tiny"])
    if "parsing" in cfg.data.tasks:
        tiny_processor(schema=clevr_view_schema(), programs=True).save(tmp_path / "processor")
        cfg.processor = str(tmp_path / "processor")
    if "bitsandbytes" in cfg.optimizer._component_:  # 8-bit states need a GPU
        cfg.optimizer._component_ = "torch.optim.AdamW"
    small = {
        "max_steps": 1, "batch_size": 4, "gradient_accumulation": 1, "warmup_steps": 0, "easy_steps": 0,
        "device": "cpu", "precision": "fp32", "compile": False, "num_threads": 1, "prefetch": 0, "init_weights": None,
        "max_epochs": None,
    }  # fmt: skip
    if cfg.train.get("decay") != "cosine":
        small["decay_steps"] = 1
    if cfg.train.get("pack_tokens"):
        small["pack_tokens"] = 512
    if cfg.train.get("eval_every"):
        small |= {"eval_batches": 1, "decode_samples": 1}
    cfg.train = OmegaConf.merge(cfg.train, small)
    return cfg


@pytest.mark.parametrize("name", NAMES)
def test_a_config_has_known_names_and_right_types(name):
    cfg = OmegaConf.load(CONFIGS / name)
    config.validate(cfg)
    FinetuneRecipe(cfg)


@pytest.mark.parametrize("name", STEPPED)
def test_a_config_takes_a_step_at_toy_size(name, tmp_path, tiny_inputs, codes):
    cfg = toy_sized(name, tmp_path, tiny_inputs, codes)
    adapts = run(FinetuneRecipe(cfg), cfg).peft.adapts
    newest = tmp_path / (tmp_path / "latest").read_text().strip()
    assert (newest / "model" / "config.json").is_file() and (newest / "adapter").is_dir() == adapts


@pytest.mark.parametrize("name", STEPPED)
def test_a_config_resumes_where_it_stopped_and_ends_as_one_never_stopped(name, tmp_path, tiny_inputs, codes):
    cfg = toy_sized(name, tmp_path, tiny_inputs, codes)
    cfg.train = OmegaConf.merge(cfg.train, {"max_steps": 3, "save_every": 2, "eval_every": 0, "decode_samples": 0})
    ended = {}
    for folder in ("whole", "parts"):
        cfg.output_dir = str(tmp_path / folder)
        if folder == "parts":
            with pytest.raises(Killed):
                run(KilledRecipe(cfg), cfg)
            cfg.train.resume = True
        ended[folder] = run(FinetuneRecipe(cfg), cfg).model.state_dict()
    for key, tensor in ended["whole"].items():
        assert torch.equal(torch.as_tensor(plain(tensor)), torch.as_tensor(plain(ended["parts"][key]))), key


def plain(tensor):
    """Four-bit weights as the numbers they stand for."""
    return tensor.get_original_weight() if hasattr(tensor, "get_original_weight") else tensor


def test_every_data_set_task_size_and_method_of_the_paper_has_a_config():
    configs = [OmegaConf.load(CONFIGS / name) for name in NAMES if name.startswith(("paper/", "joint"))]
    assert {"recognition", "rendering", "editing", "question_answering"} <= {t for c in configs for t in c.data.tasks}
    assert {"kyvo_1b", "kyvo_3b"} == {c.model.size for c in configs}
    assert {"lora", "qlora", None} == {c.get("peft", {}).get("method") for c in configs}
    folders = " ".join(folder for c in configs for folder in c.data.folders)
    for name in ("clevr", "objaworld_park", "objaworld_shapes", "objectron", "arkitscenes"):
        assert name in folders
    for cfg in configs:
        if "Paged" in cfg.optimizer._component_:
            assert (cfg.optimizer.lr, cfg.train.decay, cfg.train.precision) == (1e-4, "cosine", "bf16")


def test_a_misspelt_key_of_a_component_is_refused():
    cfg = OmegaConf.load(CONFIGS / "tiny.yaml")
    cfg.model.sise = "kyvo_tiny"
    with pytest.raises((config._errors.ConfigError, TypeError), match="sise"):
        config.validate(cfg)
    cfg = OmegaConf.load(CONFIGS / "joint_1b_lora.yaml")
    cfg.peft.alhpa = 1.0
    with pytest.raises(ConfigError, match=r"peft\.alhpa is not a setting; did you mean peft\.alpha\?"):
        FinetuneRecipe(cfg)
