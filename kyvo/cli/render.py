"""`kyvo render`: scene JSON -> pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kyvo.cli.model import Renderer
from kyvo.errors import ConfigError, KyvoError, SceneError

if TYPE_CHECKING:
    from kyvo.scene.scene import Scene


def render(
    scenes: Annotated[list[Path], typer.Argument(metavar="SCENE...", help="Scene files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures: a PNG named as each scene.")],
    model: Annotated[str, typer.Option(help="A bundled model's name, or a model folder.")] = "mini",
    renderer: Renderer = "model",
    size: Annotated[
        str | None, typer.Option(help="Of the ray tracer's pictures, as 480x320; a model's have its own size.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that exist.")] = False,
) -> None:
    """Draw the picture of each scene.

    Exit code 1 says that a scene could not be drawn, and stderr which; the others are drawn.

    Example: kyvo render scenes --out pictures --renderer raytracer
    """
    from PIL import Image

    from kyvo.cli.data_making import parse_size
    from kyvo.cli.model import load_model
    from kyvo.files import write_picture
    from kyvo.pipelines.ray_tracing import RayTracing

    if size is not None and renderer != "raytracer":
        raise typer.BadParameter(
            "only the ray tracer draws at any size; add --renderer raytracer.", param_hint="--size"
        )
    width_height = None if size is None else parse_size(size)
    named, faults = _read(scenes)
    standing = [name for name in named if (out / f"{name}.png").exists()]
    if standing and not overwrite:
        raise ConfigError(
            f"{out / standing[0]}.png exists ({len(standing)} of {len(named)}); pass --overwrite to replace."
        )
    loaded = load_model(model, device, renderer=renderer)
    draw = loaded.rendering if width_height is None else RayTracing(loaded.language_model, size=width_height)
    out.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for name, scene in named.items():
        try:
            image = draw([scene], loaded.run())[0].image
        except KyvoError as error:
            faults.append(f"{name}: {error}")
            continue
        assert image is not None
        write_picture(out / f"{name}.png", Image.fromarray(image))
        drawn += 1
    for fault in faults:
        typer.echo(fault, err=True)
    typer.echo(f"{out}: {drawn} of {drawn + len(faults)} drawn", err=True)
    if faults:
        raise typer.Exit(1)


def _read(sources: list[Path]) -> "tuple[dict[str, Scene], list[str]]":
    """The scenes of files and folders by name, and why others could not be read."""
    from kyvo.cli.scene import read_scenes
    from kyvo.scene.files import json_files

    named: dict[str, Scene] = {}
    faults: list[str] = []
    for file in (file for source in sources for file in (json_files(source) or [source])):
        try:
            rows, collected = read_scenes(file)
            for name, scene in rows if collected else [(file.stem, rows[0][1])]:
                if name in named:
                    raise SceneError(f"{file}: another scene is called {name!r} too; draw it into another folder.")
                named[name] = scene
        except KyvoError as error:
            faults.append(f"{error}")
    return named, faults
