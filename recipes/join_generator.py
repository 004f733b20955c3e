"""python recipes/join_generator.py --structure-vae RUN --structure-flow RUN --slat-flow RUN --out FOLDER

Joins the newest networks of three trainings to one folder that `ObjectGenerator.from_pretrained` and `kyvo generate
--model FOLDER` read. `--half` writes 16-bit weights. Networks that were not trained with one another are refused.
Encoders of conditions are the structure flow's, or those in the folder that `--conditions` names.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from kyvo.errors import CheckpointError
from kyvo.files import read_json_object
from kyvo.generation.flow_sampler import FlowSampler
from kyvo.models.flow.load import ConditionEncoder, ConditionKind, load_condition
from kyvo.models.slat.load import load_network
from kyvo.pipelines.objects import ObjectGenerator
from kyvo.training.trained_with import TRAINED_WITH, newest_model, weights_hash

KINDS: tuple[ConditionKind, ...] = ("picture", "text")


def main(argv: list[str] | None = None) -> Path:
    """Writes the folder and returns it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structure-vae", type=Path, required=True)
    parser.add_argument("--structure-flow", type=Path, required=True)
    parser.add_argument("--slat-flow", type=Path, required=True)
    parser.add_argument(
        "--conditions", type=Path, metavar="FOLDER", help="of encoders that both flows were trained with"
    )
    parser.add_argument("--turn-head", type=Path, metavar="FOLDER", help="of recipes/turn_head.py, for scenes")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--half", action="store_true", help="16-bit weights")
    parser.add_argument("--steps", type=int, default=12, help="of either sampler")
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--temperature", type=float, default=1.0, help="of the structure sampler")
    parser.add_argument(
        "--picture-tries", type=int, default=1, help="samples of a picture, of which the likest is kept"
    )
    options = parser.parse_args(argv)

    vae, structure, slat = (
        newest_model(run) for run in (options.structure_vae, options.structure_flow, options.slat_flow)
    )
    check_trained_with(structure, {"structure_encoder": vae / "ss_enc"})
    given = options.conditions or structure
    own: dict[ConditionKind, Path] = {
        kind: given / f"{kind}_encoder" for kind in KINDS if (given / f"{kind}_encoder.json").is_file()
    }
    for flow in (slat,) if given == structure else (slat, structure):
        check_trained_with(flow, {str(kind): path for kind, path in own.items()})
    encoders: dict[ConditionKind, ConditionEncoder] = {kind: load_condition(kind, path) for kind, path in own.items()}
    scale = read_json_object(slat / "slat_normalization.json")
    sampler = FlowSampler(steps=options.steps, guidance=options.guidance)
    generator = ObjectGenerator(
        structure_encoder=load_network(vae / "ss_enc"),
        structure_decoder=load_network(vae / "ss_dec"),
        structure_flow=load_network(structure / "flow"),
        slat_flow=load_network(slat / "flow"),
        encoders=encoders,
        slat_mean=tuple(scale["mean"]),
        slat_std=tuple(scale["std"]),
        structure_sampler=replace(sampler, temperature=options.temperature),
        slat_sampler=sampler,
        picture_tries=options.picture_tries,
        turn_head=None if options.turn_head is None else load_network(options.turn_head / "turn_head"),
    )
    generator.save_pretrained(options.out, dtype=torch.float16 if options.half else None)
    return options.out


def check_trained_with(model: Path, networks: dict[str, Path]) -> None:
    """Raises CheckpointError where a network was trained with other weights than these."""
    known = read_json_object(model / TRAINED_WITH)
    for name, path in networks.items():
        if known.get(name) != weights_hash(path):
            raise CheckpointError(
                f"{model} was trained with another {name} than {path}. Join networks of one training, or train this "
                "one again."
            )


if __name__ == "__main__":
    print(main(), file=sys.stderr)
