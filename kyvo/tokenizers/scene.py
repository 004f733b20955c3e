"""Scene <-> ids, as the schema says.

```
[SCENE-START] [OBJECT-START] [SIZE] large [COLOR] cyan ... [LOCATION] -0.55 0.05 0.70 [OBJECT-END] ... [SCENE-END]
```
Words are text ids with a leading space, numbers one id each. ``decode(encode(scene)) == snap(scene)``.
"""

from collections.abc import Sequence
from typing import Any

from kyvo.errors import SceneError, TokenError
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import Field, SceneSchema
from kyvo.tokenizers.text import TextTokenizer
from kyvo.tokenizers.vocabulary import OBJECT_END, OBJECT_START, SCENE_END, SCENE_START, Vocabulary


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

    def encode(self, scene: Scene, *, clamp: bool = False) -> list[int]:
        """Ids from [SCENE-START] to [SCENE-END]. Raises SceneError for what the schema cannot hold."""
        marker = self.vocabulary.marker_id
        ids = [marker(SCENE_START)]
        for item in self.schema.snap(scene, clamp=clamp).objects:
            ids.append(marker(OBJECT_START))
            for field in self.schema.fields:
                ids.append(marker(field.marker))
                ids.extend(self.encode_value(field, item.get(field.name)))
            ids.append(marker(OBJECT_END))
        return [*ids, marker(SCENE_END)]

    def encode_value(self, field: Field, value: Any) -> Sequence[int]:
        """The ids that follow a field's marker; of a value that is snapped."""
        if field.words:
            return self.word_ids[field.name][value]
        convert = self.vocabulary.shape_id if field.num_codes else self.vocabulary.number_id
        return [convert(entry) for entry in value]

    def decode(self, ids: Sequence[int]) -> Scene:
        """Inverse of `encode`. Raises TokenError naming the object, the position, what stands there and what fits."""
        cursor = _Cursor(ids, self.vocabulary)
        cursor.expect(SCENE_START)
        objects: list[SceneObject] = []
        while not cursor.at(SCENE_END):
            try:
                objects.append(self._decode_object(cursor))
            except TokenError as error:
                raise TokenError(f"objects[{len(objects)}]: {error}") from error
        cursor.expect(SCENE_END)
        if cursor.position != len(ids):
            raise TokenError(f"{len(ids) - cursor.position} ids follow {SCENE_END} at position {cursor.position}.")
        schema = self.schema
        return Scene(
            objects=tuple(objects), schema=schema.name, frame=schema.frame, up_axis=schema.up_axis, units=schema.units
        )

    def _decode_object(self, cursor: "_Cursor") -> SceneObject:
        cursor.expect(OBJECT_START)
        values = {}
        for field in self.schema.fields:
            cursor.expect(field.marker)
            values[field.name] = self._decode_value(field, cursor)
        cursor.expect(OBJECT_END)
        return SceneObject().with_values(**values)

    def _decode_value(self, field: Field, cursor: "_Cursor") -> Any:
        if field.num_codes:
            return tuple(cursor.take("shape") for _ in range(field.num_codes))
        if field.axes:
            numbers = tuple(cursor.take("number") for _ in field.axes)
            try:
                return field.snap(numbers)
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
