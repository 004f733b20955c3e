"""Turn a set of pictures and scenes into image codes and scenes: tokens are computed once, then trained on.

    python tokenizers/encode.py --data data/clevr --image-tokenizer runs/image_mini --out data/clevr_codes

Reads what `kyvo data` writes, or a folder of pictures with scene JSONs of the same stem; each picture's column, `image`
or `target_image`, becomes one of its image codes, row-major: `codes` or `target_codes`. Other columns stay. With
`--augment` a picture's codes are there once more, `seen_codes`, as another camera would have taken it
(`kyvo.data.clevr.augment`): those go in, and the plain ones come out. With `--shape-tokenizer` each object
of an ObjaWorld scene gets the codes of its asset's mesh, and each of a set of `kyvo data scenes` those of its own
cells; of such a set pictures and scenes alone are kept, in the frame of `kyvo.shapes.scene_tokens`.
Workers are processes; on a CPU several of them with OMP_NUM_THREADS=1 are fastest.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, Features, Image, List, Value

from kyvo.data.clevr.augment import SEEN, augment
from kyvo.data.dataset import open_set, scene_cell
from kyvo.data.imports import FolderSet
from kyvo.data.meshes.assets import load_library
from kyvo.data.meshes.procedural import procedural_library
from kyvo.devices import choose_device
from kyvo.errors import ConfigError
from kyvo.files import replacing_folder, write_plain_json
from kyvo.scene.files import scene_from_json
from kyvo.shapes.scene_codes import library_codes, with_shapes
from kyvo.shapes.scene_flow_data import SceneRows
from kyvo.shapes.scene_tokens import row_codes, token_scene
from kyvo.shapes.tokenizer import ShapeTokenizer
from kyvo.tokenizers.image import ImageTokenizer


def main(argv: list[str] | None = None) -> Path:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a set with pictures, or a folder of files")
    parser.add_argument("--schema", default="clevr", help="of a folder's scenes: a name or a YAML file")
    parser.add_argument("--image-tokenizer", type=Path, required=True, help="a folder with image_tokenizer.safetensors")
    parser.add_argument("--shape-tokenizer", help="mini, the bundled one, or a folder of train_shape.py")
    parser.add_argument("--assets", type=Path, help="the scenes' assets; by default Kyvo's own")
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--limit", type=int, help="only the first LIMIT rows of a set")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--augment", type=int, metavar="SEED", help="code pictures also as other cameras would have taken them"
    )
    parser.add_argument(
        "--bf16", action="store_true", help="faster where the CPU multiplies in bf16; codes near a tie may differ"
    )
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    args = parser.parse_args(argv)
    if args.out.exists():
        parser.error(f"{args.out} exists already; name another folder or remove it.")

    device = choose_device(args.device)
    tokenizer = ImageTokenizer.from_pretrained(args.image_tokenizer)

    source = open_set(args.data) if any(args.data.glob("*.arrow")) else _read_folder(args.data, args.schema)
    source = source.select(range(min(args.limit or len(source), len(source))))
    shape = None if args.shape_tokenizer is None else ShapeTokenizer.from_pretrained(args.shape_tokenizer)
    if shape is not None:
        if "scene_cells" in source.column_names:
            source = _code_cells(source, shape, args.data, workers=args.workers)
        else:
            source = _add_shapes(source, shape, args.assets)
    pictures = [name for name, feature in source.features.items() if isinstance(feature, Image)]
    codes = {name: name.replace("image", "codes") for name in pictures}

    augmented = "image" in pictures and args.augment is not None

    def encode(batch: dict[str, list], rows: list[int]) -> dict[str, list]:
        images = {codes[name]: batch[name] for name in pictures}
        if augmented:
            chances = (np.random.default_rng([args.augment, row]) for row in rows)
            images[SEEN] = [
                augment(np.asarray(image.convert("RGB")), rng)
                for image, rng in zip(batch["image"], chances, strict=True)
            ]
        tokenizer.model.to(device)  # in the worker: a process that has begun with CUDA cannot be forked
        with torch.autocast(device, torch.bfloat16, enabled=args.bf16):
            return {name: tokenizer.encode(of_column).tolist() for name, of_column in images.items()}

    kept = {name: feature for name, feature in source.features.items() if name not in pictures}
    written = [*codes.values(), *([SEEN] if augmented else [])]
    features = Features({**kept, **{name: List(Value("int16")) for name in written}})
    coded = source.map(
        encode,
        batched=True,
        with_indices=True,
        batch_size=args.batch_size,
        num_proc=args.workers if args.workers > 1 else None,
        remove_columns=pictures,
        features=features,
        load_from_cache_file=False,
        desc="encode",
    )
    card = {
        "made_by": "tokenizers/encode.py",
        "count": len(coded),
        "augment": args.augment,
        "image_tokenizer": tokenizer.about,
        "data": _card(args.data),
    }
    if shape is not None:
        card["shape_tokenizer"] = shape.about
    with replacing_folder(args.out) as draft:
        coded.save_to_disk(draft)
        write_plain_json(draft / "card.json", card)
    print(f"{args.out}: {len(coded):,} samples of {tokenizer.config.rows} x {tokenizer.config.columns} codes")
    return args.out


def _read_folder(folder: Path, schema: str) -> Dataset:
    """The good pairs of a folder. `kyvo data validate` tells of the others; here they are counted."""
    settings = FolderSet.of(folder, schema)
    rows = list(settings.rows(range(settings.count)))
    if len(rows) < settings.count:
        left_out = settings.count - len(rows)
        print(f"{folder}: {left_out} of {settings.count} stems have faults; kyvo data validate {folder} names them")
    if not rows:
        raise ConfigError(f"{folder} has no good pair of a picture and its scene; see kyvo data validate {folder}.")
    return Dataset.from_list(rows, features=settings.features)


def _add_shapes(source: Dataset, tokenizer: ShapeTokenizer, assets: Path | None) -> Dataset:
    """The set with its scenes' shapes; each asset is encoded once."""
    library = procedural_library() if assets is None else load_library(assets)
    scenes = (scene_from_json(json.loads(text)) for text in source["scene"])
    used = {item.extra.get("asset") for scene in scenes for item in scene.objects}
    codes = library_codes(library, sorted(map(str, used)), tokenizer)
    return source.map(
        lambda row: {"scene": scene_cell(with_shapes(scene_from_json(json.loads(row["scene"])), library, codes))},
        load_from_cache_file=False,
        desc="shapes",
    )


def _code_cells(source: Dataset, tokenizer: ShapeTokenizer, folder: Path, *, workers: int) -> Dataset:
    """A set of `kyvo data scenes` with its pictures, and its scenes with the codes of their objects' cells."""
    rows = replace(SceneRows.open([folder], resolution=tokenizer.config.resolution), rows=source)

    def coded(_row: dict, index: int) -> dict[str, str]:
        row = rows[index]
        return {"scene": scene_cell(token_scene(row, row_codes(row, tokenizer)))}

    others = [name for name in source.column_names if name not in ("image", "scene")]
    return source.map(
        coded,
        with_indices=True,
        remove_columns=others,
        num_proc=workers if workers > 1 else None,
        load_from_cache_file=False,
        desc="shapes",
    )


def _card(folder: Path) -> dict | None:
    """The data card of the source, where it has one: how the pictures were made."""
    path = folder / "card.json"
    return json.loads(path.read_text()) if path.is_file() else None


if __name__ == "__main__":
    main(sys.argv[1:])
