"""LoRA and QLoRA: low-rank adapters of the layers' matrices, and the PEFT folder that holds them.

Layers and norms stay as they are; trained are the adapters, and what a text model has not: the embedding's numbers,
markers and projections, and the head. Text rows are trained too unless `model.freeze_text` and
`model.freeze_head_text` say otherwise. QLoRA keeps the layers' matrices in four bits (NF4).
https://arxiv.org/abs/2106.09685, https://arxiv.org/abs/2305.14314
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.errors import ConfigError
from kyvo.extras import extra
from kyvo.files import make_folder
from kyvo.models.llama.fold import fold_layers
from kyvo.models.llama.presets import DecoderSize
from kyvo.models.weights import write_weights
from kyvo.training.model import KyvoDecoder

with extra("train"):
    from torchao.dtypes.nf4tensor import NF4Tensor, to_nf4
    from torchtune.modules.peft import LoRALinear

METHODS = ("full", "lora", "qlora")
TARGETS = {  # PEFT's names, which are Hugging Face's -> torchtune's, in a layer
    "q_proj": "attn.q_proj",
    "k_proj": "attn.k_proj",
    "v_proj": "attn.v_proj",
    "o_proj": "attn.output_proj",
    "gate_proj": "mlp.w1",
    "up_proj": "mlp.w3",
    "down_proj": "mlp.w2",
}
BLOCK = 64  # weights that share a scale


@dataclass(frozen=True, kw_only=True)
class PeftArgs:
    """The section `peft`."""

    method: str = "full"
    rank: int = 16
    alpha: float = 32.0  # an adapter counts alpha / rank times
    dropout: float = 0.0
    targets: list = field(default_factory=lambda: list(TARGETS))

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"peft.method is {self.method!r}; it can be {', '.join(METHODS)}.")
        if self.rank < 1 or not 0 <= self.dropout < 1:
            raise ConfigError(f"peft.rank is {self.rank}, peft.dropout {self.dropout}; they are >= 1 and in [0, 1).")
        if unknown := [name for name in self.targets if name not in TARGETS]:
            raise ConfigError(f"peft.targets has {', '.join(map(str, unknown))}; known are {', '.join(TARGETS)}.")
        if not self.targets:
            raise ConfigError(f"peft.targets is empty; take some of {', '.join(TARGETS)}.")

    @property
    def adapts(self) -> bool:
        return self.method != "full"

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


def add_adapters(model: KyvoDecoder, args: PeftArgs) -> None:
    """Freezes the layers and the last norm and puts an adapter beside each target of each layer."""
    for part in (model.layers, model.norm):
        part.requires_grad_(False)
    for layer in model.layers:
        for target in args.targets:
            owner_name, name = TARGETS[target].split(".")
            owner = layer.get_submodule(owner_name)
            setattr(owner, name, _adapted(getattr(owner, name), args))


def _adapted(base: nn.Linear, args: PeftArgs) -> LoRALinear:
    weight = base.weight.detach()
    adapted = LoRALinear(base.in_features, base.out_features, args.rank, args.alpha, args.dropout)
    adapted.to(weight.device, weight.dtype)
    if args.method == "qlora":
        if weight.numel() % BLOCK:
            raise ConfigError(f"peft.method is qlora, which needs matrices of a multiple of {BLOCK} weights.")
        # Scales are themselves quantized, 256 at a time where there are as many.
        weight = to_nf4(weight, block_size=BLOCK, scaler_block_size=math.gcd(256, weight.numel() // BLOCK))
        adapted._quantize_base = True  # its forward asks for this; its constructor would quantize a random weight
    adapted.weight = nn.Parameter(weight, requires_grad=False)
    return adapted


def trained_state(model: nn.Module) -> dict[str, Tensor]:
    """What training changes: the parameters that want gradients."""
    state = model.state_dict(keep_vars=True)
    return {name: tensor.detach() for name, tensor in state.items() if tensor.requires_grad}


def fingerprint(model: KyvoDecoder) -> str:
    """Of the layers' weights, by which adapters know what they were trained beside."""
    digest = hashlib.sha256()
    for tensor in model.layers.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def base_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without their adapters; four-bit ones as the numbers they stand for."""
    return {
        name: tensor.get_original_weight() if isinstance(tensor, NF4Tensor) else tensor
        for name, tensor in state.items()
        if ".lora_" not in name
    }


def merged_state(state: Mapping[str, Tensor], *, scale: float) -> dict[str, Tensor]:
    """W + scale B A in the place of W and its adapter; a state without adapters as it is."""
    merged = base_state(state)
    for name in merged:
        down, up = (state.get(f"{name.removesuffix('weight')}lora_{which}.weight") for which in "ab")
        if down is not None and up is not None:
            weight = merged[name]
            merged[name] = (weight.float() + scale * (up.float() @ down.float())).to(weight.dtype)
    return merged


def save_adapter(
    folder: Path,
    state: Mapping[str, Tensor],
    *,
    table: Float[Tensor, "vocab dim"],
    head: Float[Tensor, "vocab dim"],
    size: DecoderSize,
    args: PeftArgs,
    base: Path,
    dtype: torch.dtype,
) -> None:
    """A folder for `peft.PeftModel.from_pretrained`, on the folded base model in the folder `base`.

    Embedding and head are in it whole (`modules_to_save`): they were trained, and the base has them untrained.
    """
    with extra("train"):
        from peft import LoraConfig, TaskType  # slow to import

    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        base_model_name_or_path=str(base),
        r=args.rank,
        lora_alpha=args.alpha,  # type: ignore[arg-type]  # annotated int; a float is kept
        lora_dropout=args.dropout,
        target_modules=list(args.targets),
        modules_to_save=["embed_tokens", "lm_head"],
        inference_mode=True,
    )
    adapters = {name: tensor for name, tensor in state.items() if ".lora_" in name}
    prefix = "base_model.model."
    weights = {prefix + name: tensor for name, tensor in fold_layers(adapters, size=size).items()}
    weights |= {f"{prefix}model.embed_tokens.weight": table, f"{prefix}lm_head.weight": head}
    make_folder(folder)
    config.save_pretrained(str(folder))
    plain = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in weights.items()}
    write_weights(folder / "adapter_model.safetensors", plain, metadata={"format": "pt"})
