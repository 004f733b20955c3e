"""`kyvo data`: makes data sets."""

import re
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kyvo.errors import KyvoError

app = typer.Typer(no_args_is_help=True, help="Make data sets.")


@app.callback()
def data() -> None:
    """Make data sets."""


def _parse_size(text: str) -> tuple[int, int]:
    """ "128" or "120x80" -> (width, height)."""
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no size; give one number (128) or width x height (120x80).")
    return int(found[1]), int(found[2] or found[1])


@app.command()
def clevr(
    count: Annotated[int, typer.Option(min=1, help="Number of pictures.")],
    out: Annotated[Path, typer.Option(help="Folder of the set; a set begun there is gone on with.")],
    seed: Annotated[int, typer.Option(min=0, help="Sets all scenes, whatever the number of workers.")] = 0,
    size: Annotated[str, typer.Option(help="Pixels: 128, or 120x80 for width x height.")] = "128",
    min_objects: Annotated[int, typer.Option(min=1, help="Fewest objects in a scene.")] = 3,
    max_objects: Annotated[int, typer.Option(min=1, help="Most objects in a scene; about 10 fit.")] = 10,
    workers: Annotated[int, typer.Option(min=1, help="Processes, one core each.")] = 1,
) -> None:
    """Ray-trace CLEVR scenes into an Arrow set with pictures, scenes and a data card."""
    from kyvo.data.clevr import ClevrRules  # torch loads in seconds: not for --help
    from kyvo.data.dataset import SetSettings, write_clevr

    width, height = _parse_size(size)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    started = time.perf_counter()
    command = (
        f"kyvo data clevr --count {count} --out {out.name} --seed {seed} --size {width}x{height} "
        f"--min-objects {min_objects} --max-objects {max_objects}"
    )
    try:
        rules = ClevrRules(min_objects=min_objects, max_objects=max_objects)
        settings = SetSettings(count=count, seed=seed, width=width, height=height, rules=rules)
        with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("scenes", total=count)
            card = write_clevr(
                out, settings, workers=workers, command=command, progress=lambda done: bar.advance(task, done)
            )
    except KyvoError as error:
        typer.echo(f"kyvo data clevr: {error}", err=True)
        raise typer.Exit(2) from error
    seconds = time.perf_counter() - started
    typer.echo(f"{out}: {count} pictures of {width}x{height} px in {seconds:.1f} s, sha256 {card['sha256'][:16]}")
