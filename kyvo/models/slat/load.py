"""Networks from `<name>.json` and `<name>.safetensors`, as TRELLIS publishes them, and back.

The JSON is `{"name": class, "args": {...}}`. Its classes with "Elastic" before the name are the same networks with a
trainer's memory control. Weights load strictly: what is missing, unknown or of another shape is named.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from kyvo.errors import CheckpointError, ConfigError
from kyvo.files import write_text
from kyvo.models.flow.iscene import ISceneFlowModel
from kyvo.models.flow.scene_encoder import SceneEncoder, SceneEncoderConfig
from kyvo.models.flow.scenegen import SceneGenConfig, SceneGenFlowModel
from kyvo.models.flow.slat_flow import SLatFlowConfig, SLatFlowModel
from kyvo.models.flow.small_encoders import (
    SmallPictureEncoder,
    SmallPictureEncoderConfig,
    SmallTextEncoder,
    SmallTextEncoderConfig,
)
from kyvo.models.flow.structure_flow import SparseStructureFlowModel, StructureFlowConfig
from kyvo.models.heads.turn_head import TurnHead, TurnHeadConfig
from kyvo.models.slat.decoders import (
    GaussianDecoderConfig,
    MeshDecoderConfig,
    RadianceFieldDecoderConfig,
    SLatGaussianDecoder,
    SLatMeshDecoder,
    SLatRadianceFieldDecoder,
)
from kyvo.models.slat.encoder import EncoderConfig, SLatEncoder
from kyvo.models.slat.structure import (
    SparseStructureDecoder,
    SparseStructureEncoder,
    StructureDecoderConfig,
    StructureEncoderConfig,
)
from kyvo.models.weights import check_weights, write_weights


class Kind(NamedTuple):
    network: Any
    config: Any


KINDS = {
    "SLatEncoder": Kind(SLatEncoder, EncoderConfig),
    "SLatGaussianDecoder": Kind(SLatGaussianDecoder, GaussianDecoderConfig),
    "SLatMeshDecoder": Kind(SLatMeshDecoder, MeshDecoderConfig),
    "SLatRadianceFieldDecoder": Kind(SLatRadianceFieldDecoder, RadianceFieldDecoderConfig),
    "SparseStructureEncoder": Kind(SparseStructureEncoder, StructureEncoderConfig),
    "SparseStructureDecoder": Kind(SparseStructureDecoder, StructureDecoderConfig),
    "SparseStructureFlowModel": Kind(SparseStructureFlowModel, StructureFlowConfig),
    "SLatFlowModel": Kind(SLatFlowModel, SLatFlowConfig),
    "SmallPictureEncoder": Kind(SmallPictureEncoder, SmallPictureEncoderConfig),
    "SceneGenFlowModel": Kind(SceneGenFlowModel, SceneGenConfig),
    "ISceneFlowModel": Kind(ISceneFlowModel, StructureFlowConfig),
    "SceneEncoder": Kind(SceneEncoder, SceneEncoderConfig),
    "SmallTextEncoder": Kind(SmallTextEncoder, SmallTextEncoderConfig),
    "TurnHead": Kind(TurnHead, TurnHeadConfig),
}
TRAINING_ONLY = frozenset({"use_checkpoint"})  # changes memory in training, never the network


def build_network(about: Mapping[str, Any], *, device: torch.device | str | None = None) -> nn.Module:
    """The network a published JSON describes, with weights drawn by torch's global generator.

    Raises:
        ConfigError: another class, or arguments it does not have.
    """
    name = str(about.get("name")).removeprefix("Elastic")
    if name not in KINDS:
        raise ConfigError(f"name is {about.get('name')!r}; the networks known here are {', '.join(KINDS)}.")
    given = {key: value for key, value in about.get("args", {}).items() if key not in TRAINING_ONLY}
    known = {field.name: field for field in fields(KINDS[name].config)}
    for key in given.keys() - known.keys():
        close = get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}."
        raise ConfigError(f"{name} has no argument {key!r}; {hint}")
    for key, field in known.items():
        if key not in given and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"{name} needs the argument {key!r}, which args lacks.")
    return KINDS[name].network(KINDS[name].config(**given), device=device)


def describe_network(network: nn.Module) -> dict[str, Any]:
    """The JSON of a network: the way back from `build_network`."""
    config: Any = network.config
    return {"name": type(network).__name__, "args": asdict(config)}


def load_network(
    path: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    base: nn.Module | None = None,
) -> Any:
    """Reads `<path>.json` and `<path>.safetensors`; `path` may also be either file.

    Args:
        base: has the tensors that the file lacks, under the same names: the network that this one was built on.
        dtype: of the half-precision parts; by default as stored on CUDA, and float32 on a CPU, which has no fast
            float16. bfloat16 suits a CPU with AMX.

    Raises:
        CheckpointError: a file is missing or damaged, or its tensors are not those of the network.
        ConfigError: the JSON describes no network known here.
    """
    stem = Path(path)
    stem = stem.with_suffix("") if stem.suffix in (".json", ".safetensors") else stem
    about_path, weights_path = stem.with_name(stem.name + ".json"), stem.with_name(stem.name + ".safetensors")
    for file in (about_path, weights_path):
        if not file.is_file():
            raise CheckpointError(f"{file} does not exist; a network is {stem.name}.json and {stem.name}.safetensors.")
    try:
        about = json.loads(about_path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{about_path} is no JSON: {error}. Fetch it again.") from error
    try:
        network = build_network(about, device="meta")
    except ConfigError as error:
        raise ConfigError(f"{about_path}: {error}") from error

    state = _read_weights(weights_path, network, {} if base is None else base.state_dict())
    network.load_state_dict(state, assign=True)
    network.requires_grad_(False)
    if dtype is None and torch.device(device).type != "cuda":
        dtype = torch.float32
    if dtype is not None:
        network.set_compute_dtype(dtype)  # type: ignore[operator]
    return network.to(device).eval()


def _read_weights(path: Path, network: nn.Module, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Shapes and dtypes are compared before the first tensor is read. What the file lacks is of `base`."""
    own = network.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            shared = {
                name: base[name] for name in base.keys() & own.keys() - names if base[name].shape == own[name].shape
            }
            missing, unknown = sorted(own.keys() - names - shared.keys()), sorted(names - own.keys())
            if missing or unknown:
                raise CheckpointError(
                    f"{path} is not of a {type(network).__name__} with these arguments: missing {missing[:3]} "
                    f"({len(missing)} in all), unknown {unknown[:3]} ({len(unknown)} in all). "
                    "Check the JSON beside it."
                )
            for name in names:
                shape, wanted = list(file.get_slice(name).get_shape()), list(own[name].shape)
                if shape != wanted:
                    raise CheckpointError(f"{path}: {name} is {shape}; by the JSON beside it, it should be {wanted}.")
            check_weights([path])
            read = {name: file.get_tensor(name) for name in names} | shared
            return {name: tensor.to(own[name].dtype) for name, tensor in read.items()}
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no readable safetensors file: {error}. Fetch it again.") from error


def save_network(network: nn.Module, path: Path | str, *, state: Mapping[str, Tensor] | None = None) -> None:
    """Writes `<path>.json` and `<path>.safetensors` with the dtypes of the network as it is.

    Args:
        state: written in place of the network's own weights.
    """
    base = Path(path)
    written = network.state_dict() if state is None else state
    state = {name: tensor.contiguous() for name, tensor in written.items()}
    about = json.dumps(describe_network(network), indent=2) + "\n"
    write_weights(base.with_name(base.name + ".safetensors"), state)
    write_text(base.with_name(base.name + ".json"), about)
