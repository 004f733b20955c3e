"""A real, tiny and untrained model that writes scenes of shapes: 64 codes an object on grids of 16."""

from pathlib import Path

from tiny_shapes import tiny_tokenizer

from kyvo.api import Kyvo
from kyvo.scene.builtin_schemas import load_schema
from kyvo.scene.schema import SceneSchema
from kyvo.testing import tiny_kyvo

SCHEMA = Path(__file__).resolve().parent.parent / "configs" / "schemas" / "scene_shapes.yaml"


def tiny_scene_schema() -> SceneSchema:
    return load_schema(str(SCHEMA)).with_num_codes(64)


def tiny_scene_model(*, seed: int = 0) -> Kyvo:
    return tiny_kyvo(seed=seed, schema=tiny_scene_schema(), shape=tiny_tokenizer())
