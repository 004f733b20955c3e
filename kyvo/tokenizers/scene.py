"""Scene <-> ids, as the schema says.

```
[SCENE-START] [OBJECT-START] [SIZE] large [COLOR] cyan ... [LOCATION] -0.55 0.05 0.70 [OBJECT-END] ... [SCENE-END]
[SCENE-START] [CAMERA] 0.10 -0.25 0.00 [OBJECT-START] ... [SHAPE] cube [TURN] 0.35 [LOCATION] ...       with a header
```
Words are text ids with a leading space, numbers one id each. ``decode(encode(scene)) == snap(scene)``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kyvo.errors import SceneError, TokenError
from kyvo.scene.fields import Field
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import CAMERA, SceneSchema
from kyvo.tokenizers.text import TextTokenizer
from kyvo.tokenizers.vocabulary import OBJECT_END, OBJECT_START, SCENE_END, SCENE_START, Vocabulary


@dataclass(frozen=True, kw_only=True)
class OptionalParts:
    """Which optional parts of its schema a scene is written with.

    In what goes in, and in a training's sequences, they are written where the scene has them. In what comes out they
    are asked for: a camera that is given is written as it is, and the rest of the scene follows from it.
    """

    camera: bool | Camera = True
    turns: bool = True  # and every other field with `of`

    @classmethod
    def of(cls, scene: Scene, schema: SceneSchema) -> "OptionalParts":
        """What this scene has, to be written in one that follows from it: turns only where no object lacks one."""
        turns = all(
            item.get(field.name) is not None
            for before, field in zip(schema.fields, schema.fields[1:], strict=False)
            for item in scene.objects
            if item.get(before.name) in field.of
        )
        return cls(camera=schema.snap_camera(scene.camera) or False, turns=turns)

    def fields(self, schema: SceneSchema) -> tuple[Field, ...]:
        """The fields that objects are written with."""
        return tuple(field for field in schema.fields if self.turns or not field.of)


ALL_PARTS = OptionalParts()


class SceneTokenizer:
    """Writes and reads scenes of one schema in one vocabulary."""

    def __init__(self, *, schema: SceneSchema, vocabulary: Vocabulary, text: TextTokenizer) -> None:
        vocabulary.check_schema(schema)
        if vocabulary.num_text != text.size:
            raise TokenError(
                f"the vocabulary {vocabulary.name!r} has {vocabulary.num_text} text ids, the text tokenizer "
                f"{text.size}; they must be made for each other."
            )
        self.schema = schema
        self.vocabulary = vocabulary
        self.word_ids = {  # field -> word -> its ids
            field.name: {word: tuple(text.encode(" " + word)) for word in field.words} for field in schema.fields
        }
        self._words = {name: {ids: word for word, ids in words.items()} for name, words in self.word_ids.items()}

    def snap(self, scene: Scene, *, clamp: bool = False) -> Scene:
        """The nearest scene that has tokens (`SceneSchema.snap`)."""
        return self.schema.snap(scene, clamp=clamp)

    def encode(self, scene: Scene, *, clamp: bool = False, optional: OptionalParts = ALL_PARTS) -> list[int]:
        """Ids from [SCENE-START] to [SCENE-END]. Raises SceneError for what the schema cannot hold."""
        marker = self.vocabulary.marker_id
        ids = [marker(SCENE_START)]
        snapped = self.schema.snap(scene, clamp=clamp)
        if optional.camera and snapped.camera is not None:
            ids += self.encode_camera(snapped.camera)
        for item in snapped.objects:
            ids.append(marker(OBJECT_START))
            for field in optional.fields(self.schema):
                if not field.of or item.get(field.name) is not None:
                    ids.append(marker(field.marker))
                    ids.extend(self.encode_value(field, item.get(field.name)))
            ids.append(marker(OBJECT_END))
        return [*ids, marker(SCENE_END)]

    def encode_camera(self, camera: Camera) -> list[int]:
        """The header of a camera that the schema can hold. Raises SceneError for another."""
        offset = self.schema.camera_offset(camera)
        if offset is None:
            raise SceneError(
                f"a camera at {camera.location} is none that the header of {self.schema.name!r} can hold; "
                "leave it out, or give one near CLEVR's that looks at the origin."
            )
        return [self.vocabulary.marker_id(CAMERA), *(self.vocabulary.number_id(value) for value in offset)]

    def encode_value(self, field: Field, value: Any) -> Sequence[int]:
        """The ids that follow a field's marker; of a value that is snapped."""
        if field.words:
            return self.word_ids[field.name][value]
        convert = self.vocabulary.shape_id if field.num_codes else self.vocabulary.number_id
        return [convert(entry) for entry in field.numbers(value)]

    def decode(self, ids: Sequence[int]) -> Scene:
        """Inverse of `encode`. Raises TokenError naming the object, the position, what stands there and what fits."""
        cursor = _Cursor(ids, self.vocabulary)
        cursor.expect(SCENE_START)
        camera = self._decode_camera(cursor)
        objects: list[SceneObject] = []
        while not cursor.at(SCENE_END):
            try:
                objects.append(self._decode_object(cursor))
            except TokenError as error:
                raise TokenError(f"objects[{len(objects)}]: {error}") from error
        cursor.expect(SCENE_END)
        if cursor.position != len(ids):
            raise TokenError(f"{len(ids) - cursor.position} ids follow {SCENE_END} at position {cursor.position}.")
        return self.schema.scene(objects, camera=camera)

    def _decode_camera(self, cursor: "_Cursor") -> Camera | None:
        if not self.schema.camera or not cursor.at(CAMERA):
            return None
        cursor.expect(CAMERA)
        return self.schema.camera_at([cursor.take("number") for _ in self.schema.camera])

    def _decode_object(self, cursor: "_Cursor") -> SceneObject:
        cursor.expect(OBJECT_START)
        values, word = {}, None
        for field in self.schema.fields:
            if not field.of or (word in field.of and cursor.at(field.marker)):
                cursor.expect(field.marker)
                values[field.name] = self._decode_value(field, cursor)
            word = values.get(field.name)
        cursor.expect(OBJECT_END)
        return SceneObject().with_values(**values)

    def _decode_value(self, field: Field, cursor: "_Cursor") -> Any:
        if field.num_codes:
            return tuple(cursor.take("shape") for _ in range(field.num_codes))
        if field.axes:
            numbers = tuple(cursor.take("number") for _ in field.axes)
            try:
                return field.snap(numbers[0] if field.is_scalar else numbers)
            except SceneError as error:
                raise TokenError(f"{field.name}: {error}") from error
        run = cursor.take_text()
        try:
            return self._words[field.name][run]
        except KeyError:
            raise TokenError(
                f"{field.name} is spelt by the text ids {list(run)}; known are {', '.join(field.words)}."
            ) from None


class _Cursor:
    """A position in a list of ids, and what may be read there."""

    def __init__(self, ids: Sequence[int], vocabulary: Vocabulary) -> None:
        self.ids = [int(token) for token in ids]
        self.vocabulary = vocabulary
        self.position = 0

    def at(self, marker: str) -> bool:
        return self.position < len(self.ids) and self.ids[self.position] == self.vocabulary.marker_id(marker)

    def expect(self, marker: str) -> None:
        if not self.at(marker):
            raise TokenError(f"{marker} is needed at position {self.position}, but {self._found()} stands there.")
        self.position += 1

    def take(self, kind: str) -> Any:
        """The value of the next id, which must be of this kind: a number, or the index of a code."""
        ids = self.vocabulary.ranges[kind]
        if self.position >= len(self.ids) or self.ids[self.position] not in ids:
            raise TokenError(f"a {kind} is needed at position {self.position}, but {self._found()} stands there.")
        value = self.vocabulary.value(self.ids[self.position])
        self.position += 1
        return value

    def take_text(self) -> tuple[int, ...]:
        """The run of text ids from here; may be empty."""
        start = self.position
        while self.position < len(self.ids) and self.ids[self.position] in self.vocabulary.ranges["text"]:
            self.position += 1
        return tuple(self.ids[start : self.position])

    def _found(self) -> str:
        if self.position >= len(self.ids):
            return "the end"
        token = self.ids[self.position]
        kind = self.vocabulary.kind(token)
        return f"{self.vocabulary.value(token)}" if kind == "marker" else f"the {kind} id {token}"
