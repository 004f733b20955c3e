"""The figures of a trained model on held-out samples: cross-entropies, and what it decodes against what is true."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import mean

import numpy as np
import torch
from torch import Tensor

from kyvo.api import Kyvo
from kyvo.metrics.answers import TrueAnswer, score_answers
from kyvo.metrics.images import l2, object_crops, ssim
from kyvo.metrics.scenes import CLEVR, mean_jaccard
from kyvo.tokenizers.tasks import Segments
from kyvo.training.batch import Batch
from kyvo.training.data import TokenizedScenes
from kyvo.training.evaluation import held_out_loss
from kyvo.training.loss import labelled_loss
from kyvo.training.model import KyvoDecoder

Example = tuple[Segments, Segments]  # given and wanted


def examples_of(samples: TokenizedScenes, count: int, questions: int) -> list[Example]:
    """Scene after scene, then again with another of their questions."""
    places = (divmod(number, len(samples)) for number in range(min(count, len(samples) * questions)))
    return [samples.segments(index, 0.0, (turn + 0.5) / questions)[1:] for turn, index in places]


def nats_each(model: KyvoDecoder, batches: Iterable[Batch], ids: range) -> float:
    """Cross-entropy of the labels among `ids` with the true tokens before each, nats a label."""

    def loss_of(batch: Batch) -> Tensor:
        hidden = model.hidden(
            batch.ids, grid_positions=batch.grid_positions, mask=batch.attention(), input_pos=batch.input_pos
        )
        return labelled_loss(hidden, model.output.table(), batch.positions, batch.targets, batch.weights)

    model.eval()
    chosen = [
        replace(batch, weights=((batch.targets >= ids.start) & (batch.targets < ids.stop)).float()) for batch in batches
    ]
    loss, count = held_out_loss(chosen, loss_of, device=torch.device("cpu"))
    return (loss / count).item()


def score_scenes(kyvo: Kyvo, task: str, examples: Sequence[Example]) -> dict[str, float]:
    """Truths are compared as they are, not rounded to the arm's numbers. Empty scenes have no position error."""
    found = kyvo.complete(task, [given for given, _ in examples])
    scores = mean_jaccard([one.scene for one in found], [wanted.scene for _, wanted in examples], criterion=CLEVR)  # type: ignore[misc]
    position_error = {} if scores.position_error is None else {"position_error": scores.position_error}
    return {
        "jaccard": scores.jaccard,
        **position_error,
        "count_accuracy": scores.count_accuracy,
        **{f"jaccard_{tau:g}": value for tau, value in scores.jaccard_by_tau.items()},
    }


def score_texts(kyvo: Kyvo, task: str, examples: Sequence[Example]) -> dict[str, float]:
    found = kyvo.complete(task, [given for given, _ in examples])
    truths = [TrueAnswer(text=wanted.text or "") for _, wanted in examples]
    scores = score_answers([one.text for one in found], truths)["all"]["all"]
    return {"exact_match": scores.exact_match, "most_frequent": scores.most_frequent}


def score_pictures(
    kyvo: Kyvo, task: str, examples: Sequence[Example], truths: Sequence[np.ndarray]
) -> dict[str, float]:
    """Against the pictures themselves, not what the tokenizer makes of them: what it loses is in the figures."""
    found = [one.image for one in kyvo.complete(task, [given for given, _ in examples])]
    pairs = list(zip(found, truths, strict=True))
    around = []
    for (given, _), (ours, true) in zip(examples, pairs, strict=True):
        assert given.scene is not None and given.scene.camera is not None
        around += [ssim(square.cut(ours), square.cut(true)) for square in object_crops(given.scene, given.scene.camera)]
    return {
        "ssim": mean(ssim(ours, true) for ours, true in pairs),
        "ssim_objects": mean(around),
        "l2": mean(l2(ours, true) for ours, true in pairs),
    }
