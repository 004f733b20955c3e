"""The kinds of sets that are read from files: one's own folder, Omni3D's annotations, the released token files.

`count` is the number of samples in the source; those with a fault are left out of the set with their reasons. What a
reader leaves out before there is a sample, it tells in `source_notes` (`Tally.lines`, `TokenFile.lines`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from kyvo.data.checks import check_pair, stems
from kyvo.data.dataset import SetSettings, SkippedItem, picture_cell, scene_cell
from kyvo.data.generators import PICTURE, PICTURE_COLUMNS
from kyvo.data.omni3d import Omni3DSet, load_omni3d, read_pair
from kyvo.data.release import TokenFile, find_release, load_token_file, release_rows
from kyvo.data.release_codecs import COLUMNS
from kyvo.errors import ConfigError, ImageError, SceneError
from kyvo.extras import extra
from kyvo.scene.builtin_schemas import load_schema
from kyvo.tokenizers.text import load_text

with extra("data"):
    from datasets import Features, List, Value


@dataclass(frozen=True, kw_only=True)
class FolderSet(SetSettings):
    """One's own pictures and scenes: files of the same stem in a folder."""

    folder: str
    schema: str  # a name, or a YAML file

    kind: ClassVar[str] = "folder"
    what: ClassVar[str] = "Pictures and scenes of a folder"
    columns: ClassVar[dict[str, str]] = PICTURE_COLUMNS
    features: ClassVar[Features] = Features(PICTURE)
    license: ClassVar[str] = "other"  # the sources'

    @classmethod
    def of(cls, folder: Path, schema: str) -> "FolderSet":
        return cls(count=len(stems(folder)), folder=str(folder), schema=schema)

    def rows(self, indices: Sequence[int]) -> Iterator[dict[str, Any] | SkippedItem]:
        schema, files = load_schema(self.schema), list(stems(Path(self.folder)).values())
        for index in indices:
            pair = check_pair(files[index], schema)
            if pair.faults or pair.picture is None or pair.scene is None:
                first = pair.faults[0]
                more = f" (and {len(pair.faults) - 1} more faults)" if len(pair.faults) > 1 else ""
                where = f"{first.place}: " if first.place else ""
                yield SkippedItem(name=first.file.name, reason=f"{where}{first.message}{more}")
                continue
            yield {"image": picture_cell(pair.picture, pair.name), "scene": scene_cell(pair.scene), "name": pair.name}

    def about(self) -> str:
        return f"Read from the folder `{Path(self.folder).name}` under the schema `{Path(self.schema).name}`."


@dataclass(frozen=True, kw_only=True)
class Omni3dSet(SetSettings):
    """The pictures of an Omni3D file that show an object; with `flips` each is followed by its mirror image."""

    annotations: str
    pictures: str  # folder that the file's paths start from
    schema: str | None  # None: the file's own categories, without bins
    flips: bool = False
    clamp: bool = False  # move numbers into the schema's bins rather than leave their objects out

    kind: ClassVar[str] = "omni3d"
    what: ClassVar[str] = "Annotated pictures in Omni3D's format"
    columns: ClassVar[dict[str, str]] = PICTURE_COLUMNS
    features: ClassVar[Features] = Features(PICTURE)
    license: ClassVar[str] = "other"  # the sources'

    @classmethod
    def of(
        cls, annotations: Path, pictures: Path, *, schema: str | None, flips: bool = False, clamp: bool = False
    ) -> "Omni3dSet":
        found = _omni3d(str(annotations), schema, clamp, _stamp(annotations))
        if not found.scenes:
            reasons = "; ".join(found.tally.lines()) or "it has no images"
            raise ConfigError(f"{annotations}: no picture has an object that can be used: {reasons}.")
        count = len(found.scenes) * (1 + flips)
        return cls(
            count=count, annotations=str(annotations), pictures=str(pictures), schema=schema, flips=flips, clamp=clamp
        )

    @property
    def found(self) -> Omni3DSet:
        return _omni3d(self.annotations, self.schema, self.clamp, _stamp(Path(self.annotations)))

    def rows(self, indices: Sequence[int]) -> Iterator[dict[str, Any] | SkippedItem]:
        for index in indices:
            number, flipped = divmod(index, 1 + self.flips)
            try:
                picture, scene, name = read_pair(self.found.scenes[number], Path(self.pictures), flipped=bool(flipped))
                row = {"image": picture_cell(picture, name), "scene": scene_cell(scene), "name": name}
            except (ImageError, SceneError) as error:  # a picture that was not downloaded costs no other row
                yield SkippedItem(name=str(self.found.scenes[number].image), reason=str(error))
                continue
            yield row

    def source_notes(self) -> list[str]:
        return self.found.tally.lines()

    def about(self) -> str:
        return f"Read from `{Path(self.annotations).name}`" + (", with mirror images." if self.flips else ".")


def _stamp(path: Path) -> tuple[int, int]:
    """Another one where the file is another."""
    if not path.is_file():
        return 0, 0  # who reads it says so
    about = path.stat()
    return about.st_mtime_ns, about.st_size


@cache
def _omni3d(annotations: str, schema: str | None, clamp: bool, stamp: tuple[int, int]) -> Omni3DSet:
    return load_omni3d(Path(annotations), None if schema is None else load_schema(schema), clamp=clamp)


@dataclass(frozen=True, kw_only=True)
class ReleaseSet(SetSettings):
    """The released token files of one data set: codes, scenes and texts, without pictures."""

    folder: str
    dataset: str  # clevr, objaworld or objectron
    part: str  # of `find_release`
    split: str
    tokenizer: str  # Llama-3.2's tokenizer.model

    kind: ClassVar[str] = "release"
    what: ClassVar[str] = "The released Kyvo token files"
    columns: ClassVar[dict[str, str]] = {
        "name": "key of the sample",
        "codes": "image codes, 16 x 16 row by row",
        "scene": "Kyvo scene JSON",
        "instruction": "of an edit",
        "questions": "a list of one `question` and its `answer`",
        "target_codes": "image codes after an edit",
        "target_scene": "scene after an edit",
    }
    features: ClassVar[Features] = Features(
        {name: Value("string") for name in ("name", "scene", "instruction", "target_scene")}
        | {name: List(Value("int16")) for name in ("codes", "target_codes")}
        | {"questions": List({name: Value("string") for name in ("question", "answer")})}
    )
    license: ClassVar[str] = "other"  # the sources'

    @classmethod
    def of(cls, folder: Path, *, dataset: str, part: str, split: str, tokenizer: Path) -> "ReleaseSet":
        count = len(_release(str(folder), dataset, part, split, str(tokenizer))[1])
        return cls(count=count, folder=str(folder), dataset=dataset, part=part, split=split, tokenizer=str(tokenizer))

    @property
    def source(self) -> tuple[dict[str, TokenFile], list[dict[str, Any]], list[str]]:
        """The files by what they hold, the rows, and what was missing for a row."""
        return _release(self.folder, self.dataset, self.part, self.split, self.tokenizer)

    def rows(self, indices: Sequence[int]) -> Iterator[dict[str, Any] | SkippedItem]:
        found = self.source[1]
        for index in indices:
            row = dict(found[index])
            if "answer" in row:
                row["questions"] = [{"question": row.pop("text"), "answer": row.pop("answer")}]
            elif "text" in row:
                row["instruction"] = row.pop("text")
            yield {name: row.get(name) for name in self.features}

    def source_notes(self) -> list[str]:
        files, _, faults = self.source
        return [*(line for file in files.values() for line in file.lines()), *faults]

    def about(self) -> str:
        return f"Read from the released files of {self.dataset}, {self.part}, {self.split}."


@cache
def _release(
    folder: str, dataset: str, part: str, split: str, tokenizer: str
) -> tuple[dict[str, TokenFile], list[dict[str, Any]], list[str]]:
    text = load_text(Path(tokenizer))
    paths = find_release(Path(folder), dataset, part, split)
    files = {
        role: load_token_file(path, role, dataset=dataset, text=text) for role, path in paths.items() if role in COLUMNS
    }
    faults: list[str] = []
    rows = list(release_rows(files, faults.append))
    return files, rows, faults
