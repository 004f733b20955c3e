"""What is said of every job that takes longer than a connection; see `kyvo.serving.schemas`."""

from pydantic import BaseModel, Field

from kyvo.serving.long_jobs import State


class StageProgress(BaseModel):
    stage: str = Field(description="structure, or details, which come after it.")
    step: int = Field(description="Steps that are done.")
    num_steps: int
    seconds_left: float = Field(description="Of this stage: an estimate from the steps that are done.")


class OutputFile(BaseModel):
    name: str
    path: str = Field(description="GET it from here.")
    bytes: int


class LongJobStatus(BaseModel):
    id: str
    path: str = Field(description="GET tells how far it is; DELETE cancels it and removes its files.")
    status: State
    progress: StageProgress | None = Field(description="Of the stage that it is at.")
    error: str | None = Field(description="Why nothing was made.")
    files: list[OutputFile] = []
    seconds: float | None = Field(None, description="That making it took.")
