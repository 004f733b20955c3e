"""Plots of results as SVG text, and the numbers that are drawn: bins of error by distance and of confidence."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kyvo.extras import extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_WORDS = 20  # of a confusion matrix; rarer ones are drawn as one
OTHERS = "others"


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The pairs of numbers whose first lies in one interval."""

    x: float  # mean of the first
    y: float  # mean of the second
    low: float  # quartiles of the second
    high: float
    count: int


def bins_by_count(x: Sequence[float], y: Sequence[float], num_bins: int = 8) -> list[Bin]:
    """Bins of about equal count, ordered by x; fewer where there are few numbers."""
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    order = np.argsort(xs, kind="stable")
    return [_bin(xs[part], ys[part]) for part in np.array_split(order, max(1, num_bins)) if len(part)]


def calibration_bins(confidence: Sequence[float], right: Sequence[bool], num_bins: int = 10) -> list[Bin]:
    """Bins of equal width over [0, 1], empty ones left out: x is the mean confidence, y the share that is right."""
    xs, ys = np.asarray(confidence, dtype=float), np.asarray(right, dtype=float)
    place = np.minimum((xs * num_bins).astype(int), num_bins - 1)
    return [_bin(xs[place == index], ys[place == index]) for index in range(num_bins) if (place == index).any()]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error (https://arxiv.org/abs/1706.04599, eq. 3): mean |confidence - share right|."""
    return sum(entry.count * abs(entry.x - entry.y) for entry in bins) / sum(entry.count for entry in bins)


def tau_plot(rows: Sequence[dict[str, Any]], unit: str) -> str:
    """The Jaccard index against tau, under both matchings."""
    figure, axes = _axes()
    taus = [row["tau"] for row in rows]
    for name, style in (("jaccard", "o-"), ("optimal jaccard", "s--")):
        axes.plot(taus, [row[name] for row in rows], style, label=name, markersize=4)
    axes.set(xlabel=f"tau, {unit}", ylabel="Jaccard index", ylim=(0, 1.02))
    axes.legend(frameon=False)
    return _svg(figure)


def confusion_plot(name: str, words: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A confusion matrix, colored by the share of its row; the rarest words are joined where there are many."""
    words, table = _join_rare(list(words), np.asarray(counts, dtype=int).reshape(len(words), len(words)))
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    side = max(3.0, 1.4 + 0.42 * len(words))
    figure, axes = _axes(width=side + 0.4, height=side)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        if count:
            axes.text(
                column, row, str(count), ha="center", va="center", fontsize=7,
                color="white" if share[row, column] > 0.55 else "black",
            )  # fmt: skip
    axes.set_xticks(range(len(words)), words, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(words)), words, fontsize=8)
    axes.set(xlabel="predicted", ylabel="true", title=name)
    axes.spines[:].set_visible(False)
    return _svg(figure)


def distance_plot(bins: Sequence[Bin], *, unit: str, origin: str) -> str:
    """Position error against distance: the bins' means, and a band between the quartiles."""
    figure, axes = _axes()
    x = [entry.x for entry in bins]
    axes.fill_between(x, [entry.low for entry in bins], [entry.high for entry in bins], alpha=0.2, linewidth=0)
    axes.plot(x, [entry.y for entry in bins], "o-", markersize=4)
    axes.set(xlabel=f"distance from {origin}, {unit}", ylabel=f"position error, {unit}")
    axes.set_ylim(bottom=0)
    return _svg(figure)


def calibration_plot(bins: Sequence[Bin]) -> str:
    """The share of right objects against their confidence; the larger the dot, the more objects."""
    figure, axes = _axes()
    most = max(entry.count for entry in bins)
    axes.plot([0, 1], [0, 1], ":", color="gray", linewidth=1)
    axes.plot([entry.x for entry in bins], [entry.y for entry in bins], color="C0", linewidth=1)
    axes.scatter([entry.x for entry in bins], [entry.y for entry in bins], [8 + 90 * e.count / most for e in bins])
    axes.set(xlabel="confidence", ylabel="share matched", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title(f"expected calibration error {calibration_error(bins):.3f}", fontsize=9)
    return _svg(figure)


def score_plot(scores: Sequence[float]) -> str:
    """How the items' scores are spread."""
    figure, axes = _axes()
    axes.hist(scores, bins=20, range=(min(0.0, *scores), max(1.0, *scores)), rwidth=0.92)
    axes.set(xlabel="score of an item", ylabel="items")
    return _svg(figure)


def _bin(x: np.ndarray, y: np.ndarray) -> Bin:
    low, high = np.percentile(y, (25, 75))
    return Bin(x=float(x.mean()), y=float(y.mean()), low=float(low), high=float(high), count=len(x))


def _join_rare(words: list[str], table: np.ndarray) -> tuple[list[str], np.ndarray]:
    if len(words) <= MAX_WORDS:
        return words, table
    often = np.argsort(-(table.sum(0) + table.sum(1)), kind="stable")
    kept = sorted(often[: MAX_WORDS - 1].tolist())
    place = np.full(len(words), len(kept))
    place[kept] = np.arange(len(kept))
    joined = np.zeros((len(kept) + 1,) * 2, dtype=int)
    np.add.at(joined, (place[:, None], place[None]), table)
    return [*(words[index] for index in kept), OTHERS], joined


def _axes(*, width: float = 4.6, height: float = 3.2) -> "tuple[Figure, Axes]":
    # A figure of its own, not pyplot's: nothing global is touched, and no display is looked for.
    with extra("data"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: "Figure") -> str:
    with extra("data"):
        from matplotlib import rc_context

    stream = io.StringIO()
    with rc_context({"svg.hashsalt": "kyvo"}):  # ids that do not differ from run to run
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
