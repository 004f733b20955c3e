"""Starting points: files of the same names, shapes and dtypes as the published ones, made here at width 32."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from kyvo.errors import CheckpointError
from kyvo.models.llama.embedding import sine_cosine
from kyvo.models.llama.fold import llama_config, save_llama
from kyvo.models.llama.presets import kyvo_tiny
from kyvo.scene.fields import grid
from kyvo.tokenizers.vocabulary import Vocabulary
from kyvo.training.init_weights import apply_init_weights
from kyvo.training.init_weights_files import read_init_weights, save_converted
from kyvo.training.model import decoder

TEXT, CODES = 40, 8
# As Objectron's released layout: one id is unused, and the number table has a row too many.
LAYOUT = {"num_text": TEXT, "numbers": grid(-1, 1, 0.1), "markers": ("[A]", "[B]"), "num_image_codes": CODES}
SMALL = Vocabulary(name="small", **LAYOUT)
RELEASED = Vocabulary(name="released", **LAYOUT, num_reserved=1, num_number_rows=22)
SIZE = kyvo_tiny()


def model(vocabulary=SMALL, **settings):
    torch.manual_seed(1)
    codebook = torch.randn(CODES, 4, generator=torch.Generator().manual_seed(5))
    return decoder(vocabulary, codebook, size="kyvo_tiny", **settings)


def llama(*, tied):
    config = llama_config(size=SIZE, vocab_size=TEXT, bos_id=0, eos_id=1, pad_id=2)
    torch.manual_seed(2)
    return LlamaForCausalLM(LlamaConfig.from_dict({**config, "tie_word_embeddings": tied})).eval()


def meta_names(theirs):
    """Meta's names and layout; Hugging Face's conversion of q and k, undone."""
    names = {
        "self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
        "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2",
        "mlp.up_proj": "feed_forward.w3", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    found = {"rope.freqs": torch.ones(SIZE.head_dim // 2)}
    for name, tensor in theirs.state_dict().items():
        name = name.removeprefix("model.")
        for old, new in names.items():
            name = name.replace(old, new)
        heads = {"attention.wq": SIZE.num_heads, "attention.wk": SIZE.num_kv_heads}
        for part, count in heads.items():
            if part in name:
                tensor = tensor.view(count, 2, SIZE.head_dim // 2, SIZE.dim).transpose(1, 2).reshape(tensor.shape)
        name = {"embed_tokens.weight": "tok_embeddings.weight", "lm_head.weight": "output.weight"}.get(name, name)
        found[name] = tensor.clone()
    return found


def text_logits(ours, ids):
    with torch.no_grad():
        return ours.eval()(ids)[..., :TEXT]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("form", ["meta file", "meta folder", "hugging face", "converted"])
def test_a_llama_goes_on_saying_what_it_said(tmp_path, form, tied):
    theirs, ours = llama(tied=tied), model(freeze_head_text=tied)
    if form == "hugging face":
        theirs.save_pretrained(tmp_path)
    else:
        torch.save(meta_names(theirs), tmp_path / "consolidated.00.pth")
        (tmp_path / "params.json").write_text(json.dumps({"n_heads": 4, "n_kv_heads": 2, "rope_theta": 10_000.0}))
    path = tmp_path / "consolidated.00.pth" if form == "meta file" else tmp_path
    init = read_init_weights(path, size=SIZE)
    if form == "converted":
        save_converted(tmp_path / "out", init, source=path)
        init = read_init_weights(tmp_path / "out", size=SIZE)
    markers = ours.tok_embeddings.markers.weight.clone()
    apply_init_weights(ours, init, where="here")
    ids = torch.arange(TEXT)[None]
    with torch.no_grad():
        torch.testing.assert_close(text_logits(ours, ids), theirs(ids).logits, rtol=1e-4, atol=1e-5)
    assert torch.equal(ours.tok_embeddings.markers.weight, markers)  # a Llama knows nothing of them
    assert any("-> layers.0.attn.q_proj.weight" in line for line in init.lines())


def released(path, **changes):
    """A released checkpoint's names and bf16, with its static wave and number table one row longer."""
    size = SIZE
    torch.manual_seed(3)
    state = {
        name: tensor for name, tensor in meta_names(llama(tied=False)).items() if name.startswith(("layers", "no"))
    }
    total = len(RELEASED)
    state |= {
        "output.weight": torch.randn(total, size.dim),
        "tok_embeddings.token_embedding.weight": torch.randn(TEXT, size.dim),
        "tok_embeddings.numbers_embedding.weight": torch.randn(22, size.dim),
        "tok_embeddings.static_sin_cos_embedding.weight": sine_cosine(22, size.dim),
        "tok_embeddings.added_embedding.weight": torch.randn(2, size.dim),
        "tok_embeddings.vqgan_codebook.weight": model(RELEASED).tok_embeddings.image.codebook.detach(),
        "tok_embeddings.vqgan_embed_proj.weight": torch.randn(size.dim, 4),
    }
    state = {name: tensor.to(torch.bfloat16) for name, tensor in state.items()} | changes
    torch.save({name: tensor for name, tensor in state.items() if tensor is not None}, path)
    return state


def test_a_released_checkpoint_embeds_every_id_as_it_did(tmp_path):
    state = released(tmp_path / "meta_model_9.pt")
    ours = model(RELEASED, smooth_numbers=True)
    apply_init_weights(ours, read_init_weights(tmp_path / "meta_model_9.pt", size=SIZE), where="here")
    rows = {
        name.removeprefix("tok_embeddings.").removesuffix(".weight"): value.float() for name, value in state.items()
    }
    expected = torch.cat(
        [
            rows["token_embedding"],
            rows["numbers_embedding"] + rows["static_sin_cos_embedding"],  # the last is the first marker's
            rows["added_embedding"],
            rows["vqgan_codebook"] @ rows["vqgan_embed_proj"].T,
        ]
    )
    torch.testing.assert_close(ours.tok_embeddings.table(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.output.table(), rows["output"], rtol=1e-5, atol=1e-5)


def test_a_folded_model_of_ours_starts_as_it_was(tmp_path):
    form = {
        "positions": True,
        "image_grid": (2, 4),
        "image_order": np.array([5, 4, 6, 3, 7, 2, 1, 0]),
        "smooth_numbers": True,
    }
    first = model(**form)
    tables = {"table": first.tok_embeddings.table(), "head": first.output.table()}
    save_llama(
        tmp_path, first.state_dict(), **tables, positions=first.positions.table(), size=SIZE,
        bos_id=0, eos_id=1, pad_id=2, dtype=torch.float32,
    )  # fmt: skip
    (tmp_path / "vocabulary.json").write_text(json.dumps(SMALL.to_dict()))
    torch.manual_seed(9)
    codebook = first.tok_embeddings.image.codebook
    second = decoder(SMALL, codebook, size="kyvo_tiny", **form)
    apply_init_weights(second, read_init_weights(tmp_path, size=SIZE), where="here")
    torch.testing.assert_close(second.tok_embeddings.table(), tables["table"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second.output.table(), tables["head"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second.positions.table(), first.positions.table(), rtol=1e-4, atol=1e-5)
    name = "layers.1.attn.k_proj.weight"
    assert torch.equal(second.state_dict()[name], first.state_dict()[name])
    (tmp_path / "positions.safetensors").unlink()
    (tmp_path / "checksums.sha256").unlink()
    save_file({"positions": first.positions.table()[:24].detach()}, tmp_path / "positions.safetensors")
    with pytest.raises(CheckpointError, match=r"positions \[24, 32\] is unknown"):
        apply_init_weights(second, read_init_weights(tmp_path, size=SIZE), where="here")


def without(state, *names):
    return {name: tensor for name, tensor in state.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: without(state, "layers.1.attention.wk.weight"), r"layers\.1\.attn\.k_proj\.weight is missing"),
        (lambda state: state | {"layers.2.ffn_norm.weight": torch.ones(32)}, r"layers\.2\.mlp_norm\.scale is unknown"),
        (
            lambda state: state | {"layers.0.attention.wk.weight": torch.ones(32, 32)},
            r"layers\.0\.attn\.k_proj\.weight is \[32, 32\], the size has \[16, 32\]",
        ),
        (
            lambda state: state | {"vision.weight": torch.ones(2)},
            r"1 weights that Meta's Llama has not: vision\.weight",
        ),
        (lambda state: {"a": torch.ones(2)}, "neither Meta's Llama nor a released Kyvo checkpoint; it begins with a"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(tmp_path, change, message):
    path = tmp_path / "consolidated.00.pth"
    torch.save(change(meta_names(llama(tied=False))), path)
    with pytest.raises(CheckpointError, match=message):
        read_init_weights(path, size=SIZE)


def test_another_text_vocabulary_or_codebook_is_refused(tmp_path):
    path = tmp_path / "meta_model_0.pt"
    released(path, **{"tok_embeddings.vqgan_codebook.weight": torch.zeros(CODES, 4)})
    with pytest.raises(CheckpointError, match=r"image\.codebook differs from the processor's"):
        apply_init_weights(model(RELEASED), read_init_weights(path, size=SIZE), where="here")
    released(path, **{"tok_embeddings.token_embedding.weight": torch.zeros(TEXT + 1, 32)})
    with pytest.raises(CheckpointError, match=r"tok_embeddings\.text\.weight is \[41, 32\], the model's is \[40, 32\]"):
        apply_init_weights(model(RELEASED), read_init_weights(path, size=SIZE), where="here")
    released(path, **{"tok_embeddings.vqgan_embed_proj.weight": None})
    with pytest.raises(CheckpointError, match=r"has no tok_embeddings\.vqgan_embed_proj\.weight"):
        read_init_weights(path, size=SIZE)


def test_other_numbers_of_heads_are_refused(tmp_path):
    torch.save(meta_names(llama(tied=True)), tmp_path / "consolidated.00.pth")
    (tmp_path / "params.json").write_text(json.dumps({"n_heads": 8}))
    with pytest.raises(CheckpointError, match="n_heads 8, the size has 4"):
        read_init_weights(tmp_path, size=SIZE)


def test_what_is_no_start_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no initial weights: neither a file, nor a folder with"):
        read_init_weights(tmp_path, size=SIZE)
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"has no model\.embed_tokens\.weight"):
        read_init_weights(tmp_path, size=SIZE)
    torch.save({"a": print}, tmp_path / "code.pth")
    with pytest.raises(CheckpointError, match="more than tensors and plain values"):
        read_init_weights(tmp_path / "code.pth", size=SIZE)
