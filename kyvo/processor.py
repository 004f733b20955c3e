"""`Processor`: all that stands between content and ids, as a model folder holds it.

```
vocabulary.json  schema.json  sequence.json  tokenizer.model  image_tokenizer.json  image_tokenizer.safetensors
shape_tokenizer.json  shape_tokenizer.safetensors      where the schema has shapes
refiner.safetensors                                    where recognised objects are read once more from the pixels
cube_turns.safetensors                                 where it is read how recognised cubes are turned
```
An adapter's folder (`kyvo.models.llama.adapter`) has its own vocabulary; all else is its base's.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kyvo.errors import CheckpointError
from kyvo.files import make_folder, read_json_object, reading, write_plain_json
from kyvo.models.heads.cube_turns import CUBE_TURNS_NAME, CubeTurns, load_cube_turns, save_cube_turns
from kyvo.models.heads.refined_scenes import check_fits
from kyvo.models.heads.refiner import Refiner, load_refiner, save_refiner
from kyvo.models.llama.adapter import base_folder
from kyvo.scene.schema import SceneSchema
from kyvo.shapes.tokenizer import CONFIG_NAME as SHAPE_CONFIG
from kyvo.shapes.tokenizer import ShapeTokenizer
from kyvo.tokenizers.image import FINE, ImageTokenizer
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.text import TextTokenizer, load_text
from kyvo.tokenizers.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Processor:
    """The vocabulary, schema and tokenizers that belong together, and the sequences they make."""

    vocabulary: Vocabulary
    schema: SceneSchema
    text: TextTokenizer
    image: ImageTokenizer
    shape: ShapeTokenizer | None = None
    refiner: Refiner | None = None
    cube_turns: CubeTurns | None = None
    center_first: bool = True
    two_way: tuple[str, ...] = ("shape",)

    def __post_init__(self) -> None:
        if self.image.config.n_embed != self.vocabulary.num_image_codes:
            raise CheckpointError(
                f"the image tokenizer has {self.image.config.n_embed} codes, the vocabulary {self.vocabulary.name!r} "
                f"{self.vocabulary.num_image_codes}; they must be made for each other."
            )
        codes = 0 if self.shape is None else self.shape.config.n_embed
        if codes != self.vocabulary.num_shape_codes and any(field.num_codes for field in self.schema.fields):
            raise CheckpointError(
                f"the shape tokenizer has {codes} codes, the vocabulary {self.vocabulary.name!r} "
                f"{self.vocabulary.num_shape_codes}; they must be made for each other."
            )
        for field in self.schema.fields:
            if self.shape is not None and field.num_codes not in (0, self.shape.config.num_codes):
                raise CheckpointError(
                    f"the shape tokenizer gives {self.shape.config.num_codes} codes an object, the field {field.name} "
                    f"of the schema {self.schema.name!r} has {field.num_codes}; they must be made for each other."
                )
        if self.refiner is not None:
            check_fits(self.refiner, self.schema, width=self.image.config.width, height=self.image.config.height)
        if self.cube_turns is not None:
            self._check_cube_turns(self.cube_turns)
        assert self.builder  # refuses a schema, text tokenizer and vocabulary that do not fit

    def _check_cube_turns(self, network: CubeTurns) -> None:
        """Raises CheckpointError for a network of other pictures than those that recognition hands it."""
        image, own = self.image.config, network.config
        if (own.width, own.height) != (FINE * image.width, FINE * image.height):
            raise CheckpointError(
                f"{CUBE_TURNS_NAME} reads {own.width}x{own.height} px, and this model's pictures are "
                f"{FINE * image.width}x{FINE * image.height} px where they are fine. The folder mixes two models."
            )

    @property
    def builder(self) -> SequenceBuilder:
        return SequenceBuilder(
            vocabulary=self.vocabulary,
            schema=self.schema,
            text=self.text,
            image_grid=(self.image.config.rows, self.image.config.columns),
            center_first=self.center_first,
            two_way=self.two_way,
        )

    def save(self, folder: str | Path) -> None:
        """Writes the files into `folder`, which a model may share."""
        folder = Path(folder)
        make_folder(folder)
        write_plain_json(folder / "vocabulary.json", self.vocabulary.to_dict())
        write_plain_json(folder / "schema.json", self.schema.to_dict())
        write_plain_json(folder / "sequence.json", {"center_first": self.center_first, "two_way": self.two_way})
        self.text.save(folder)
        self.image.save(folder)
        if self.shape is not None:
            self.shape.save(folder)
        if self.refiner is not None:
            save_refiner(folder, self.refiner)
        if self.cube_turns is not None:
            save_cube_turns(folder, self.cube_turns)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "Processor":
        """Inverse of `save`. Raises CheckpointError naming the file that is missing or does not fit the others."""
        adapter, folder = Path(folder), base_folder(Path(folder))
        sequence = _read_json(folder / "sequence.json")
        with reading(folder / "sequence.json"):
            center_first = bool(sequence["center_first"])
            two_way = tuple(map(str, sequence.get("two_way", ("shape",))))  # folders of before it could be chosen
        vocabulary, schema = _read_json(adapter / "vocabulary.json"), _read_json(folder / "schema.json")
        with reading(adapter / "vocabulary.json"):
            read_vocabulary = Vocabulary.from_dict(vocabulary)
        with reading(folder / "schema.json"):
            read_schema = SceneSchema.from_dict(schema)
        with reading(folder):
            return cls(
                vocabulary=read_vocabulary,
                schema=read_schema,
                text=load_text(folder / "tokenizer.model"),
                image=ImageTokenizer.from_pretrained(folder),
                shape=ShapeTokenizer.from_pretrained(folder) if (folder / SHAPE_CONFIG).is_file() else None,
                refiner=load_refiner(folder),
                cube_turns=load_cube_turns(folder),
                center_first=center_first,
                two_way=two_way,
            )


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(
            f"{path}: cannot be read (No such file or directory). A Kyvo model folder has it; "
            "one that a training run is still writing, or a plain Llama folder, has not."
        )
    return read_json_object(path)
