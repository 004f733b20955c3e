"""Loading a model for a command: no chatter of other libraries, and a wrong name is wrong usage."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kyvo.cli.debug import debugging
from kyvo.errors import KyvoError

if TYPE_CHECKING:
    from kyvo.api import Kyvo
    from kyvo.pipelines.scene_source import SceneSource


Parser = Annotated[
    str,
    typer.Option(
        help="Who reads texts: auto (the model, if it writes programs, else grammar), grammar, a folder of a model "
        "or of any Llama, or an OpenAI-compatible chat model as http://HOST:PORT/v1#NAME."
    ),
]


Objects = Annotated[str, typer.Option(help="What makes objects: a bundled generator's name, or a folder of one.")]

Scenes = Annotated[str, typer.Option(help="What makes scenes of shapes: bundled flows' name, or a folder of flows.")]
Library = Annotated[
    Path | None, typer.Option(help="A set of `kyvo data objects`, whose objects scenes of shapes may retrieve.")
]
SegmenterFolder = Annotated[
    Path | None, typer.Option("--segmenter", help="A local folder of SAM, which makes masks of points and boxes.")
]
GeometryFolder = Annotated[
    Path | None, typer.Option("--geometry", help="A local folder of VGGT, for scene flows that were trained with it.")
]


Renderer = Annotated[
    str,
    typer.Option(help="Who draws scenes: model, or raytracer: exact pictures of CLEVR's objects, 480x320 px."),
]


def load_model(
    name: str, device: str = "auto", parser: str = "auto", objects: str = "mini", renderer: str = "model"
) -> "Kyvo":
    """The bundled model or model folder `name` on `device`, with a parser (`kyvo.parsers`), a generator of objects, and
    a renderer. Exit code 2 where one of them cannot be loaded; the bundled generator may be missing."""
    from kyvo.api import Kyvo, lacking_parts
    from kyvo.cli.parsers import load_parser

    try:
        model = Kyvo.from_pretrained(
            name, device=device, parser=load_parser(parser), objects=objects, renderer=renderer
        )
        if objects != "mini":
            model.objects.get()
    except KyvoError as error:
        if debugging():
            raise
        raise typer.BadParameter(
            str(error), param_hint="--model / --device / --parser / --objects / --renderer"
        ) from error
    for part in lacking_parts(Path(model.model.name_or_path or "")):
        typer.echo(f"note: {name} has no {part}", err=True)
    return model


def scene_source(
    model: "Kyvo", scenes: str, library: Path | None, segmenter: Path | None, geometry: Path | None
) -> "SceneSource":
    """What makes scenes of shapes for a server. Exit code 2 where a folder that was named is not there."""
    from kyvo.pipelines.scene_source import MethodName, SceneSource

    source = SceneSource(
        flows=scenes,
        objects=model.objects,
        library=library,
        segmenter=segmenter,
        geometry=geometry,
        recognition=model.recognition,
    )
    lacks = [] if scenes == "mini" else [source.lacks(name) for name in (MethodName.SCENEGEN, MethodName.ISCENE)]
    if lacks and all(lacks):
        raise typer.BadParameter(str(lacks[0]), param_hint="--scenes")
    for folder, option in ((library, "--library"), (segmenter, "--segmenter"), (geometry, "--geometry")):
        if folder is not None and not folder.is_dir():
            raise typer.BadParameter(f"{folder} is no folder.", param_hint=option)
    return source
