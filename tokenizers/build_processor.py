"""Put a schema, a text tokenizer and an image tokenizer together: the processor folder that a recipe names.

    python tokenizers/build_processor.py --schema clevr --text kyvo/assets/mini/tokenizer.model \
        --image-tokenizer runs/image_mini --vocabulary mini --out runs/mini_processor

Without `--vocabulary`, which names a fixed layout, the vocabulary is the one that holds just these.
"""

import argparse
import sys
from pathlib import Path

from kyvo.models.heads.cube_turns import CUBE_TURNS_NAME, load_cube_turns
from kyvo.models.heads.refiner import REFINER_NAME, load_refiner
from kyvo.processor import Processor
from kyvo.scene.builtin_schemas import SCHEMAS, load_schema
from kyvo.shapes.tokenizer import ShapeTokenizer
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.programs import program_tokens
from kyvo.tokenizers.text import load_text
from kyvo.tokenizers.vocabulary import VOCABULARIES, Vocabulary


def main(argv: list[str] | None = None) -> Path:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schema", required=True, help=f"a YAML file, or one of {', '.join(SCHEMAS)}")
    parser.add_argument("--text", type=Path, required=True, help="a tokenizer.model, Llama-3's or SentencePiece's")
    parser.add_argument("--image-tokenizer", type=Path, required=True, help="a folder of tokenizers/train_image.py")
    parser.add_argument(
        "--shape-tokenizer",
        help="for a schema with shapes, which get as many codes as it gives: mini, the bundled one, or a folder of "
        "train_shape.py",
    )
    parser.add_argument("--refiner", type=Path, help="a folder of recipes/refiner.py, for a second look at pictures")
    parser.add_argument("--cube-turns", type=Path, help="a folder of recipes/cube_turns.py, for turns of cubes")
    parser.add_argument("--vocabulary", choices=sorted(VOCABULARIES), help="a fixed layout")
    parser.add_argument(
        "--two-way",
        nargs="*",
        default=["shape"],
        choices=("image", "shape"),
        help="codes that attend both ways where they go in; with none all is causal",
    )
    parser.add_argument("--programs", action="store_true", help="with ids for programs, for the task parsing")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)

    if args.programs and args.vocabulary:
        parser.error("--vocabulary names a fixed layout, which has no programs; leave it out.")
    schema = load_schema(args.schema)
    text, image = load_text(args.text), ImageTokenizer.from_pretrained(args.image_tokenizer)
    shape = None if args.shape_tokenizer is None else ShapeTokenizer.from_pretrained(args.shape_tokenizer)
    if shape is not None:
        schema = schema.with_num_codes(shape.config.num_codes)
    heads = {}
    for name, file_name, load in (
        ("refiner", REFINER_NAME, load_refiner),
        ("cube_turns", CUBE_TURNS_NAME, load_cube_turns),
    ):
        folder = getattr(args, name)
        heads[name] = None if folder is None else load(folder)
        if folder is not None and heads[name] is None:
            option = name.replace("_", "-")
            parser.error(f"--{option} {folder} has no {file_name}; recipes/{name}.py writes one.")
    vocabulary = (
        VOCABULARIES[args.vocabulary]()
        if args.vocabulary
        else Vocabulary.for_schema(
            schema,
            num_text=text.size,
            num_image_codes=image.config.n_embed,
            num_shape_codes=0 if shape is None else shape.config.n_embed,
            programs=program_tokens(schema) if args.programs else (),
        )
    )
    processor = Processor(
        vocabulary=vocabulary,
        schema=schema,
        text=text,
        image=image,
        shape=shape,
        **heads,
        two_way=tuple(args.two_way),
    )
    processor.save(args.out)
    print(f"{args.out}: {len(vocabulary):,} ids for {schema.name}")
    return args.out


if __name__ == "__main__":
    main(sys.argv[1:])
