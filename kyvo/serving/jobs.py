"""What each kind of request asks of the pipelines, as a job for the worker."""

from collections.abc import Sequence

from kyvo.api import Interpretation, Kyvo, Picture
from kyvo.generation.sampling import GREEDY, Sampling
from kyvo.pipelines.rendering import Renderer
from kyvo.programs.parsing import Turn
from kyvo.scene.scene import Camera, Scene
from kyvo.serving.worker import Job


def recognition(model: Kyvo, picture: Picture, *, camera: Camera | None = None, max_tokens: int | None = None) -> Job:
    """A picture -> a Completion with its scene."""
    cameras = None if camera is None else [camera]
    return Job(
        task="recognition",
        work=lambda run: model.recognition([picture], run, cameras=cameras)[0],
        max_tokens=max_tokens,
    )


def rendering(renderer: Renderer, scene: Scene, *, sampling: Sampling = GREEDY, max_tokens: int | None = None) -> Job:
    """A scene -> a Completion with its picture."""
    return Job(
        task="rendering",
        work=lambda run: renderer([scene], run)[0],
        sampling=sampling,
        max_tokens=max_tokens,
    )


def editing(model: Kyvo, scene: Scene, instruction: str, *, render: bool = True, sampling: Sampling = GREEDY) -> Job:
    """A scene and an instruction -> EditResult."""
    return Job(
        task="editing",
        work=lambda run: model.editing(scene, instruction, run, render=render),
        sampling=sampling,
        renders=render,
    )


def answering(model: Kyvo, scene: Scene | None, question: str, *, picture: Picture | None = None) -> Job:
    """A scene or a picture, and a question -> AnswerResult."""
    return Job(task="question_answering", work=lambda run: model.answering(scene, question, run, image=picture))


def dialogue(
    model: Kyvo,
    scene: Scene | None,
    text: str | Interpretation,
    *,
    picture: Picture | None = None,
    earlier: Sequence[Turn] = (),
    sampling: Sampling = GREEDY,
) -> Job:
    """A turn of a talk -> EditResult or AnswerResult. A picture without a scene is recognised first."""
    return Job(
        task="dialogue",
        work=lambda run: model.dialogue(scene, text, run, image=picture, dialogue=earlier),
        sampling=sampling,
    )
