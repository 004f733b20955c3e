"""Sets in the forms that other programs read: Parquet, JSON Lines with picture files, WebDataset.

```
OUT/
  README.md                         card with the licence and the splits, as `datasets.load_dataset(OUT)` reads it
  train/data-00000-of-00003.parquet     one row group or more, by `datasets`
  train/metadata.jsonl, train/*.png     `datasets`' "imagefolder"
  train/data-00000-of-00003.tar         `datasets`' "webdataset": a file for each picture, .json for the rest
```

Scene JSON stays whole, unknown keys included: a text in Parquet (`kyvo.data.dataset.open_set` reads it back), plain
JSON in the two others. Beside it stands what a filter needs as typed columns: `objects`, `target_objects`, and the
`steps` of a question's program.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kyvo.data.data_card import front_matter
from kyvo.data.dataset import open_set
from kyvo.errors import ConfigError
from kyvo.extras import extra
from kyvo.files import replacing, write_bytes, write_text

with extra("data"):
    import datasets
    import pyarrow as pa
    from datasets import Features, Image, List, Value

SHARD_BYTES = 500_000_000  # of a file, about; the Hub's own measure
_WORDS = ("category", "shape", "size", "color", "material")
_VECTORS = ("location", "dimensions", "pose")  # in the scene's frame and units; pose in rad
OBJECTS = List(
    {name: Value("string") for name in _WORDS}
    | {name: List(Value("float64")) for name in _VECTORS}
    | {"confidence": Value("float64")}
)
STEPS = List({"function": Value("string"), "inputs": List(Value("int64")), "value_inputs": List(Value("string"))})


@dataclass(frozen=True, kw_only=True)
class Split:
    """Rows under a split's name."""

    name: str  # "train"
    rows: datasets.Dataset


def read_splits(sources: Mapping[str, Path], shares: Mapping[str, float] | None = None) -> list[Split]:
    """The splits of sets: each set is one, or one set is cut into shares, in the order of its rows.

    Args:
        sources: split -> folder of a set.
        shares: split -> share of the one set, above 0, adding up to 1.

    Raises:
        ConfigError: no set is there, or the shares do not add up or are of several sets.
    """
    if shares is None:
        return [Split(name=name, rows=open_set(folder)) for name, folder in sources.items()]
    if len(sources) != 1:
        raise ConfigError(f"shares cut one set, and there are {len(sources)}; name each set's split instead.")
    if min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ConfigError(f"the shares are {dict(shares)}; numbers above 0 that add up to 1 are needed.")
    rows = open_set(next(iter(sources.values())))
    ends, total = [0], 0.0
    for share in shares.values():
        total += share
        ends.append(round(total * len(rows)))
    parts = zip(shares, ends, ends[1:], strict=False)
    return [Split(name=name, rows=rows.select(range(start, end))) for name, start, end in parts]


def about_set(folder: Path) -> tuple[str, str]:
    """Title and licence of a set, for the card of its export; those of a set that says neither are unknown."""
    card = folder / "card.json"
    if not card.is_file():
        return folder.resolve().name, "unknown"
    found = json.loads(card.read_text(encoding="utf-8"))
    return found.get("what", folder.resolve().name), found.get("license", "unknown")


def export_set(
    splits: list[Split], out: Path, *, form: str, shard_bytes: int = SHARD_BYTES, title: str, licence: str
) -> dict[str, list[Path]]:
    """Writes the splits and their card; returns the files of each.

    Args:
        splits: of `read_splits`, all with the same columns.
        out: a folder that is empty or not there.
        form: "parquet", "jsonl" or "webdataset".
        shard_bytes: about the size of a file.
        title: for the card.
        licence: of the rows, for the card; a name that the Hub knows.

    Raises:
        ConfigError: an unknown form, a folder with files, or splits of different columns.
    """
    if form not in FORMS:
        raise ConfigError(f"the form is {form!r}; known are {', '.join(FORMS)}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty; choose another --out.")
    for split in splits:
        if split.rows.features != splits[0].rows.features:
            raise ConfigError(
                f"the splits {splits[0].name} and {split.name} have different columns: "
                f"{', '.join(splits[0].rows.column_names)}; {', '.join(split.rows.column_names)}."
            )
    written = {}
    for split in splits:
        folder = out / split.name
        folder.mkdir(parents=True)
        written[split.name] = FORMS[form].write(split.rows, folder, shard_bytes)
    patterns = {split.name: f"{split.name}/{FORMS[form].pattern}" for split in splits}
    num_rows = sum(len(split.rows) for split in splits)
    counts = "\n".join(f"- {split.name}: {len(split.rows):,} rows" for split in splits)
    head = front_matter(title, licence, num_rows, patterns)
    columns = "\n".join(f"- `{name}`" for name in _nested_features(splits[0].rows.features))
    text = f"---\n{head}---\n\n# {title}\n\n{counts}\n\nColumns:\n\n{columns}\n\n{_ABOUT}"
    write_text(out / "README.md", text)
    return written


_ABOUT = """`scene` is Kyvo's scene JSON, whole; `objects` has its objects as typed columns, for filters.
Read the set with `datasets.load_dataset(folder)`.
"""


def nested(rows: datasets.Dataset) -> datasets.Dataset:
    """The rows with the typed columns beside the texts that they are read from."""
    wanted = _nested_features(rows.features)
    if wanted == rows.features:
        return rows
    texts = [name for name in ("scene", "target_scene", "questions") if name in rows.features]

    def add(*values: Any) -> dict[str, Any]:
        return _nested_columns(dict(zip(texts, values, strict=True)))

    # In memory, so a shard at a time: a cache would lie among the files of the set. Pictures are not decoded, and
    # without a fingerprint `datasets` would pickle all that `add` refers to, to make one.
    return rows.map(
        add, input_columns=texts, features=wanted, keep_in_memory=True, load_from_cache_file=False,
        new_fingerprint="objects",
    )  # fmt: skip


def _nested_features(features: Mapping[str, Any]) -> Features:
    found = dict(features)
    for name, column in (("scene", "objects"), ("target_scene", "target_objects")):
        if name in features:
            found[column] = OBJECTS
    questions = features.get("questions")
    if questions is not None and "program" in questions.feature:
        found["questions"] = List({**questions.feature, "steps": STEPS})
    return Features(found)


def _nested_columns(row: dict[str, Any]) -> dict[str, Any]:
    """The typed columns of a row's texts."""
    found: dict[str, Any] = {}
    for name, column in (("scene", "objects"), ("target_scene", "target_objects")):
        if name in row:
            scene = {"objects": ()} if row[name] is None else json.loads(row[name])
            found[column] = [_object(item) for item in scene["objects"]]
    if "questions" in row:
        found["questions"] = [
            {**question, "steps": json.loads(question["program"])} if question.get("program") else question
            for question in row["questions"] or ()
        ]
    return found


def _object(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item.get(name) for name in (*_WORDS, *_VECTORS, "confidence")}


def _write_parquet(rows: datasets.Dataset, folder: Path, shard_bytes: int) -> list[Path]:
    count = _num_shards(rows, shard_bytes)
    paths = [folder / f"data-{index:05d}-of-{count:05d}.parquet" for index in range(count)]
    for index, path in enumerate(paths):
        with replacing(path, faults=(pa.ArrowException,)) as draft:
            nested(rows.shard(num_shards=count, index=index, contiguous=True)).to_parquet(draft)
    return paths


def _write_jsonl(rows: datasets.Dataset, folder: Path, shard_bytes: int) -> list[Path]:
    """One list and a file for each picture, so shards have no use here."""
    path = folder / "metadata.jsonl"
    taken: set[str] = set()
    with replacing(path) as draft, draft.open("wb") as file:
        for key, pictures, row in _plain_rows(rows, taken):
            for column, (suffix, data) in pictures.items():
                name = f"{key}{suffix}" if column == "image" else f"{key}.{column}{suffix}"
                write_bytes(folder / name, data)
                # "file_name" is how imagefolder spells the column "image"
                row["file_name" if column == "image" else f"{column}_file_name"] = name
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return [path]


def _write_webdataset(rows: datasets.Dataset, folder: Path, shard_bytes: int) -> list[Path]:
    count = _num_shards(rows, shard_bytes)
    paths = [folder / f"data-{index:05d}-of-{count:05d}.tar" for index in range(count)]
    taken: set[str] = set()
    for index, path in enumerate(paths):
        with replacing(path) as draft, tarfile.open(draft, "w") as archive:
            for key, pictures, row in _plain_rows(rows.shard(num_shards=count, index=index, contiguous=True), taken):
                files = {
                    f"{key}{suffix}" if column == "image" else f"{key}.{column}{suffix}": data
                    for column, (suffix, data) in pictures.items()
                }
                files[f"{key}.json"] = json.dumps(row, ensure_ascii=False).encode()
                for name, data in files.items():
                    member = tarfile.TarInfo(name)  # without an owner or a time: the same bytes each time
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    return paths


def _plain_rows(
    rows: datasets.Dataset, taken: set[str]
) -> Iterator[tuple[str, dict[str, tuple[str, bytes]], dict[str, Any]]]:
    """Key, the pictures' files by column with their endings, and the rest as plain JSON.

    A key has no dot and no slash, which WebDataset and file systems read as more than a name, and stands once.
    """
    images = [name for name, feature in rows.features.items() if isinstance(feature, Image)]
    for name in images:
        rows = rows.cast_column(name, Image(decode=False))
    for index in range(len(rows)):
        row: dict[str, Any] = rows[index]
        name = str(row.get("name") or f"{index:06d}")
        key = name.rpartition(".")[0] if name.lower().endswith((".png", ".jpg", ".jpeg", ".webp")) else name
        key = key.replace("/", "_").replace(".", "_")
        while key in taken:
            key += "_"
        taken.add(key)
        pictures = {column: (".png", row.pop(column)["bytes"]) for column in images}
        for column in ("scene", "target_scene", "program"):
            if row.get(column) is not None:
                row[column] = json.loads(row[column])
        for question in row.get("questions") or ():
            if question.get("program"):
                question["program"] = json.loads(question["program"])
        yield key, pictures, row


def _num_shards(rows: datasets.Dataset, shard_bytes: int) -> int:
    """From the bytes of the rows as they lie; a selection counts its share of its table."""
    table = rows.data
    size = table.nbytes * len(rows) / max(len(table), 1)
    return max(1, min(len(rows), -(-int(size) // shard_bytes)))


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a split is written, and the pattern of its files for the card."""

    write: Callable[[datasets.Dataset, Path, int], list[Path]]
    pattern: str


FORMS = {
    "parquet": Form(write=_write_parquet, pattern="*.parquet"),
    "jsonl": Form(write=_write_jsonl, pattern="**"),
    "webdataset": Form(write=_write_webdataset, pattern="*.tar"),
}
