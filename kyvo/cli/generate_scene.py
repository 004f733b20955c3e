"""`kyvo generate scene`: the objects of one picture, each where it stands."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kyvo.errors import ConfigError, SceneError

if TYPE_CHECKING:
    from kyvo.pipelines.objects import ObjectGenerator
    from kyvo.pipelines.scenes import SceneMethod


class Method(StrEnum):
    scenegen = "scenegen"
    iscene = "iscene"
    alone = "alone"
    retrieval = "retrieval"


def scene(
    picture: Annotated[Path, typer.Argument(help="A picture of several objects.")],
    masks: Annotated[
        Path, typer.Option(help="A folder with a picture for each object, light where it is; or one label picture.")
    ],
    out: Annotated[
        list[Path],
        typer.Option(help="A file to write: .json, .glb, .usda, .html, or .png for a sheet of views. Repeatable."),
    ],
    method: Annotated[
        Method, typer.Option(help="scenegen, iscene, or a baseline: each object alone, or retrieval from a library.")
    ] = Method.scenegen,
    model: Annotated[str, typer.Option(help="Folder of the scene flow that was trained, or a bundled one's name.")] = (
        "mini"
    ),
    objects: Annotated[str, typer.Option(help="Generator of objects: a bundled one's name, or a folder.")] = "mini",
    library: Annotated[Path | None, typer.Option(help="For retrieval: a set of `kyvo data objects`.")] = None,
    resolution: Annotated[int, typer.Option(min=8, max=256, help="Of the library's grid.")] = 32,
    camera: Annotated[
        Path | None, typer.Option(help="For the baselines: a scene JSON with the picture's camera.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same scene.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Make the objects of a picture and place them.

    An object that cannot be made, or whose mask is no good, is left out with a note; the others are kept.

    Example: kyvo generate scene room.png --masks masks --model my_scenes --out scene.glb --out sheet.png
    """
    from kyvo.cli.generate import _watching
    from kyvo.data.scene_pictures import read_scene_picture
    from kyvo.files import make_folder
    from kyvo.pipelines.scenes import generate_scene
    from kyvo.shapes.scene_files import check_outputs, write_scene
    from kyvo.shapes.tokenizer import ShapeTokenizer

    check_outputs(out)
    for path in out:
        if path.exists() and not force:
            raise SceneError(f"{path} exists; pass --force to overwrite.")
        make_folder(path.parent)
    given = read_scene_picture(picture, masks)
    chosen = _method(method, model=model, objects=objects, library=library, resolution=resolution, camera=camera)
    with _watching() as watch:
        made = generate_scene(chosen, given, seed=seed, progress=watch)
    wants_codes = any(path.suffix.lower() == ".json" for path in out)
    write_scene(made, out, picture=given, tokenizer=ShapeTokenizer.from_pretrained() if wants_codes else None)
    for words in made.warnings:
        typer.secho(f"note: {words}", fg="yellow", err=True)
    if as_json:
        about = {"method": made.method, "objects": [item.name for item in made.objects], "axes": made.axes}
        files = {"files": [str(path) for path in out], "warnings": list(made.warnings)}
        typer.echo(json.dumps({**files, **about, "seed": made.seed, "seconds": round(made.seconds, 3)}))
    else:
        noun = "object" if len(made.objects) == 1 else "objects"
        typer.echo(f"{len(made.objects)} {noun} in {made.seconds:.1f} s: {', '.join(map(str, out))}")


def _method(
    method: Method, *, model: str, objects: str, library: Path | None, resolution: int, camera: Path | None
) -> "SceneMethod":
    from kyvo.pipelines.scene_baselines import EachAlone, Retrieval
    from kyvo.pipelines.scene_flows import IScene, SceneGen
    from kyvo.scene.files import load_scene

    if camera is not None and method in (Method.scenegen, Method.iscene):
        raise ConfigError(f"--camera goes with the baselines; {method.value} finds places without one.")
    seen_by = None if camera is None else load_scene(camera).camera
    if camera is not None and seen_by is None:
        raise SceneError(f"{camera} has no camera; give a scene JSON with one.")
    if method is Method.retrieval:
        if library is None:
            raise ConfigError("give --library, a set of `kyvo data objects`, to retrieve objects from.")
        return Retrieval.from_set(library, resolution=resolution, camera=seen_by)
    if method is Method.alone:
        return EachAlone(objects=_generator(objects), camera=seen_by)
    owner = SceneGen if method is Method.scenegen else IScene
    return owner.from_pretrained(model, objects=_generator(objects))


def _generator(objects: str) -> "ObjectGenerator":
    from kyvo.pipelines.objects import ObjectGenerator

    return ObjectGenerator.from_pretrained(objects)
