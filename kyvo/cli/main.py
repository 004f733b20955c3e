"""The `kyvo` command: its groups, its version, and what happens to an error.

Commands import what is heavy inside their bodies, so that help comes at once. Exit codes: 0 done, 1 an item failed,
2 wrong usage.
"""

import errno
import gc
import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import kyvo
from kyvo.cli import (
    chat,
    data,
    demo,
    evaluate,
    export,
    generate,
    human_eval,
    model_convert,
    recipes,
    recognize,
    render,
    scene,
    schema,
    serve,
    shape,
    studio,
)
from kyvo.cli.console import PlainConsole
from kyvo.cli.debug import debugging, take_debug
from kyvo.errors import ConfigError, KyvoError

MODEL, SCENES, DATA, TRAINING, FIGURES = "Use a model", "Scenes and shapes", "Data", "Training", "Figures"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Pictures, text and structured 3D scenes: any of the three in, any of the three out.",
)
app.command(rich_help_panel=MODEL)(recognize.recognize)
app.command(rich_help_panel=MODEL)(render.render)
app.command(rich_help_panel=MODEL)(chat.chat)
app.command(rich_help_panel=MODEL)(serve.serve)
app.command(rich_help_panel=MODEL)(studio.studio)
app.command(rich_help_panel=MODEL, epilog="Example: kyvo demo --out out/demo")(demo.demo)
app.add_typer(scene.app, name="scene", rich_help_panel=SCENES)
app.command(rich_help_panel=SCENES)(schema.schema)
app.command(rich_help_panel=SCENES)(export.export)
app.add_typer(shape.app, name="shape", rich_help_panel=SCENES)
app.add_typer(generate.app, name="generate", rich_help_panel=SCENES)
app.add_typer(data.app, name="data", rich_help_panel=DATA)
app.add_typer(recipes.app, name="recipes", rich_help_panel=TRAINING)
app.add_typer(model_convert.app, name="model", rich_help_panel=TRAINING)
app.add_typer(evaluate.app, name="evaluate", rich_help_panel=FIGURES)
app.add_typer(human_eval.app, name="human-eval", rich_help_panel=FIGURES)
app.add_typer(human_eval.app, name="people", hidden=True, callback=human_eval.warn_of_old_name)


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"kyvo {kyvo.__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error comes from; anywhere in the line.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> None:
    """The entry point: runs a command and leaves with its exit code; an error of ours is one line on stderr."""
    # Loading torch and transformers makes millions of objects and frees few. With Python's own threshold of 700,
    # looking through them again and again takes a sixth of a cold start.
    gc.set_threshold(100_000, 50, 100)
    logging.getLogger("torchao").setLevel(logging.ERROR)  # it warns of C++ kernels that nothing here uses
    words = take_debug(sys.argv[1:] if arguments is None else list(arguments))
    try:
        app(args=words, prog_name="kyvo")
    except (KyvoError, OSError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        if debugging() or (isinstance(error, OSError) and error.filename is None and not full):
            raise
        # A file that cannot be read or written is the user's to mend; KyvoErrors say so themselves.
        where = getattr(error, "filename", None) or "the output"  # files are named by kyvo.files
        text = str(error) if isinstance(error, KyvoError) else f"{where}: {error.strerror}"
        line = " ".join(text.split())
        PlainConsole(stderr=True).print(f"kyvo: {line}", style="red", soft_wrap=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
