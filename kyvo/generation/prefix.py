"""`PrefixCache`: keys and values of prompts seen lately, so that a picture with many questions is read once.

A prefix may be taken over when its ids are the same and what attended both ways in it did so in both prompts: the
states of a causal id depend on the ids before it, those of a two-way span on the whole span. So it never ends in one.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kyvo.generation.cache import States

Spans = Sequence[tuple[int, int]]  # [start, stop) of ids that attend both ways
WORTH = 16  # ids; copying fewer saves nothing


@dataclass(frozen=True, kw_only=True, eq=False)
class Prompt:
    """What decides the states of a prompt."""

    ids: np.ndarray  # int64 [seq]
    spans: Spans = ()

    def shared(self, other: "Prompt") -> int:
        """How many ids at its head have the same states in both. The last is left: its hidden state is needed."""
        most = min(len(self.ids) - 1, len(other.ids))
        differ = np.flatnonzero(self.ids[:most] != other.ids[:most])
        length = int(differ[0]) if len(differ) else most
        ours, theirs = set(self.spans), set(other.spans)
        for start, stop in sorted(ours | theirs, reverse=True):
            if start < length and (stop > length or (start, stop) not in ours & theirs):
                length = start
        return length


class PrefixCache:
    """The states of the last prompts, of at most `max_ids` ids together; 0 shares nothing."""

    def __init__(self, max_ids: int) -> None:
        self.max_ids = max_ids
        self._states: OrderedDict[Prompt, States] = OrderedDict()  # the one used last is last
        self._num_ids = 0

    def longest(self, prompt: Prompt) -> tuple[int, States | None]:
        """How many of the prompt's first ids are known, and their states; (0, None) where it is not worth it."""
        length, best = max(((prompt.shared(known), known) for known in self._states), key=_first, default=(0, None))
        if best is None or length < WORTH:
            return 0, None
        self._states.move_to_end(best)
        return length, self._states[best][..., :length, :]

    def wants(self, prompt: Prompt, *, shared: int) -> bool:
        """Whether a prompt of which `shared` ids were known is to be added: many questions on one picture are not."""
        return 2 * shared <= len(prompt.ids) <= self.max_ids

    def add(self, prompt: Prompt, states: States) -> None:
        """Keeps the states of a prompt and forgets the ones used longest ago."""
        self._states[prompt] = states
        self._num_ids += len(prompt.ids)
        while self._num_ids > self.max_ids:
            self._num_ids -= len(self._states.popitem(last=False)[0].ids)

    def clear(self) -> None:
        self._states.clear()
        self._num_ids = 0


def _first(pair: tuple[int, Prompt]) -> int:
    return pair[0]
