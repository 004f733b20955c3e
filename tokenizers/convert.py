"""python tokenizers/convert.py --taming project.yaml last.ckpt --out DIR

Converts taming-transformers' published image tokenizers, once, to a folder that everything here reads: VQModel (f16,
1,024 and 16,384 codes) and GumbelVQ (f8, 8,192 codes). The checkpoint is a pickle and is read with `weights_only=True`.
"""

import argparse
from pathlib import Path

from kyvo.tokenizers.image import ImageTokenizer


def main(argv: list[str] | None = None) -> Path:
    """Converts and returns the tokenizer's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taming", type=Path, nargs=2, required=True, metavar=("YAML", "CKPT"))
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    args = parser.parse_args(argv)
    if args.out.exists():
        parser.error(f"{args.out} exists already; name another folder or remove it.")

    tokenizer = ImageTokenizer.from_taming(*args.taming)
    tokenizer.save(args.out)
    config = tokenizer.config
    print(
        f"{args.out}: {config.width}x{config.height} px -> {config.rows} x {config.columns} of {config.n_embed:,} "
        f"codes of {config.embed_dim} dimensions, quantizer {config.quantizer}"
    )
    return args.out


if __name__ == "__main__":
    main()
