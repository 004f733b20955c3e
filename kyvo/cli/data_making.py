"""How `kyvo data` makes a set: what the options of rendering mean, the progress bar, and the command for the card."""

import re
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kyvo.cli.console import PlainConsole
from kyvo.cli.data_sets import exit_on_error

if TYPE_CHECKING:
    from kyvo.data.dataset import SetSettings


class Engine(StrEnum):
    """Who shares out the work."""

    processes = "processes"
    ray = "ray"


MAX_SIDE = 8192  # pixels


def parse_size(text: str) -> tuple[int, int]:
    """ "128" or "120x80" -> (width, height)."""
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no size; give one number (128) or width x height (120x80).")
    width, height = int(found[1]), int(found[2] or found[1])
    if max(width, height) > MAX_SIDE:
        raise typer.BadParameter(f"{text} is too large a size; up to {MAX_SIDE:,} pixels a side are drawn.")
    return width, height


def rendering_options(
    size: str, min_objects: int, max_objects: int, renderer: str, device: str, schema: str = "clevr"
) -> dict[str, Any]:
    """What settings of rendered sets take of the options, with CLEVR's rules for the schema's words."""
    from kyvo.data.clevr.sampling import ClevrRules
    from kyvo.scene.builtin_schemas import load_schema

    width, height = parse_size(size)
    rules = ClevrRules.of(load_schema(schema), min_objects=min_objects, max_objects=max_objects)
    return {"width": width, "height": height, "renderer": renderer, "device": device, "rules": rules}


def make_set(settings_of: Callable[[], "SetSettings"], out: Path, workers: int, engine: Engine, command: str) -> int:
    """Makes the set under a progress bar; returns the number of samples that were left out."""
    started = time.perf_counter()
    with exit_on_error(" ".join(command.split()[:3])):
        from kyvo.data.data_card import SHOWN
        from kyvo.data.dataset import write_set

        settings = settings_of()
        for line in settings.source_notes():
            typer.echo(line, err=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=PlainConsole(stderr=True), disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("rows", total=settings.count)
            card = write_set(
                out,
                settings,
                workers=workers,
                engine=engine.value,
                command=command,
                progress=lambda done: bar.advance(task, done),
            )
    seconds = time.perf_counter() - started
    missing = card["left_out"]
    for line in missing[:SHOWN]:
        typer.echo(f"left out: {line}", err=True)
    if missing:
        more = f"; {len(missing) - SHOWN} more stand in {out / 'card.json'}" if len(missing) > SHOWN else ""
        typer.echo(f"{len(missing):,} of {settings.count:,} samples left out{more}", err=True)
    typer.echo(f"{out}: {card['rows']:,} rows in {seconds:.1f} s, sha256 {card['sha256'][:16]}")
    return len(missing)


def command_line(name: str, options: dict[str, Any]) -> str:
    """The command line that makes the same set: folders by their names, without what does not change the set."""
    words = [f"kyvo data {name}"]
    for option, value in options.items():
        if value is None or value is False or option in ("workers", "engine"):
            continue
        said = value.name if isinstance(value, Path) else str(value)
        if option in ("source", "annotations"):  # given by their place
            words.append(said)
        else:
            words.append(f"--{option.replace('_', '-')}" + ("" if value is True else f" {said}"))
    return " ".join(words)
