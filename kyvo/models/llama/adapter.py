"""Adapter folders: a Llama as its difference from the one of another folder, its base.

```
config.json                of the whole model
vocabulary.json            of the whole model: the base's entries, and new ones
adapter_config.json        as PEFT writes it: r, lora_alpha, and base_model_name_or_path: the base, from this folder
adapter_model.safetensors  lora_A [r, in] and lora_B [out, r] of the layers' matrices under PEFT's names; rows [n, dim]
                           of embedding and head, and row_ids [n]: the ids that are new or were trained
```
PEFT's own folders hold embedding and head whole; with some thousand image codes that is more than all else together.
LoRA: https://arxiv.org/abs/2106.09685
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from kyvo.errors import CheckpointError
from kyvo.files import read_json_object, reading
from kyvo.models.weights import read_weights
from kyvo.tokenizers.vocabulary import Vocabulary

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TABLES = ("model.embed_tokens", "lm_head")
ROW_IDS = "row_ids"


def base_folder(folder: Path) -> Path:
    """The folder of an adapter's base; of any other model the folder itself."""
    path = folder / ADAPTER_CONFIG
    if not path.is_file():
        return folder
    with reading(path):
        return folder / str(read_json_object(path)["base_model_name_or_path"])


def adapted_weights(folder: Path, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the whole model, in float32, from those of its base: W + (lora_alpha / r) lora_B lora_A.

    Raises CheckpointError where the adapter is damaged or was made for another base.
    """
    about, weights = read_json_object(folder / ADAPTER_CONFIG), read_weights(folder / ADAPTER_WEIGHTS)
    with reading(folder / ADAPTER_CONFIG):
        scale = float(about["lora_alpha"]) / float(about["r"])
    old, new = (read_vocabulary(one) for one in (base_folder(folder), folder))
    with reading(folder / ADAPTER_WEIGHTS):
        whole = {name: tensor.float() for name, tensor in base.items()}
        ids = weights.pop(ROW_IDS)
        for table in TABLES:
            rows = weights.pop(f"{table}.rows").float()
            whole[f"{table}.weight"] = placed_rows(whole[f"{table}.weight"], rows, ids, old=old, new=new)
        for name in [name for name in weights if name.endswith(".lora_A.weight")]:
            target = name.removesuffix(".lora_A.weight")
            down, up = weights.pop(name).float(), weights.pop(f"{target}.lora_B.weight").float()
            whole[f"{target}.weight"] = whole[f"{target}.weight"] + scale * (up @ down)
        if weights:
            raise CheckpointError(f"it has tensors that no adapter has: {', '.join(sorted(weights)[:4])}.")
    return whole


def placed_rows(table: Tensor, rows: Tensor, ids: Tensor, *, old: Vocabulary, new: Vocabulary) -> Tensor:
    """The table [ids, dim] of the new vocabulary: rows of the old one where its entries stand now, then those given.

    Raises CheckpointError where an old entry has no new id, or a new id no row.
    """
    if lost := [value for (kind, value) in old.entries if (kind, value) not in new.entries]:
        raise CheckpointError(f"its vocabulary lacks {len(lost)} entries of the base's, such as {lost[0]}.")
    places = torch.tensor([new.entries[entry] for entry in old.entries])
    missing = set(range(len(new))) - set(places.tolist()) - set(ids.tolist())
    if missing:
        raise CheckpointError(f"{len(missing)} ids have no row, such as {new.value(min(missing))}.")
    placed = table.new_zeros(len(new), table.shape[1])
    placed[places], placed[ids] = table, rows
    return placed


def read_vocabulary(folder: Path) -> Vocabulary:
    """Raises CheckpointError where it is damaged or missing."""
    path = folder / "vocabulary.json"
    with reading(path):
        return Vocabulary.from_dict(read_json_object(path))
