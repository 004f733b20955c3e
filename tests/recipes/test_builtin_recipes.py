"""torchtune's own recipes, unchanged, on our components."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
import torchtune
from omegaconf import OmegaConf
from torchtune import config

from kyvo.api import Kyvo

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "torchtune"
RECIPES = {
    "full": ("full_finetune_single_device", "FullFinetuneRecipeSingleDevice"),
    "lora": ("lora_finetune_single_device", "LoRAFinetuneRecipeSingleDevice"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RECIPES))
def test_torchtunes_recipe_trains_and_the_folded_model_loads(name, tmp_path, tiny_inputs):
    module, recipe_class = RECIPES[name]
    # torchtune's `recipes` package refuses to be imported; its files are run by path.
    path = Path(torchtune.__file__).parents[1] / "recipes" / f"{module}.py"
    spec = importlib.util.spec_from_file_location(f"torchtune_{module}", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    cfg = OmegaConf.load(CONFIGS / f"{name}.yaml")
    config.validate(cfg)
    folders = tiny_inputs[1].replace("data.", "dataset.")
    cfg = OmegaConf.merge(cfg, OmegaConf.from_dotlist([f"output_dir={tmp_path}", tiny_inputs[0], folders]))
    recipe = getattr(program, recipe_class)(cfg=cfg)
    recipe.setup(cfg=cfg)
    before = {key: tensor.clone() for key, tensor in recipe._model.state_dict().items()}
    recipe.train()
    recipe.cleanup()

    found = [float(loss) for loss in re.findall(r"loss:(\S+)", (tmp_path / "train.log").read_text())]
    assert len(found) == 20 and sum(found[-5:]) < 0.97 * sum(found[:5])
    changed = {key for key, tensor in recipe._model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert {"decoder.tok_embeddings.numbers.weight", "decoder.output.weight"} <= changed
    assert ("decoder.norm.scale" in changed) == (name == "full")
    Kyvo.from_pretrained(tmp_path / (tmp_path / "latest").read_text().strip() / "model", device="cpu")
