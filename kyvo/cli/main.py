"""The `kyvo` command: its groups, its version, and what happens to an error.

Commands import what is heavy inside their bodies, so that help comes at once. Exit codes: 0 done, 1 an item failed,
2 wrong usage.
"""

import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

import kyvo
from kyvo.cli import data, demo, evaluate, export, people, recognize, scene
from kyvo.errors import ConfigError, KyvoError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Pictures, text and structured 3D scenes: any of the three in, any of the three out.",
)
app.add_typer(scene.app, name="scene")
app.add_typer(data.app, name="data")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(people.app, name="people")
app.command()(recognize.recognize)
app.command()(demo.demo)
app.command()(export.export)


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
) -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> None:
    """The entry point: runs a command and leaves with its exit code; an error of ours is one line on stderr."""
    logging.getLogger("torchao").setLevel(logging.ERROR)  # it warns of C++ kernels that nothing here uses
    try:
        app(args=None if arguments is None else list(arguments), prog_name="kyvo")
    except KyvoError as error:
        line = " ".join(str(error).split())
        Console(stderr=True).print(f"kyvo: {line}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
