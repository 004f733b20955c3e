"""A task's prompt, checked before any network runs: what is too long costs memory in the square of its length."""

from kyvo.errors import ConfigError, TokenError
from kyvo.generation.engine import Engine
from kyvo.tokenizers.scene import ALL_PARTS, OptionalParts
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.tasks import Segments, Task


def checked_prompt(
    engine: Engine, builder: SequenceBuilder, task: Task, given: Segments, optional: OptionalParts = ALL_PARTS
) -> list[int]:
    """The ids that a model completes. Raises TokenError, in characters and ids, where it cannot see all of them."""
    ids = builder.prompt(task, given, optional=optional)
    try:
        engine.check(ids)
    except TokenError as error:
        if given.text is None:
            raise
        count = len(builder.text.encode(given.text))
        raise TokenError(f"the text has {len(given.text):,} characters, which are {count:,} ids: {error}") from error
    return ids


def check_context_length(
    engine: Engine, what: str, *, num_prompt: int, num_output: int, max_tokens: int | None = None
) -> None:
    """Raises ConfigError where an output has more ids than the model can see after the prompt, or than it may have."""
    context = engine.model.config.max_position_embeddings
    if num_prompt + num_output > context:
        raise ConfigError(length_error(what, "context"))
    if max_tokens is not None and num_output > max_tokens:
        raise ConfigError(length_error(what, "length"))


def length_error(what: str, reason: object) -> str:
    """What is said of an output that was cut short, or would be."""
    return (
        f"the {what} does not fit ({reason}) into what the model writes here; allow more tokens, give a scene of "
        "fewer objects, or a shorter text."
    )
