"""Turn a folder of meshes into shape codes, with what was lost beside each: codes are computed once, then trained on.

    python tokenizers/encode_shapes.py --data meshes --shape-tokenizer mini --out data/shape_codes

Reads GLB, glTF, OBJ and PLY, or `.npz` of latents, and writes an Arrow set: `name` (the file's place in the folder),
`codes`, `chamfer` and `f_score` (at 0.05) of the decoded surface against the file's, and `cells_chamfer` and
`cells_f_score` of the surface as it was before the codes. Of latents there is only the former, against the latent. A
file that is no good is named and left out; the card lists it, and the program ends with 1.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, List, Value

from kyvo.errors import ConfigError, KyvoError
from kyvo.files import replacing_folder, write_plain_json
from kyvo.metrics.geometry import compare_clouds
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.mesh import load_shape
from kyvo.shapes.scores import TAU, latent_cloud, triangle_cloud
from kyvo.shapes.sets import mesh_paths
from kyvo.shapes.tokenizer import ShapeTokenizer

SCORES = ("chamfer", "f_score", "cells_chamfer", "cells_f_score")


def main(argv: list[str] | None = None) -> Path:
    """Writes the set and returns its folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of meshes or of latents")
    parser.add_argument("--shape-tokenizer", default="mini", help="the bundled one, or a folder of train_shape.py")
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    args = parser.parse_args(argv)
    if args.out.exists():
        parser.error(f"{args.out} exists already; name another folder or remove it.")

    encoder = Encoder(args.data, ShapeTokenizer.from_pretrained(args.shape_tokenizer))
    rows = list(encoder.rows())
    if not rows:
        raise ConfigError(f"None of the {len(encoder.paths)} files of {args.data} could be encoded; see above.")
    numbers = {name: Value("float32") for name in SCORES}
    features = Features({"name": Value("string"), "codes": List(Value("int16")), **numbers})
    card = {
        "made_by": "tokenizers/encode_shapes.py",
        "count": len(rows),
        "left_out": encoder.faults,
        "shape_tokenizer": encoder.tokenizer.about,
    }
    with replacing_folder(args.out) as draft:
        Dataset.from_list(rows, features=features).save_to_disk(draft)
        write_plain_json(draft / "card.json", card)
    mean = sum(row["f_score"] for row in rows) / len(rows)
    print(f"{args.out}: {len(rows):,} objects of {encoder.tokenizer.config.num_codes} codes, F-score {mean:.3f}")
    return args.out


@dataclass
class Encoder:
    """The files of a folder, one after another."""

    folder: Path
    tokenizer: ShapeTokenizer
    faults: dict[str, str] = field(default_factory=dict)  # by name

    def __post_init__(self) -> None:
        latents = sorted(self.folder.rglob("*.npz"))
        self.paths = latents or mesh_paths(self.folder)
        if not self.paths:
            raise ConfigError(f"{self.folder} has no mesh (GLB, glTF, OBJ, PLY) and no .npz of a latent.")
        if not latents and self.tokenizer.config.kind != "surface":
            raise ConfigError(
                f"The tokenizer takes latents of kind {self.tokenizer.config.kind!r}: encode the meshes of "
                f"{self.folder} to .npz first, and give the folder of those."
            )

    def rows(self) -> Iterator[dict[str, Any]]:
        for path in self.paths:
            name = str(path.relative_to(self.folder))
            try:
                yield {"name": name, **self.row(path)}
            except KyvoError as error:
                self.faults[name] = str(error)
                print(f"left out: {name}: {error}", file=sys.stderr)

    def row(self, path: Path) -> dict[str, Any]:
        config = self.tokenizer.config
        if path.suffix == ".npz":
            latent = StructuredLatent.load(path, resolution=config.resolution)
            truth, cells = latent_cloud(latent, kind=config.kind), None
        else:
            mesh = load_shape(path)
            latent = surface_latent(mesh, resolution=config.resolution)
            truth = triangle_cloud(mesh.triangles)
            cells = compare_clouds(latent_cloud(latent, kind=config.kind), truth, tau=TAU)
        codes = self.tokenizer.encode([latent])
        scores = compare_clouds(latent_cloud(self.tokenizer.decode(codes)[0], kind=config.kind), truth, tau=TAU)
        return {
            "codes": codes[0].tolist(),
            "chamfer": scores.chamfer,
            "f_score": scores.f_score,
            "cells_chamfer": cells.chamfer if cells else None,
            "cells_f_score": cells.f_score if cells else None,
        }


if __name__ == "__main__":
    written = main()
    sys.exit(1 if json.loads((written / "card.json").read_text())["left_out"] else 0)
