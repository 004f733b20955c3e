"""Requests for scenes of shapes, and what is said of their jobs; see `kyvo.serving.schemas`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kyvo.pipelines.scene_source import MethodName
from kyvo.serving.long_job_schemas import LongJobStatus
from kyvo.serving.schemas import Picture, SceneJSON, Text

MAX_MASKS = 16  # of a request; a scene has at most `kyvo.data.scene_pictures.MAX_OBJECTS`
SceneFormat = Literal["json", "glb", "usda", "html", "png"]
Pixels = Annotated[float, Field(allow_inf_nan=False)]
SOURCES = ("objects", "labels", "scene", "recognize")


class ObjectPlace(BaseModel):
    """Where one object is in the picture, given in one of three ways."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, min_length=1, max_length=100, description="In the scene; by default its number.")
    mask: Picture | None = Field(None, description="A picture of the same size, light where the object is.")
    box: list[Pixels] | None = Field(None, min_length=4, max_length=4, description="x0, y0, x1, y1 around it, px.")
    points: list[Annotated[list[Pixels], Field(min_length=2, max_length=2)]] | None = Field(
        None, min_length=1, max_length=16, description="Points on it, x and y in px; the server needs a segmenter."
    )

    @model_validator(mode="after")
    def check_place(self) -> "ObjectPlace":
        if (self.mask is not None) == (self.box is not None or self.points is not None):
            raise ValueError("give a mask, or a box or points: it says where the object is")
        return self


class SceneGenerateRequest(BaseModel):
    """A scene of the objects of a picture, which are given by one of objects, labels, scene and recognize; the method
    tokens finds them itself, and takes their names from what is given. Or a scene of a text, by the method iscene."""

    model_config = ConfigDict(extra="forbid")

    image: Picture | None = None
    text: Text | None = Field(None, description="In the place of a picture: the objects, and how they stand.")
    objects: list[ObjectPlace] | None = Field(None, min_length=1, max_length=MAX_MASKS)
    labels: Picture | None = Field(None, description="A picture of the same size: a color an object, on black.")
    scene: SceneJSON | None = Field(None, description="The picture's scene: outlines of its objects are taken.")
    recognize: bool = Field(False, description="The server's model recognises the scene; its outlines are taken.")
    method: MethodName = MethodName.SCENEGEN
    camera: dict[str, Any] | None = Field(
        None, description="For the baselines: the camera that took the picture, as in scene JSON."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="The same seed makes the same scene.")
    formats: list[SceneFormat] = Field(["glb"], min_length=1, max_length=5, description="Files that are made.")

    @property
    def sources(self) -> list[str]:
        """What says where the objects are."""
        return [name for name in SOURCES if getattr(self, name)]

    @model_validator(mode="after")
    def check_source(self) -> "SceneGenerateRequest":
        if (self.image is None) == (self.text is None):
            raise ValueError("give an image or a text, one of the two")
        if self.text is not None:
            if self.sources or self.camera is not None or self.method is not MethodName.ISCENE:
                raise ValueError("a text goes with the method iscene, and with nothing that is about a picture")
            return self
        if len(self.sources) > 1 or (not self.sources and self.method.needs_masks):
            raise ValueError(f"give one of {', '.join(SOURCES)}: it says what the objects are")
        if self.objects is not None:
            if len({item.mask is None for item in self.objects}) > 1:
                raise ValueError("give each object a mask, or none of them")
            names = [item.name or str(number) for number, item in enumerate(self.objects)]
            if len(set(names)) < len(names):
                raise ValueError("two objects have one name")
        return self


class PlacedShape(BaseModel):
    """An object of the scene: its cube's side, and where the cube's centre is."""

    name: str
    translation: list[float]
    quaternion_wxyz: list[float]
    scale: float


class SceneJobStatus(LongJobStatus):
    axes: str | None = Field(description="view: x to the camera's right; query: those of the query object's cube.")
    query: str | None = Field(description="The object that poses are relative to.")
    objects: list[PlacedShape] = Field(description="Those that were made.")
    warnings: list[str] = Field(description="As of objects that were left out.")


class MethodCard(BaseModel):
    name: MethodName
    label: str
    needs_masks: bool = Field(description="Whether the request has to say where the objects are.")
    lacks: str | None = Field(description="Why the server has no such method; null where it has.")


class SceneMethods(BaseModel):
    methods: list[MethodCard]
    segmenter: bool = Field(description="Whether points and boxes become outlines.")
    lacks_text: str | None = Field(description="Why the server makes no scenes of texts; null where it does.")
