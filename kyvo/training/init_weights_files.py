"""Files of initial weights: those of Llama-3.2, of a released Kyvo checkpoint, of a run or a model of ours.

| form | is |
|---|---|
| Meta | `consolidated.00.pth`, alone or in its folder |
| Hugging Face | a Llama folder: `config.json`, `model*.safetensors` |
| released | `meta_model_<epoch>.pt` of the code that came with the paper |
| folded | a model folder of ours, such as `step_000500/model` |
| run | a training's output folder, or its `state.pt` |
| converted | what `kyvo model convert` wrote |

All are read into our names; `kyvo.training.init_weights` puts them into a model.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from kyvo.deprecated import CHECKPOINT_KEYS, current_names
from kyvo.errors import CheckpointError
from kyvo.files import read_json_object, replacing_folder, write_plain_json
from kyvo.models.llama.fold import POSITIONS_NAME, unfold_layers
from kyvo.models.llama.presets import SIZES, DecoderSize
from kyvo.models.weights import read_weights, write_weights
from kyvo.tokenizers.vocabulary import Vocabulary
from kyvo.training.checkpoint import load_checkpoint

CONVERTED = "start.safetensors"

# Names of what is no weight of ours but says some: solved for when a model takes it.
NUMBER_ROWS = "number_rows"  # learned row + wave of each number
CODE_ROWS = "code_rows"  # projected codes, image then shape
HEAD_TEXT = "head_text"  # text rows of the head
HEAD_ROWS = "head_rows"  # all of them
TABLE_ROWS = "table_rows"  # all rows of a folded embedding
POSITIONS = "positions"  # row + column of each place

_META = {
    "attention.wq": "attn.q_proj.weight",
    "attention.wk": "attn.k_proj.weight",
    "attention.wv": "attn.v_proj.weight",
    "attention.wo": "attn.output_proj.weight",
    "attention_norm": "sa_norm.scale",
    "ffn_norm": "mlp_norm.scale",
    "feed_forward.w1": "mlp.w1.weight",
    "feed_forward.w2": "mlp.w2.weight",
    "feed_forward.w3": "mlp.w3.weight",
}
_RELEASED = {
    "token_embedding": "tok_embeddings.text.weight",
    "added_embedding": "tok_embeddings.markers.weight",
    "vqgan_codebook": "tok_embeddings.image.codebook",
    "vqgan_embed_proj": "tok_embeddings.image.projection.weight",
}


@dataclass(frozen=True, kw_only=True)
class InitWeights:
    """Weights under our names, and where each came from."""

    form: str
    weights: dict[str, Tensor]
    sources: dict[str, str]  # ours -> theirs
    auxiliary: dict[str, Tensor] | None = None  # of a run that reads: `kyvo.training.auxiliary_heads`
    ignored: tuple[str, ...] = ()
    vocabulary: Vocabulary | None = None  # of a folded model: what its rows stand for

    def lines(self) -> list[str]:
        """What was mapped, one line a weight; layers after the first are only counted."""
        layers = {int(match[1]) for name in self.weights if (match := re.match(r"layers\.(\d+)\.", name))}
        shown = [name for name in self.weights if not re.match(r"layers\.[1-9]", name)]
        lines = [f"{self.sources[name]:<52} -> {name} {list(self.weights[name].shape)}" for name in shown]
        if layers:
            lines.append(f"... and the same of layers 1 to {max(layers)}")
        return lines + [f"{name:<52} is not used" for name in self.ignored]


def read_init_weights(path: Path, *, size: DecoderSize) -> InitWeights:
    """Reads any of the forms above.

    Raises:
        CheckpointError: it is none of them, does not read, or is of another `size`.
    """
    if (path / "latest").is_file():
        state = load_checkpoint(path)
        assert state is not None  # which is for a folder without `latest`
        return _run(state, path)
    if (path / CONVERTED).is_file():
        return _converted(path)
    if (path / "config.json").is_file():
        return _hugging_face(path, size)
    if (path / "consolidated.00.pth").is_file():
        path = path / "consolidated.00.pth"
    if path.name.startswith("consolidated.") and path.with_name("consolidated.01.pth").is_file():
        raise CheckpointError(f"{path} is one of several parts; Llama-3.2's 1B and 3B have one, consolidated.00.pth.")
    if not path.is_file():
        raise CheckpointError(
            f"{path} holds no initial weights: neither a file, nor a folder with a file `latest` (a run), config.json "
            f"(a model of Hugging Face or ours), consolidated.00.pth (Meta) or {CONVERTED} (kyvo model convert)."
        )
    weights = _load(path)
    if "model" in weights and "step" in weights:
        return _run(weights, path)
    if "tok_embeddings.token_embedding.weight" in weights:
        init = _released(weights, path)
    elif "tok_embeddings.weight" in weights:
        init = _meta(weights, path, size)
    else:
        names = ", ".join(list(weights)[:4])
        raise CheckpointError(f"{path} is neither Meta's Llama nor a released Kyvo checkpoint; it begins with {names}.")
    check_layers(init.weights, size=size, where=str(path))
    return init


def save_converted(folder: Path, init: InitWeights, *, source: Path) -> None:
    """Writes what `read_init_weights` reads faster. Raises CheckpointError where the folder exists."""
    if folder.exists():
        raise CheckpointError(f"{folder} exists already; name another folder or remove it.")
    weights = {name: tensor.contiguous().clone() for name, tensor in init.weights.items()}
    about: dict[str, Any] = {"form": init.form, "source": source.name, "sources": init.sources}
    if init.vocabulary is not None:
        about["vocabulary"] = init.vocabulary.to_dict()
    with replacing_folder(folder) as draft:
        write_weights(draft / CONVERTED, weights)
        write_plain_json(draft / "start.json", about)


def check_layers(weights: Mapping[str, Tensor], *, size: DecoderSize, where: str) -> None:
    """Raises CheckpointError where layers and norms are not those of a decoder of `size`."""
    wide, narrow, inner = size.num_heads * size.head_dim, size.num_kv_heads * size.head_dim, size.ffn_dim
    shapes: dict[str, tuple[int, ...]] = {
        "attn.q_proj.weight": (wide, size.dim),
        "attn.k_proj.weight": (narrow, size.dim),
        "attn.v_proj.weight": (narrow, size.dim),
        "attn.output_proj.weight": (size.dim, wide),
        "mlp.w1.weight": (inner, size.dim),
        "mlp.w2.weight": (size.dim, inner),
        "mlp.w3.weight": (inner, size.dim),
        "sa_norm.scale": (size.dim,),
        "mlp_norm.scale": (size.dim,),
    }
    expected = {f"layers.{number}.{name}": shape for number in range(size.num_layers) for name, shape in shapes.items()}
    expected["norm.scale"] = (size.dim,)
    found = {name: tuple(tensor.shape) for name, tensor in weights.items() if name.startswith(("layers.", "norm."))}
    faults = [f"{name} is missing" for name in expected if name not in found]
    faults += [f"{name} is unknown" for name in found if name not in expected]
    faults += [
        f"{name} is {list(found[name])}, the size has {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if faults:
        raise CheckpointError(
            f"{where} does not fit the model's size: {first_faults(faults)}. Known sizes are {', '.join(SIZES)}."
        )


def _meta(weights: Mapping[str, Tensor], path: Path, size: DecoderSize) -> InitWeights:
    params = path.with_name("params.json")
    if params.is_file():
        found = read_json_object(params)
        _check_figures(
            {"n_heads": size.num_heads, "n_kv_heads": size.num_kv_heads, "rope_theta": size.rope_base}, found, params
        )
    ours, sources, ignored = _meta_layers(weights)
    text = "tok_embeddings.text.weight"
    ours[text], sources[text] = weights["tok_embeddings.weight"], "tok_embeddings.weight"
    tied = "output.weight" not in weights
    sources[HEAD_TEXT] = "tok_embeddings.weight (tied)" if tied else "output.weight"
    ours[HEAD_TEXT] = ours[text] if tied else weights["output.weight"]
    unknown = [
        name for name in ignored if name != "rope.freqs" and name not in ("tok_embeddings.weight", "output.weight")
    ]
    _refuse(unknown, path, "Meta's Llama")
    return InitWeights(
        form="meta", weights=ours, sources=sources, ignored=("rope.freqs",) if "rope.freqs" in ignored else ()
    )


def _released(weights: Mapping[str, Tensor], path: Path) -> InitWeights:
    """The released layout: a static wave is added to learned numbers as here, at another scale, so only sums count."""
    ours, sources, rest = _meta_layers(weights)
    if any(name.startswith("tok_embeddings.vqgan_embed_proj.0") for name in rest):
        raise CheckpointError(f"{path} projects image codes through an MLP (vqgan_embed_proj.0, .2); ours is linear.")
    for theirs, name in _RELEASED.items():
        source = f"tok_embeddings.{theirs}.weight"
        if source not in weights:
            raise CheckpointError(f"{path} has no {source}; a released Kyvo checkpoint has.")
        ours[name], sources[name] = weights[source], source
    learned, static = (
        weights.get(f"tok_embeddings.{name}.weight") for name in ("numbers_embedding", "static_sin_cos_embedding")
    )
    rows = [table.float() for table in (learned, static) if table is not None]
    if not rows:
        raise CheckpointError(f"{path} has neither numbers_embedding nor static_sin_cos_embedding.")
    ours[NUMBER_ROWS] = sum(rows[1:], rows[0])
    sources[NUMBER_ROWS] = "numbers_embedding + static_sin_cos_embedding"
    if "output.weight" not in weights:
        raise CheckpointError(f"{path} has no output.weight; a released Kyvo checkpoint has.")
    ours[HEAD_ROWS], sources[HEAD_ROWS] = weights["output.weight"], "output.weight"
    used = {f"tok_embeddings.{name}.weight" for name in (*_RELEASED, "numbers_embedding", "static_sin_cos_embedding")}
    _refuse([name for name in rest if name not in used | {"output.weight", "rope.freqs"}], path, "a released Kyvo")
    return InitWeights(form="released", weights=ours, sources=sources)


def _meta_layers(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    """Layers and norm under our names, their sources, and the names of all else."""
    ours, sources, rest = {}, {}, []
    for theirs, tensor in weights.items():
        match = re.fullmatch(r"layers\.(\d+)\.(.+)\.weight", theirs)
        name = "norm.scale" if theirs == "norm.weight" else None
        if match and match[2] in _META:
            name = f"layers.{match[1]}.{_META[match[2]]}"
        if name is None:
            rest.append(theirs)
        else:
            ours[name], sources[name] = tensor, theirs
    return ours, sources, rest


def _hugging_face(folder: Path, size: DecoderSize) -> InitWeights:
    config = read_json_object(folder / "config.json")
    figures = {
        "hidden_size": size.dim,
        "num_hidden_layers": size.num_layers,
        "num_attention_heads": size.num_heads,
        "num_key_value_heads": size.num_kv_heads,
        "intermediate_size": size.ffn_dim,
        "rope_theta": size.rope_base,
    }
    theta = (config.get("rope_parameters") or {}).get("rope_theta", config.get("rope_theta"))
    _check_figures(figures, {**config, "rope_theta": theta}, folder / "config.json")
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder} has a config.json, but no model*.safetensors.")
    weights: dict[str, Tensor] = {}
    for file in files:
        weights |= read_weights(file)
    table = weights.pop("model.embed_tokens.weight", None)
    if table is None:
        raise CheckpointError(f"{folder} has no model.embed_tokens.weight.")
    head = weights.pop("lm_head.weight", table)
    ours = unfold_layers(weights, size=size)
    sources = dict(zip(ours, weights, strict=True))
    _refuse([name for name in ours if not name.startswith(("layers.", "norm."))], folder, "a Llama")
    text = "tok_embeddings.text.weight"
    if not (folder / "vocabulary.json").is_file():
        ours |= {text: table, HEAD_TEXT: head}
        sources |= {text: "model.embed_tokens.weight", HEAD_TEXT: "lm_head.weight" if head is not table else "tied"}
        form = "hugging_face"
        vocabulary = None
    else:
        vocabulary = Vocabulary.from_dict(read_json_object(folder / "vocabulary.json"))
        if len(table) != len(vocabulary):
            raise CheckpointError(
                f"the folded embedding has {len(table)} rows, its vocabulary.json {len(vocabulary)} ids."
            )
        ours |= {TABLE_ROWS: table, HEAD_ROWS: head}
        if (folder / POSITIONS_NAME).is_file():
            ours[POSITIONS] = read_weights(folder / POSITIONS_NAME)["positions"]
        sources |= {TABLE_ROWS: "model.embed_tokens.weight", HEAD_ROWS: "lm_head.weight", POSITIONS: POSITIONS_NAME}
        form = "folded"
    check_layers(ours, size=size, where=str(folder))
    return InitWeights(form=form, weights=ours, sources=sources, vocabulary=vocabulary)


def _run(state: Mapping[str, Any], path: Path) -> InitWeights:
    state = current_names(state, CHECKPOINT_KEYS)
    weights = state["model"]
    if state.get("peft") is not None:
        raise CheckpointError(
            f"{path} is a training of adapters, which has no layers of its own. Start from the merged model beside its "
            "checkpoint, step_<step>/model."
        )
    return InitWeights(
        form="run", weights=dict(weights), sources={name: name for name in weights}, auxiliary=state.get("auxiliary")
    )


def _converted(folder: Path) -> InitWeights:
    about = read_json_object(folder / "start.json")
    return InitWeights(
        form=about["form"],
        weights=read_weights(folder / CONVERTED),
        sources=about["sources"],
        vocabulary=Vocabulary.from_dict(about["vocabulary"]) if "vocabulary" in about else None,
    )


def _load(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        return read_weights(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        raise CheckpointError(f"{path}: holds more than tensors and plain values; it is not read.") from error
    except Exception as error:  # an unpickler raises anything on a damaged file
        raise CheckpointError(f"{path}: cannot be read ({error}).") from error


def _check_figures(expected: Mapping[str, float], found: Mapping[str, Any], path: Path) -> None:
    faults = [
        f"{name} {found[name]:g}, the size has {value:g}"
        for name, value in expected.items()
        if found.get(name) is not None and found[name] != value
    ]
    if faults:
        raise CheckpointError(f"{path} does not fit the model's size: {'; '.join(faults)}.")


def _refuse(names: list[str], path: Path, kind: str) -> None:
    if names:
        raise CheckpointError(f"{path} has {len(names)} weights that {kind} has not: {', '.join(names[:8])}.")


def first_faults(faults: list[str]) -> str:
    """The first faults of a list, and how many more there are."""
    return "; ".join(faults[:8]) + (f"; and {len(faults) - 8} more" if len(faults) > 8 else "")
