"""The data card of a set: where its rows come from, what its columns mean, and how it can be made again."""

import hashlib
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import kyvo

if TYPE_CHECKING:
    import datasets

    from kyvo.data.dataset import SetSettings, SkippedItem


def card_of(
    settings: "SetSettings",
    rows: "datasets.Dataset",
    *,
    hashes: Mapping[str, str],
    missing: Sequence["SkippedItem"],
    command: str,
) -> dict[str, Any]:
    """What `card.json` says of a whole set. `hashes` are of its files, `missing` what was left out and why."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    return {
        "what": settings.what,
        "license": settings.license,
        "rows": len(rows),
        **settings.figures(rows, missing),
        "left_out": [f"{item.name}: {item.reason}" for item in missing],
        "source_notes": settings.source_notes(),
        "command": command,
        "settings": settings.to_dict(),
        "columns": {name: meaning for name, meaning in settings.columns.items() if name not in settings.left_out},
        "versions": {name: version(name) for name in ("torch", "numpy", "pillow", "datasets")}
        | {"python": platform.python_version(), "kyvo": kyvo.__version__, "kyvo_commit": _commit()},
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),  # of `sha256sum`'s list of the files
        "files": dict(hashes),
    }


def readme(card: dict[str, Any], settings: "SetSettings") -> str:
    """The card as a page, which Hugging Face reads as well."""
    notes = [f"{len(card['left_out'])} of {settings.count:,} samples left out"] if card["left_out"] else []
    lines = [*notes, *card["source_notes"], *card["left_out"]]
    section = "\n## Notes on the sources\n\n" + "\n".join(f"- {line}" for line in lines[:SHOWN]) + "\n" if lines else ""
    if len(lines) > SHOWN:
        section += f"- and {len(lines) - SHOWN} more, in `card.json`\n"
    return _README.format(
        head=front_matter(settings.what, card["license"], card["rows"], {"train": "data-*.arrow"}),
        lines="\n".join(f"- `{name}`: {meaning}" for name, meaning in card["columns"].items()),
        about=settings.about(),
        missing=section,
        **card,
    )


def front_matter(title: str, licence: str, num_rows: int, files: Mapping[str, str]) -> str:
    """What Hugging Face reads of a card: YAML between dashes.

    Args:
        title: of the set.
        licence: of the rows, a name that the Hub knows, or "other".
        num_rows: in all splits.
        files: split -> pattern of its files.
    """
    steps = ["0", "1K", "10K", "100K", "1M", "10M", "100M", "1B"]
    step = min(max(len(str(num_rows)) - 3, 0), len(steps) - 2)
    head = {
        "license": licence,
        "pretty_name": title,
        "size_categories": [f"{steps[step]}<n<{steps[step + 1]}" if step else "n<1K"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": pattern} for split, pattern in files.items()],
            }
        ],
    }
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True)


SHOWN = 20  # lines of what was left out; `card.json` has all
_README = """---
{head}---

# {what}

{rows:,} rows, made by

    {command}

{lines}

Read it with `kyvo.data.dataset.open_set(folder)` or `datasets.load_from_disk(folder)`; `kyvo data export` writes it as
Parquet, JSON Lines or WebDataset.

{about}
{missing}
Hash of the data (sha256 of the list of the files' sha256): {sha256}. Hashes of the files, all settings and versions
of the programs are in `card.json`.
"""


def _commit() -> str | None:
    """The commit of the checkout that this package runs from; None outside one."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return found.stdout.strip() if found.returncode == 0 else None
