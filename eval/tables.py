"""python eval/tables.py [RESULTS] [--tables NAME ...] [--out tables.md]

Makes the tables of Kyvo's paper in Markdown: its published figures, and beside them those of result files.

    RESULTS/<table>/<row>/<file>.json   a result file of `kyvo evaluate ... --out`
    RESULTS/<table>/human_eval.json     a human evaluation, one model for each row (`kyvo human-eval report ... --out`)

Tables, their columns and the file that fills each are those of eval/published.json (`--list` prints them); rows may be
new ones. Without RESULTS all tables are printed with the published figures alone. Within a column all result files must
follow one protocol: a difference is an error. Where it differs from the paper's, or other numbers of items were taken,
a note says so.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kyvo.errors import ConfigError, KyvoError
from kyvo.evaluation.results import Figure, Results, load_results, side_by_side
from kyvo.files import write_text

PUBLISHED = Path(__file__).parent / "published.json"
ARROWS = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True, kw_only=True)
class Ours:
    """Our figure for one cell, and where it comes from."""

    figure: Figure
    results: Results
    path: Path


def main(argv: list[str] | None = None) -> str:
    """Prints the tables, or writes them to `--out`; returns their text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", help="folder of result files")
    parser.add_argument("--tables", nargs="+", metavar="NAME", help="these tables alone")
    parser.add_argument("--out", type=Path, help="a Markdown file to write")
    parser.add_argument("--list", action="store_true", help="print the tables, their rows and columns, and stop")
    args = parser.parse_args(argv)
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    if args.list:
        text = _listing(published)
    else:
        unknown = [name for name in args.tables or () if name not in published["tables"]]
        if unknown:
            parser.error(f"no table is called {', '.join(unknown)}; known are {', '.join(published['tables'])}.")
        text = make_tables(args.results, published, args.tables)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(args.out, text)
    else:
        print(text, end="")
    return text


def make_tables(folder: Path | None, published: Mapping[str, Any], names: list[str] | None = None) -> str:
    """The Markdown of the tables that `folder` has results for; of all tables where it is None.

    Args:
        folder: as the module says.
        published: the content of eval/published.json.
        names: of tables; by default all.

    Raises:
        ConfigError: a file that belongs to no table or column, of another kind than its column, without its figure, or
            of another protocol than the others of its column.
        SceneError: a file that holds no results.
    """
    cells = {} if folder is None else read_cells(folder, published)
    chosen = [name for name in published["tables"] if names is None or name in names]
    if folder is not None:
        chosen = [name for name in chosen if name in cells]
        if not chosen:
            raise ConfigError(f"{folder} holds no results for {', '.join(names or ['any table'])}.")
    return "\n".join(_table(name, published, cells.get(name, {})) for name in chosen)


def read_cells(folder: Path, published: Mapping[str, Any]) -> dict[str, dict[tuple[str, str], Ours]]:
    """Table -> (row, column) -> our figure. Raises as `make_tables`."""
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder.")
    cells: dict[str, dict[tuple[str, str], Ours]] = {}
    for path in sorted(folder.rglob("*.json")):
        table, *between = path.relative_to(folder).parts[:-1] or ("",)
        if table not in published["tables"] or len(between) > 1:
            raise ConfigError(
                f"{path}: not of the form TABLE/ROW/FILE.json or TABLE/human_eval.json under {folder}; tables are "
                f"{', '.join(published['tables'])}."
            )
        fills = {name: _file(name, published) for name in published["tables"][table]["columns"]}
        if path.stem not in fills.values():
            raise ConfigError(f"{path}: {table} takes the files {', '.join(dict.fromkeys(fills.values()))}.")
        results = load_results(path)
        for name in (name for name, file in fills.items() if file == path.stem):
            for row, figure in _rows(path, published["columns"][name], results, between):
                cells.setdefault(table, {})[row, name] = Ours(figure=figure, results=results, path=path)
    for table, found in cells.items():
        for column in published["tables"][table]["columns"]:
            mine = {str(ours.path): ours.results for (_, name), ours in found.items() if name == column}
            if len(mine) > 1:
                side_by_side(mine)
    return cells


def _file(column: str, published: Mapping[str, Any]) -> str:
    """The stem of the result file that fills a column."""
    return published["columns"][column].get("file", column)


def _rows(path: Path, column: Mapping[str, Any], results: Results, between: list[str]) -> list[tuple[str, Figure]]:
    """The rows that a file informs."""
    if results.kind != column["kind"]:
        raise ConfigError(f"{path}: holds {results.kind}; {column['title']!r} takes {column['kind']}.")
    if column["kind"] != "human_eval":
        if not between:
            raise ConfigError(f"{path}: whose figure is it? Put it into a folder called as the row.")
        return [(between[0], results.figure(column["figure"]))]
    if between:
        raise ConfigError(f"{path}: ranks hold among the models of one study; put it beside the rows' folders.")
    return [(model, results.figure(f"{column['figure']}: {model}")) for model in results.protocol["models"]]


def _table(name: str, published: Mapping[str, Any], cells: Mapping[tuple[str, str], Ours]) -> str:
    table = published["tables"][name]
    columns = [column for column in table["columns"] if not cells or any(column == there for _, there in cells)]
    rows = [row for row in dict.fromkeys([*table["rows"], *(row for row, _ in cells)])]
    about = {column: published["columns"][column] for column in columns}
    notes: list[str] = []
    head = [
        table["rows_are"],
        "",
        *(f"{about[column]['title']} {ARROWS[about[column]['better']]}" for column in columns),
    ]
    lines = [_line(head), _line(["---"] * 2 + ["---:"] * len(columns))]
    for row in rows:
        values = table["rows"].get(row)
        if values is not None:
            printed = [_published(values[table["columns"].index(column)]) for column in columns]
            if any(printed):
                lines.append(_line([row, "paper", *printed]))
        mine = [_ours(cells.get((row, column)), about[column], table, row, notes) for column in columns]
        if any(mine):
            lines.append(_line([row, "ours", *mine]))
    source = f"Published: {published['paper']['id']}, {table['source']}."
    if cells:
        source += " Ours: value (95 % interval)."
    listed = [f"{number}. {note}" for number, note in enumerate(notes, start=1)]
    remarks = [f"- {note}" for note in table.get("notes", ())]
    blocks = [f"## {table['title']}", "\n".join(lines), source, "\n".join(listed), "\n".join(remarks)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _published(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _ours(ours: Ours | None, column: Mapping[str, Any], table: Mapping[str, Any], row: str, notes: list[str]) -> str:
    """The cell's text; what it must be read with is appended to the notes."""
    if ours is None:
        return ""
    figure = ours.figure
    if figure.value is None:
        return "none"
    text = f"{figure.value:.4f}"
    if figure.low is not None and figure.high is not None:
        text += f" ({figure.low:.4f} to {figure.high:.4f})"
    marks = []
    for note in differences(ours, column, table):
        if note not in notes:
            notes.append(note)
        marks.append(str(notes.index(note) + 1))
    return text + (f" [{', '.join(marks)}]" if marks else "")


def differences(ours: Ours, column: Mapping[str, Any], table: Mapping[str, Any]) -> list[str]:
    """In what our figure was measured otherwise than the published one beside it."""
    found = []
    protocol = ours.results.protocol
    for key, theirs in column.get("protocol", {}).items():
        if key not in protocol:
            found.append(f"{column['title']}: ours does not say its {key}; the paper's: {_plain(theirs)}.")
        elif json.loads(json.dumps(protocol[key])) != theirs:
            found.append(f"{column['title']}: {key} of ours: {_plain(protocol[key])}; the paper's: {_plain(theirs)}.")
    if column["kind"] == "human_eval" and set(protocol["models"]) != set(table["rows"]):
        found.append(
            f"{column['title']}: ranks hold among the models ranked together; ours: {_plain(protocol['models'])}."
        )
    count = column.get("count")
    if count is not None and ours.figure.count != count:
        found.append(f"{column['title']}: {ours.figure.count} items in ours, {count} in the paper.")
    left_out = len(ours.results.excluded)
    if left_out:
        found.append(f"{column['title']}: {left_out} items of ours are listed as left out or counted as empty.")
    truth = ours.results.inputs.get("truth")
    if isinstance(truth, Mapping):
        found.append(f"{column['title']}: ours on {truth.get('name')} (sha256 {str(truth.get('sha256'))[:12]}).")
    return found


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _listing(published: Mapping[str, Any]) -> str:
    return "".join(
        f"{name}: {table['title']}\n  rows: {'; '.join(table['rows'])}\n  columns: {', '.join(table['columns'])}\n"
        f"  files: {', '.join(dict.fromkeys(_file(column, published) for column in table['columns']))}\n"
        for name, table in published["tables"].items()
    )


if __name__ == "__main__":
    try:
        main()
    except KyvoError as error:
        sys.exit(f"tables: {error}")
