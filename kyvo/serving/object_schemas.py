"""Requests for objects and what is said of their jobs; see `kyvo.serving.schemas`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kyvo.serving.long_job_schemas import LongJobStatus
from kyvo.serving.schemas import Picture, Text

FileFormat = Literal["glb", "ply", "html", "gaussians", "latent", "video-sheet"]
Corner = Annotated[float, Field(allow_inf_nan=False)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Text | None = Field(None, description="What it is to be.")
    image: Picture | None = Field(None, description="A picture of what it is to be, in place of a text.")
    image_mask: Picture | None = Field(
        None, description="A picture of the same size, light where the object is; else its background is cut away."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="The same seed makes the same objects.")
    formats: list[FileFormat] = Field(["glb"], min_length=1, max_length=6, description="Files that are made.")

    @model_validator(mode="after")
    def check_condition(self) -> "_Asked":
        if (self.text is None) == (self.image is None):
            raise ValueError("give a text or an image, one of the two: it says what to make")
        if self.image_mask is not None and self.image is None:
            raise ValueError("image_mask is a mask of a picture, and no image is given")
        return self


class _Several(_Asked):
    count: int = Field(1, ge=1, description="Objects to make; the server has a limit.")


class ObjectFile(BaseModel):
    """A file that is sent."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["glb", "ply", "latent"] = Field(description="latent: the .npz that a job gives.")
    data: str = Field(min_length=1, description="Base64 of the file.")
    up_axis: Literal["+x", "-x", "+y", "-y", "+z", "-z"] | None = Field(
        None, description="The file's up axis; by default +y, and of PLY +z."
    )


class _Editing(BaseModel):
    object: ObjectFile
    strength: float = Field(1.0, gt=0, le=1, description="How much is made anew: 1 all, less keeps some of it.")


class GenerateRequest(_Several):
    """A new object."""


class VariantRequest(_Several, _Editing):
    """An object's structure with other details and colors."""


class RegionRequest(_Asked, _Editing):
    """A part of an object made anew; the rest stays."""

    box: list[Corner] | None = Field(
        None,
        min_length=6,
        max_length=6,
        description="What may change: x0, y0, z0, x1, y1, z1 in the object's frame, the cube of side 1 about the "
        "origin with z up.",
    )
    mask: ObjectFile | None = Field(None, description="What may change: inside this closed mesh, placed as the object.")

    @model_validator(mode="after")
    def check_region(self) -> "RegionRequest":
        if (self.box is None) == (self.mask is None):
            raise ValueError("give a box or a mask, one of the two: it says what may change")
        return self


class ObjectSummary(BaseModel):
    seed: int
    sample: int = Field(description="Its number among those of the seed.")
    cells: int = Field(description="Active cells of its structure.")
    warnings: list[str] = Field(description="As of words that the model has never seen.")


class JobStatus(LongJobStatus):
    objects: list[ObjectSummary]
