"""`kyvo schema`: shows a scene schema as YAML, and adds words to it."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kyvo.errors import ConfigError

if TYPE_CHECKING:
    from kyvo.scene.schema import SceneSchema


def schema(
    source: Annotated[
        str, typer.Argument(metavar="SCHEMA", help="clevr, objaworld, ..., a YAML file, or a model or its folder.")
    ] = "clevr",
    add: Annotated[
        list[str] | None, typer.Option(help="A word for a field, as color=orange; as often as needed.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of a schema with further words; that of --out else.")] = None,
    out: Annotated[Path | None, typer.Option(help="YAML file to write; printed without it.")] = None,
) -> None:
    """Show a schema, or write one with further words.

    Example: kyvo schema --add color=orange --add shape=cone --out my_words.yaml
    """
    from kyvo.files import write_text
    from kyvo.scene.builtin_schemas import load_schema

    found = load_schema(source) if source.endswith((".yaml", ".yml")) else _named(source)
    if out is not None and out.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"--out is {out}; a schema is a .yaml file.")
    if out is not None and out.exists():
        raise ConfigError(f"{out} exists already; name another file or remove it.")
    new_name = name or (out.stem if out is not None else f"{found.name}-more" if add else found.name)
    for text in add or []:
        match = re.fullmatch(r"([^=]+)=(.+)", text)
        if match is None:
            raise ConfigError(f"--add is {text!r}; give a field and its new word, as color=orange.")
        found = found.with_words(match[1], [match[2]], name=new_name)
    if out is None:
        typer.echo(found.to_yaml(), nl=False)
    else:
        write_text(out, found.to_yaml())
        words = "; ".join(f"{field.name}: {', '.join(field.words)}" for field in found.word_fields)
        typer.echo(f"{out}: schema {found.name}; {words}", err=True)


def _named(source: str) -> "SceneSchema":
    """One of the package's schemas, or that of a model."""
    from kyvo.files import read_json_object
    from kyvo.scene.builtin_schemas import SCHEMAS, load_schema
    from kyvo.scene.schema import SceneSchema

    if source in SCHEMAS:
        return load_schema(source)
    from kyvo.api import find_model
    from kyvo.errors import CheckpointError

    try:
        folder = find_model(source)
    except CheckpointError as error:
        raise ConfigError(
            f"{source!r} is no schema; known are {', '.join(SCHEMAS)}, a .yaml file, a bundled model (mini), or a "
            "model folder."
        ) from error
    return SceneSchema.from_dict(read_json_object(folder / "schema.json"))
