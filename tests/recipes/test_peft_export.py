"""LoRA and QLoRA: what trains, and that the PEFT folder and the merged model are the model that was trained."""

import pytest
import torch
from peft import PeftModel
from transformers import LlamaForCausalLM

from kyvo.api import Kyvo
from kyvo.errors import ConfigError

SHORT = {"max_steps": 6, "warmup_steps": 1, "decay_steps": 2, "save_every": 6, "model_precision": "fp32"}


def logits(recipe, ids):
    recipe.model.eval()
    with torch.no_grad():
        return recipe.model.output(recipe.model.hidden(ids))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_the_peft_folder_on_its_base_and_the_merged_model_have_our_logits(runs, method):
    recipe = runs.run("run", sections={"peft": {"method": method, "rank": 4}}, **SHORT)
    ids = torch.arange(0, recipe.model.tok_embeddings.num_embeddings, 13)[None]
    ours = logits(recipe, ids)
    base = LlamaForCausalLM.from_pretrained(runs.folder / "run" / "base", dtype=torch.float32)
    with torch.no_grad():
        untrained = base(ids).logits
        adapted = PeftModel.from_pretrained(base, runs.newest("run") / "adapter").eval()(ids).logits
        merged = LlamaForCausalLM.from_pretrained(runs.newest("run") / "model", dtype=torch.float32)(ids).logits
    torch.testing.assert_close(adapted, ours, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(merged, ours, rtol=1e-4, atol=1e-4)
    assert (untrained - ours).abs().max() > 0.01
    Kyvo.from_pretrained(runs.newest("run") / "model", device="cpu")


def test_adapters_new_rows_and_projections_train_and_nothing_else(runs):
    frozen = ["model.freeze_text=true", "model.freeze_head_text=true"]
    recipe, cfg = runs.build("run", *frozen, sections={"peft": {"method": "lora", "targets": ["q_proj"]}}, **SHORT)
    recipe.setup(cfg)
    before = {name: tensor.clone() for name, tensor in recipe.model.state_dict().items()}
    recipe.train()
    after = recipe.model.state_dict()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    adapters = {f"layers.{layer}.attn.q_proj.lora_{which}.weight" for layer in range(2) for which in "ab"}
    new = {"numbers.weight", "markers.weight", "image.projection.weight"}
    assert changed == adapters | {f"tok_embeddings.{name}" for name in new} | {"output.weight"}
    assert len(after["output.weight"]) + len(after["output.frozen"]) == recipe.model.tok_embeddings.num_embeddings


def test_weights_go_between_heads_with_frozen_and_with_trained_text(runs):
    first = runs.run("first", **SHORT)
    second, cfg = runs.build("second", "model.freeze_head_text=true", init_weights=str(runs.folder / "first"), **SHORT)
    second.setup(cfg)
    torch.testing.assert_close(second.model.output.table(), first.model.output.table(), rtol=0, atol=0)
    assert second.model.output.frozen is not None


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"method": "lara"}, r"peft\.method is 'lara'; it can be full, lora, qlora"),
        ({"targets": ["w1"]}, r"peft\.targets has w1; known are q_proj"),
        ({"rnk": 4}, r"peft\.rnk is not a setting; did you mean peft\.rank\?"),
        ({"method": "lora", "rank": 0}, r"peft\.rank is 0"),
    ],
)
def test_a_wrong_peft_setting_is_refused(runs, section, message):
    with pytest.raises(ConfigError, match=message):
        runs.build("run", sections={"peft": section})


def test_qlora_on_several_ranks_is_refused(runs, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="four-bit weights are not shared among ranks; take lora"):
        runs.build("run", sections={"peft": {"method": "qlora"}})
