"""`Llama` against transformers' `LlamaForCausalLM`: names, outputs with a cache, and configs that are refused."""

import json

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from kyvo.errors import CheckpointError
from kyvo.generation.cache import SequenceCache
from kyvo.generation.engine import additive_mask, visible_ids
from kyvo.generation.hidden_states import hidden_states
from kyvo.models.llama.fold import load_llama

LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
SIZES = {
    "heads share keys": {"num_key_value_heads": 2, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    "longer waves": {"num_key_value_heads": 4, "rope_parameters": LLAMA3},
    "wide heads, one table": {"num_key_value_heads": 1, "head_dim": 12, "tie_word_embeddings": True},
}


def write(folder, **settings):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=256, initializer_range=0.5, **settings,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(folder)
    return model


def states(model, ids):
    """Those of 20 ids that are read together, two of them both ways, and of the others one by one."""
    rows, length = ids.shape
    cache = SequenceCache(model.config, max_sequences=rows, dtype=model.dtype, device=model.device)
    found = []
    for start, stop in [(0, 20), *((at, at + 1) for at in range(20, length))]:
        positions = torch.arange(start, stop).expand(rows, -1)
        cache.reserve(rows, stop)
        cache.aim(0, positions, torch.ones_like(positions, dtype=torch.bool))
        mask = additive_mask(visible_ids(positions, [((3, 5),)] * rows, length=stop), model.dtype)
        embedded = model.get_input_embeddings()(ids[:, start:stop])
        found.append(hidden_states(model, embedded, mask=mask, positions=positions, cache=cache))
    return torch.cat(found, dim=1)


@pytest.mark.parametrize("size", SIZES)
@torch.inference_mode()
def test_names_states_and_logits_are_those_of_transformers(size, tmp_path):
    theirs = write(tmp_path, **SIZES[size])
    ours = load_llama(tmp_path)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ids = torch.randint(50, (2, 60), generator=torch.Generator().manual_seed(1))
    found, wanted = states(ours, ids), states(theirs, ids)
    assert wanted.std() > 0.5
    assert (found - wanted).abs().max() < 1e-5
    assert (ours.lm_head(found) - theirs.lm_head(wanted)).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; only 'silu' is known"),
        ({"attention_bias": True}, "attention_bias is True; only False is known"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_type is 'yarn'; default and llama3 are known"),
        ({"num_attention_heads": "many"}, "cannot be read"),
        ({"num_key_value_heads": 2}, "mismatched names: .*k_proj"),
        ({"num_hidden_layers": 3}, "num_hidden_layers is 3; the weights beside it have 2"),
    ],
)
def test_a_config_that_is_of_another_network_is_refused(changed, said, tmp_path):
    write(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changed))
    with pytest.raises(CheckpointError, match=said):
        load_llama(tmp_path)
