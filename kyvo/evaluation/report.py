"""One self-contained HTML page of an evaluation: figures, protocol, plots, tables, and items to look through.

It opens without a network and from any place: pictures and plots are data URIs, style and script stand in it. What an
item and a table of `Results` must hold for a plot is in `kyvo.evaluation.scenes`; of other kinds, the plots that their
data allows are drawn, and every table is shown.
"""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from kyvo.evaluation import plots
from kyvo.evaluation.gallery import make_gallery
from kyvo.evaluation.results import Results
from kyvo.files import make_folder, write_text
from kyvo.scene.schema import CLEVR_CAMERA

LIMIT = 60  # items in the gallery: about 4 MB of pictures
MAX_ROWS = 100  # of a table in the page


def write_report(results: Results, folder: Path, *, images: Path | None = None, limit: int = LIMIT) -> Path:
    """Writes `folder/report.html` and returns its path; an interrupted write leaves the file that was there.

    Args:
        images: folder of pictures named by the items' keys; without it scenes are drawn from above only.
        limit: how many items the gallery shows, the lowest scores first; the rest is counted.

    Raises:
        FileError: the page cannot be written.
    """
    text = report_page(results, images=images, limit=limit)
    path = folder / "report.html"
    make_folder(folder)
    write_text(path, text)
    return path


def report_page(results: Results, *, images: Path | None = None, limit: int = LIMIT) -> str:
    """The page's HTML; arguments as of `write_report`."""
    protocol = results.protocol
    gallery = make_gallery(
        results.items,
        schema=str(protocol.get("schema", "")),
        frame="camera" if results.kind == "boxes" else str(protocol.get("frame", "world")),
        images=images,
        limit=limit,
        measure="IoU" if results.kind == "boxes" else "distance",
    )
    drawn = _plots(results)
    names = ", ".join(str(entry.get("name")) for entry in results.inputs.values() if isinstance(entry, Mapping))
    tables = {name: table for name, table in results.tables.items() if name != "confusion"}
    return fill_page(
        "report.html",
        TITLE=escape(f"Evaluation of {results.kind}"),
        SUBTITLE=escape(f"{names}; {len(results.items)} items, {len(results.excluded)} listed as left out or empty"),
        FIGURES=_figures(results),
        PROTOCOL=_definition({**protocol, "inputs": results.inputs, "versions": results.versions}),
        PLOTS=f'<h2>Plots</h2><div class="plots">{"".join(drawn)}</div>' if drawn else "",
        TABLES="".join(f"<h2>{escape(name)}</h2>{_any_table(table)}" for name, table in tables.items()),
        EXCLUDED=_excluded(results.excluded),
        NOTES="".join(f'<p class="soft">{escape(note)}</p>' for note in gallery.notes)
        or ("" if gallery.entries else '<p class="soft">The results hold no items.</p>'),
        ITEMS="".join(gallery.entries),
    )


def fill_page(name: str, **parts: str) -> str:
    """A page of this package with its style and, in place of `<!--NAME-->`, each part; parts are not filled again."""
    here = files("kyvo.evaluation")
    style = (here / "style.css").read_text("utf-8")
    text = (here / name).read_text("utf-8").replace("/*STYLE*/", style)
    return re.sub(r"<!--([A-Z]+)-->", lambda match: parts[match[1]], text)


def _figures(results: Results) -> str:
    rows = "".join(
        f"<tr><td>{escape(figure.name)}</td><td class=number>{_number(figure.value)}</td>"
        f"<td class=number>{'' if figure.low is None else f'{_number(figure.low)} to {_number(figure.high)}'}</td>"
        f"<td class=number>{escape(str(figure.count))}</td></tr>"
        for figure in results.figures
    )
    titles = "".join(f"<th class=number>{title}</th>" for title in ("value", "95 % interval", "items"))
    head = f"<tr><th>figure</th>{titles}</tr>"
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _plots(results: Results) -> list[str]:
    unit = {"clevr": "CLEVR units"}.get(str(results.protocol.get("units")), str(results.protocol.get("units", "")))
    drawn = []
    by_tau = results.tables.get("by tau")
    if by_tau:
        drawn.append(_plot(plots.tau_plot(by_tau, unit), "Jaccard index against tau"))
    scores = [float(item["score"]) for item in results.items if item.get("score") is not None]
    if scores:
        drawn.append(_plot(plots.score_plot(scores), "Scores of the items"))
    origin, distances, errors = _errors_by_distance(results)
    if errors:
        bins = plots.bins_by_count(distances, errors)
        caption = f"Position error of {len(errors)} nearest pairs against distance; band: quartiles"
        drawn.append(_plot(plots.distance_plot(bins, unit=unit, origin=origin), caption))
    confidence, right = _confidences(results.items)
    if confidence:
        bins = plots.calibration_bins(confidence, right)
        caption = f"Calibration of {len(confidence)} predicted objects: in a pair or not"
        drawn.append(_plot(plots.calibration_plot(bins), caption))
    for name, matrix in results.tables.get("confusion", {}).items():
        if matrix["words"]:
            text = plots.confusion_plot(name, matrix["words"], matrix["counts"])
            drawn.append(_plot(text, f"Confusion of {name}, nearest pairs"))
    return drawn


def _errors_by_distance(results: Results) -> tuple[str, list[float], list[float]]:
    """Where distances are taken from, and of each nearest pair the true object's distance and the position error."""
    if results.protocol.get("frame") == "camera":
        origin, place = "the camera", (0.0, 0.0, 0.0)
    elif results.protocol.get("schema") == "clevr":
        origin, place = "CLEVR's camera", CLEVR_CAMERA
    else:
        origin, place = "the scene's origin", (0.0, 0.0, 0.0)
    distances, errors = [], []
    for item in results.items:
        for _, j, error in item.get("nearest", ()):
            camera = item.get("camera") or {}
            distances.append(math.dist(item["true"][j]["location"], camera.get("location", place)))
            errors.append(float(error))
    return origin, distances, errors


def _confidences(items: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[bool]]:
    """The confidence of each predicted object that has one, and whether it is in a pair."""
    confidence, right = [], []
    for item in items:
        if "pairs" not in item:
            continue
        paired = {i for i, *_ in item["pairs"]}
        for index, row in enumerate(item["predicted"]):
            if isinstance(row.get("confidence"), int | float):
                confidence.append(float(row["confidence"]))
                right.append(index in paired)
    return confidence, right


def _plot(svg: str, caption: str) -> str:
    data = base64.b64encode(svg.encode()).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/svg+xml;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _any_table(table: Any) -> str:
    """Rows of mappings, a mapping of mappings, or a mapping of values."""
    if isinstance(table, Mapping) and table and all(isinstance(row, Mapping) for row in table.values()):
        table = [{"": name, **row} for name, row in table.items()]
    if isinstance(table, Mapping):
        return _definition(table)
    if not isinstance(table, Sequence) or isinstance(table, str) or not all(isinstance(row, Mapping) for row in table):
        return f"<p>{escape(_text(table))}</p>"
    names = list(dict.fromkeys(name for row in table for name in row))
    head = "".join(f"<th>{escape(str(name))}</th>" for name in names)
    rows = ["".join(f"<td>{escape(_text(row.get(name)))}</td>" for name in names) for row in table[:MAX_ROWS]]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    rest = f'<p class="soft">{len(table) - MAX_ROWS} more rows.</p>' if len(table) > MAX_ROWS else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{rest}'


def _definition(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(_text(value))}</td></tr>" for name, value in values.items()
    )
    return f'<div class="scroll"><table><tbody>{rows}</tbody></table></div>'


def _excluded(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    listed = "".join(
        f"<tr><td>{escape(row['key'])}</td><td>{escape(row['reason'])}</td></tr>" for row in rows[:MAX_ROWS]
    )
    rest = f'<p class="soft">{len(rows) - MAX_ROWS} more stand in the results file.</p>' if len(rows) > MAX_ROWS else ""
    return (
        f"<h2>Left out, or counted as empty: {len(rows)}</h2>"
        f"<details><summary>which and why</summary><table><tbody>{listed}</tbody></table>{rest}</details>"
    )


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_text(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(entry) for entry in value)
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _number(value: float | None) -> str:
    """Four figures after the point, more for small numbers, so that an L2 of 0.0010 does not read as 0."""
    if value is None:
        return "none"
    return f"{value:.4f}" if abs(value) >= 0.01 or value == 0 else f"{value:.3g}"
