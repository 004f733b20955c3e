"""python eval/object_edits.py --data data/held_out [--model mini] [--limit 64] [--seed 0]

What editing without training keeps, and how well it follows its text. `--data` is a set of `kyvo data objects` that the
generator was not trained on. Of each object a variant is made, and its upper half is made anew, both from "a COLOR
CATEGORY" with a color that the object does not have. Prints the means as JSON, with 95 % intervals.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from kyvo.data.meshes.captions import COLORS
from kyvo.evaluation.generation import JudgedObject, main_color
from kyvo.evaluation.results import mean_figure
from kyvo.models.slat.latent import StructuredLatent
from kyvo.pipelines.object_editing import box_region, edit_region, vary_details
from kyvo.pipelines.objects import ObjectError, ObjectGenerator
from kyvo.shapes.contour import extract_mesh
from kyvo.shapes.flow_data import ObjectRows
from kyvo.shapes.surfaces import surface_asset


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """An object, and what is asked of it."""

    latent: StructuredLatent
    region: Bool[Tensor, "x y z"]  # its upper half
    color: str
    text: str


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Makes the edits, prints the figures as JSON and returns them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="mini", help="a bundled generator's name, or a folder")
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    generator = ObjectGenerator.from_pretrained(args.model)
    objects = ObjectRows.open([args.data], resolution=generator.slat_flow.config.resolution)
    rng = np.random.default_rng(args.seed)
    rows: list[dict[str, bool | float]] = []
    for index in range(min(args.limit, len(objects))):
        order = drawn_order(objects, index, rng)
        rows.append({**varied(generator, order, seed=args.seed), **regenerated(generator, order, seed=args.seed)})
    figures = [mean_figure(name, [float(row[name]) for row in rows], seed=args.seed) for name in rows[0]]
    results = {figure.name: [figure.value, figure.low, figure.high] for figure in figures}
    print(json.dumps({"objects": len(rows), **results}, indent=1))
    return results


def drawn_order(objects: ObjectRows, index: int, rng: np.random.Generator) -> Order:
    """Another color for an object of the set."""
    coords, feats = objects.cells(index)
    latent = StructuredLatent(coords=coords, feats=feats, resolution=objects.resolution)
    others = [color for color in COLORS if color != shown_color(latent)]
    color = others[int(rng.integers(len(others)))]
    middle = (coords[:, 2].min() + coords[:, 2].max() + 1).item() / 2 / objects.resolution - 0.5
    region = box_region((-0.5, -0.5, middle), (0.5, 0.5, 0.5), resolution=objects.resolution)
    row: Any = objects.rows.select_columns(["category"])[index]
    return Order(latent=latent, region=region, color=color, text=f"a {color} {row['category'].replace('_', ' ')}")


def varied(generator: ObjectGenerator, order: Order, *, seed: int) -> dict[str, bool | float]:
    (made,) = vary_details(generator, order.latent, text=order.text, seed=seed)
    return {
        "variant: structure equal": torch.equal(made.slat.coords, order.latent.coords),
        "variant: color accuracy": shown_color(made.slat) == order.color,
    }


def regenerated(generator: ObjectGenerator, order: Order, *, seed: int) -> dict[str, bool | float]:
    """Of cells outside: whether their places are equal, and the largest difference of their features."""
    try:
        latent = edit_region(generator, order.latent, order.region, text=order.text, seed=seed).slat
    except ObjectError:
        latent = order.latent  # nothing was made: it does not follow its text
    before, after = (part(each, ~order.region) for each in (order.latent, latent))
    same = torch.equal(before.coords, after.coords)
    made = bool(order.region[tuple(latent.coords.T)].any())  # an empty region follows no text
    return {
        "region: places outside equal": same,
        "region: difference outside": (before.feats - after.feats).abs().max().item() if same else float("inf"),
        "region: color accuracy inside": made and shown_color(part(latent, order.region)) == order.color,
    }


def part(latent: StructuredLatent, region: Bool[Tensor, "x y z"]) -> StructuredLatent:
    """The cells in a region."""
    kept = region[tuple(latent.coords.T)]
    return StructuredLatent(coords=latent.coords[kept], feats=latent.feats[kept], resolution=latent.resolution)


def shown_color(latent: StructuredLatent) -> str:
    """The name of the color that most of the surface has."""
    mesh = surface_asset(extract_mesh(latent), name="object")
    return main_color(JudgedObject(name="object", mesh=mesh, category=None, caption=None))


if __name__ == "__main__":
    main()
