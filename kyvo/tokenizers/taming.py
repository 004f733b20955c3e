"""Reading taming-transformers' published files: `project.yaml` -> a `VQGANConfig`, `last.ckpt` -> its tensors.

Read are `VQModel` (f16, 1,024 and 16,384 codes) and `GumbelVQ` (f8, 8,192 codes), always with `weights_only=True`: the
files are pickles, and may come from anywhere.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
import yaml
from torch import Tensor

from kyvo.errors import CheckpointError, ConfigError
from kyvo.tokenizers.vqgan import VQGAN, VQGANConfig

QUANTIZER_OF = {"VQModel": "nearest", "GumbelVQ": "gumbel"}  # the last part of `model.target`
NETWORK_KEYS = ("ch", "ch_mult", "num_res_blocks", "attn_resolutions", "in_channels", "out_ch", "z_channels")

# Beginnings of tensor names that tell of another kind of model, and what it is.
REFUSED = {
    "quantize.used": "its codes were renumbered for one transformer (`remap`); give the checkpoint from before that",
    "quantize.embedding.cluster_size": "its codebook is a moving average (EMAVQ), which is not read",
    "quantize.embedding.embed_avg": "its codebook is a moving average (EMAVQ), which is not read",
    "model_ema.": "it has moving averages of its weights beside them, and which are meant is not said",
    "colorize": "it is a tokenizer of segmentations, not of pictures",
    "first_stage_model.": "it is a transformer of the second stage; give the tokenizer's own checkpoint",
}


def read_taming(project: Path | str, checkpoint: Path | str) -> VQGAN:
    """The tokenizer of a `project.yaml` and its `last.ckpt`.

    Raises:
        ConfigError: the YAML describes another model, or lacks a setting.
        CheckpointError: the checkpoint is missing, would run code, or has not the tensors that the YAML says.
    """
    model = VQGAN(read_project(Path(project)))
    state = read_tensors(Path(checkpoint))
    for beginning, reason in REFUSED.items():
        found = [name for name in state if name.startswith(beginning)]
        if found:
            raise CheckpointError(f"{checkpoint} has the tensor {found[0]}: {reason}.")
    model.load_taming(state)
    return model


def read_project(path: Path) -> VQGANConfig:
    """The shape that a `project.yaml` describes."""
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; give the YAML that was published beside the checkpoint.")
    try:
        section = _get(yaml.safe_load(path.read_text(encoding="utf-8")), "model")
        target = _get(section, "target")
        params = _get(section, "params")
        network = _get(params, "ddconfig")
        settings = {key: _get(network, key) for key in (*NETWORK_KEYS, "resolution")}
        settings |= {key: _get(params, key) for key in ("embed_dim", "n_embed")}
    except (yaml.YAMLError, ConfigError) as error:
        raise ConfigError(f"{path} is no project.yaml of a VQGAN: {error}") from error
    kind = str(target).rpartition(".")[2]
    if kind not in QUANTIZER_OF:
        raise ConfigError(f"{path}: model.target is {target!r}; read are {' and '.join(QUANTIZER_OF)} of taming.")
    if params.get("remap"):
        raise ConfigError(f"{path}: model.params.remap renumbers the codes for one transformer; give the YAML without.")
    if network.get("double_z"):
        raise ConfigError(f"{path}: ddconfig.double_z is for models without a codebook; give a VQGAN's YAML.")
    if (settings["in_channels"], settings["out_ch"]) != (3, 3):
        raise ConfigError(
            f"{path}: ddconfig has {settings['in_channels']} channels in and {settings['out_ch']} out; pictures have 3."
        )
    size = settings.pop("resolution")
    return VQGANConfig(width=size, height=size, quantizer=QUANTIZER_OF[kind], **settings)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors by name of a checkpoint of Lightning's or of a plain state dict, on the CPU.

    Raises CheckpointError where there is no such file, or it would run code.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give a checkpoint.")
    try:
        with torch.serialization.safe_globals(_LIGHTNING_NAMES):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors and plain values, and is not read for safety: {error}"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint: {error}") from error
    if isinstance(found, Mapping):
        found = found.get("state_dict", found)
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path} holds a {type(found).__name__}; a checkpoint has tensors by name.")
    return {str(name): tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}


def _get(section: object, key: str):
    if not isinstance(section, Mapping) or key not in section:
        raise ConfigError(f"it has no {key!r} where taming's files have it.")
    return section[key]


class _LightningCallback:
    """Stands for a class that the published checkpoints use as a dictionary key, so that Lightning is not needed."""


_LIGHTNING_NAMES: list[Callable | tuple[Callable, str]] = [
    (_LightningCallback, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint")
]
