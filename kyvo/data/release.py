"""The released Kyvo files <-> rows of our sets, and back to the same token ids.

Token files are JSON: `{key: [256 image indices]}`, and `{key: {"token_ids": [...]}}` for scenes and texts; keys join
them. What the published code leaves open about them (is a word spelt with its leading space, does an image index count
from 0, ...) is a *reading*: each file is tried in all of them, read in the one that fits most samples, and says which.
A sample that does not fit is a fault with its file, key and position, and costs no other sample.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kyvo.data.release_codecs import COLUMNS, Codec, SceneCodec, check_dataset, codecs_for
from kyvo.errors import ConfigError, TokenError
from kyvo.files import write_text
from kyvo.scene.files import read_json, scene_to_json
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.text import TextTokenizer

EDITS = (
    "appearance_no_relation",
    "appearance_with_relation",
    "insertion_with_relation",
    "removal_with_relation",
    "moving_with_relation",
)

_TRIED = 200  # samples of a file in which the readings are compared


def find_release(folder: Path, dataset: str, part: str = "pairs", split: str = "train") -> dict[str, Path]:
    """What a file holds (a key of COLUMNS) -> its path, in the released folder that has the data sets' folders.

    Args:
        folder: has `clevr`, `objaworld` and `objectron`, or is one of them.
        dataset: clevr, objaworld or objectron.
        part: "pairs" of picture and scene; of CLEVR also "questions", "edits" and, in the split test, each of EDITS.
        split: "train" or "test".

    Raises:
        ConfigError: an unknown part, or a file that is not there exactly once.
    """
    parts = _file_names(split) if check_dataset(dataset) == "clevr" else {"pairs": _pair_names(split, "")}
    if part not in parts:
        raise ConfigError(f"{dataset} has no part {part!r} in the split {split}; known are {', '.join(parts)}.")
    base = folder / dataset if (folder / dataset).is_dir() else folder
    found = {}
    for role, pattern in parts[part].items():
        paths = sorted(base.glob(pattern))
        if len(paths) != 1:
            raise ConfigError(f"{base} has {len(paths)} files {pattern}; one is needed for {dataset} {part} {split}.")
        found[role] = paths[0]
    return found


@dataclass(frozen=True, kw_only=True)
class TokenFile:
    """The samples of one file that fit its reading, and the faults of the others."""

    path: Path
    codec: Codec
    boxed: bool  # the ids stand under "token_ids", not by themselves
    samples: dict[str, Any]  # key -> scene, text or codes
    faults: list[str]
    words: Counter[str] = field(default_factory=Counter)  # of scenes, that our schema does not have

    def lines(self) -> list[str]:
        """What was found: the reading first, then the faults."""
        head = f"{self.path}: {len(self.samples)} samples fit: {_described(self.codec.reading)}"
        if isinstance(self.codec, SceneCodec) and self.codec.schema.name != "objectron":
            head += f"; numbers on a step of {_step(self.samples.values()):g}"
        words = [f"{self.path}: {count} times {word}, which our schema lacks" for word, count in self.words.items()]
        return [head, *words, *self.faults]


def load_token_file(path: Path, role: str, *, dataset: str, text: TextTokenizer) -> TokenFile:
    """Reads a released token file in the reading that fits most of its samples.

    Fields beside `token_ids` stay in a scene's `extra["release"]`.

    Args:
        path: the file.
        role: what it holds, a key of COLUMNS.
        dataset: clevr, objaworld or objectron.
        text: the Llama-3.2 tokenizer.

    Raises:
        SceneError: the file is unreadable or no JSON.
        TokenError: it is no token file, or no sample fits any reading.
    """
    data = read_json(path)
    if not isinstance(data, dict) or not data:
        raise TokenError(f"{path}: a token file is a JSON object with a key for each sample; this is not.")
    boxes = [isinstance(entry, dict) for entry in data.values()]
    boxed = sum(boxes) * 2 > len(boxes)
    codecs = codecs_for(role, dataset, text)
    every = max(1, len(data) // _TRIED)
    tried = [_ids_of(entry, boxed) for entry in list(data.values())[::every]]
    scores = [sum(_fits(codec, ids) for ids in tried) for codec in codecs]
    codec = codecs[scores.index(max(scores))]
    samples: dict[str, Any] = {}
    faults = []
    words: Counter[str] = Counter()
    for key, entry in data.items():
        try:
            ids = _ids_of(entry, boxed)
            if ids is None:
                raise TokenError(f"{'an object with token_ids' if boxed else 'a list of ids'} is needed here.")
            content: Any = codec.decode(ids)
        except TokenError as error:
            faults.append(f"{path}: {key!r}: {error}")
            continue
        if isinstance(codec, SceneCodec):
            words.update(_unknown_words(content, codec.schema))
            content = _with_rest(content, key, entry)
        samples[key] = content
    if not samples:
        raise TokenError(f"{path}: no sample fits. In the reading '{_described(codec.reading)}': {faults[0]}")
    return TokenFile(path=path, codec=codec, boxed=boxed, samples=samples, faults=faults, words=words)


def save_token_file(path: Path, samples: Mapping[str, Any], codec: Codec, *, boxed: bool = True) -> None:
    """Inverse of `load_token_file`: the same ids under the same keys."""
    data: dict[str, Any] = {}
    for key, content in samples.items():
        try:
            ids = codec.encode(content)
        except TokenError as error:
            raise TokenError(f"{key!r}: {error}") from error
        rest = content.extra.get("release", {}) if isinstance(content, Scene) else {}
        data[key] = {"token_ids": ids, **rest} if boxed else ids
    write_text(path, json.dumps(data))  # as the released programs write it, without a line end


def release_rows(files: Mapping[str, TokenFile], on_fault: Callable[[str], object]) -> Iterator[dict[str, Any]]:
    """Rows for an Arrow set: `name`, and COLUMNS of the given files; scenes as scene JSON.

    Only keys that all files have make a row; `on_fault` is called with the others.
    """
    for key in dict.fromkeys(key for file in files.values() for key in file.samples):
        lacking = [str(file.path) for file in files.values() if key not in file.samples]
        if lacking:
            on_fault(f"{', '.join(lacking)}: no usable sample {key!r}, which another file has")
            continue
        row: dict[str, Any] = {"name": key}
        for role, file in files.items():
            content = file.samples[key]
            row[COLUMNS[role]] = json.dumps(scene_to_json(content)) if isinstance(content, Scene) else content
        yield row


def _fits(codec: Codec, ids: list[Any] | None) -> bool:
    if ids is None:
        return False
    try:
        content: Any = codec.decode(ids)
        return codec.encode(content) == ids
    except TokenError:
        return False


def _ids_of(entry: Any, boxed: bool) -> list[Any] | None:
    ids = entry.get("token_ids") if boxed and isinstance(entry, dict) else entry
    return ids if isinstance(ids, list) else None


def _with_rest(scene: Scene, key: str, entry: Any) -> Scene:
    rest = {name: value for name, value in entry.items() if name != "token_ids"} if isinstance(entry, dict) else {}
    source = rest.get("string")
    image = source.get("file_path") if isinstance(source, dict) else None
    return replace(scene, image=image if isinstance(image, str) else key, extra={"release": rest} if rest else {})


def _unknown_words(scene: Scene, schema: SceneSchema) -> Iterator[str]:
    for item in scene.objects:
        for entry in schema.fields:
            if entry.words and item.get(entry.name) not in entry.words:
                yield f"{entry.name} {item.get(entry.name)!r}"


def _described(reading: Any) -> str:
    return ", ".join(reading) if isinstance(reading, tuple) else str(reading)


def _step(scenes: Iterable[Scene]) -> float:
    """The coarser of the two steps, 0.05 and 0.005, on which all numbers lie."""
    numbers = [value for s in scenes for o in s.objects for value in (*(o.location or ()), *(o.pose or ()))]
    return 0.05 if all(abs(value * 20 - round(value * 20)) < 1e-6 for value in numbers) else 0.005


def _pair_names(split: str, ending: str) -> dict[str, str]:
    return {
        "image": f"images/{split}_vqgan_indices{ending}.json",
        "scene": f"3d-scenes/{split}_tokenized_scenes{ending}.json",
    }


def _file_names(split: str) -> dict[str, dict[str, str]]:
    """CLEVR's parts. Of the files for the test of edits only the folders and the kinds in their names are known."""
    target = {f"target_{role}": name for role, name in _pair_names(split, "_target").items()}
    parts = {
        "pairs": _pair_names(split, "_merged*"),
        "questions": _pair_names(split, "_for_vqa")
        | {"text": f"text/{split}_vqa_questions.json", "answer": f"text/{split}_vqa_answers.json"},
        "edits": _pair_names(split, "_source") | target | {"text": f"text/{split}_text_instructions.json"},
    }
    if split == "test":
        del parts["edits"]
        for kind in EDITS:
            parts[kind] = {"text": f"text/instruction-following-eval/test_text_instructions_{kind}.json"}
            for prefix, side in (("", "source"), ("target_", "target")):
                parts[kind][f"{prefix}image"] = f"images/instruction-following-eval-{side}/*{kind}*.json"
                parts[kind][f"{prefix}scene"] = f"3d-scenes/instruction-following-eval-{side}/*{kind}*.json"
    return parts
