"""`kyvo data export`, `validate`, `stats` and `show`: what is done with sets, and with pictures that may become one."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kyvo.cli.debug import debugging
from kyvo.errors import KyvoError
from kyvo.extras import extra

Schema = Annotated[str, typer.Option(help="A name, or a YAML file of your own.")]


@contextmanager
def exit_on_error(command: str) -> Iterator[None]:
    """A refusal is one line and exit code 2."""
    try:
        yield
    except KyvoError as error:
        if debugging():
            raise
        typer.echo(f"{command}: {error}", err=True)
        raise typer.Exit(2) from error


class ExportForm(StrEnum):
    parquet = "parquet"
    jsonl = "jsonl"
    webdataset = "webdataset"


def export(
    sources: Annotated[list[str], typer.Argument(metavar="[SPLIT=]SET...", help="Sets; train=DIR names the split.")],
    out: Annotated[Path, typer.Option(help="Folder to write; it must be empty.")],
    form: Annotated[ExportForm, typer.Option("--format", help="parquet, jsonl (with picture files) or webdataset.")],
    shares: Annotated[
        str | None, typer.Option(help="Cut one set: train=0.8,validation=0.1,test=0.1, in the order of its rows.")
    ] = None,
    shard_size: Annotated[float, typer.Option(min=0.001, help="Of a file, about, in MB.")] = 500.0,
    licence: Annotated[str | None, typer.Option("--license", help="Of the rows; by default what the set says.")] = None,
) -> None:
    """Write sets as Hugging Face's tools read them: Parquet, JSON Lines or WebDataset, with splits and a card.

    Example: kyvo data export train=data/clevr validation=data/clevr_val --format parquet --out hub/clevr
    """
    with exit_on_error("kyvo data export"):
        with extra("data"):
            import datasets

        from kyvo.data.interchange import about_set, export_set, read_splits

        if not sys.stderr.isatty():
            datasets.disable_progress_bars()
        named = _splits_of(sources)
        title, said = about_set(next(iter(named.values())))
        splits = read_splits(named, None if shares is None else _shares_of(shares))
        written = export_set(
            splits,
            out,
            form=form.value,
            shard_bytes=int(shard_size * 1e6),
            title=title,
            licence=licence or said,
        )
    for split in splits:
        typer.echo(f"{out / split.name}: {len(split.rows):,} rows in {len(written[split.name])} files")


def _splits_of(sources: list[str]) -> dict[str, Path]:
    """Split -> set. Raises ConfigError where a split stands twice."""
    from kyvo.errors import ConfigError

    named: dict[str, Path] = {}
    for source in sources:
        found = re.fullmatch(r"(\w+)=(.+)", source)
        split, folder = (found[1], found[2]) if found else ("train", source)
        if split in named:
            raise ConfigError(f"the split {split} has two sets, {named[split]} and {folder}; write NAME=SET for each.")
        named[split] = Path(folder)
    return named


def _shares_of(text: str) -> dict[str, float]:
    """ "train=0.9,test=0.1" -> {"train": 0.9, "test": 0.1}."""
    found = [re.fullmatch(r"(\w+)=([0-9.]+)", part.strip()) for part in text.split(",")]
    if not all(found):
        raise typer.BadParameter(f"{text!r} is no list of shares; give train=0.9,test=0.1.", param_hint="--shares")
    return {match[1]: float(match[2]) for match in found if match}


def validate(
    folder: Annotated[Path, typer.Argument(help="Pictures and scene JSONs of the same stem.")],
    schema: Schema = "clevr",
    as_json: Annotated[bool, typer.Option("--json", help="Print the faults as JSON.")] = False,
) -> None:
    """Check your own data: every fault with its file, object and field; exit code 1 when there are any.

    Example: kyvo data validate my_pictures
    """
    from kyvo.data.checks import check_folder
    from kyvo.scene.builtin_schemas import load_schema

    with exit_on_error("kyvo data validate"):
        faults = [str(fault) for fault in check_folder(folder, load_schema(schema))]
    if as_json:
        typer.echo(json.dumps(faults, indent=2, ensure_ascii=False))
    else:
        summary = f"{len(faults)} faults" if faults else "good"
        typer.echo("\n".join([*faults, f"{folder}: {summary}"]))
    raise typer.Exit(1 if faults else 0)


def stats(
    folder: Annotated[Path, typer.Argument(help="A set.")],
    plot: Annotated[Path | None, typer.Option(help="PNG to write the distributions to.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Count a set's objects, words, places, edits and answers.

    Example: kyvo data stats data/clevr --plot counts.png
    """
    from kyvo.data.statistics import count_set, plot_counts

    with exit_on_error("kyvo data stats"):
        counts = count_set(folder)
    if as_json:
        typer.echo(json.dumps(counts, indent=2, ensure_ascii=False))
    else:
        for name, values in counts.items():
            typer.echo(f"{name:10}" + "  ".join(f"{value} {count}" for value, count in values.items()))
    if plot is not None:
        plot_counts(counts, plot)
        typer.echo(f"{plot}: written", err=as_json)


def show(
    folder: Annotated[Path, typer.Argument(help="A set.")],
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("sheet.png"),
    count: Annotated[int, typer.Option(min=1, help="Rows on the sheet.")] = 6,
    start: Annotated[int, typer.Option(min=0, help="First row.")] = 0,
) -> None:
    """Write a contact sheet of a set.

    Example: kyvo data show data/clevr --out sheet.png
    """
    from kyvo.data.gallery import show_set
    from kyvo.files import write_picture

    with exit_on_error("kyvo data show"):
        write_picture(out, show_set(folder, count=count, start=start))
    typer.echo(f"{out}: written")
