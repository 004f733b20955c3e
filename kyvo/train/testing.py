"""A tiny processor and a tiny coded set on disk, for tests of training here and at users'."""

import json
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, Features, List, Value

from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_schema
from kyvo.testing import tiny_text
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.processor import Processor
from kyvo.tokenizers.vocabulary import Vocabulary
from kyvo.tokenizers.vqgan import VQGAN, VQGANConfig


def write_tiny_processor(folder: Path) -> Processor:
    """CLEVR scenes and pictures of 8x6 px as 3 rows of 4 codes out of 16."""
    torch.manual_seed(0)
    network = VQGANConfig(
        width=8, height=6, ch=32, ch_mult=(1, 1), num_res_blocks=1, attn_resolutions=(), z_channels=4, embed_dim=4,
        n_embed=16,
    )  # fmt: skip
    schema, text = clevr_schema(), tiny_text()
    processor = Processor(
        vocabulary=Vocabulary.for_schema(schema, num_text=text.size, num_image_codes=16),
        schema=schema,
        text=text,
        image=ImageTokenizer(VQGAN(network)),
    )
    processor.save(folder)
    return processor


def write_tiny_codes(folder: Path, *, count: int, seed: int = 0) -> None:
    """`count` random scenes of one to four objects with random codes."""
    rng = np.random.default_rng(seed)
    words = {field.name: field.words for field in clevr_schema().fields if field.words}

    def item() -> SceneObject:
        values = {name: str(rng.choice(options)) for name, options in words.items()}
        return SceneObject(location=tuple(rng.uniform(-2.5, 2.5, 3).tolist()), **values)  # type: ignore[arg-type]

    rows = [
        {
            "codes": rng.integers(16, size=12).tolist(),
            "scene": json.dumps(scene_to_json(Scene(objects=tuple(item() for _ in range(rng.integers(1, 5)))))),
        }
        for _ in range(count)
    ]
    features = Features({"codes": List(Value("int16")), "scene": Value("string")})
    Dataset.from_list(rows, features=features).save_to_disk(folder)
