"""`SequenceState`: a running request: its state in the constraint, ids the model has not seen, early ends."""

import time
from random import Random
from typing import NamedTuple

import numpy as np
from torch import Tensor

from kyvo.generation.cache import States
from kyvo.generation.prefix import Prompt
from kyvo.generation.requests import DecodedSequence, Handle, Reason, Request
from kyvo.generation.sampling import GREEDY, Sampling
from kyvo.tokenizers.tasks import Segment


class SelectedToken(NamedTuple):
    """What the model's logits became for one sequence."""

    token: int
    probability: float
    vector: Tensor | None = None  # [width], of an image code: the mean that it is nearest to
    embedded: Tensor | None = None  # [dim], the same of the codes' embeddings: what goes into the model in its place


class SequenceState:
    """Ids forced by the constraint are appended at once; the model is asked only where there is a choice."""

    def __init__(self, request: Request, handle: Handle, *, context: int) -> None:
        """`context` is how many ids the model can see."""
        self.constraint = request.constraint
        self.state = self.constraint.START
        self.handle = handle
        self.prompt = Prompt(ids=np.asarray(request.prompt), spans=request.spans)
        self.ids = [int(token) for token in request.prompt]  # prompt and output
        self.num_seen = 0  # ids whose states the cache holds, or will have taken over
        self.known: States | None = None  # states that will be taken over
        self.embedded: Tensor | None = None  # [dim], of the first pending id, where it is not its row of the table
        self.out = DecodedSequence(num_prompt=len(self.ids))
        self.finished = False
        self._num_sent = 0  # ids the handle's reader has
        self._sampling = request.sampling
        self._dice: dict[Segment, Random] = {}
        self._end = None if request.deadline is None else time.monotonic() + request.deadline
        self._budget: tuple[int, Reason] = (context - len(self.ids), "context")
        if request.max_tokens is not None and request.max_tokens <= self._budget[0]:
            self._budget = (request.max_tokens, "max_tokens")
        self._append_forced()
        if self.finished:  # its grammar knows one output: no step will tell of it
            self._send()

    @property
    def num_pending(self) -> int:
        return len(self.ids) - self.num_seen

    @property
    def sampling(self) -> Sampling:
        """Of the id that comes next."""
        kind = self.constraint.segment(self.state)
        return GREEDY if kind is None else self._sampling.get(kind, GREEDY)

    def chance(self) -> float:
        """The next uniform number of the kind of segment being written: the sequence's own, whatever its batch."""
        kind = self.constraint.segment(self.state)
        assert kind is not None
        return self._dice.setdefault(kind, Random(self.sampling.seed)).random()

    def choose(self, chosen: SelectedToken) -> None:
        """Takes the model's choice after it has seen all that was pending."""
        self.num_seen = len(self.ids)
        self.out.num_asked += 1
        self.embedded = chosen.embedded
        if chosen.vector is not None:
            self.out.vectors.append(chosen.vector)
        self._append(chosen.token, chosen.probability)
        self._append_forced()
        self._send()

    def check(self) -> None:
        """Cuts the sequence short where it was cancelled or is late."""
        if self.finished:
            return
        if self.handle.cancelled:
            self._cut("cancelled")
        elif self._end is not None and time.monotonic() >= self._end:
            self._cut("deadline")
        self._send()

    def _append_forced(self) -> None:
        while (token := self.constraint.forced(self.state)) is not None:
            self._append(token, 1.0)
        most, reason = self._budget
        if len(self.out.ids) > most or (len(self.out.ids) == most and self.state != self.constraint.end):
            self._cut(reason)
        self.finished |= self.state == self.constraint.end

    def _append(self, token: int, probability: float) -> None:
        if self.state in self.constraint.limits:
            self.out.reason = "limit"
        self.ids.append(token)
        self.out.ids.append(token)
        self.out.probabilities.append(probability)
        self.state = self.constraint.step(self.state, token)

    def _cut(self, reason: Reason) -> None:
        """Back to the last place where the output can be closed within the budget, or the first at all."""
        best: tuple[int, list[int]] | None = None
        state = self.constraint.START
        for count, token in enumerate([*self.out.ids, None]):
            closing = self.constraint.closing(state)
            if closing is not None and (best is None or count + len(closing) <= self._budget[0]):
                best = (count, closing)
            if token is not None:
                state = self.constraint.step(state, token)
        count, closing = best or (0, [])
        self.out.ids = self.out.ids[:count] + closing
        self.out.probabilities = self.out.probabilities[:count] + [1.0] * len(closing)
        self.out.reason = reason
        self.finished = True
        if count < self._num_sent:
            self._num_sent = len(self.out.ids)  # what the reader has cannot be mended; `result` is right

    def _send(self) -> None:
        self.handle.add(self.out.ids[self._num_sent :])
        self._num_sent = max(self._num_sent, len(self.out.ids))
