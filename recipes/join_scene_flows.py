"""python recipes/join_scene_flows.py --objects GENERATOR --scenegen RUN --iscene RUN --out FOLDER

Joins the newest networks of trainings of scene flows to one folder that `kyvo generate scene --model FOLDER` reads.
`--half` writes 16-bit weights. Tensors that a training left as they were are not written: they are those of the
generator's structure flow, which is loaded beside it.
"""

import argparse
import sys
from pathlib import Path

from torch import Tensor, nn

from kyvo.models.slat.load import save_network
from kyvo.pipelines.objects import ObjectGenerator
from kyvo.pipelines.scene_flows import IScene, SceneGen
from kyvo.training.trained_with import newest_model

SAME = 1e-3  # of a tensor's largest number: the rounding of 16 bits


def main(argv: list[str] | None = None) -> Path:
    """Writes the folder and returns it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", required=True, help="the generator that the flows began from: a folder, or a name")
    parser.add_argument("--scenegen", type=Path, metavar="RUN")
    parser.add_argument("--iscene", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--half", action="store_true", help="16-bit weights")
    options = parser.parse_args(argv)

    objects = ObjectGenerator.from_pretrained(options.objects)
    for method, run in ((SceneGen, options.scenegen), (IScene, options.iscene)):
        if run is None:
            continue
        trained = method.from_pretrained(newest_model(run), objects=objects)  # which checks that they fit
        folder = options.out / method.name
        folder.mkdir(parents=True, exist_ok=True)
        save_network(
            trained.flow, folder / "flow", state=own_tensors(trained.flow, objects.structure_flow, options.half)
        )
        save_network(
            trained.encoder, folder / "scene_encoder", state=halved(trained.encoder.state_dict(), options.half)
        )
    return options.out


def own_tensors(flow: nn.Module, base: nn.Module, half: bool) -> dict[str, Tensor]:
    """The tensors of a flow that `base` has not, or has otherwise."""
    known = base.state_dict()
    own = {name: tensor for name, tensor in flow.state_dict().items() if not same(tensor, known.get(name))}
    return halved(own, half)


def same(tensor: Tensor, other: Tensor | None) -> bool:
    """Whether they are equal but for rounding."""
    if other is None or other.shape != tensor.shape:
        return False
    return (tensor.float() - other.float()).abs().max().item() <= SAME * other.float().abs().max().item()


def halved(state: dict[str, Tensor], half: bool) -> dict[str, Tensor]:
    return {name: tensor.half() if half and tensor.is_floating_point() else tensor for name, tensor in state.items()}


if __name__ == "__main__":
    print(main(), file=sys.stderr)
