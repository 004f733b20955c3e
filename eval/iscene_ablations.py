"""Whether two parts of I-Scene help: scene-context attention, and axes that follow the camera.

    python eval/iscene_ablations.py --config configs/flow/iscene_mini.yaml --init STRUCTURE_FLOW --data data/scenes \\
      --held-out data/scenes_test --steps 1000 --out OUT

A small I-Scene (https://arxiv.org/abs/2512.13683) is trained as it is, and twice more with one part taken away. The
three see the same scenes in the same order, with the same noise. `--set` changes the config.

- Without scene-context attention an instance sees itself and its picture alone.
- Without view-centric axes each scene is turned about the vertical by quarters, which its picture does not tell.

The figure is the flow matching loss of the instances of held-out scenes, a mean over TIMES, with intervals over the
scenes; and by how much the loss of the same scene grows without a part. OUT gets `results.json`, and a folder of each
training, which is gone on with where it was stopped.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from kyvo.recipes.flow import SECTIONS, Trainer
from torch import Tensor
from tqdm import tqdm

from kyvo.data.configs import from_section
from kyvo.devices import choose_device
from kyvo.errors import ConfigError
from kyvo.evaluation.provenance import checkout_commit, machine
from kyvo.evaluation.results import Figure, Results, mean_figure, program_versions, save_results
from kyvo.models.flow.block import FlowModel
from kyvo.models.flow.iscene import ISceneFlowModel
from kyvo.models.flow.path import add_noise, velocity_target
from kyvo.shapes.flow_args import FlowArgs
from kyvo.shapes.scene_flow_data import SceneItems, SceneRows
from kyvo.shapes.scene_objective import SceneObjective
from kyvo.training.distributed import Ranks
from kyvo.training.head_trainer import sections_of

TIMES = (0.3, 0.6, 0.9)  # of the flow, where held-out scenes are measured; 1 is noise


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What a training has of I-Scene."""

    name: str
    scene_context: bool = True
    view_axes: bool = True


ARMS = (
    Arm(name="as published"),
    Arm(name="without scene-context attention", scene_context=False),
    Arm(name="without view-centric axes", view_axes=False),
)


class Alone(ISceneFlowModel):
    """Every item sees itself alone."""

    def forward(self, x: Tensor, t: Tensor, context: Tensor, scene_of: Int[Tensor, " items"]) -> Tensor:  # type: ignore[override]
        return super().forward(x, t, context, torch.arange(len(scene_of), device=scene_of.device))


class TurnedRows(SceneRows):
    """Each scene is turned about the vertical by a number of quarters that is always the same."""

    def instances(self, indices: Sequence[int], *, crop_size: int, picture_size: int) -> SceneItems:
        items = super().instances(indices, crop_size=crop_size, picture_size=picture_size)
        quarters = [int(np.random.default_rng([index]).integers(4)) for index in indices]
        first, scene = items.scene_of.unique(return_inverse=True)
        assert len(first) == len(quarters)
        turned = [grid.rot90(quarters[which], dims=(1, 2)) for grid, which in zip(items.occupancy, scene, strict=True)]
        return replace(items, occupancy=torch.stack(turned))


class ArmTrainer(Trainer):
    """The flow recipe's training of an arm."""

    def __init__(self, arm: Arm, *args: Any, **settings: Any) -> None:
        self.arm = arm
        super().__init__(*args, **settings)

    def _build_model(self, section: Mapping[str, Any]) -> FlowModel:
        model = super()._build_model(section)
        if not isinstance(model, ISceneFlowModel):
            raise ConfigError(f"model.name is {section.get('name')!r}; the parts are those of ISceneFlowModel.")
        if self.arm.scene_context:
            return model
        alone = Alone(model.config)
        alone.load_state_dict(model.state_dict())
        return alone.float()

    def _scenes(self) -> SceneObjective:
        objective = super()._scenes()
        return replace(objective, rows=arm_rows(self.arm, objective.rows))


def arm_rows(arm: Arm, rows: SceneRows) -> SceneRows:
    return rows if arm.view_axes else TurnedRows(rows=rows.rows, resolution=rows.resolution)


def main(argv: list[str] | None = None) -> Results:
    """Trains what is not yet trained, measures, and returns the results."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--init", type=Path, required=True, metavar="NETWORK", help="an object's structure flow")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="SETTING", help="as train.batch_size=16")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)

    config = sections_of(options, known=SECTIONS)
    args = replace(from_section(FlowArgs, config["train"], prefix="train."), steps=options.steps, seed=options.seed)
    losses: dict[str, np.ndarray] = {}
    ranks = Ranks.join(choose_device(args.device))
    try:
        for arm in ARMS:
            out = options.out / arm.name.replace(" ", "_")
            trainer = ArmTrainer(arm, config, args, options.data, out=out, ranks=ranks)
            trainer.start(init=options.init, resume=(out / "latest").exists())
            trainer.run()
            assert trainer.scenes is not None
            held_out = SceneRows.open([options.held_out], resolution=trainer.scenes.rows.resolution)
            objective = replace(trainer.scenes, rows=arm_rows(arm, held_out))
            losses[arm.name] = held_out_losses(trainer.model, objective, seed=options.seed, title=arm.name)
    finally:
        ranks.leave()
    results = Results(
        kind="ablations of I-Scene",
        protocol={"times": list(TIMES), "steps": options.steps, "seed": options.seed, "batch_size": args.batch_size},
        figures=figures(losses, seed=options.seed),
        versions={
            **program_versions(),
            "torch": torch.__version__,
            "commit": str(checkout_commit(Path(__file__).parent)),
            **{key: str(value) for key, value in machine().items()},
        },
        inputs={
            "set": [folder.name for folder in options.data],
            "held out": options.held_out.name,
            "command": shlex.join(["python", "eval/iscene_ablations.py", *argv]),
        },
        items=[
            {"scene": index, **{name: float(own[index]) for name, own in losses.items()}}
            for index in range(len(losses[ARMS[0].name]))
        ],
    )
    save_results(results, options.out / "results.json")
    for figure in results.figures:
        print(json.dumps({"figure": figure.name, "value": figure.value, "low": figure.low, "high": figure.high}))
    return results


@torch.inference_mode()
def held_out_losses(
    model: FlowModel, objective: SceneObjective, *, seed: int, title: str
) -> Float[np.ndarray, " scenes"]:
    """The flow matching loss of each scene's instances, a mean over TIMES; noise is the same for every arm."""
    model.eval()
    size = objective.encoders["picture"].picture_size
    losses = []
    for index in tqdm(range(len(objective.rows)), desc=title, unit="scene", disable=None):
        items = objective.rows.instances([index], crop_size=size, picture_size=size)
        data, contexts = objective.latents(items), objective.contexts(items)
        noise = torch.randn(data.shape, generator=torch.Generator().manual_seed(seed + index)).to(data)
        target = velocity_target(data, noise)
        errors = []
        for t in TIMES:
            times = data.new_full((len(data),), t)
            noisy = add_noise(data, noise, times[:, None, None, None, None])
            found = objective.said(model, items, contexts, noisy, times)
            assert isinstance(found, Tensor)  # I-Scene says velocities alone
            errors.append((found - target)[1:].square().mean().item())  # the first is the scene
        losses.append(float(np.mean(errors)))
    return np.array(losses)


def figures(losses: Mapping[str, np.ndarray], *, seed: int) -> list[Figure]:
    published, *others = (arm.name for arm in ARMS)
    found = [mean_figure(f"loss, {name}", own, seed=seed) for name, own in losses.items()]
    grown = [mean_figure(f"growth {name}", losses[name] - losses[published], seed=seed) for name in others]
    return [*found, *grown]


if __name__ == "__main__":
    main()
