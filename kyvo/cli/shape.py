"""`kyvo shape`: meshes to tokens and back, how well that goes, and pictures of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kyvo.errors import ConfigError, KyvoError, SceneError

if TYPE_CHECKING:
    from kyvo.shapes.tokenizer import ShapeTokenizer

app = typer.Typer(no_args_is_help=True, help="Meshes to tokens and back.")

Meshes = Annotated[list[Path], typer.Argument(metavar="MESH...", help="GLB, glTF, OBJ or PLY files.")]
Tokenizer = Annotated[str, typer.Option(help="A bundled shape tokenizer's name, or its folder.")]
UpAxis = Annotated[str | None, typer.Option(help="The files' up axis, as +z; by default +y, and of PLY +z.")]
Decoder = Annotated[
    Path | None, typer.Option(help="For TRELLIS's latents: its decoder, as ckpts/slat_dec_mesh_swin8_B_64l8m256c_fp16.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what was done and what failed as JSON.")]


@app.callback()
def shape() -> None:
    """Meshes to tokens and back. Exit codes: 0 done, 1 a file failed and the others are done, 2 wrong usage."""


@app.command()
def encode(
    meshes: Meshes,
    out: Annotated[Path, typer.Option(help="The file of codes to write: .json, or .npz.")],
    shape_tokenizer: Tokenizer = "mini",
    up_axis: UpAxis = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write the tokens of meshes, with the place that each stood at.

    Example: kyvo shape encode chair.glb --out chair.json
    """
    from kyvo.shapes.cells import surface_latent
    from kyvo.shapes.code_files import CodeFile, ShapeCodes, check_suffix, unique_names
    from kyvo.shapes.mesh import load_placed
    from kyvo.shapes.roundtrip import check_kind

    check_suffix(out)
    _check_free(out, force=force)
    _make_folder(out.parent)
    tokenizer = _load(shape_tokenizer)
    check_kind(tokenizer)
    batch, objects = Batch(), []
    for path, name in zip(meshes, unique_names(meshes), strict=True):
        with batch.item(path):
            mesh, place = load_placed(path, up_axis=up_axis)
            (codes,) = tokenizer.encode([surface_latent(mesh, resolution=tokenizer.config.resolution)])
            objects.append(ShapeCodes(name=name, source=path.name, place=place, codes=codes))
            batch.done.append({"file": str(path), "name": name, "different_codes": len(set(codes.tolist()))})
    if objects:
        CodeFile(tokenizer=tokenizer.sha256, objects=tuple(objects)).save(out)
    batch.finish(f"{len(objects)} of {len(meshes)} meshes encoded" + (f": {out}" if objects else ""), as_json=as_json)


@app.command()
def decode(
    files: Annotated[list[Path], typer.Argument(metavar="CODES...", help="Files of codes, or .npz of latents.")],
    out: Annotated[Path, typer.Option(help="Folder for a file of each object, NAME.glb.")],
    format: Annotated[str, typer.Option(help="glb, ply, or gaussians: a 3DGS PLY, NAME.gaussians.ply.")] = "glb",
    shape_tokenizer: Tokenizer = "mini",
    decoder: Decoder = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write the meshes or the Gaussians of tokens; meshes stand where those that were encoded stood.

    Example: kyvo shape decode chair.json --out meshes
    """
    from kyvo.models.slat.load import load_network
    from kyvo.shapes.decoding import decode_gaussians, decode_surface, read_latents
    from kyvo.shapes.gaussian_files import write_gaussians
    from kyvo.shapes.surfaces import colored_mesh, write_shape

    suffixes = {"glb": ".glb", "ply": ".ply", "gaussians": ".gaussians.ply"}
    if format not in suffixes:
        raise ConfigError(f"no format is called {format!r}; known are {', '.join(suffixes)}.")
    _make_folder(out)
    tokenizer = _load(shape_tokenizer)
    network = load_network(decoder) if decoder else None
    batch = Batch()
    for path in files:
        items = []
        with batch.item(path):
            items = read_latents(path, tokenizer)
        for item in items:
            target = out / f"{item.name}{suffixes[format]}"
            with batch.item(path):
                _check_free(target, force=force)
                if format == "gaussians":
                    write_gaussians(decode_gaussians(item.latent, network), target)
                else:
                    mesh = colored_mesh(decode_surface(item.latent, network))
                    write_shape(mesh, target, name=item.name, place=item.place)
                batch.done.append({"file": str(path), "name": item.name, "out": str(target)})
    batch.finish(f"{len(batch.done)} objects decoded; {format} files are in {out}", as_json=as_json)


@app.command()
def roundtrip(
    meshes: Meshes,
    out: Annotated[Path, typer.Option(help="Folder for a picture of each mesh, NAME.png.")] = Path("out/shapes"),
    shape_tokenizer: Tokenizer = "mini",
    up_axis: UpAxis = None,
    as_json: AsJson = False,
) -> None:
    """Print how far meshes are from themselves after their tokens, and draw both from four sides.

    Three stages are compared with the mesh: the surface features from which tokens are made, the network without its
    codes, and the tokens. Pictures that are there are replaced.

    Example: kyvo shape roundtrip chair.glb
    """
    import numpy as np

    from kyvo.files import write_picture
    from kyvo.shapes.code_files import unique_names
    from kyvo.shapes.mesh import load_shape
    from kyvo.shapes.roundtrip import RoundTrip, check_kind
    from kyvo.tokenizers.codebook import code_use

    _make_folder(out)
    tokenizer = _load(shape_tokenizer)
    check_kind(tokenizer)
    batch, codes = Batch(), []
    for path, name in zip(meshes, unique_names(meshes), strict=True):
        with batch.item(path):
            trip = RoundTrip.of(load_shape(path, up_axis=up_axis), tokenizer)
            scores, picture = trip.scores(), out / f"{name}.png"
            write_picture(picture, trip.sheet(scores))
            stages = {stage: asdict(values) for stage, values in scores.items()}
            different = len(np.unique(trip.codes))
            batch.done.append(
                {"file": str(path), "stages": stages, "different_codes": different, "picture": str(picture)}
            )
            codes.append(trip.codes)
    extra = {}
    if codes:
        use = code_use(np.stack(codes), tokenizer.config.n_embed)
        extra = {"codes_used": use.share_used, "perplexity": use.perplexity}
        if not as_json:
            _print_scores(batch.done)
    words = f"{len(codes)} of {len(meshes)} meshes; pictures are in {out}"
    if codes:
        words += f"; {100 * extra['codes_used']:.1f} % of {tokenizer.config.n_embed:,} codes used"
    batch.finish(words, as_json=as_json, extra=extra)


@app.command()
def show(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Meshes, files of codes, or .npz of latents.")],
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("out/shapes.png"),
    shape_tokenizer: Tokenizer = "mini",
    decoder: Decoder = None,
    up_axis: UpAxis = None,
    as_json: AsJson = False,
) -> None:
    """Draw meshes, codes and latents from four sides, a row each. A picture that is there is replaced.

    TRELLIS's latents are drawn as their cells unless --decoder names its mesh decoder.

    Example: kyvo shape show chair.glb shapes.json --out shapes.png
    """
    from kyvo.files import write_picture
    from kyvo.models.slat.load import load_network
    from kyvo.shapes.contour import CHANNELS
    from kyvo.shapes.decoding import decode_surface, read_latents, show_cells
    from kyvo.shapes.mesh import UP_AXES, load_shape
    from kyvo.shapes.pictures import shape_sheet
    from kyvo.shapes.surfaces import surface_asset

    if out.suffix.lower() != ".png":
        raise ConfigError(f"{out} does not end in .png; that is what is drawn.")
    _make_folder(out.parent)
    tokenizer = None
    network = load_network(decoder) if decoder else None
    batch, rows = Batch(), []
    for path in files:
        with batch.item(path):
            if path.suffix.lower() in UP_AXES:
                found = [(path.name, load_shape(path, up_axis=up_axis))]
            else:
                tokenizer = tokenizer or _load(shape_tokenizer)
                found = []
                for item in read_latents(path, tokenizer):
                    decodes = network is not None or item.latent.feats.shape[1] == CHANNELS
                    surface = decode_surface(item.latent, network) if decodes else show_cells(item.latent)
                    found.append((f"{path.name}: {item.name}", surface_asset(surface, name=item.name)))
            rows += found
            batch.done += [{"file": str(path), "name": mesh.name} for _, mesh in found]
    if rows:
        write_picture(out, shape_sheet(rows))
    batch.finish(f"{len(rows)} objects drawn" + (f": {out}" if rows else ""), as_json=as_json)


class Batch:
    """Files one after another: what fails is one line on stderr, and the others go on."""

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self.failed: list[dict[str, str]] = []

    @contextmanager
    def item(self, path: Path) -> Iterator[None]:
        try:
            yield
        except KyvoError as error:
            line = " ".join(str(error).split())
            line = line if str(path) in line else f"{path}: {line}"
            self.failed.append({"file": str(path), "error": line})
            typer.secho(f"failed: {line}", fg="red", err=True)

    def finish(self, words: str, *, as_json: bool, extra: dict[str, Any] | None = None) -> None:
        """Prints the outcome. Exit code 1 where something failed."""
        if as_json:
            typer.echo(json.dumps({"done": self.done, "failed": self.failed, **(extra or {})}, indent=1))
        else:
            typer.echo(words)
        if self.failed:
            raise typer.Exit(1)


def _load(name: str) -> "ShapeTokenizer":
    """Exit code 2 where it cannot be loaded."""
    from kyvo.shapes.tokenizer import ShapeTokenizer

    try:
        return ShapeTokenizer.from_pretrained(name)
    except KyvoError as error:
        raise typer.BadParameter(str(error), param_hint="--shape-tokenizer") from error


def _check_free(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise SceneError(f"{path} exists; pass --force to overwrite.")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{folder}: no folder can be made there ({error.strerror}).") from error


def _print_scores(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from kyvo.cli.console import PlainConsole

    table = Table("mesh", "through", "Chamfer", "F at 0.05", "PSNR", "of the object")
    for row in rows:
        for stage, values in row["stages"].items():
            table.add_row(
                Path(row["file"]).name if stage == "features" else "",
                stage,
                f"{values['chamfer']:.2e}",
                f"{values['f_score']:.3f}",
                f"{values['psnr']:.1f} dB",
                f"{values['psnr_object']:.1f} dB",
            )
    PlainConsole().print(table)
