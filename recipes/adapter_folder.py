"""python recipes/adapter_folder.py --run RUN --base FOLDER --out FOLDER

Makes a model folder of the newest adapter of a LoRA training (`recipes/finetune.py` with `peft.method=lora`): what
differs from the base, in 16 bits (`kyvo.models.llama.adapter`). The training must have begun with the base's weights,
with `peft.targets` of its layers; its vocabulary may have more ids.
"""

import argparse
import os
import sys
from pathlib import Path

import torch
from torch import Tensor

from kyvo.files import copy_file, make_folder, read_json_object, write_plain_json
from kyvo.models.llama.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, ROW_IDS, TABLES, read_vocabulary
from kyvo.models.llama.fold import load_llama
from kyvo.models.weights import read_weights, write_weights
from kyvo.tokenizers.vocabulary import Vocabulary
from kyvo.training.trained_with import newest_model

PREFIX = "base_model.model."  # of PEFT
SAME = 5e-3  # of a table's largest number: the rounding of bf16


def main(argv: list[str] | None = None) -> Path:
    """Writes the folder and returns it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="the training's output folder")
    parser.add_argument("--base", type=Path, required=True, help="the model folder that it began from")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)

    trained = newest_model(options.run)
    adapter = trained.with_name("adapter")
    old, new = read_vocabulary(options.base), read_vocabulary(adapter)
    weights = read_weights(adapter / ADAPTER_WEIGHTS, prefix=PREFIX)
    base = load_llama(options.base).state_dict()
    ids = changed_ids(weights, base, old=old, new=new)
    tables = {f"{table}.rows": weights.pop(f"{table}.weight")[ids] for table in TABLES}

    make_folder(options.out)
    about = read_json_object(adapter / ADAPTER_CONFIG)
    about["base_model_name_or_path"] = os.path.relpath(options.base, options.out)
    del about["modules_to_save"]  # of which the rows are here
    write_plain_json(options.out / ADAPTER_CONFIG, about)
    for name, folder in (("config.json", trained), ("vocabulary.json", adapter)):
        copy_file(folder / name, options.out / name)
    halves = {name: tensor.half().contiguous() for name, tensor in (weights | tables).items()}
    write_weights(options.out / ADAPTER_WEIGHTS, halves | {ROW_IDS: ids})
    return options.out


def changed_ids(weights: dict[str, Tensor], base: dict[str, Tensor], *, old: Vocabulary, new: Vocabulary) -> Tensor:
    """The ids that the base has not, and those that differ from it in the embedding or in the head."""
    kept = [entry for entry in new.entries if entry in old.entries]
    ids, before = (torch.tensor([vocabulary.entries[entry] for entry in kept]) for vocabulary in (new, old))
    changed = torch.ones(len(new), dtype=torch.bool)
    changed[ids] = torch.stack(
        [differing(weights[f"{t}.weight"][ids], base[f"{t}.weight"][before]) for t in TABLES]
    ).any(0)
    return changed.nonzero()[:, 0]


def differing(rows: Tensor, others: Tensor) -> Tensor:
    """Which rows [n, dim] are not the same but for rounding."""
    return (rows.float() - others.float()).abs().amax(dim=1) > SAME * others.float().abs().max()


if __name__ == "__main__":
    print(main(), file=sys.stderr)
