"""`kyvo generate`: objects from a text or a picture, and objects changed by them; scenes in `generate_scene.py`."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kyvo.cli import generate_scene
from kyvo.cli.numbers import read_numbers
from kyvo.errors import ConfigError, SceneError

if TYPE_CHECKING:
    from kyvo.generation.flow_sampler import Progress as Step
    from kyvo.pipelines.objects import GeneratedObject, ObjectGenerator
    from kyvo.shapes.mesh import CubeTransform

app = typer.Typer(no_args_is_help=True, help="Objects from a text or a picture.")

Text = Annotated[str | None, typer.Option(help="What it is to be.")]
ImageFile = Annotated[Path | None, typer.Option(help="A picture of what it is to be, in place of a text.")]
ImageMask = Annotated[Path | None, typer.Option(help="A picture of the same size, light where the object is.")]
Object = Annotated[Path, typer.Argument(metavar="MESH_OR_LATENT", help="GLB, glTF, OBJ, PLY, or an .npz of a latent.")]
Out = Annotated[Path, typer.Option(help="The file to write; of several objects, NAME-0, NAME-1 and on.")]
Format = Annotated[
    str, typer.Option(help="glb, ply, html, gaussians, latent, or video-sheet: a PNG of views around it.")
]
Count = Annotated[int, typer.Option(min=1, max=64, help="Objects to make.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed makes the same objects.")]
Strength = Annotated[float, typer.Option(help="Share that is regenerated: 1 is all, less keeps some of the input.")]
Model = Annotated[str, typer.Option(help="A bundled generator's name, or a folder with pipeline.json.")]
PictureEncoder = Annotated[Path | None, typer.Option(help="For TRELLIS: a folder of DINOv2 with registers.")]
TextEncoder = Annotated[Path | None, typer.Option(help="For TRELLIS: a folder of CLIP.")]
UpAxis = Annotated[str | None, typer.Option(help="The files' up axis, as +z; by default +y, and of PLY +z.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")]


@app.callback()
def generate() -> None:
    """Objects from a text or a picture. Exit codes: 0 done, 1 nothing could be made, 2 wrong usage."""


@app.command("object")
def make_object(
    out: Out,
    text: Annotated[str | None, typer.Argument(help="What to make, as 'a round wooden table'.")] = None,
    image: ImageFile = None,
    mask: ImageMask = None,
    count: Count = 1,
    seed: Seed = 0,
    format: Format = "glb",
    model: Model = "mini",
    picture_encoder: PictureEncoder = None,
    text_encoder: TextEncoder = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make objects of a text or of a picture.

    The picture's background is transparent, plain, or given by --mask.

    Example: kyvo generate object "a round wooden table with three legs" --out table.glb
    """
    condition = _condition(text, image, mask)
    paths = _free_paths(out, format=format, count=count, force=force)
    generator = _load(model, picture_encoder, text_encoder)
    started = time.perf_counter()
    with _watching() as watch:
        made = generator.generate(**condition, count=count, seed=seed, progress=watch)
    _finish(made, paths, format=format, started=started, as_json=as_json)


@app.command()
def variant(
    file: Object,
    out: Out,
    text: Text = None,
    image: ImageFile = None,
    mask: ImageMask = None,
    strength: Strength = 1.0,
    count: Count = 1,
    seed: Seed = 0,
    format: Format = "glb",
    model: Model = "mini",
    picture_encoder: PictureEncoder = None,
    text_encoder: TextEncoder = None,
    up_axis: UpAxis = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Keep the structure of an object and regenerate its details and colors.

    Example: kyvo generate variant chair.glb --text "a blue metal chair" --out blue.glb
    """
    from kyvo.pipelines.object_editing import vary_details
    from kyvo.pipelines.object_inputs import LatentKind, read_object

    condition = _condition(text, image, mask)
    paths = _free_paths(out, format=format, count=count, force=force)
    generator = _load(model, picture_encoder, text_encoder)
    item = read_object(file, LatentKind.of(generator), up_axis=up_axis)
    started = time.perf_counter()
    with _watching() as watch:
        made = vary_details(
            generator, item.latent, strength=strength, count=count, seed=seed, progress=watch, **condition
        )
    _finish(made, paths, format=format, place=item.place, started=started, as_json=as_json)


@app.command()
def region(
    file: Object,
    out: Out,
    box: Annotated[
        str | None,
        typer.Option(
            metavar="X0,Y0,Z0,X1,Y1,Z1",
            help="What may change: two corners in the object's frame, a cube of side 1 about the origin with z up.",
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(metavar="MESH", help="What may change: inside this closed mesh, placed as the object."),
    ] = None,
    text: Text = None,
    image: ImageFile = None,
    image_mask: ImageMask = None,
    strength: Strength = 1.0,
    seed: Seed = 0,
    format: Format = "glb",
    model: Model = "mini",
    picture_encoder: PictureEncoder = None,
    text_encoder: TextEncoder = None,
    up_axis: UpAxis = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Regenerate a part of an object; the rest stays as it is.

    Example: kyvo generate region chair.glb --box=-0.5,-0.5,0,0.5,0.5,0.5 --text "a red chair" --out edited.glb
    """
    from kyvo.pipelines.object_editing import box_region, edit_region
    from kyvo.pipelines.object_inputs import LatentKind, read_object, read_region

    condition = _condition(text, image, image_mask)
    if (box is None) == (mask is None):
        raise ConfigError("give --box or --mask, one of the two: it says what may change.")
    example = "-0.5,-0.5,0,0.5,0.5,0.5"
    corners = None if box is None else read_numbers(box, 6, option="--box", example=example)
    paths = _free_paths(out, format=format, count=1, force=force)
    generator = _load(model, picture_encoder, text_encoder)
    item = read_object(file, LatentKind.of(generator), up_axis=up_axis)
    if corners is not None:
        changes = box_region(corners[:3], corners[3:], resolution=item.latent.resolution)
    else:
        assert mask is not None
        changes = read_region(mask, item, up_axis=up_axis)
    started = time.perf_counter()
    with _watching() as watch:
        made = edit_region(generator, item.latent, changes, strength=strength, seed=seed, progress=watch, **condition)
    _finish([made], paths, format=format, place=item.place, started=started, as_json=as_json)


app.command("scene")(generate_scene.scene)


def _condition(text: str | None, image: Path | None, mask: Path | None) -> dict[str, Any]:
    if (text is None) == (image is None):
        raise ConfigError("give a text or --image, one of the two: it says what to make.")
    if image is None and mask is not None:
        raise ConfigError(f"{mask} is a mask of a picture, and no --image is given.")
    return {"text": text} if image is None else {"image": image, "mask": mask}


def _free_paths(out: Path, *, format: str, count: int, force: bool) -> list[Path]:
    """Checked before the work."""
    from kyvo.files import make_folder
    from kyvo.pipelines.object_outputs import output_paths

    paths = output_paths(out, format=format, count=count)
    for path in paths:
        if path.exists() and not force:
            raise SceneError(f"{path} exists; pass --force to overwrite.")
    make_folder(out.parent)
    return paths


def _load(model: str, picture_encoder: Path | None, text_encoder: Path | None) -> "ObjectGenerator":
    from kyvo.pipelines.objects import ObjectGenerator

    return ObjectGenerator.from_pretrained(model, picture_encoder=picture_encoder, text_encoder=text_encoder)


@contextmanager
def _watching() -> Iterator[Callable[["Step"], None]]:
    """A bar a stage on a terminal, with an estimate of the time left; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        stages: dict[str, Any] = {}

        def watch(step: "Step") -> None:
            if step.stage not in stages:
                stages[step.stage] = bars.add_task(step.stage, total=step.num_steps)
            bars.update(stages[step.stage], completed=step.step)

        yield watch


def _finish(
    made: Sequence["GeneratedObject"],
    paths: Sequence[Path],
    *,
    format: str,
    started: float,
    as_json: bool,
    place: "CubeTransform | None" = None,
) -> None:
    """Writes the files, and says what was made and what to know of it."""
    from kyvo.pipelines.object_outputs import write_objects

    write_objects(made, paths, format=format, place=place)
    for words in dict.fromkeys(words for item in made for words in item.warnings):
        typer.secho(f"note: {words}", fg="yellow", err=True)
    seconds = time.perf_counter() - started
    if as_json:
        objects = [
            {"seed": item.seed, "sample": item.sample, "cells": len(item.slat.coords), "warnings": list(item.warnings)}
            for item in made
        ]
        files = [str(path) for path in paths]
        typer.echo(json.dumps({"files": files, "objects": objects, "seconds": round(seconds, 3)}))
    else:
        noun = "object" if len(made) == 1 else "objects"
        typer.echo(f"{len(made)} {noun} in {seconds:.1f} s: {', '.join(map(str, paths))}")
