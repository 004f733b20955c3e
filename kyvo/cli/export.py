"""`kyvo export`: a scene to a file that other programs open."""

from pathlib import Path
from typing import Annotated

import typer

from kyvo.errors import SceneError


def export(
    file: Annotated[Path, typer.Argument(metavar="SCENE", help="A scene file, or a CLEVR file of one scene.")],
    format: Annotated[
        str | None,
        typer.Option(
            help="glb, usd, html, blender, clevr, or omni3d (of scenes in a camera's frame); by default as OUT ends."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write; by default SCENE with the format's ending.")
    ] = None,
    shape_tokenizer: Annotated[
        str, typer.Option(help="that wrote the scene's shape codes: the bundled one, or a folder.")
    ] = "mini",
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a scene as glTF, USD, a page with a viewer, Blender's, or CLEVR's and Omni3D's JSON.

    Example: kyvo export scene.json --format glb
    """
    from kyvo.cli.scene import read_one
    from kyvo.errors import ConfigError
    from kyvo.export.formats import FORMATS, check_format, export_scene, format_of

    if out is None:
        if format is None:
            raise ConfigError(f"say what to write: --format {', '.join(FORMATS)}, or --out FILE with an ending.")
        out = file.with_name(file.stem + check_format(format).suffixes[0])
    chosen = FORMATS[format_of(out, format)]
    scene = read_one(file)
    if out.exists() and (not force or out.samefile(file)):
        what = "is the scene itself; name another file" if out.samefile(file) else "exists; pass --force to overwrite"
        raise SceneError(f"{out} {what}.")
    meshes = None
    if chosen.takes_meshes:
        from kyvo.data.meshes.object_meshes import object_meshes

        meshes = object_meshes(scene)
        if any(item.shape_codes is not None for item in scene.objects):
            from kyvo.shapes.scene_codes import shape_meshes
            from kyvo.shapes.tokenizer import ShapeTokenizer

            meshes |= shape_meshes(scene, ShapeTokenizer.from_pretrained(shape_tokenizer))
    try:
        export_scene(scene, out, format=format, meshes=meshes)
    except SceneError as error:
        raise SceneError(f"{file}: {error}") from error
    typer.echo(f"{out}: {len(scene)} object{'' if len(scene) == 1 else 's'}", err=True)
