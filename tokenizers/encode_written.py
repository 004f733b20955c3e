"""What a model writes for scenes, as vectors in the place of codes, beside the pictures that were meant.

    python tokenizers/encode_written.py --model mini --data data/clevr --limit 5000 --out data/clevr_written

A rendering is decoded from the means of codes that the model expects (`kyvo.generation.token_selection`). They lie
between codes, where no picture that goes in ever lies. `tokenizers/train_image.py --written OUT` trains a decoder on
them.
`--data` is a set with CLEVR scenes (`kyvo data clevr`). Its pictures are not taken: a prompt does not tell the camera,
so each scene is traced anew on the grid of the schema's numbers and from CLEVR's unmoved camera, under its own lamps.
Nor does it tell how cubes are turned: they are traced without a turn, as the ray tracer draws a scene that has none.
With `--turns` they are traced as they are turned, for a decoder that is told so (`turns` of an image tokenizer).
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Features, Image, List, Value
from tqdm import tqdm

from kyvo.api import Kyvo
from kyvo.data.clevr.sampling import render_scenes
from kyvo.data.dataset import open_set
from kyvo.devices import choose_device
from kyvo.files import replacing_folder
from kyvo.generation.engine import Engine
from kyvo.scene.files import scene_from_json, scene_to_json
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema, clevr_camera
from kyvo.tokenizers.tasks import Segments


def main(argv: list[str] | None = None) -> Path:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a model's folder, or the name of a bundled one")
    parser.add_argument("--data", type=Path, required=True, help="a set with CLEVR scenes")
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    parser.add_argument("--limit", type=int, help="only the first LIMIT rows")
    parser.add_argument("--batch-size", type=int, default=128, help="scenes that decode together")
    parser.add_argument("--upscale", type=int, help="sides of the pictures, in those that the model reads")
    parser.add_argument("--turns", action="store_true", help="cubes as they are turned, for a decoder that is told so")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    args = parser.parse_args(argv)
    if args.out.exists():
        parser.error(f"{args.out} exists already; name another folder or remove it.")

    kyvo = Kyvo.from_pretrained(args.model, device=choose_device(args.device))
    rows = open_set(args.data)
    rows = rows.select(range(min(args.limit or len(rows), len(rows))))
    scenes = [scene_from_json(json.loads(text), str(args.data)) for text in rows["scene"]]
    config = kyvo.processor.image.config
    size = replace(config, upscale=args.upscale or config.upscale).decoded_size
    found = written(kyvo, scenes, at_once=args.batch_size, size=size, turns=args.turns)
    pairs = Dataset.from_list(list(found), features=FEATURES)
    with replacing_folder(args.out) as draft:
        pairs.save_to_disk(draft)
    print(f"{args.out}: {len(pairs):,} pictures of {config.rows} x {config.columns} vectors")
    return args.out


FEATURES = Features({"vectors": List(Value("float16")), "image": Image(), "scene": Value("string")})


def written(
    kyvo: Kyvo, scenes: list[Scene], *, at_once: int, size: tuple[int, int], turns: bool
) -> Iterator[dict[str, Any]]:
    """A row of each scene: what comes out for it [codes * width], row-major, its picture, and the scene it shows."""
    processor = kyvo.processor
    codebook = processor.image.codebook.to(kyvo.model.device)
    model = kyvo.language_model
    model.engine = Engine(kyvo.model, position_table=model.position_table, codebook=codebook, max_sequences=at_once)
    width, height = size
    for first in tqdm(range(0, len(scenes), at_once), desc="written", unit="batch", disable=None):
        part = [quantized(scene, processor.schema, turns=turns) for scene in scenes[first : first + at_once]]
        pending = [model.submit("rendering", Segments(scene=scene)) for scene in part]
        pictures = render_scenes(part, width=width, height=height)
        for one, picture, scene in zip(pending, pictures, part, strict=True):
            vectors = processor.builder.raster(torch.stack(one.handle.result().vectors).cpu().numpy())
            shown = replace(scene, camera=clevr_camera(width, height))
            yield {"vectors": vectors.reshape(-1), "image": picture, "scene": json.dumps(scene_to_json(shown))}


def quantized(scene: Scene, schema: SceneSchema, *, turns: bool) -> Scene:
    """The scene as its tokens tell it, without its camera, and without the turns of its cubes unless `turns`; lamps, of
    which they do not tell, stay."""
    snapped = [schema.snap(replace(scene, objects=(item,)), clamp=True).objects[0] for item in scene.objects]
    told = [
        replace(item, extra={"rotation": own.turn} if turns and own.turn is not None else {})
        for item, own in zip(snapped, scene.objects, strict=True)
    ]
    return replace(scene, objects=tuple(told), camera=None)


if __name__ == "__main__":
    main()
