"""`Vocabulary`: the one id space of text, numbers, markers, image codes and shape codes.

```
ids   0 ............ | numbers ...... | markers ........ | (reserved) | image codes | shape codes | programs
      text tokenizer   -3.00 .. 3.00    [SCENE-START] ..                0 .. 1023     0 .. 8191     [P:query] ..
```
Every part is a contiguous range with a name. A layout is a value: it is saved in each model folder as
`vocabulary.json` and compared when weights are loaded.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from kyvo.errors import TokenError
from kyvo.scene.builtin_schemas import objectron_schema
from kyvo.scene.fields import grid
from kyvo.scene.schema import SceneSchema

LLAMA3_TEXT = 128_256  # 128,000 merges and 256 special ids of the Llama-3.2 tokenizer

SCENE_START, SCENE_END = "[SCENE-START]", "[SCENE-END]"
OBJECT_START, OBJECT_END = "[OBJECT-START]", "[OBJECT-END]"
IMAGE_START, IMAGE_END = "[IMAGE-START]", "[IMAGE-END]"
TEXT_START, TEXT_END = "[TEXT-START]", "[TEXT-END]"
OUTPUT = "[OUTPUT-START]"
PROGRAM_START, PROGRAM_END = "[PROGRAM-START]", "[PROGRAM-END]"


def markers_for(*fields: str) -> tuple[str, ...]:
    """The markers of a layout: scene and object, the schema's own, then image, text and output (the released order)."""
    return (
        SCENE_START, SCENE_END, OBJECT_START, OBJECT_END, *fields,
        IMAGE_START, IMAGE_END, TEXT_START, TEXT_END, OUTPUT,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Sizes of the ranges and what stands in them; ids follow from the order of the ranges."""

    name: str
    num_text: int
    numbers: tuple[float, ...]  # ascending values, one id each
    markers: tuple[str, ...]
    num_image_codes: int = 0
    num_shape_codes: int = 0
    num_reserved: int = 0  # unused ids between markers and image codes
    num_number_rows: int | None = None  # rows of a released number table that is longer than its range
    programs: tuple[str, ...] = ()  # tokens of the program grammar; none in layouts without programs

    def __len__(self) -> int:
        return (
            self.num_text
            + len(self.numbers)
            + len(self.markers)
            + self.num_reserved
            + self.num_image_codes
            + self.num_shape_codes
            + len(self.programs)
        )

    @cached_property
    def ranges(self) -> dict[str, range]:
        """Name -> ids, in order and without gaps; together they are `range(len(self))`."""
        sizes = {
            "text": self.num_text,
            "number": len(self.numbers),
            "marker": len(self.markers),
            "reserved": self.num_reserved,
            "image": self.num_image_codes,
            "shape": self.num_shape_codes,
            "program": len(self.programs),
        }
        ranges, start = {}, 0
        for name, size in sizes.items():
            ranges[name] = range(start, start + size)
            start += size
        return ranges

    @cached_property
    def entries(self) -> dict[tuple[str, str | float | int], int]:
        """What each id stands for -> the id: a kind and a value, of texts and codes the place in their range.

        Layouts of one model may differ in their ids, and still share entries.
        """
        values = {"number": self.numbers, "marker": self.markers, "program": self.programs}
        return {
            (kind, value): id
            for kind, ids in self.ranges.items()
            for value, id in zip(values.get(kind, range(len(ids))), ids, strict=True)
        }

    @cached_property
    def _marker_ids(self) -> dict[str, int]:
        return dict(zip(self.markers, self.ranges["marker"], strict=True))

    @cached_property
    def _number_ids(self) -> dict[float, int]:
        return dict(zip(self.numbers, self.ranges["number"], strict=True))

    def marker_id(self, marker: str) -> int:
        """Id of a marker such as `[SIZE]`. Raises TokenError when this layout has none of that name."""
        try:
            return self._marker_ids[marker]
        except KeyError:
            raise TokenError(
                f"the vocabulary {self.name!r} has no marker {marker}; it has {' '.join(self.markers)}."
            ) from None

    def number_id(self, value: float) -> int:
        """Id of an allowed number. Raises TokenError for a value that is none: snap it by the schema first."""
        try:
            return self._number_ids[value]
        except KeyError:
            raise TokenError(
                f"the vocabulary {self.name!r} has no number {value:g}; its {len(self.numbers)} numbers go from "
                f"{self.numbers[0]:g} to {self.numbers[-1]:g}. Snap the value to the schema's bins, "
                "or use a vocabulary made for this schema."
            ) from None

    def image_id(self, code: int) -> int:
        return self._code_id("image", code)

    def shape_id(self, code: int) -> int:
        return self._code_id("shape", code)

    def _code_id(self, kind: str, code: int) -> int:
        ids = self.ranges[kind]
        if not 0 <= code < len(ids):
            raise TokenError(
                f"{kind} code {code} is outside the {len(ids)} {kind} codes of the vocabulary {self.name!r}."
            )
        return ids[code]

    def kind(self, token: int) -> str:
        """The name of the range that holds an id. Raises TokenError outside the vocabulary."""
        for name, ids in self.ranges.items():
            if token in ids:
                return name
        raise TokenError(f"id {token} is outside the vocabulary {self.name!r} of {len(self)} ids.")

    def value(self, token: int) -> float | str | int:
        """What an id stands for: a number, a marker, a program's token, an image or shape code, or the text id."""
        kind = self.kind(token)
        index = token - self.ranges[kind].start
        values = {"number": self.numbers, "marker": self.markers, "program": self.programs}
        return values.get(kind, range(len(self)))[index]

    def check_schema(self, schema: SceneSchema) -> None:
        """Raises TokenError when a marker or number of `schema` has no id here."""
        missing = [marker for marker in schema.markers if marker not in self._marker_ids]
        missing += [f"{number:g}" for number in schema.numbers if number not in self._number_ids]
        if missing:
            raise TokenError(
                f"the vocabulary {self.name!r} lacks {len(missing)} entries of the schema {schema.name!r}: "
                f"{', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}. Use Vocabulary.for_schema."
            )

    @classmethod
    def for_schema(
        cls,
        schema: SceneSchema,
        *,
        num_text: int,
        num_image_codes: int,
        num_shape_codes: int = 0,
        programs: tuple[str, ...] = (),
        name: str | None = None,
    ) -> "Vocabulary":
        """The layout that holds what `schema` needs, and the tokens of programs (`kyvo.tokenizers.programs`)."""
        return cls(
            name=name or schema.name,
            num_text=num_text,
            numbers=schema.numbers,
            markers=(*markers_for(*schema.markers), *((PROGRAM_START, PROGRAM_END) if programs else ())),
            num_image_codes=num_image_codes,
            num_shape_codes=num_shape_codes,
            programs=programs,
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Vocabulary":
        try:
            lists = {name: tuple(data[name]) for name in ("numbers", "markers")}
            return cls(**{**data, **lists, "programs": tuple(data.get("programs", ()))})
        except (KeyError, TypeError) as error:
            raise TokenError(f"not a vocabulary layout: {error}. Expected the keys of Vocabulary.to_dict().") from error


_CLEVR_MARKERS = markers_for("[SIZE]", "[COLOR]", "[MATERIAL]", "[SHAPE]", "[LOCATION]")


def kyvo_vocabulary() -> Vocabulary:
    """The paper's: 128,256 text ids, 121 numbers, 14 markers, 1,024 image and 8,192 shape codes: 137,607 ids."""
    return Vocabulary(
        name="kyvo",
        num_text=LLAMA3_TEXT,
        numbers=grid(-3, 3, 0.05),
        markers=_CLEVR_MARKERS,
        num_image_codes=1024,
        num_shape_codes=8192,
    )


def kyvo_objaworld_vocabulary() -> Vocabulary:
    """The paper's sizes for ObjaWorld, with and without shapes: one marker fewer than CLEVR's 14, and its id kept free,
    so that weights of the one fit the other: 137,607 ids too."""
    return replace(
        kyvo_vocabulary(),
        name="kyvo-objaworld",
        markers=markers_for("[SHAPE]", "[LOCATION]", "[POSE]", "[DIMENSIONS]"),
        num_reserved=1,
    )


def release_clevr_vocabulary() -> Vocabulary:
    """The released CLEVR and ObjaWorld ids: 1,201 numbers a step of 0.005 apart, no shape codes: 130,495 ids."""
    return Vocabulary(
        name="release-clevr",
        num_text=LLAMA3_TEXT,
        numbers=grid(-3, 3, 0.005),
        markers=_CLEVR_MARKERS,
        num_image_codes=1024,
    )


def release_objectron_vocabulary() -> Vocabulary:
    """The released Objectron ids, faults kept: id 128,371 is unused, and the number table has 104 rows for 103
    numbers, so that [SCENE-START] is embedded by the number table's last row."""
    return Vocabulary(
        name="release-objectron",
        num_text=LLAMA3_TEXT,
        numbers=objectron_schema().numbers,
        markers=markers_for("[CATEGORY]", "[CENTER_CAM]", "[DIMENSIONS]"),
        num_image_codes=1024,
        num_reserved=1,
        num_number_rows=104,
    )


def mini_vocabulary() -> Vocabulary:
    """The bundled model's: 445 SentencePiece pieces, CLEVR's numbers and markers, 8,192 image codes: 8,772 ids."""
    return Vocabulary(
        name="mini",
        num_text=445,
        numbers=grid(-3, 3, 0.05),
        markers=_CLEVR_MARKERS,
        num_image_codes=8192,
    )


VOCABULARIES = {
    "kyvo": kyvo_vocabulary,
    "kyvo-objaworld": kyvo_objaworld_vocabulary,
    "mini": mini_vocabulary,
    "release-clevr": release_clevr_vocabulary,
    "release-objectron": release_objectron_vocabulary,
}
