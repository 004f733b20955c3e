"""`kyvo human-eval`: blind ranking of models' pictures by people."""

from pathlib import Path
from typing import Annotated

import typer

from kyvo.deprecated import COMMANDS, warn

app = typer.Typer(no_args_is_help=True, help="Blind ranking by people.")

Folder = Annotated[Path, typer.Argument(help="Where the study and its ratings are kept.")]


@app.callback()
def human_eval() -> None:
    """Blind ranking by people."""


def warn_of_old_name() -> None:
    """Blind ranking by people, under the old name of the command."""
    warn("kyvo people", f"kyvo {COMMANDS['people']}")


@app.command()
def serve(
    folder: Folder,
    truth: Annotated[Path | None, typer.Option(help="Folder of true pictures or meshes; only to begin.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER of a model's, by the truth's file stems; repeatable.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Items to draw; the paper takes 50.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw and of the shuffling.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0 takes a free one.")] = 8765,
) -> None:
    """Begin a study, or go on with the one in FOLDER, and serve its page to this machine until Ctrl-C.

    Example: kyvo human-eval serve study --truth truth --model ours=rendered --model theirs=others
    """
    from kyvo.cli.console import PlainConsole
    from kyvo.evaluation.human_eval import open_study
    from kyvo.evaluation.human_eval_server import make_server

    models: dict[str, Path] = {}
    for entry in model or []:
        name, sign, place = entry.partition("=")
        if not (sign and name and place) or name in models:
            raise typer.BadParameter(f"{entry!r}: NAME=FOLDER is needed, each name once.", param_hint="--model")
        models[name] = Path(place)
    if (truth is None) != (not models):
        raise typer.BadParameter("--truth and --model go together; neither is needed to go on with a study.")
    study = open_study(folder, truth=truth, models=models, count=count, seed=seed)
    server = make_server(folder, study, port=port)
    console = PlainConsole(stderr=True)
    console.print(
        f"{len(study.items)} items of {len(study.models)} models; {len(study.excluded)} left out", soft_wrap=True
    )
    for row in study.excluded:
        console.print(f"left out: {row['key']}: {row['reason']}", soft_wrap=True)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        console.print(f"stopped; ratings are in {folder / 'ratings'}", soft_wrap=True)
    finally:
        server.server_close()


@app.command()
def report(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="A results file to write.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals.")] = 0,
) -> None:
    """Print mean rank, winning rate and mean score of every model, with 95 % intervals.

    Example: kyvo human-eval report study --out ranking.json
    """
    from rich.table import Table

    from kyvo.cli.console import PlainConsole
    from kyvo.evaluation.human_eval import human_eval_results
    from kyvo.evaluation.results import save_results

    results = human_eval_results(folder, seed=seed)
    names = list(dict.fromkeys(figure.name.partition(": ")[0] for figure in results.figures))
    table = Table("model", *names)
    for model in results.protocol["models"]:
        cells = [results.figure(f"{name}: {model}") for name in names]
        table.add_row(model, *(f"{cell.value:.3f} ({cell.low:.3f} to {cell.high:.3f})" for cell in cells))
    PlainConsole().print(table)
    raters = results.tables["ratings by rater"]
    print(f"{sum(raters.values())} ratings of {len(results.items)} items by {len(raters)} people; 95 % intervals")
    for row in results.excluded:
        typer.echo(f"left out: {row['key']}: {row['reason']}", err=True)
    if out:
        save_results(results, out)
        print(f"results: {out}")
