"""Loading a model for a command: no chatter of other libraries, and a wrong name is wrong usage."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kyvo.cli.debug import debugging
from kyvo.errors import KyvoError

if TYPE_CHECKING:
    from kyvo.api import Kyvo


Parser = Annotated[
    str,
    typer.Option(
        help="Who reads texts: auto (the model, if it writes programs, else grammar), grammar, a folder of a model "
        "or of any Llama, or an OpenAI-compatible chat model as http://HOST:PORT/v1#NAME."
    ),
]


Objects = Annotated[str, typer.Option(help="What makes objects: a bundled generator's name, or a folder of one.")]


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
