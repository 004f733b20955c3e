"""Tiny real models and tokenizers, for tests here and at users'."""

import json
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from datasets import Dataset, Features, List, Value
from transformers import LlamaConfig, LlamaForCausalLM

from kyvo.api import Kyvo
from kyvo.generation.exposure import Exposure
from kyvo.generation.in_domain import EVIDENCE, InDomain
from kyvo.models.heads.cube_turns import CubeTurns, CubeTurnsConfig
from kyvo.models.heads.refiner import Refiner, RefinerConfig
from kyvo.processor import Processor
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import SceneSchema
from kyvo.shapes.tokenizer import ShapeTokenizer
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.programs import program_tokens
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.text import SentencePieceText
from kyvo.tokenizers.vocabulary import Vocabulary
from kyvo.tokenizers.vqgan import VQGAN, VQGANConfig

if TYPE_CHECKING:
    from kyvo.pipelines.objects import ObjectGenerator


@cache
def tiny_text() -> SentencePieceText:
    """The bundled text tokenizer: some 400 pieces, and bytes for the rest."""
    return SentencePieceText(Path(__file__).parent / "assets" / "mini" / "tokenizer.model")


def tiny_builder(
    schema: SceneSchema | None = None,
    image_grid: tuple[int, int] = (3, 4),
    two_way: tuple[str, ...] = ("shape",),
    programs: bool = False,
) -> SequenceBuilder:
    """Sequences over 16 image codes and 32 shape codes."""
    schema = schema or clevr_schema()
    text = tiny_text()
    tokens = program_tokens(schema) if programs else ()
    vocabulary = Vocabulary.for_schema(
        schema, num_text=text.size, num_image_codes=16, num_shape_codes=32, programs=tokens
    )
    return SequenceBuilder(vocabulary=vocabulary, schema=schema, text=text, image_grid=image_grid, two_way=two_way)


def tiny_llama(vocab_size: int, *, seed: int = 0) -> LlamaForCausalLM:
    """A Llama of width 32 and two layers with random weights, large enough that its choices vary."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.5,
    )
    return LlamaForCausalLM(config).eval()


def tiny_image(*, turns: bool = False) -> ImageTokenizer:
    """A VQGAN with random weights: 24x16 px -> 3x2 of 16 codes. With `turns` its decoder heeds how cubes are turned."""
    torch.manual_seed(0)
    config = VQGANConfig(
        width=24, height=16, ch=32, ch_mult=(1, 1, 1, 1), num_res_blocks=1, attn_resolutions=(),
        z_channels=4, embed_dim=4, n_embed=16, turns=turns,
    )  # fmt: skip
    model = VQGAN(config)
    for weights in model.decoder.turns.parameters():
        torch.nn.init.normal_(weights)
    torch.nn.init.normal_(model.quantize.embedding.weight)  # so that pictures differ in their codes
    return ImageTokenizer(model)


def tiny_refiner() -> Refiner:
    """A refiner of CLEVR's objects in 24x16 px with random weights, which moves and renames what it is given."""
    torch.manual_seed(0)
    config = RefinerConfig(words=(2, 8, 2, 3), width=24, height=16, side=8, channels=(8, 8), blocks=1, dim=16, layers=1)
    refiner = Refiner(config)
    for head in (refiner.camera, refiner.moved, refiner.height):
        torch.nn.init.normal_(head.weight, std=0.02)
    return refiner.eval()


def tiny_cube_turns() -> CubeTurns:
    """Turns of cubes in 48x32 px, which are the fine pictures of `tiny_processor`, by random weights."""
    torch.manual_seed(0)
    return CubeTurns(CubeTurnsConfig(width=48, height=32, side=16, channels=(8, 8, 8), dim=16)).eval()


def tiny_processor(
    *,
    refiner: Refiner | None = None,
    schema: SceneSchema | None = None,
    programs: bool = False,
    shape: ShapeTokenizer | None = None,
    turns: bool = False,
) -> Processor:
    """CLEVR's schema, or another, the bundled text tokenizer and a random image tokenizer (`tiny_image`)."""
    schema, text = schema or clevr_schema(), tiny_text()
    vocabulary = Vocabulary.for_schema(
        schema,
        num_text=text.size,
        num_image_codes=16,
        num_shape_codes=0 if shape is None else shape.config.n_embed,
        programs=program_tokens(schema) if programs else (),
    )
    return Processor(
        vocabulary=vocabulary, schema=schema, text=text, image=tiny_image(turns=turns), refiner=refiner, shape=shape
    )


def tiny_kyvo(
    *,
    seed: int = 0,
    refiner: Refiner | None = None,
    schema: SceneSchema | None = None,
    programs: bool = False,
    exposure: Exposure | None = None,
    in_domain: InDomain | None = None,
    objects: "ObjectGenerator | Path | str" = "mini",
    shape: ShapeTokenizer | None = None,
    turns: bool = False,
    renderer: str = "model",
) -> Kyvo:
    """A whole model with random weights: what it says is nonsense, how it says it is not."""
    processor = tiny_processor(refiner=refiner, schema=schema, programs=programs, shape=shape, turns=turns)
    model = tiny_llama(len(processor.vocabulary), seed=seed)
    return Kyvo(
        model=model, processor=processor, exposure=exposure, in_domain=in_domain, objects=objects, renderer=renderer
    )


def same_score(score: float) -> InDomain:
    """An in-domain score that is the same, in (0, 1), for every picture."""
    return InDomain(weights=dict.fromkeys(EVIDENCE, 0.0), shift=math.log(score / (1 - score)))


def write_tiny_codes(folder: Path, *, count: int, seed: int = 0) -> None:
    """`count` random scenes of one to four objects with random codes of `tiny_image`, as encode.py writes them."""
    rng = np.random.default_rng(seed)
    words = {field.name: field.words for field in clevr_schema().fields if field.words}

    def item() -> SceneObject:
        values = {name: str(rng.choice(options)) for name, options in words.items()}
        return SceneObject(location=tuple(rng.uniform(-2.5, 2.5, 3).tolist()), **values)  # type: ignore[arg-type]

    rows = [
        {
            "codes": rng.integers(16, size=6).tolist(),
            "scene": json.dumps(scene_to_json(Scene(objects=tuple(item() for _ in range(rng.integers(1, 5)))))),
        }
        for _ in range(count)
    ]
    features = Features({"codes": List(Value("int16")), "scene": Value("string")})
    Dataset.from_list(rows, features=features).save_to_disk(folder)
