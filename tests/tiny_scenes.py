"""Scene flows with random weights for the tiny generator of objects (`tiny_generators`), and a set of small scenes."""

from pathlib import Path

import yaml
from tiny_generators import COND, FLOW, SIDE, random
from torch import nn

from kyvo.data.dataset import write_set
from kyvo.shapes.scene_sets import SceneSet

STRUCTURE = {**FLOW, "resolution": 4, "in_channels": 3, "out_channels": 3}
SCENEGEN = {
    "name": "SceneGenFlowModel",
    "args": {**STRUCTURE, "scene_channels": COND, "num_registers": 2, "num_head_blocks": 1},
}
ISCENE = {"name": "ISceneFlowModel", "args": STRUCTURE}
ENCODER = {"name": "SceneEncoder", "args": {"channels": COND, "num_blocks": 1, "picture_size": 32, "patch_size": 8}}


def tiny_flow(method: str, **changes) -> nn.Module:
    """A flow whose output depends on all that goes in; `changes` are of its arguments."""
    about = {"scenegen": SCENEGEN, "iscene": ISCENE}[method]
    return random({**about, "args": {**about["args"], **changes}}, std=0.1)


def write_scenes(folder: Path, *, count: int = 3, seed: int = 0, max_objects: int = 3) -> Path:
    """A set on the tiny generator's grid."""
    write_set(folder, SceneSet(count=count, seed=seed, resolution=SIDE, size=64, max_objects=max_objects))
    return folder


def write_config(folder: Path, objects: Path, model: dict, **train) -> Path:
    """Of a short training of a scene flow beside a generator whose networks are in `objects`."""
    config = {
        "model": model,
        "conditions": {"picture": str(objects / "picture_encoder"), "scene": ENCODER},
        "structure_encoder": str(objects / "structure_encoder"),
        "train": {"steps": 4, "batch_size": 4, "learning_rate": 1e-3, "report_every": 1, "checkpoint_every": 2} | train,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
