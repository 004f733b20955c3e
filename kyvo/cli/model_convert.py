"""`kyvo model`: weights of others, turned once into what a training starts from."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Weights of language models.")


@app.callback()
def root() -> None:
    pass


@app.command()
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="Llama-3.2 (consolidated.00.pth, or a Hugging Face folder), meta_model_N.pt, a run or a model folder."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="A folder that does not exist yet; train.init_weights takes it.")],
    size: Annotated[
        str, typer.Option("--size", help="A size of kyvo.models.llama.presets, such as kyvo_1b.")
    ] = "kyvo_1b",
) -> None:
    """Read weights, say what was mapped to what, and write them under our names.

    Example: kyvo model convert llama/Llama-3.2-1B-Instruct --out weights/llama_1b
    """
    from kyvo.errors import ConfigError
    from kyvo.models.llama.presets import SIZES
    from kyvo.training.init_weights_files import read_init_weights, save_converted

    if size not in SIZES:
        raise ConfigError(f"--size is {size!r}; known sizes are {', '.join(SIZES)}.")
    init = read_init_weights(source, size=SIZES[size]())
    save_converted(out, init, source=source)
    for line in init.lines():
        typer.echo(line)
    typer.echo(
        f"{out}: {len(init.weights)} weights of the form {init.form}. Use it as train.init_weights={out}", err=True
    )
