"""python tokenizers/evaluate.py --image-tokenizer DIR --data DIR [--limit N] [--out DIR]

How good an image tokenizer is on pictures it was not trained on: PSNR and SSIM of its reconstructions, how many codes
it uses and how evenly, and the most frequent code at each position, which the paper plots in its Fig. 7: where nearly
all pictures have one code, it tells nothing. `--data` is an Arrow set (column "image") or a folder of pictures.

Where the set has scenes, also how well objects are read from reconstructions: a linear reading is fitted on the codes
of one half of the pictures, and scored on the other half twice, on their codes and on those of their reconstructions,
encoded again. The second cannot be better by much; how much worse it is tells what of the objects was lost.

`--out` gets results.json, codes.png (Fig. 7) and reconstructions.png.
"""

import argparse
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import kyvo
from kyvo.data.picture_sets import is_set, load_objects, load_pictures
from kyvo.errors import ConfigError
from kyvo.export.sheet import contact_sheet
from kyvo.files import write_figure, write_picture, write_plain_json
from kyvo.metrics.images import STANDARD, psnr, ssim
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.codebook import CodeUse, code_use
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.objects import ObjectHead, ObjectMaps, fit_head
from kyvo.tokenizers.order import reorder

FEWEST = 20  # pictures, half of which the reading is fitted on
FIT_STEPS = 300
SHEET_ROWS = 6
SHEET_WIDTH = 360  # px of a picture on the sheet, at least


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measures and returns what results.json holds."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-tokenizer", type=Path, required=True, help="a folder with image_tokenizer.safetensors")
    parser.add_argument("--data", type=Path, required=True, help="a set with pictures, or a folder of pictures")
    parser.add_argument("--limit", type=int, help="take the first LIMIT pictures only")
    parser.add_argument("--out", type=Path, help="a folder for results.json and the two PNGs")
    args = parser.parse_args(argv)
    if args.limit is not None and args.limit < 1:
        parser.error("--limit must be at least 1.")

    tokenizer = ImageTokenizer.from_pretrained(args.image_tokenizer)
    config = tokenizer.config
    width, height = config.decoded_size
    pictures = load_pictures(args.data, width=width, height=height, limit=args.limit).numpy()
    codes = tokenizer.encode(pictures)
    ours = tokenizer.decode(codes)
    noise = [psnr(a, b) for a, b in zip(ours, pictures, strict=True)]
    finite = [value for value in noise if np.isfinite(value)]  # equal pictures have none
    use = code_use(codes, config.n_embed)
    grid = (config.rows, config.columns)
    results = {
        "pictures": len(pictures),
        "psnr": float(np.mean(finite)) if finite else None,  # dB
        "equal_pictures": len(noise) - len(finite),
        "ssim": float(np.mean([ssim(a, b) for a, b in zip(ours, pictures, strict=True)])),
        "codes_used": use.share_used,
        "perplexity": use.perplexity,
        "most_frequent_codes": use.most_frequent.reshape(grid).tolist(),
        "their_frequency": use.frequency.reshape(grid).tolist(),
        "objects": objects_kept(tokenizer, codes, ours, args.data),
        "protocol": {"psnr": STANDARD["psnr"], "ssim": STANDARD["ssim"], "objects": __doc__.split("\n\n")[2]},
        "command": shlex.join(["python", "tokenizers/evaluate.py", *argv]),
        "image_tokenizer": {"sha256": tokenizer.sha256, "size": [width, height], "codes": config.n_embed},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "kyvo": kyvo.__version__},
    }
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        write_plain_json(args.out / "results.json", results)
        plot_codes(args.out / "codes.png", use, rows=config.rows, columns=config.columns, num_pictures=len(pictures))
        write_picture(args.out / "reconstructions.png", reconstruction_sheet(pictures, ours, noise))
    print_results(results)
    return results


def objects_kept(tokenizer: ImageTokenizer, codes: np.ndarray, ours: np.ndarray, data: Path) -> dict[str, Any]:
    """Scores of the reading on codes of originals and of reconstructions, or {"left_out": why}."""
    if len(codes) < FEWEST:
        return {"left_out": f"{len(codes)} pictures; a reading is fitted on {FEWEST} or more."}
    if not is_set(data):
        return {"left_out": "files of pictures have no scenes; give an Arrow set."}
    try:
        schema, maps = load_objects(data, tokenizer.config, limit=len(codes))
    except ConfigError as error:
        return {"left_out": str(error)}
    half = len(codes) // 2
    vectors = vectors_of(tokenizer, codes)
    mean, spread = vectors[:half].mean((0, 2, 3), keepdim=True), vectors[:half].std((0, 2, 3), keepdim=True)
    again = vectors_of(tokenizer, tokenizer.encode(ours[half:]))
    vectors, again = ((part - mean) / (spread + 1e-6) for part in (vectors, again))
    torch.manual_seed(0)
    config = tokenizer.config
    head = ObjectHead(schema, embed_dim=config.embed_dim, rows=config.rows, columns=config.columns)
    generator = torch.Generator().manual_seed(0)
    fit_head(head, vectors[:half], maps[:half], steps=FIT_STEPS, generator=generator)
    scores: dict[str, Any] = {"fitted_on_pictures": half, "scored_on_pictures": len(codes) - half}
    for which, part in only_of_size(schema, maps[half:]).items():
        scores[which] = {
            "objects": int(part.present.sum()),
            "originals": _of_objects(head.scores(vectors[half:], part), whole=which == "all"),
            "reconstructions": _of_objects(head.scores(again, part), whole=which == "all"),
        }
    return scores


def vectors_of(tokenizer: ImageTokenizer, codes: np.ndarray) -> torch.Tensor:
    """The codes' vectors on their grid, [B, embed_dim, rows, columns]."""
    grid = torch.from_numpy(codes).unflatten(1, (tokenizer.config.rows, tokenizer.config.columns))
    return tokenizer.codebook[grid].permute(0, 3, 1, 2).float()


def only_of_size(schema: SceneSchema, maps: ObjectMaps) -> dict[str, ObjectMaps]:
    """All objects, and those of each size apart, where the schema has sizes: small ones are lost first."""
    parts = {"all": maps}
    fields = schema.word_fields
    for index, field in enumerate(fields):
        for place, word in enumerate(field.words if field.name == "size" else ()):
            parts[word] = replace(maps, present=maps.present & (maps.words[:, index] == place))
    return {name: part for name, part in parts.items() if part.present.any()}


def _of_objects(scores: dict[str, float], *, whole: bool) -> dict[str, float]:
    """Of objects of one size no F1: what else is found is right, and of another size."""
    return {name: score for name, score in scores.items() if whole or name != "object_f1"}


def plot_codes(path: Path, use: CodeUse, *, rows: int, columns: int, num_pictures: int) -> None:
    """Fig. 7: the most frequent code at each position and the share of pictures that have it there."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    grid, line = figure.subplots(1, 2)
    share = 100 * use.frequency
    image = grid.imshow(share.reshape(rows, columns), cmap="viridis", vmin=0, vmax=100)
    for place, (code, value) in enumerate(zip(use.most_frequent, share, strict=True)):
        row, column = divmod(place, columns)
        color = "black" if value > 60 else "white"
        grid.text(column, row, str(code), ha="center", va="center", fontsize=90 / columns, color=color)
    figure.colorbar(image, ax=grid, label="% of pictures", shrink=0.8)
    grid.set(title="most frequent code at each position", xlabel="column", ylabel="row")
    line.plot(share, label="row by row", linewidth=1)
    line.plot(reorder(share, rows, columns), label="from the centre out", linewidth=1)
    line.set(title=f"its share of {num_pictures:,} pictures", xlabel="place in the sequence", ylabel="%", ylim=(0, 102))
    line.legend(frameon=False)
    write_figure(path, figure, dpi=120)


def reconstruction_sheet(pictures: np.ndarray, ours: np.ndarray, noise: Sequence[float]) -> Image.Image:
    """The first originals and the worst by PSNR, each beside its reconstruction and ten times their difference."""
    shown = min(SHEET_ROWS, len(pictures))
    worst = [int(index) for index in np.argsort(noise, kind="stable") if index >= shown // 2]
    factor = max(1, -(-SHEET_WIDTH // pictures.shape[2]))

    def enlarged(picture: np.ndarray) -> Image.Image:
        return Image.fromarray(picture.repeat(factor, 0).repeat(factor, 1))

    rows = []
    for index in [*range(shown // 2), *worst[: shown - shown // 2]]:
        difference = np.abs(pictures[index].astype(int) - ours[index]) * 10
        rows.append([enlarged(picture) for picture in (pictures[index], ours[index], _bytes(difference))])
    return contact_sheet(rows, ["original (first, then worst)", "reconstruction", "difference, times 10"])


def print_results(results: dict[str, Any]) -> None:
    noise = "none, all are equal" if results["psnr"] is None else f"{results['psnr']:.2f} dB"
    print(f"pictures      {results['pictures']}")
    print(f"PSNR          {noise}")
    print(f"SSIM          {results['ssim']:.4f}")
    print(f"codes used    {100 * results['codes_used']:.1f} %")
    print(f"perplexity    {results['perplexity']:.1f}")
    frequency = np.array(results["their_frequency"])
    row, column = np.unravel_index(frequency.argmax(), frequency.shape)
    code = results["most_frequent_codes"][row][column]
    print(f"commonest     code {code} at row {row}, column {column}: {100 * frequency.max():.0f} % of pictures")
    print(f"a position's  {100 * frequency.mean():.0f} % of pictures share its most frequent code, on average")
    objects = results["objects"]
    if "left_out" in objects:
        print(f"objects       not measured: {objects['left_out']}")
        return
    for which in (name for name, part in objects.items() if isinstance(part, dict)):
        part = objects[which]
        print(f"objects read, {which} ({part['objects']}): originals -> reconstructions")
        for name, before in part["originals"].items():
            print(f"  {name:<14} {before:.3f} -> {part['reconstructions'][name]:.3f}")


def _bytes(values: np.ndarray) -> np.ndarray:
    return values.clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
