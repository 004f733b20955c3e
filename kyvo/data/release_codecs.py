"""What the released token files hold, in every way they may be written: ids <-> scenes, texts and image codes.

The published code leaves open how a word is spelt, where [SCENE-START] stands and how ObjaWorld's pose is written. Each
way is a *reading*, and a codec is one kind of content in one reading: `encode` gives the very ids that `decode` took.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from kyvo.data.omni3d import schema_word
from kyvo.errors import ConfigError, TokenError
from kyvo.scene.builtin_schemas import clevr_schema, objaworld_schema, objectron_schema
from kyvo.scene.fields import Field
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.text import TextTokenizer
from kyvo.tokenizers.vocabulary import (
    OBJECT_END,
    OBJECT_START,
    SCENE_END,
    SCENE_START,
    TEXT_END,
    TEXT_START,
    Vocabulary,
    release_clevr_vocabulary,
    release_objectron_vocabulary,
)

COLUMNS = {  # what a file holds -> its column in our rows, beside `name`
    "image": "codes",
    "scene": "scene",
    "text": "text",
    "answer": "answer",
    "target_image": "target_codes",
    "target_scene": "target_scene",
}

_NUM_CODES = 256  # 16 x 16, row by row
_POSE = "[POSE]"  # the paper's marker, for which the released vocabularies have no id
_Run = tuple[int, str, list[int]]  # position of a marker, the marker, the ids up to the next one


def check_dataset(dataset: str) -> str:
    """The name itself. Raises ConfigError for one that was not released."""
    if dataset not in ("clevr", "objaworld", "objectron"):
        raise ConfigError(f"{dataset!r} is no released data set; known are clevr, objaworld, objectron.")
    return dataset


def release_vocabulary(dataset: str) -> Vocabulary:
    """The ids of a released data set: clevr, objaworld or objectron."""
    return release_objectron_vocabulary() if check_dataset(dataset) == "objectron" else release_clevr_vocabulary()


def release_schema(dataset: str) -> SceneSchema:
    """The released scenes' fields on the released numbers, objects in the files' own order."""
    schemas: dict[str, Callable[[], SceneSchema]] = {
        "clevr": lambda: replace(clevr_schema(0.005), order="given"),
        "objaworld": lambda: objaworld_schema(0.005),
        "objectron": objectron_schema,
    }
    return schemas[check_dataset(dataset)]()


@dataclass(frozen=True, kw_only=True)
class SceneFormat:
    """How a file writes scenes."""

    bounded: bool  # [SCENE-START] and [SCENE-END] stand around each
    space: bool  # a word's first piece has its leading space
    pose: str  # "none", "azimuth": a fourth number after [LOCATION], or "spelt": [POSE] as text, then three numbers

    def __str__(self) -> str:
        poses = {"none": "", "azimuth": ", the azimuth as fourth number", "spelt": f", {_POSE} in text ids"}
        bounds, space = ("with" if present else "without" for present in (self.bounded, self.space))
        return f"scenes {bounds} their markers, words {space} a leading space{poses[self.pose]}"


class SceneCodec:
    """Scenes of one released data set."""

    def __init__(self, dataset: str, text: TextTokenizer, reading: SceneFormat) -> None:
        self.reading = reading
        self.schema = release_schema(dataset)
        self.vocabulary = release_vocabulary(dataset)
        self.text = text
        _check_text(self.vocabulary, text)
        self.fields = [entry for entry in self.schema.fields if entry.name != "pose"]
        self._pose_ids = text.encode(_POSE)
        self._words: dict[tuple[int, ...], str] = {}
        self._steps = [OBJECT_START, *(entry.marker for entry in self.fields), OBJECT_END]

    def decode(self, ids: list[Any]) -> Scene:
        _check_ids(ids, self.vocabulary)
        runs = _runs(ids, self.vocabulary)
        if self.reading.bounded:
            for place, marker in ((0, SCENE_START), (-1, SCENE_END)):
                _expect(runs[place] if runs else None, marker, len(ids))
            _expect_nothing(runs[0], runs[-1])
            runs = runs[1:-1]
        objects = []
        for start in range(0, len(runs), len(self._steps)):
            group = runs[start : start + len(self._steps)]
            for place, marker in enumerate(self._steps):
                _expect(group[place] if place < len(group) else None, marker, len(ids))
            objects.append(self._decode_object(group))
        return self.schema.scene(objects)

    def _decode_object(self, group: list[_Run]) -> SceneObject:
        values: dict[str, Any] = {}
        for entry, (position, marker, payload) in zip(self.fields, group[1:-1], strict=True):
            try:
                values |= self._decode_word(entry, payload) if entry.words else self._decode_numbers(entry, payload)
            except TokenError as error:
                raise TokenError(f"token_ids[{position}], {marker}: {error}") from error
        _expect_nothing(group[0], group[-1])
        return SceneObject().with_values(**values)

    def _decode_word(self, entry: Field, payload: list[int]) -> dict[str, str]:
        word = self._words.get(tuple(payload))
        if word is None:
            if not payload or any(token not in self.text.plain for token in payload):
                raise TokenError(f"a word is needed, the ids {payload[:8]} stand there.")
            spelt = self.text.decode(payload)
            word = spelt.removeprefix(" ") if self.reading.space else spelt
            if self._spell(word) != payload or not re.fullmatch(r"\w+(?:[ -]\w+)*", word):
                raise TokenError(f"{spelt!r} is no word spelt {'with' if self.reading.space else 'without'} a space.")
            self._words[tuple(payload)] = word
        known = schema_word(word, entry.words)
        return {entry.name: known} if known == word else {entry.name: known, f"released_{entry.name}": word}

    def _decode_numbers(self, entry: Field, payload: list[int]) -> dict[str, tuple[float, ...]]:
        pose = self.reading.pose if entry.name == "location" else "none"
        if pose == "spelt":
            if payload[3:-3] != self._pose_ids:
                raise TokenError(f"{_POSE} is needed after three numbers, {payload[3:-3]} stands there.")
            payload = payload[:3] + payload[-3:]
        count = len(entry.axes) + {"none": 0, "azimuth": 1, "spelt": 3}[pose]
        if len(payload) != count or any(token not in self.vocabulary.ranges["number"] for token in payload):
            raise TokenError(f"{count} numbers are needed, the ids {payload[:8]} stand there.")
        numbers = tuple(self.vocabulary.numbers[token - self.vocabulary.ranges["number"].start] for token in payload)
        if entry.name == "dimensions" and min(numbers) < 0:
            raise TokenError(f"the dimensions {numbers} are negative.")
        if pose == "none":
            return {entry.name: numbers}
        return {"location": numbers[:3], "pose": (0.0, 0.0, *numbers[3:]) if pose == "azimuth" else numbers[3:]}

    def encode(self, content: Scene) -> list[int]:
        """The very ids of `decode`'s scene. Raises TokenError for values that have none."""
        marker, number = self.vocabulary.marker_id, self.vocabulary.number_id
        ids: list[int] = []
        for item in content.objects:
            ids.append(marker(OBJECT_START))
            for entry in self.fields:
                ids.append(marker(entry.marker))
                value = item.get(entry.name)
                if value is None:
                    raise TokenError(f"an object has no {entry.name}; the released {self.schema.name} files need it.")
                if entry.words:
                    ids.extend(self._spell(item.extra.get(f"released_{entry.name}", value)))
                    continue
                ids.extend(number(entry) for entry in value)
                if entry.name == "location" and self.reading.pose != "none":
                    if item.pose is None:
                        raise TokenError(f"an object has no pose; the released {self.schema.name} files need it.")
                    if self.reading.pose == "azimuth" and item.pose[:2] != (0.0, 0.0):
                        raise TokenError(f"the pose {item.pose} is no turn about z alone, which is all that has ids.")
                    spelt = self.reading.pose == "spelt"
                    ids.extend([*self._pose_ids] if spelt else [])
                    ids.extend(number(angle) for angle in (item.pose if spelt else item.pose[2:]))
            ids.append(marker(OBJECT_END))
        return [marker(SCENE_START), *ids, marker(SCENE_END)] if self.reading.bounded else ids

    def _spell(self, word: str) -> list[int]:
        return self.text.encode(" " + word if self.reading.space else word)


class TextCodec:
    """Instructions, questions and answers. The reading says whether [TEXT-START] and [TEXT-END] are in the file."""

    def __init__(self, dataset: str, text: TextTokenizer, reading: str) -> None:
        self.reading = reading
        self.vocabulary = release_vocabulary(dataset)
        self.text = text
        _check_text(self.vocabulary, text)
        bounds = (TEXT_START, TEXT_END) if reading == "with text markers" else ()
        self._bounds = [self.vocabulary.marker_id(marker) for marker in bounds]

    def decode(self, ids: list[Any]) -> str:
        _check_ids(ids, self.vocabulary)
        if self._bounds and (len(ids) < 2 or [ids[0], ids[-1]] != self._bounds):
            raise TokenError(f"a text starts with {TEXT_START} and ends with {TEXT_END}; this one does not.")
        inner = ids[1:-1] if self._bounds else ids
        for position, token in enumerate(inner, start=1 if self._bounds else 0):
            if token not in self.text.plain:
                raise TokenError(f"token_ids[{position}] is {token}, {_shown(token, self.vocabulary)}, in a text.")
        content = self.text.decode(inner)
        if self.text.encode(content) != inner:
            raise TokenError(f"the text {content!r} is not spelt as the tokenizer spells it; it has no way back.")
        return content

    def encode(self, content: str) -> list[int]:
        inner = self.text.encode(content)
        return [self._bounds[0], *inner, self._bounds[1]] if self._bounds else inner


class ImageCodec:
    """256 image indices, row by row -> codes 0 to 1023. The reading says where counting starts, and how rows stand."""

    def __init__(self, dataset: str, reading: tuple[str, str]) -> None:
        self.reading = reading  # ("codes" or "ids", "flat" or "rows")
        self.allowed = range(1024) if reading[0] == "codes" else release_vocabulary(dataset).ranges["image"]

    def decode(self, ids: list[Any]) -> list[int]:
        nested = bool(ids) and all(isinstance(row, list) for row in ids)
        if nested != (self.reading[1] == "rows"):
            raise TokenError(f"indices stand {'in rows' if nested else 'in one list'}, not {self.reading[1]}.")
        flat = [index for row in ids for index in row] if nested else ids
        if len(flat) != _NUM_CODES or (nested and any(len(row) != 16 for row in ids)):
            raise TokenError(f"{len(flat)} image indices are there; a picture has {_NUM_CODES}.")
        for position, index in enumerate(flat):
            if type(index) is not int or index not in self.allowed:
                raise TokenError(
                    f"index[{position}] is {index!r}; image {self.reading[0]} go from {self.allowed.start} to "
                    f"{self.allowed.stop - 1}."
                )
        return [index - self.allowed.start for index in flat]

    def encode(self, content: Sequence[int]) -> list[Any]:
        flat = [self.allowed[code] for code in content]
        return [flat[start : start + 16] for start in range(0, _NUM_CODES, 16)] if self.reading[1] == "rows" else flat


Codec = SceneCodec | TextCodec | ImageCodec  # one kind of content in one reading; `decode` raises TokenError


def codecs_for(role: str, dataset: str, text: TextTokenizer) -> list[Codec]:
    """All readings of what a file holds, the likeliest first."""
    kind = role.removeprefix("target_")
    if kind == "scene":
        poses = ("azimuth", "spelt") if dataset == "objaworld" else ("none",)
        readings = product((True, False), (True, False), poses)
        return [SceneCodec(dataset, text, SceneFormat(bounded=b, space=s, pose=p)) for b, s, p in readings]
    if kind == "image":
        return [ImageCodec(dataset, reading) for reading in product(("codes", "ids"), ("flat", "rows"))]
    if kind in ("text", "answer"):
        return [TextCodec(dataset, text, reading) for reading in ("with text markers", "without text markers")]
    raise ConfigError(f"a released file holds no {role!r}; known are {', '.join(COLUMNS)}.")


def _runs(ids: list[int], vocabulary: Vocabulary) -> list[_Run]:
    markers = vocabulary.ranges["marker"]
    runs: list[_Run] = []
    for position, token in enumerate(ids):
        if token in markers:
            runs.append((position, vocabulary.markers[token - markers.start], []))
        elif runs:
            runs[-1][2].append(token)
        else:
            raise TokenError(f"token_ids[0] is {_shown(token, vocabulary)}; a scene starts with a marker.")
    return runs


def _expect(run: _Run | None, marker: str, length: int) -> None:
    if run is None:
        raise TokenError(f"{marker} is needed at token_ids[{length}], where the scene ends.")
    if run[1] != marker:
        raise TokenError(f"token_ids[{run[0]}] is {run[1]}; {marker} is needed there.")


def _expect_nothing(*runs: _Run) -> None:
    for position, marker, payload in runs:
        if payload:
            raise TokenError(f"token_ids[{position + 1}] is {payload[0]}; a marker is needed after {marker}.")


def _check_ids(ids: list[Any], vocabulary: Vocabulary) -> None:
    for position, token in enumerate(ids):
        if type(token) is not int or not 0 <= token < len(vocabulary) or token in vocabulary.ranges["reserved"]:
            raise TokenError(
                f"token_ids[{position}] is {token!r}, outside the vocabulary {vocabulary.name!r} of the ids 0 to "
                f"{len(vocabulary) - 1}. Is the file of another data set?"
            )


def _check_text(vocabulary: Vocabulary, text: TextTokenizer) -> None:
    if text.size != vocabulary.num_text:
        raise TokenError(
            f"the text tokenizer has {text.size} ids, the released files {vocabulary.num_text}; take the "
            "tokenizer.model that comes with the Llama-3.2 weights."
        )


def _shown(token: int, vocabulary: Vocabulary) -> str:
    kind = vocabulary.kind(token)
    return str(vocabulary.value(token)) if kind == "marker" else f"a {kind} id"
