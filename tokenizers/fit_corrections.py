"""python tokenizers/fit_corrections.py --shape-tokenizer runs/my_shapes --data runs/my_shapes/latents_32 --out DIR

Fits residual corrections to the errors of a trained shape tokenizer (kyvo/shapes/corrections.py): codes of blocks away
from the surface then correct blocks with surface. Writes the corrected tokenizer as a new folder. Token count and
codebook stay as they are; codes of the tokenizer before mean nothing to the new one. `--data` are folders of
latents, as train_shape.py leaves them in `OUT/latents_<grid>`; some hundred objects or more, which are held in memory
(about 2 MB each). Measure on others.
"""

import argparse
import sys
from pathlib import Path

import torch

from kyvo.shapes.correction_fit import fit_corrections
from kyvo.shapes.roundtrip import check_kind
from kyvo.shapes.sets import LatentFolder
from kyvo.shapes.tokenizer import ShapeTokenizer


def main(argv: list[str] | None = None) -> Path:
    """Fits, and returns the new tokenizer's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape-tokenizer", default="mini", help="a bundled tokenizer's name, or its folder")
    parser.add_argument("--data", type=Path, required=True, nargs="+", help="folders of latents")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=4, help="corrections of a block at most")
    parser.add_argument("--iterations", type=int, default=5, help="of k-means, a round")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    tokenizer = ShapeTokenizer.from_pretrained(args.shape_tokenizer)
    check_kind(tokenizer)
    folders = [LatentFolder.of(folder, resolution=tokenizer.config.resolution) for folder in args.data]
    fitted = fit_corrections(
        tokenizer.model,
        [latent for folder in folders for latent in folder],
        rounds=args.rounds,
        iterations=args.iterations,
        generator=torch.Generator().manual_seed(args.seed),
    )
    ShapeTokenizer(fitted, dtype=tokenizer.dtype).save(args.out)
    return args.out


if __name__ == "__main__":
    print(main(), file=sys.stderr)
