"""Folding: a trained composite model -> a plain `LlamaForCausalLM` folder that transformers, PEFT and vLLM load.

The composite embedding becomes one table, names become Hugging Face's, and the rows of q and k are reordered: the
training side rotates neighbouring pairs of a head's entries, Hugging Face the first half against the second.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kyvo.errors import CheckpointError
from kyvo.files import cannot_write, make_folder, read_json_object, reading, write_plain_json
from kyvo.models.llama.adapter import adapted_weights, base_folder
from kyvo.models.llama.config import LlamaConfig
from kyvo.models.llama.network import Llama
from kyvo.models.llama.presets import DecoderSize
from kyvo.models.weights import check_weights, read_weights, record_checksums, write_weights

POSITIONS_NAME = "positions.safetensors"
MODEL_NAME = "model.safetensors"
_TABLE, _HEAD = "model.embed_tokens.weight", "lm_head.weight"

_NAMES = {
    "attn.q_proj": "self_attn.q_proj",
    "attn.k_proj": "self_attn.k_proj",
    "attn.v_proj": "self_attn.v_proj",
    "attn.output_proj": "self_attn.o_proj",
    "mlp.w1": "mlp.gate_proj",
    "mlp.w2": "mlp.down_proj",
    "mlp.w3": "mlp.up_proj",
    "sa_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
}
_LAYER = re.compile(r"layers\.(\d+)\.(.+?)(\.lora_[ab])?\.(?:weight|scale)")


def fold(
    state: Mapping[str, Tensor],
    *,
    table: Float[Tensor, "vocab dim"],
    head: Float[Tensor, "vocab dim"],
    size: DecoderSize,
) -> dict[str, Tensor]:
    """Weights of a `LlamaForCausalLM`.

    Args:
        state: the trained model's, under torchtune's names; entries of embedding and head are not looked at.
        table: the composite embedding's `table()`.
        head: the output head's `table()`.
        size: of the decoder.

    Raises:
        CheckpointError: a name that is neither the embedding's nor a decoder's, or an adapter's.
    """
    if adapters := [name for name in state if ".lora_" in name]:
        raise CheckpointError(f"{adapters[0]} is an adapter's; merge adapters into their weights before folding.")
    folded = {_TABLE: table.detach(), _HEAD: head.detach()}
    return folded | fold_layers(state, size=size)


def fold_layers(state: Mapping[str, Tensor], *, size: DecoderSize) -> dict[str, Tensor]:
    """The layers' part of `fold`; adapters (`kyvo.training.lora`) get PEFT's names.

    Raises:
        CheckpointError: a name that is neither the embedding's nor a decoder's.
    """
    folded = {}
    for name, tensor in state.items():
        if name.startswith(("tok_embeddings.", "output.", "positions.")):
            continue
        tensor = tensor.detach()
        if name == "norm.scale":
            folded["model.norm.weight"] = tensor
        elif (match := _LAYER.fullmatch(name)) and match[2] in _NAMES:
            if match[2] in ("attn.q_proj", "attn.k_proj") and match[3] != ".lora_a":  # whose rows are no head's
                tensor = _halves(tensor, size.head_dim)
            adapter = {None: "", ".lora_a": ".lora_A", ".lora_b": ".lora_B"}[match[3]]
            folded[f"model.layers.{match[1]}.{_NAMES[match[2]]}{adapter}.weight"] = tensor
        else:
            raise CheckpointError(f"{name} is no weight of a decoder; only plain full-width decoders can be folded.")
    return folded


def unfold_layers(weights: Mapping[str, Tensor], *, size: DecoderSize) -> dict[str, Tensor]:
    """Inverse of `fold_layers`, for weights without adapters; names that are no layer's stay as they are."""
    ours = {theirs: name for name, theirs in _NAMES.items()}
    found = {}
    for name, tensor in weights.items():
        match = re.fullmatch(r"model\.layers\.(\d+)\.(.+)\.weight", name)
        if name == "model.norm.weight":
            name = "norm.scale"
        elif match and match[2] in ours:
            kind = "scale" if ours[match[2]].endswith("norm") else "weight"
            if ours[match[2]] in ("attn.q_proj", "attn.k_proj"):
                tensor = _pairs(tensor, size.head_dim)
            name = f"layers.{match[1]}.{ours[match[2]]}.{kind}"
        found[name] = tensor
    return found


def _halves(weight: Float[Tensor, "out dim"], head_dim: int) -> Float[Tensor, "out dim"]:
    """Rows of each head from pairs (0, 1), (2, 3), ... to halves (0, 2, ..., 1, 3, ...)."""
    heads = weight.view(-1, head_dim // 2, 2, weight.shape[1])
    return heads.transpose(1, 2).reshape(weight.shape)


def _pairs(weight: Float[Tensor, "out dim"], head_dim: int) -> Float[Tensor, "out dim"]:
    """Inverse of `_halves`."""
    heads = weight.reshape(-1, 2, head_dim // 2, weight.shape[1])
    return heads.transpose(1, 2).reshape(weight.shape)


def llama_config(*, size: DecoderSize, vocab_size: int, bos_id: int, eos_id: int, pad_id: int) -> dict[str, Any]:
    """`config.json`. `rope_theta` and `rope_scaling` are the keys that both transformers 4 and 5 read; 4 ignores
    the newer `rope_parameters` without a word."""
    scaling = None
    if size.rope_scaling is not None:
        scaling = {
            "rope_type": "llama3",
            "factor": size.rope_scaling,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "processor_class": "KyvoProcessor",  # of `kyvo.auto`; read by AutoProcessor alone
        "vocab_size": vocab_size,
        "hidden_size": size.dim,
        "intermediate_size": size.ffn_dim,
        "num_hidden_layers": size.num_layers,
        "num_attention_heads": size.num_heads,
        "num_key_value_heads": size.num_kv_heads,
        "head_dim": size.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": size.max_seq_len,
        "rms_norm_eps": size.norm_eps,
        "rope_theta": size.rope_base,
        "rope_scaling": scaling,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": bos_id,
        "eos_token_id": eos_id,
        "pad_token_id": pad_id,
    }


def save_llama(
    folder: Path,
    state: Mapping[str, Tensor],
    *,
    table: Float[Tensor, "vocab dim"],
    head: Float[Tensor, "vocab dim"],
    positions: Float[Tensor, "places dim"] | None = None,
    size: DecoderSize,
    bos_id: int,
    eos_id: int,
    pad_id: int,
    dtype: torch.dtype = torch.bfloat16,
    max_shard_size: str = "16MB",
) -> None:
    """Folds `state` and writes `config.json`, `generation_config.json` and safetensors files into `folder`.

    Image positions, where the model has them, are no weight of a Llama: they go into a file of their own.
    """
    make_folder(folder)
    weights = {
        name: tensor.to("cpu", dtype).contiguous()
        for name, tensor in fold(state, table=table, head=head, size=size).items()
    }
    config = llama_config(size=size, vocab_size=len(table), bos_id=bos_id, eos_id=eos_id, pad_id=pad_id)
    config["torch_dtype"] = str(dtype).removeprefix("torch.")
    generation = {"bos_token_id": bos_id, "eos_token_id": eos_id, "pad_token_id": pad_id, "do_sample": False}
    write_plain_json(folder / "config.json", config, indent=2)
    write_plain_json(folder / "generation_config.json", generation, indent=2)
    if positions is not None:
        write_weights(folder / POSITIONS_NAME, {"positions": positions.detach().to("cpu", dtype).contiguous()})
    try:
        save_torch_state_dict(weights, folder, max_shard_size=max_shard_size, metadata={"format": "pt"})
    except (OSError, SafetensorError) as error:
        raise cannot_write(folder / MODEL_NAME, error) from error
    record_checksums(folder, [path.name for path in model_files(folder)])


def model_files(folder: Path) -> list[Path]:
    """The weight files of a Llama's folder, one or in parts."""
    return sorted(folder.glob("model*.safetensors"))


def load_llama(folder: Path) -> Llama:
    """The model, or the one of an adapter and its base, in float32.

    Raises CheckpointError where a file is missing, damaged or not the one written.
    """
    path = folder / "config.json"
    with reading(path):
        config = LlamaConfig.from_dict(read_json_object(path))
    for other in (folder / "generation_config.json", folder / f"{MODEL_NAME}.index.json"):
        if other.is_file():
            read_json_object(other)
    base = base_folder(folder)
    weights = _read_llama(base) if base == folder else adapted_weights(folder, _read_llama(base))
    _check_size(path, config, weights)
    with torch.device("meta"):
        model = Llama(config, name_or_path=str(folder))
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings and _HEAD not in weights and _TABLE in weights:
        weights[_HEAD] = weights[_TABLE]
    found = {name: tensor.shape for name, tensor in weights.items()}
    faults = {
        "missing": wanted.keys() - found.keys(),
        "unexpected": found.keys() - wanted.keys(),
        "mismatched": {name for name in wanted.keys() & found.keys() if wanted[name] != found[name]},
    }
    for fault, names in faults.items():
        if names:
            raise CheckpointError(f"{folder}: the weights have {fault} names: {sorted(names)[:4]}.")
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, assign=True)
    return model.eval()


def _read_llama(folder: Path) -> dict[str, Tensor]:
    """The tensors of all its weight files."""
    files = model_files(folder)
    check_weights(files)
    weights: dict[str, Tensor] = {}
    for file in files:
        with reading(file):
            weights |= load_file(file)
    return weights


def _check_size(path: Path, config: LlamaConfig, weights: Mapping[str, Tensor]) -> None:
    """Raises CheckpointError where the config is of another model than the weights: what a config alone says may be
    larger than any memory."""
    none = torch.zeros(0, 0)
    table = weights.get(_TABLE, none).shape
    found = {
        "vocab_size": table[0],
        "hidden_size": table[-1],
        "intermediate_size": weights.get("model.layers.0.mlp.gate_proj.weight", none).shape[0],
        "num_hidden_layers": len({name.split(".")[2] for name in weights if name.startswith("model.layers.")}),
    }
    for name, number in found.items():
        if getattr(config, name) != number:
            raise CheckpointError(f"{path}: {name} is {getattr(config, name)!r}; the weights beside it have {number}.")


def load_positions(folder: Path) -> Float[Tensor, "places dim"] | None:
    """The positions that `save_llama` wrote, of an adapter's base; None for a model without them."""
    path = base_folder(folder) / POSITIONS_NAME
    if not path.is_file():
        return None
    weights = read_weights(path)
    with reading(path):
        return weights["positions"]
