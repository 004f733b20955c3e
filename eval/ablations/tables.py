"""Tables and plots of finished runs, and their places in a Markdown page."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from ablations.arms import FIGURES, Ablation, Arm
from kyvo.errors import ConfigError
from kyvo.files import write_figure, write_text

Found = Mapping[Arm, Sequence[Mapping[str, Any]]]  # the finished runs of each arm


def table(ablation: Ablation, found: Found) -> str:
    """Mean over the seeds, and from the lowest to the highest."""
    columns = [(column, name) for column in ablation.columns for name in ablation.figures[column]]
    one_column = len(ablation.columns) == 1
    heads = [FIGURES[name].heading if one_column else f"{column}: {FIGURES[name].heading}" for column, name in columns]
    lines = [_line([ablation.rows_are, *heads]), _line(["---", *["---:"] * len(heads)])]
    for row in ablation.rows:
        cells = (_cell(found.get(ablation.arm(row, column), ()), name) for column, name in columns)
        lines.append(_line([row, *cells]))
    runs = [run for arm in ablation.arms for run in found.get(arm, ())]
    return "\n".join(lines) + ("\n\n" + _note(runs) if runs else "")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(runs: Sequence[Mapping[str, Any]], name: str) -> str:
    if not runs:
        return "not run"
    digits = FIGURES[name].digits
    values = _values(runs, name)
    if not values:
        return "none"
    text = f"{mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _values(runs: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    return [run["figures"][name] for run in runs if name in run["figures"]]


def _note(runs: Sequence[Mapping[str, Any]]) -> str:
    """What the table was made with."""
    seeds = sorted({run["seed"] for run in runs})
    seconds = [sum(run["seconds"].values()) for run in runs]
    train = runs[0]["recipe"]["train"]
    scenes = ", ".join(f"{count:,}" for count in runs[0]["budget"]["scenes"].values())
    commits = ", ".join(sorted({str(run["commit"])[:8] for run in runs}))
    note = (
        f"Seeds {', '.join(map(str, seeds))}: mean (lowest to highest). {train['max_steps']} steps of "
        f"{train['batch_size']}, {mean(seconds):.0f} s a run; sets of {scenes} scenes; image tokenizer "
        f"{runs[0]['image_tokenizer'][:8]}; commit {commits}; {', '.join(sorted({run['cpu'] for run in runs}))}."
    )
    guesses = sorted(set(_values(runs, "most_frequent")))
    return note + "".join(f" Always the most frequent answer of a question's type: {value:.4f}." for value in guesses)


def plot(ablation: Ablation, found: Found, path: Path) -> None:
    """A panel a figure: each seed a dot, their mean a line across."""
    from matplotlib.figure import Figure as Drawing  # a second to import; and pyplot would look for a display

    panels = [(column, name) for column in ablation.columns for name in ablation.figures[column]]
    across = max(len(names) for names in ablation.figures.values())
    down = len(ablation.columns)
    drawing = Drawing(figsize=(2.6 * across, 2.3 * down), layout="constrained")
    for column, name in panels:
        place = list(ablation.columns).index(column) * across + ablation.figures[column].index(name)
        axes = drawing.add_subplot(down, across, place + 1)
        axes.spines[["top", "right"]].set_visible(False)
        for x, row in enumerate(ablation.rows):
            values = _values(found.get(ablation.arm(row, column), ()), name)
            if values:
                axes.plot([x] * len(values), values, "o", color=f"C{x}", markersize=4, alpha=0.7)
                axes.plot([x - 0.25, x + 0.25], [mean(values)] * 2, color=f"C{x}", linewidth=2)
        axes.set_xticks(range(len(ablation.rows)), [row.replace(" ", "\n") for row in ablation.rows], fontsize=6)
        axes.set_xlim(-0.6, len(ablation.rows) - 0.4)
        axes.tick_params(axis="y", labelsize=7)
        axes.set_title(FIGURES[name].heading if down == 1 else f"{column}: {FIGURES[name].heading}", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_figure(path, drawing, dpi=110)


def write_into(path: Path, blocks: Mapping[str, str]) -> None:
    """Puts each block between `<!-- cookbook NAME -->` and `<!-- end NAME -->`.

    Raises ConfigError where these are not.
    """
    text = path.read_text(encoding="utf-8")
    for name, block in blocks.items():
        begin, end = f"<!-- cookbook {name} -->\n", f"<!-- end {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ConfigError(f"{path} has no place for {name}: the lines {begin.strip()} and {end}. Put them in.")
        text = f"{before}{begin}{block}\n{end}{after}"
    write_text(path, text)
