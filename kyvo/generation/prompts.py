"""A task's prompt, checked before any network runs: what is too long costs memory in the square of its length."""

from kyvo.errors import TokenError
from kyvo.generation.engine import Engine
from kyvo.tokenizers.scene import WHOLE, SceneForm
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.tasks import Segments, Task


def checked_prompt(
    engine: Engine, builder: SequenceBuilder, task: Task, given: Segments, form: SceneForm = WHOLE
) -> list[int]:
    """The ids that a model completes. Raises TokenError, in characters and ids, where it cannot see all of them."""
    ids = builder.prompt(task, given, form=form)
    try:
        engine.check(ids)
    except TokenError as error:
        if given.text is None:
            raise
        count = len(builder.text.encode(given.text))
        raise TokenError(f"the text has {len(given.text):,} characters, which are {count:,} ids: {error}") from error
    return ids
