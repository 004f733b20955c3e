import json
from dataclasses import replace

import pytest
import torch
from transformers import LlamaForCausalLM

from kyvo.errors import CheckpointError
from kyvo.models.llama.embedding import CompositeEmbedding, position_vectors
from kyvo.models.llama.fold import fold, load_positions, save_llama
from kyvo.models.llama.presets import kyvo_tiny
from kyvo.scene.fields import grid
from kyvo.tokenizers.vocabulary import Vocabulary
from kyvo.training.model import build_decoder

VOCABULARY = Vocabulary(name="t", num_text=60, numbers=grid(-1, 1, 0.1), markers=("[A]", "[B]"), num_image_codes=32)
# Heads of 32 entries and 4,000 positions: long enough for the slow waves that Llama-3.2's scaling stretches.
SCALED = replace(
    kyvo_tiny(), dim=64, num_heads=2, num_kv_heads=1, max_seq_len=4096, rope_base=500_000.0, rope_scaling=32.0
)


def make(size, *, smooth_numbers=False):
    torch.manual_seed(0)
    embedding = CompositeEmbedding(vocabulary=VOCABULARY, dim=size.dim, image_codebook=torch.randn(32, 8), scale=0.5)
    model = build_decoder(size, embedding, smooth_numbers=smooth_numbers).eval()
    for layer in model.layers:  # sharper attention than new weights have, so that positions matter
        layer.attn.q_proj.weight.data *= 6
        layer.attn.k_proj.weight.data *= 6
    return model


def write(folder, model, dtype=torch.float32, **settings):
    table = model.tok_embeddings.table()
    ids = {"bos_id": 1, "eos_id": 2, "pad_id": 0}
    head = model.output.table()
    save_llama(folder, model.state_dict(), table=table, head=head, size=model.size, dtype=dtype, **ids, **settings)


def difference(folder, model, length):
    ids = torch.randint(len(VOCABULARY), (1, length), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = model(ids)
        theirs = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()(ids).logits
    return (ours - theirs).abs().max().item()


@pytest.mark.parametrize(("size", "length"), [(kyvo_tiny(), 300), (SCALED, 3000)], ids=["plain rope", "scaled rope"])
def test_the_folded_model_has_the_logits_of_the_composite_one(tmp_path, size, length):
    model = make(size)
    write(tmp_path, model)
    assert difference(tmp_path, model, length) < 5e-4


def test_a_head_of_smooth_numbers_folds_into_a_plain_one(tmp_path):
    model = make(kyvo_tiny(), smooth_numbers=True)
    model.output.number_map.weight.data *= 10
    write(tmp_path, model)
    assert difference(tmp_path, model, 300) < 5e-4
    assert (model.output.table() - model.output.weight).abs().max() > 0.1


@pytest.mark.parametrize(
    "harm",
    [
        {"rope_scaling": None},
        {"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                          "original_max_position_embeddings": 8192}},
        {"rope_theta": 10_000.0},
    ],
    ids=["no scaling", "another factor", "another base"],
)  # fmt: skip
def test_equality_notices_a_wrong_config(tmp_path, harm):
    model = make(SCALED)
    write(tmp_path, model)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, **harm}))
    assert difference(tmp_path, model, 3000) > 5e-3


def test_equality_notices_rows_of_q_and_k_in_the_other_order(tmp_path, monkeypatch):
    model = make(kyvo_tiny())
    monkeypatch.setattr("kyvo.models.llama.fold._halves", lambda weight, head_dim: weight)
    write(tmp_path, model)
    assert difference(tmp_path, model, 300) > 5e-3


def test_files_are_cut_at_the_shard_size_and_bf16_halves_them(tmp_path):
    model = make(kyvo_tiny())
    write(tmp_path / "fp32", model)
    write(tmp_path / "cut", model, dtype=torch.bfloat16, max_shard_size="20KB")
    whole = (tmp_path / "fp32" / "model.safetensors").stat().st_size
    pieces = [path.stat().st_size for path in (tmp_path / "cut").glob("model-*.safetensors")]
    assert len(pieces) > 1 and max(pieces) < 22_000 and sum(pieces) < 0.6 * whole
    assert LlamaForCausalLM.from_pretrained(tmp_path / "cut").lm_head.weight.dtype == torch.bfloat16


def test_head_and_embedding_stay_apart(tmp_path):
    model = make(kyvo_tiny())
    write(tmp_path, model)
    loaded = LlamaForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded.lm_head.weight, model.output.weight)
    assert torch.equal(loaded.model.embed_tokens.weight, model.tok_embeddings.table())


def test_positions_go_into_a_file_of_their_own(tmp_path):
    torch.manual_seed(0)
    embedding = CompositeEmbedding(vocabulary=VOCABULARY, dim=32, image_codebook=torch.randn(32, 8), scale=0.5)
    model = build_decoder(kyvo_tiny(), embedding, image_grid=(2, 3)).eval()
    write(tmp_path, model, positions=model.positions.table())
    ids = torch.tensor([[1, 3, *VOCABULARY.ranges["image"][:6], 3]])
    grid_positions = torch.tensor([[-1, 6, 0, 1, 2, 3, 4, 5, -1]])  # 6 is the first object
    loaded = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    with torch.no_grad():
        ours = model.output(model.hidden(ids, grid_positions=grid_positions))
        embedded = loaded.get_input_embeddings()(ids) + position_vectors(load_positions(tmp_path), grid_positions)
        theirs = loaded(inputs_embeds=embedded).logits
        without = loaded(ids).logits
    assert (ours - theirs).abs().max() < 5e-4 < (ours - without).abs().max()
    assert load_positions(tmp_path / "elsewhere") is None


def test_a_name_that_does_not_fold_is_refused():
    model = make(kyvo_tiny())
    state = {**model.state_dict(), "layers.0.attn.q_proj.lora_a.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="lora_a"):
        fold(state, table=model.tok_embeddings.table(), head=model.output.table(), size=model.size)
