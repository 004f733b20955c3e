"""The folder of an object generator, as TRELLIS's repositories are: `pipeline.json`, and networks in `ckpts/`.

`pipeline.json` names the networks, the samplers, the scale of the features and the encoders of conditions. Encoders of
published kinds are the user's: they are named, and not copied.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from kyvo.errors import CheckpointError
from kyvo.files import write_text
from kyvo.generation.flow_sampler import FlowSampler
from kyvo.models.flow.load import ConditionKind, load_condition
from kyvo.models.flow.path import SIGMA_MIN
from kyvo.models.slat.load import load_network, save_network

PIPELINE = "pipeline.json"
SAMPLER = "FlowEulerGuidanceIntervalSampler"
# Our name of a network -> TRELLIS's in `pipeline.json`. Those of the second table may be missing.
NEEDED = {
    "structure_decoder": "sparse_structure_decoder",
    "structure_flow": "sparse_structure_flow_model",
    "slat_flow": "slat_flow_model",
}
OPTIONAL = {
    "structure_encoder": "sparse_structure_encoder",
    "mesh_decoder": "slat_decoder_mesh",
    "gaussian_decoder": "slat_decoder_gs",
    "turn_head": "turn_head",  # ours
}
TRIES = "picture_tries"
STRUCTURE_ENCODER = "ckpts/ss_enc_conv3d_16l8_fp16"  # TRELLIS publishes it, and its `pipeline.json` does not name it
CONDITIONS: dict[ConditionKind, str] = {"picture": "image_cond_model", "text": "text_cond_model"}
SAMPLER_PARAMS = {
    "steps": "steps",
    "cfg_strength": "guidance",
    "cfg_interval": "guidance_interval",
    "rescale_t": "rescale_t",
    "temperature": "temperature",  # ours: written where it is not 1, so that TRELLIS reads the other folders
}


def find_folder(name_or_folder: Path | str) -> Path:
    """The folder, or that of the bundled generator of this name, `kyvo/assets/objects_<name>`.

    Raises:
        CheckpointError: there is neither.
    """
    assets = Path(str(files("kyvo"))) / "assets"
    for folder in (Path(name_or_folder), assets / f"objects_{name_or_folder}"):
        if (folder / PIPELINE).is_file():
            return folder
    if Path(name_or_folder).is_dir():
        return Path(name_or_folder)  # the caller says which file it lacks
    names = sorted(path.parent.name.removeprefix("objects_") for path in assets.glob(f"objects_*/{PIPELINE}"))
    raise CheckpointError(
        f"{name_or_folder}: neither a folder of an object generator nor a bundled one; bundled are "
        f"{', '.join(names) or 'none yet'}. Give a folder that recipes/join_generator.py wrote (docs/objects.md says "
        "how to train one), or a local copy of TRELLIS-image-large."
    )


def read_parts(
    folder: Path,
    *,
    encoders: Mapping[ConditionKind, Path | str | None],
    device: torch.device | str,
    dtype: torch.dtype | None,
) -> dict[str, Any]:
    """The arguments of an `ObjectGenerator`.

    Args:
        encoders: the user's paths, which come before those of the folder.

    Raises:
        CheckpointError: a file is missing, or says what is not known here.
    """
    args = _read_pipeline(folder / PIPELINE)
    models = args.get("models", {})
    missing = [name for name in NEEDED.values() if name not in models]
    if missing:
        raise CheckpointError(f"{folder / PIPELINE} names no {', '.join(missing)} among its models.")
    parts: dict[str, Any] = {}
    for ours, theirs in (NEEDED | OPTIONAL).items():
        if theirs in models:
            parts[ours] = load_network(_find(folder, models[theirs]), device=device, dtype=dtype)
    if "structure_encoder" not in parts and (folder / f"{STRUCTURE_ENCODER}.json").is_file():
        parts["structure_encoder"] = load_network(folder / STRUCTURE_ENCODER, device=device, dtype=dtype)
    parts["encoders"] = {}
    for kind, name in CONDITIONS.items():
        path = encoders[kind] or _local_encoder(folder, args.get(name))
        if path is not None:
            parts["encoders"][kind] = load_condition(kind, path).to(device)
    scale = args.get("slat_normalization", {})
    tries = args.get(TRIES, 1)  # ours, as is the sampler's temperature
    if not isinstance(tries, int) or tries < 1:
        raise CheckpointError(f"{folder / PIPELINE}: {TRIES} is {tries!r}; it takes a whole number of at least 1.")
    return parts | {
        TRIES: tries,
        "slat_mean": tuple(scale.get("mean", ())),
        "slat_std": tuple(scale.get("std", ())),
        "structure_sampler": _sampler(args.get("sparse_structure_sampler", {})),
        "slat_sampler": _sampler(args.get("slat_sampler", {})),
    }


def write_parts(folder: Path, parts: Mapping[str, Any], *, dtype: torch.dtype | None = None) -> None:
    """Inverse of `read_parts`, but for the user's encoders."""
    (folder / "ckpts").mkdir(parents=True, exist_ok=True)

    def save(network: torch.nn.Module, name: str) -> None:
        state = {key: value.to(dtype or value.dtype) for key, value in network.state_dict().items()}
        save_network(network, folder / "ckpts" / name, state=state)

    models, conditions = {}, {}
    for ours, theirs in (NEEDED | OPTIONAL).items():
        if parts[ours] is not None:
            save(parts[ours], ours)
            models[theirs] = f"ckpts/{ours}"
    for kind, encoder in parts["encoders"].items():
        if hasattr(encoder, "config"):  # a small one of ours
            save(encoder, f"{kind}_encoder")
            conditions[CONDITIONS[kind]] = f"ckpts/{kind}_encoder"
    args = {
        "models": models,
        "sparse_structure_sampler": _describe_sampler(parts["structure_sampler"]),
        "slat_sampler": _describe_sampler(parts["slat_sampler"]),
        "slat_normalization": {"mean": list(parts["slat_mean"]), "std": list(parts["slat_std"])},
        **conditions,
        **({TRIES: parts[TRIES]} if parts[TRIES] != 1 else {}),
    }
    text = json.dumps({"name": "ObjectGenerator", "args": args}, indent=2) + "\n"
    write_text(folder / PIPELINE, text)


def _read_pipeline(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give a folder with a {PIPELINE}, as TRELLIS-image-large.")
    try:
        args = json.loads(path.read_text(encoding="utf-8"))["args"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no description of a pipeline ({error!r}). Fetch it again.") from error
    if not isinstance(args, dict) or not isinstance(args.get("models", {}), dict):
        raise CheckpointError(f"{path}: args.models is no table of networks. Fetch it again.")
    return args


def _find(folder: Path, name: str) -> Path:
    """`<folder>/<name>`, or `<org>/<repo>/<path>` in a folder of that repository beside this one."""
    _, _, rest = name.partition("/")
    candidates = [folder / name, folder.parent / rest, folder.parent / name]
    for candidate in candidates:
        if candidate.with_name(f"{candidate.name}.json").is_file():
            return candidate
    raise CheckpointError(
        f"{folder / PIPELINE} names {name}, which is not in {folder} nor in a folder of that repository beside it. "
        "Fetch its .json and .safetensors."
    )


def _local_encoder(folder: Path, name: str | None) -> Path | None:
    """The encoder that a pipeline names, where it lies in its folder; else the user gives one."""
    if name is None:
        return None
    path = folder / name
    return path if path.is_dir() or path.with_name(f"{path.name}.json").is_file() else None


def _sampler(about: Mapping[str, Any]) -> FlowSampler:
    name, params = about.get("name", SAMPLER), about.get("params", {})
    if name != SAMPLER:
        raise CheckpointError(f"The sampler is a {name}; known is {SAMPLER}.")
    for key in params.keys() - SAMPLER_PARAMS.keys():
        raise CheckpointError(f"The sampler's params have {key!r}; known are {', '.join(SAMPLER_PARAMS)}.")
    return FlowSampler(**{SAMPLER_PARAMS[key]: value for key, value in params.items()})


def _describe_sampler(sampler: FlowSampler) -> dict[str, Any]:
    params = {theirs: getattr(sampler, ours) for theirs, ours in SAMPLER_PARAMS.items()}
    if sampler.temperature == 1:
        del params["temperature"]
    return {"name": SAMPLER, "args": {"sigma_min": SIGMA_MIN}, "params": params}
