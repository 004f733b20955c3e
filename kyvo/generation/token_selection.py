"""`TokenSelector`: logits -> the id each sequence takes among those its constraint allows, and how probable it was.

Greedy is not the likeliest id where ids have distances: scenes and pictures are scored by how near they come, and the
likeliest of many alike ids may be one of a few outsiders. Among numbers the one with most probability near it is
taken, among image codes the one nearest to the mean of their vectors, which has the least squared error to be
expected (minimum Bayes risk, https://aclanthology.org/N04-1022). The picture is then decoded from the means
themselves: what is not known comes out as a blur, and not as another thing at each place. And the model goes on from
the mean of the codes' embeddings: given the code alone, it would draw the rest of an object where that code has it.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kyvo.generation.constraint import Constraint
from kyvo.generation.sampling import draw
from kyvo.generation.sequence_state import SelectedToken, SequenceState

NEAR = 5  # bins: 0.25 of CLEVR's units, the largest of the distances that are scored
MAX_SETS = 256  # of allowed ids that are kept; a schema has some twenty


class TokenSelector:
    """Greedy, or drawn as the sequence's `Sampling` says."""

    def __init__(
        self,
        *,
        near: int,
        codebook: Float[Tensor, "codes width"] | None = None,
        table: Float[Tensor, "vocab dim"] | None = None,
    ) -> None:
        """
        Args:
            near: how far a number's neighbours reach, in bins; 0 takes the likeliest number alone.
            codebook: the image codes' vectors; without it the likeliest code is taken.
            table: the model's input embedding; without it the model goes on from the codes that are taken.
        """
        self.near = near
        self.codebook = codebook
        self.table = table
        self._by_state: WeakKeyDictionary[Constraint, dict[int, _Allowed]] = WeakKeyDictionary()
        self._by_ids: OrderedDict[bytes, _Allowed] = OrderedDict()

    def __call__(self, logits: Float[Tensor, "rows vocab"], sequences: Sequence[SequenceState]) -> list[SelectedToken]:
        allowed = [self._allowed(sequence.constraint, sequence.state, logits) for sequence in sequences]
        logits = logits.masked_fill(~torch.stack([own.mask for own in allowed]), -torch.inf)
        probabilities = logits.softmax(dim=-1)
        best, tokens = (found.tolist() for found in probabilities.max(dim=-1))
        chosen = [SelectedToken(token, probability) for token, probability in zip(tokens, best, strict=True)]

        drawn = [index for index, sequence in enumerate(sequences) if not sequence.sampling.greedy]
        if drawn:
            settings, chances = (
                [sequences[index].sampling for index in drawn],
                [sequences[index].chance() for index in drawn],
            )
            found = draw(logits[drawn], settings, chances)
            likely = probabilities[drawn].gather(1, found[:, None])[:, 0].tolist()
            for index, token, probability in zip(drawn, found.tolist(), likely, strict=True):
                chosen[index] = SelectedToken(token, probability)

        numbers: defaultdict[_Allowed, list[int]] = defaultdict(list)  # rows by the numbers that may come
        codes: list[int] = []  # rows where any image code may come
        for index, sequence in enumerate(sequences):
            if sequence.state in sequence.constraint.numbers and sequence.sampling.greedy:
                numbers[allowed[index]].append(index)
            elif sequence.state in sequence.constraint.codes and sequence.sampling.greedy and self.codebook is not None:
                codes.append(index)
        for own, indices in numbers.items():
            best, mass = likeliest_numbers(probabilities[indices][:, own.ids], near=self.near)
            for index, token, probability in zip(indices, own.ids[best].tolist(), mass.tolist(), strict=True):
                chosen[index] = SelectedToken(token, probability)
        if codes:
            assert self.codebook is not None
            ids = allowed[codes[0]].ids
            shares = probabilities[codes]
            vectors = expected_vectors(shares[:, ids], codebook=self.codebook)
            best = nearest_codes(vectors, codebook=self.codebook)
            embedded = [None] * len(codes) if self.table is None else shares.to(self.table.dtype) @ self.table
            for index, place, vector, mean in zip(codes, best.tolist(), vectors, embedded, strict=True):
                token = int(ids[place])
                chosen[index] = SelectedToken(token, probabilities[index, token].item(), vector, mean)
        return chosen

    def _allowed(self, constraint: Constraint, state: int, logits: Tensor) -> "_Allowed":
        """States share what they allow where it is the same: a shape has 512 alike."""
        states = self._by_state.setdefault(constraint, {})
        if state not in states:
            ids = constraint.allowed(state)
            key = ids.tobytes()
            if key not in self._by_ids:
                self._by_ids[key] = _Allowed.of(ids, logits)
                if len(self._by_ids) > MAX_SETS:
                    self._by_ids.popitem(last=False)
            states[state] = self._by_ids[key]
        return states[state]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Allowed:
    ids: Int[Tensor, " allowed"]
    mask: Bool[Tensor, " vocab"]

    @classmethod
    def of(cls, ids: np.ndarray, logits: Tensor) -> "_Allowed":
        allowed = torch.from_numpy(ids).to(logits.device)
        mask = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
        mask[allowed] = True
        return cls(ids=allowed, mask=mask)


def likeliest_numbers(
    probabilities: Float[Tensor, "rows numbers"], *, near: int
) -> tuple[Int[Tensor, " rows"], Float[Tensor, " rows"]]:
    """The place of each row with most probability around it, and how much: that of numbers up to `near` bins off
    counts, falling with their distance.

    A scene is scored by how close its numbers are, and the likeliest bin of a broad hump is any of its middle ones.
    """
    hump = torch.hann_window(2 * near + 3, periodic=False, device=probabilities.device)[1:-1]
    mass, best = F.conv1d(probabilities[:, None].float(), hump[None, None], padding=near)[:, 0].max(dim=1)
    return best, mass


def expected_vectors(
    probabilities: Float[Tensor, "*rows codes"], *, codebook: Float[Tensor, "codes width"]
) -> Float[Tensor, "*rows width"]:
    """The mean of all codes' vectors, each as probable as its code.

    A floor has many codes that look alike. None of them is likely, but their mean looks like each of them.
    """
    return probabilities.to(codebook.dtype) @ codebook


def nearest_codes(
    vectors: Float[Tensor, "*rows width"], *, codebook: Float[Tensor, "codes width"]
) -> Int[Tensor, "*rows"]:
    """The code whose vector is nearest to each vector."""
    return torch.cdist(vectors, codebook).argmin(dim=-1)
